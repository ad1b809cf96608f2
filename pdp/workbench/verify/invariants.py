"""invariants.yaml: what must hold for every request, whatever the rules become.

::

    version: 1
    invariants:
      - name: health-export-by-privacy-office-only
        why: "HIPAA 164.524: a copy leaves by the data protection officer alone"
        never: allow
        who: {lacks: [data_protection_officer]}
        action: export
        resource: health_note
      - name: no-allow-off-posture
        why: "NIST SP 800-207 tenet 5"
        never: allow
        when: "!r.device.compliant"

``never`` is the effect that must not come about. ``who`` narrows by roles, inherited ones included: ``holds`` any of
some, ``lacks`` all of some. ``action`` and ``resource`` name one or several actions, types, groups or classes; left
out, they mean all. ``when`` is a condition in the language of rules. ``without`` narrows a never-allow to allows that
lack one of some obligations.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pdp.core.condition import ConditionError, check, parse
from pdp.core.condition import Node as Condition
from pdp.core.decision import Effect
from pdp.core.policy import PolicySnapshot
from pdp.policy.fields import DOTTED_NAME, Fields
from pdp.policy.files import read_file
from pdp.policy.links import role_names
from pdp.policy.problems import Problems, did_you_mean
from pdp.policy.source import Source, decode, require_end
from pdp.policy.yaml_reader import read_yaml
from pdp.yaml_tree import Node, Scalar, Sequence

FILE: Final = "invariants.yaml"
_NAME: Final = re.compile(r"[a-z][a-z0-9-]{2,63}", re.ASCII)
_NAME_HELP: Final = "3 to 64 lower-case letters, digits and -, starting with a letter"
_ROLE: Final = re.compile(r"[a-z][a-z0-9_.-]{0,62}", re.ASCII)
_OBLIGATION: Final = re.compile(r"[a-z][a-z0-9-]{0,62}", re.ASCII)


@dataclass(frozen=True)
class Invariant:
    """What must never come about.

    Attributes:
        name: unique in the file.
        why: the regulation or risk behind it.
        effect: the effect that must not come about.
        holds: roles of which the subject holds at least one; empty for any.
        lacks: roles of which the subject holds none.
        actions: the actions it is about.
        types: the resource types it is about.
        text: the condition as written.
        when: the same, parsed.
        without: obligations of which an allow lacks at least one; empty where they do not matter.
        line: where it stands, 1-based.
    """

    name: str
    why: str
    effect: Effect
    holds: frozenset[str]
    lacks: frozenset[str]
    actions: frozenset[str]
    types: frozenset[str]
    text: str
    when: Condition
    without: frozenset[str]
    line: int


def read_invariants(folder: Path, policy: PolicySnapshot) -> tuple[Invariant, ...]:
    """Read the invariants of a policy folder; none where it has no invariants.yaml.

    Raises:
        PolicyInvalidError: with every problem found in the file.
    """
    problems = Problems()
    if not (folder / FILE).exists():
        return ()
    content = read_file(folder, FILE, problems)
    source = decode(FILE, content, problems) if content is not None else None
    root = read_yaml(source, problems) if source and require_end(source, problems) else None
    found: tuple[Invariant, ...] = ()
    if source is not None and root is not None:
        found = _Reader(source, Fields(source, problems), policy).document(root)
    problems.raise_if_any()
    return found


class _Reader:
    def __init__(self, source: Source, fields: Fields, policy: PolicySnapshot) -> None:
        self._source = source
        self._fields = fields
        self._policy = policy
        self._names: set[str] = set()

    def document(self, root: Node) -> tuple[Invariant, ...]:
        listed = self._fields.document(root, ("invariants",)).get("invariants")
        items = self._fields.items(listed) if listed is not None else ()
        return tuple(found for item in items if (found := self._invariant(item)) is not None)

    def _invariant(self, node: Node) -> Invariant | None:
        optional = ("who", "action", "resource", "when", "without")
        given = self._fields.record(node, ("name", "why", "never"), optional)
        name = self._name(given["name"]) if "name" in given else None
        why = self._fields.text(given["why"]) if "why" in given else None
        effects = {it.value: it for it in Effect}
        word = self._fields.choice(given["never"], effects, "an effect") if "never" in given else None
        holds, lacks = self._who(given["who"]) if "who" in given else (frozenset(), frozenset())
        hierarchy, schema = self._policy.hierarchy, self._policy.schema
        actions = self._members(given.get("action"), schema.actions, hierarchy.actions, "action or group")
        types = self._members(given.get("resource"), schema.resources, hierarchy.resources, "resource type or class")
        without = self._obligations(given["without"]) if "without" in given else frozenset[str]()
        if without and word == Effect.DENY.value:
            self._fields.refuse(given["without"], "a deny has no obligations that could be lacking")
        text, when = self._when(given.get("when"), types)
        if name is None or why is None or word is None or when is None:
            return None
        line, _ = self._source.at(node.offset)
        return Invariant(name, why, effects[word], holds, lacks, actions, types, text, when, without, line)

    def _name(self, node: Node) -> str | None:
        name = self._fields.name(node, _NAME, _NAME_HELP)
        if name in self._names:
            self._fields.refuse(node, f"the name {name!r} is taken")
        elif name is not None:
            self._names.add(name)
        return name

    def _who(self, node: Node) -> tuple[frozenset[str], frozenset[str]]:
        given = self._fields.record(node, (), ("holds", "lacks"))
        roles = role_names(self._policy.schema)
        holds, lacks = (self._known(given.get(key), _ROLE, roles, "role") for key in ("holds", "lacks"))
        return holds, lacks

    def _known(
        self, node: Node | None, pattern: re.Pattern[str], known: Collection[str], what: str
    ) -> frozenset[str]:
        names = _texts(self._fields, node, pattern)
        for name, at in names.items():
            if name not in known:
                self._fields.refuse(at, f"the policy has no {what} {name!r}", did_you_mean(name, known))
        return frozenset(names)

    def _members(
        self, node: Node | None, names: Collection[str], closures: Mapping[str, frozenset[str]], what: str
    ) -> frozenset[str]:
        if node is None:
            return frozenset(names)
        groups = frozenset().union(*(closures[name] for name in names))
        wanted = self._known(node, DOTTED_NAME, groups, what)
        return frozenset(name for name in names if wanted & closures[name])

    def _obligations(self, node: Node) -> frozenset[str]:
        return self._known(node, _OBLIGATION, self._policy.obligations, "obligation")

    def _when(self, node: Node | None, types: frozenset[str]) -> tuple[str, Condition | None]:
        if node is None:
            return "True", parse("True")
        if not isinstance(node, Scalar) or not isinstance(node.value, str):
            self._fields.refuse(node, "a condition is expected here", "put it in quotes")
            return "", None
        text = " ".join(node.value.split())
        try:
            when = parse(text)
            check(when, self._policy.schema, types)
        except ConditionError as error:
            # In a plain or quoted text of one line the place is exact; in a folded one it is the text's start.
            quoted = self._source.text[node.offset] in "'\""
            one_line = self._source.text.startswith(text, node.offset + quoted)
            at = Scalar(node.offset + (quoted + error.offset if one_line else 0), node.text, node.value)
            self._fields.refuse(at, f"condition: {error.problem}", error.help)
            return text, None
        return text, when


def _texts(fields: Fields, node: Node | None, pattern: re.Pattern[str]) -> dict[str, Node]:
    """Read one name or a list of names."""
    nodes = node.items if isinstance(node, Sequence) else () if node is None else (node,)
    if isinstance(node, Sequence) and not nodes:
        fields.refuse(node, "the list is empty")
    return {name: it for it in nodes if (name := fields.name(it, pattern)) is not None}
