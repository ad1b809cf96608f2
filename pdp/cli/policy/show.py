"""``pdp policy show``: print every rule, or everything that is wrong with the folder."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from pdp.cli.policy.problems import line_of, problem_data, show_problems
from pdp.core.decision import Entity
from pdp.core.errors import PolicyInvalidError
from pdp.core.policy import PolicySnapshot, Rule
from pdp.engine.reference import ReferenceMatcher
from pdp.policy import load

_STYLES: Final = {"allow": "green", "deny": "red"}


def show(
    folder: Annotated[Path, typer.Argument(help="The policy folder.")] = Path("policies"),
    as_json: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False,
) -> None:
    """Print every rule, or everything that is wrong. Exits 0 where the policy is valid, 1 where it is not."""
    console = Console()
    try:
        snapshot = load(folder, ReferenceMatcher)
    except PolicyInvalidError as error:
        found = [(problem, line_of(folder, problem)) for problem in error.problems]
        if as_json:
            console.print_json(data={"valid": False, "problems": [problem_data(*pair) for pair in found]})
        else:
            show_problems(console, folder, found)
        raise typer.Exit(1) from None
    if as_json:
        console.print_json(data=_snapshot_data(snapshot))
    else:
        _show_rules(console, snapshot)


def _show_rules(console: Console, snapshot: PolicySnapshot) -> None:
    for file, rules in _by_file(snapshot.rules).items():
        table = Table(
            title=f"[bold cyan]{file}[/]",
            title_justify="left",
            box=None,
            pad_edge=False,
            expand=True,
            padding=(0, 2, 1, 0),
        )
        table.add_column("rule", no_wrap=True)
        table.add_column("condition, obligations and basis", ratio=1)
        for rule in rules:
            table.add_row(_heading(rule), _terms(rule))
        console.print(table)
        console.print()
    for name, value in _counts(snapshot).items():
        console.print(f"[dim]{name:<12}[/] {value}", highlight=False)
    console.print(f"[dim]{'revision':<12}[/] [bold]{snapshot.revision}[/]", soft_wrap=True, highlight=False)


def _heading(rule: Rule) -> str:
    effect = rule.effect.value
    return f"[bold]{rule.id}[/]\n[{_STYLES[effect]}]{effect}[/] {rule.role}\n{rule.action} {rule.resource}"


def _terms(rule: Rule) -> str:
    owed = f"\n[yellow]{', '.join(rule.obligations)}[/]" if rule.obligations else ""
    return f"{escape(rule.text)}{owed}\n[dim]{escape(rule.basis)}[/]"


def _by_file(rules: Iterable[Rule]) -> dict[str, list[Rule]]:
    found: dict[str, list[Rule]] = {}
    for rule in rules:
        found.setdefault(rule.file, []).append(rule)
    return found


def _counts(snapshot: PolicySnapshot) -> dict[str, str]:
    effects = Counter(rule.effect.value for rule in snapshot.rules)
    schema = snapshot.schema
    return {
        "rules": f"{len(snapshot.rules)} ({effects['allow']} allow, {effects['deny']} deny)",
        "roles": f"{len(schema.attributes_of(Entity.SUBJECT)['roles'].values)}",
        "actions": f"{len(schema.actions)}",
        "resources": f"{len(schema.resources)}",
        "obligations": f"{len(snapshot.obligations)}",
        "routes": f"{sum(map(len, snapshot.routes.routes.values()))}",
    }


def _snapshot_data(snapshot: PolicySnapshot) -> dict[str, Any]:
    schema, hierarchy = snapshot.schema, snapshot.hierarchy
    return {
        "valid": True,
        "revision": snapshot.revision,
        "rules": [_rule_data(rule) for rule in snapshot.rules],
        "roles": {name: sorted(held - {name}) for name, held in sorted(hierarchy.roles.items())},
        "actions": {
            name: sorted(groups - {name})
            for name, groups in sorted(hierarchy.actions.items())
            if name in schema.actions
        },
        "resources": {name: sorted(hierarchy.resources[name] - {name}) for name in sorted(schema.resources)},
        "obligations": sorted(snapshot.obligations),
        "routes": sum(map(len, snapshot.routes.routes.values())),
        "problems": [],
    }


def _rule_data(rule: Rule) -> dict[str, Any]:
    return {
        "id": rule.id,
        "role": rule.role,
        "action": rule.action,
        "resource": rule.resource,
        "condition": rule.text,
        "effect": rule.effect.value,
        "obligations": list(rule.obligations),
        "basis": rule.basis,
        "file": rule.file,
        "line": rule.line,
    }
