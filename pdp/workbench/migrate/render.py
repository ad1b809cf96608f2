"""The files of a policy folder, of what was carried over from plain Casbin."""

from __future__ import annotations

from collections.abc import Mapping

from pdp.core.decision import Entity
from pdp.core.schema import Kind
from pdp.policy.model import MODEL
from pdp.policy.source import END_MARK, Source
from pdp.workbench.layout import format_rules
from pdp.workbench.migrate.convert import TYPE, ImportedRule, Result

_BASIS = "Carried over from Casbin: state the regulation or risk"


def render(result: Result) -> Mapping[str, bytes]:
    """Give the files by path relative to the policy folder."""
    files = {
        "model.conf": MODEL,
        "schema.yaml": _schema(result),
        "obligations.yaml": f"version: 1\nobligations: {{}}\n{END_MARK}\n",
        "routes.yaml": f"version: 1\nroutes: []\n{END_MARK}\n",
        "policy/imported.csv": _rules(result),
        "sample/attributes.yaml": _people(result),
    }
    return {name: text.encode() for name, text in files.items()}


def _schema(result: Result) -> str:
    lines = [
        "# Carried over from Casbin. Say of each attribute how old it may be and who may see it, and add what",
        "# devices and sessions are known by: docs/policy.md.",
        "version: 1",
        "subject_types: [user]",
        f"actions: [{', '.join(sorted(result.actions)) or 'read'}]",
        "limits: {clock_skew: 5s, allow_lifetime: 60s, deny_lifetime: 5s}",
        "subject:",
        f"  roles: {{type: list, values: [{', '.join(sorted(result.roles))}]}}",
        *_attributes(result.kinds.of(Entity.SUBJECT), "  "),
        "device: {}",
        "session: {}",
        "context: {}",
        "resources:",
    ]
    attributes = _attributes(result.kinds.of(Entity.RESOURCE), "    ")
    lines += [f"  {TYPE}:", *attributes] if attributes else [f"  {TYPE}: {{}}"]
    return "\n".join([*lines, END_MARK, ""])


def _attributes(kinds: Mapping[str, Kind], indent: str) -> list[str]:
    return [f"{indent}{name}: {{type: {kind}}}" for name, kind in kinds.items() if name != "roles"]


def _rules(result: Result) -> str:
    links = [f"g,{member},{parent}" for member, parent in dict.fromkeys(result.inherits)]
    rows = [_row(number, rule) for number, rule in enumerate(result.rules, 1)]
    text = "\n".join(["# Carried over from Casbin.", *links, *([""] if links else []), *rows, END_MARK, ""])
    return format_rules(Source("policy/imported.csv", text)) or text


def _row(number: int, rule: ImportedRule) -> str:
    basis = f"{_BASIS} (line {rule.line})" if rule.line else f"{_BASIS} (the matcher)"
    condition = rule.condition.replace('"', '""')
    return f'p,rule-{number:03},{rule.role},{rule.action},{TYPE},"{condition}",{rule.effect.value},,{basis}'


def _people(result: Result) -> str:
    lines = ["# Who held which role. Feed these from your identity provider.", "version: 1", "records:"]
    for person, roles in result.people.items():
        held = ", ".join(dict.fromkeys(roles))
        lines.append(f'  - {{entity: subject, id: "user:{person}", attributes: {{roles: [{held}]}}}}')
    if not result.people:
        lines[-1] = "records: []"
    return "\n".join([*lines, END_MARK, ""])
