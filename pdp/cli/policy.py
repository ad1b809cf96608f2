"""``pdp policy``: look at the policy, and find what is wrong with it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from pdp.core.decision import Entity
from pdp.core.errors import PolicyInvalidError, PolicyProblem
from pdp.core.policy import PolicySnapshot, Rule
from pdp.engine.reference import ReferenceMatcher
from pdp.policy import load

app = typer.Typer(no_args_is_help=True)
_STYLES: Final = {"allow": "green", "deny": "red"}
_TAB: Final = 4
_WORD: Final = re.compile(r"[\w.-]+")


@app.callback()
def policy() -> None:
    """Look at the policy, and find what is wrong with it."""


@app.command()
def show(
    folder: Annotated[Path, typer.Argument(help="The policy folder.")] = Path("policies"),
    as_json: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False,
) -> None:
    """Print every rule, or everything that is wrong. Exits 0 where the policy is valid, 1 where it is not."""
    console = Console()
    try:
        snapshot = load(folder, ReferenceMatcher)
    except PolicyInvalidError as error:
        found = [(problem, _line(folder, problem)) for problem in error.problems]
        if as_json:
            console.print_json(data={"valid": False, "problems": [_problem_data(*pair) for pair in found]})
        else:
            _show_problems(console, folder, found)
        raise typer.Exit(1) from None
    if as_json:
        console.print_json(data=_snapshot_data(snapshot))
    else:
        _show_rules(console, snapshot)


def _line(folder: Path, problem: PolicyProblem) -> str:
    """Give the text of the line a problem stands in; empty where there is none to show."""
    if not problem.line:
        return ""
    try:
        lines = (folder / problem.file).read_text("utf-8", errors="replace").split("\n")
    except OSError:
        return ""
    text = lines[problem.line - 1] if problem.line <= len(lines) else ""
    return "".join(it if it.isprintable() or it == "\t" else "\N{REPLACEMENT CHARACTER}" for it in text.rstrip("\r"))


def _show_problems(console: Console, folder: Path, found: list[tuple[PolicyProblem, str]]) -> None:
    for problem, line in found:
        where = f"{folder / problem.file}" + "".join(f":{it}" for it in (problem.line, problem.column) if it)
        console.print(f"[bold]{escape(where)}[/]: [red]{escape(problem.problem)}[/]", soft_wrap=True, highlight=False)
        if line:
            _underline(console, problem, line)
        if problem.help:
            console.print(f"    [cyan]help:[/] {escape(problem.help)}", soft_wrap=True, highlight=False)
        console.print()
    noun = "problem" if len(found) == 1 else "problems"
    console.print(f"[bold red]{len(found)} {noun}[/]: the policy is refused as a whole.", highlight=False)


def _underline(console: Console, problem: PolicyProblem, line: str) -> None:
    """Print a line, cut to the width of the screen around the place of a problem, and point at it."""
    column = max(problem.column, 1)
    start = max(0, column - console.width + 24)
    before = line[start : column - 1].expandtabs(_TAB)
    shown = line[start:].expandtabs(_TAB)[: console.width - 12]
    margin = f"{problem.line:>6} | "
    console.print(f"[dim]{margin}[/]{escape(shown)}", soft_wrap=True, highlight=False)
    word = _WORD.match(line, column - 1)
    mark = "^" * min(len(word[0]) if word else 1, max(1, len(shown) - len(before)))
    indent = " " * (len(margin) - 2)
    console.print(f"{indent}[dim]|[/] {' ' * len(before)}[bold red]{mark}[/]", soft_wrap=True, highlight=False)


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


def _problem_data(problem: PolicyProblem, line: str) -> dict[str, Any]:
    return {
        "file": problem.file,
        "line": problem.line,
        "column": problem.column,
        "problem": problem.problem,
        "help": problem.help,
        "text": line,
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
