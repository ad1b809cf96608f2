"""How a failing test looks at the terminal, and as data: what was expected, what was found, and why."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.markup import escape

from pdp.core.decision import ALLOW
from pdp.core.explain import Outcome, RuleTrace
from pdp.core.policy import PolicySnapshot
from pdp.workbench.testing import Result

_MARKS: Final = {Outcome.TRUE: "[green]✔[/]", Outcome.FALSE: "[red]✘[/]", Outcome.UNKNOWN: "[yellow]?[/]"}


def show_failure(console: Console, folder: Path, result: Result, policy: PolicySnapshot) -> None:
    """Print a failing case with the explanation of its answer."""
    case = result.case
    console.print(f"[bold red]✘ {escape(case.name)}[/]", soft_wrap=True, highlight=False)
    console.print(f"  [dim]{escape(str(folder / case.file))}:{case.line}[/]", soft_wrap=True, highlight=False)
    console.print(f"  [dim]{escape(asked(result))}[/]", soft_wrap=True, highlight=False)
    for it in result.mismatches:
        console.print(
            f"  {it.field:<11} expected [green]{escape(_words(it.expected))}[/]", soft_wrap=True, highlight=False
        )
        console.print(f"  {'':<11} found    [red]{escape(_words(it.found))}[/]", soft_wrap=True, highlight=False)
    for trace in telling(result, policy):
        _show_rule(console, trace)
    console.print()


def asked(result: Result) -> str:
    """Give the question in words."""
    request = result.case.request
    purpose = f" for {request.context.purpose}" if request.context.purpose else ""
    where = "".join(f", {name} {it}" for name, it in (("session", request.session), ("device", request.device)) if it)
    return f"{request.subject} {request.action} {request.resource}{purpose}{where}"


def failure_data(result: Result, policy: PolicySnapshot) -> dict[str, Any]:
    """Give a failing case as JSON has it."""
    case = result.case
    return {
        "name": case.name,
        "file": case.file,
        "line": case.line,
        "asked": asked(result),
        "mismatches": [{"field": it.field, "expected": it.expected, "found": it.found} for it in result.mismatches],
        "rules": [_rule_data(trace) for trace in telling(result, policy)],
    }


def telling(result: Result, policy: PolicySnapshot) -> list[RuleTrace]:
    """Give the rules that show why: those that matched or were expected; where there are none, the permits."""
    found = result.explain(policy).rules
    expected = " ".join(map(str, result.case.expected.get("reasons", ())))
    matched = [it for it in found if it.outcome is not Outcome.FALSE or f"({it.rule.id})" in expected]
    return matched or [it for it in found if it.rule.effect is ALLOW]


def _show_rule(console: Console, trace: RuleTrace) -> None:
    rule = trace.rule
    place = f"{rule.file}:{rule.line}"
    head = f"  {_MARKS[trace.outcome]} [bold]{rule.id}[/] {rule.effect.value} [dim]{place}[/]"
    console.print(head, soft_wrap=True, highlight=False)
    for part in trace.conditions:
        values = ", ".join(f"{it.path}={_value(it.value)}" for it in part.values if it.path != "context.time")
        shown = f"   [dim]{escape(values)}[/]" if values else ""
        console.print(f"      {_MARKS[part.outcome]} {escape(part.text)}{shown}", soft_wrap=True, highlight=False)


def _rule_data(trace: RuleTrace) -> dict[str, Any]:
    parts = [
        {"text": part.text, "outcome": part.outcome.value, "values": {it.path: it.value for it in part.values}}
        for part in trace.conditions
    ]
    rule = trace.rule
    found = {"id": rule.id, "effect": rule.effect.value, "file": rule.file, "line": rule.line}
    return {**found, "outcome": trace.outcome.value, "conditions": parts}


def _words(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    return str(value)


def _value(value: object) -> str:
    if isinstance(value, tuple):
        return f"[{', '.join(map(str, value))}]"
    return "not known" if value is None else str(value)
