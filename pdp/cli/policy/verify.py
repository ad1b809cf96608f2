"""``pdp policy verify``: prove the invariants, or show a request that breaks one."""

from __future__ import annotations

import time
from collections import Counter
from typing import Any, Final

import typer
from rich.console import Console
from rich.markup import escape

from pdp.cli.policy.options import DEFAULT_FOLDER, AsJson, Folder
from pdp.cli.policy.values import shown
from pdp.core.schema import Schema
from pdp.engine.matcher import CompiledEngine
from pdp.policy import load
from pdp.workbench.logic.reading import NOW, Declarations
from pdp.workbench.verify import FILE, Counterexample, Prover, Result, Status, read_invariants

_MARKS: Final = {
    Status.PROVED: "[green]✔ proved [/]",
    Status.REFUTED: "[red]✘ refuted[/]",
    Status.TESTED: "[yellow]~ tested [/]",
}


def verify(folder: Folder = DEFAULT_FOLDER, as_json: AsJson = False) -> None:
    """Prove invariants.yaml for every request the schema permits. Exits 1 where one is refuted, 2 without any."""
    policy = load(folder, CompiledEngine())
    invariants = read_invariants(folder, policy)
    console = Console()
    if not invariants:
        console.print(f"[red]no invariants[/]: write {escape(str(folder / FILE))}", soft_wrap=True)
        raise typer.Exit(2)
    started = time.perf_counter()
    results: list[Result] = []
    for result in Prover(policy, invariants).results():
        results.append(result)
        if not as_json:
            _show(console, result, policy.schema)
    if as_json:
        console.print_json(data={"revision": policy.revision, "results": [_data(it) for it in results]})
    else:
        _summarise(console, results, time.perf_counter() - started)
    raise typer.Exit(1 if any(it.status is Status.REFUTED for it in results) else 0)


def _show(console: Console, result: Result, schema: Schema) -> None:
    invariant = result.invariant
    console.print(
        f"{_MARKS[result.status]} [bold]{invariant.name}[/] [dim]{escape(invariant.why)}[/]",
        soft_wrap=True,
        highlight=False,
    )
    if result.note:
        console.print(f"    [yellow]not proved:[/] {escape(result.note)}", soft_wrap=True, highlight=False)
    if result.counterexample:
        _show_counterexample(console, result.counterexample, schema)


def _show_counterexample(console: Console, found: Counterexample, schema: Schema) -> None:
    request, decision = found.witness.request, found.decision
    who = f"a {request.subject.type} with {', '.join(_roles(found))}"
    rules = ", ".join(decision.rules) or ", ".join(map(str, decision.causes))
    console.print(
        f"    [red]{decision.effect.value}[/] for {who}: {request.action} {request.resource.type} "
        f"[dim]by[/] [bold]{rules}[/]",
        soft_wrap=True,
        highlight=False,
    )
    declarations = Declarations(schema, request.resource.type)
    for path in found.mattering:
        if path != NOW:
            kind = declarations.attribute(path).kind
            value = shown(found.witness.values[path], kind, found.witness.now)
            console.print(f"        {path[0]}.{path[1]} = {escape(value)}", soft_wrap=True, highlight=False)


def _roles(found: Counterexample) -> tuple[str, ...]:
    subject = found.witness.entities.subject
    return tuple(map(str, subject.view.__dict__["roles"])) if subject else ()


def _summarise(console: Console, results: list[Result], seconds: float) -> None:
    counts = Counter(it.status for it in results)
    words = ", ".join(f"{counts[status]} {status}" for status in Status if counts[status])
    pairs = sum(it.combinations for it in results)
    console.print(
        f"\n[bold]{words}[/] over {pairs} pairs of an action and a resource type, for every set of roles and every "
        f"value the schema permits, in {seconds:.1f} s",
        soft_wrap=True,
        highlight=False,
    )


def _data(result: Result) -> dict[str, Any]:
    found = result.counterexample
    return {
        "name": result.invariant.name,
        "why": result.invariant.why,
        "file": FILE,
        "line": result.invariant.line,
        "status": result.status.value,
        "combinations": result.combinations,
        "note": result.note,
        "counterexample": _counterexample_data(found) if found else None,
    }


def _counterexample_data(found: Counterexample) -> dict[str, Any]:
    request = found.witness.request
    return {
        "subject": str(request.subject),
        "roles": list(_roles(found)),
        "action": request.action,
        "resource": str(request.resource),
        "now": found.witness.now,
        "attributes": {f"{path[0]}.{path[1]}": found.witness.values[path] for path in found.mattering},
        "supports": sorted(request.context.supported_obligations),
        "effect": found.decision.effect.value,
        "rules": list(found.decision.rules),
        "reasons": [str(cause) for cause in found.decision.causes],
    }
