"""``pdp policy mutate``: would the policy's tests notice if a rule were changed?"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape

from pdp.cli.policy.options import DEFAULT_FOLDER, AsJson, Folder
from pdp.cli.policy.tested import FAILED, advance, figures_data, load_tested, progress, reached, show_figures
from pdp.workbench.mutate import Mutant, Tally, Verdict, mutants_of
from pdp.workbench.mutate import mutate as run


def mutate(
    folder: Folder = DEFAULT_FOLDER,
    at_least: Annotated[
        float | None, typer.Option(help="Percentage to be caught.", show_default="as review.yaml says")
    ] = None,
    processes: Annotated[int, typer.Option(min=1, help="Processes to use.")] = 2,
    as_json: AsJson = False,
) -> None:
    """Change each rule in every small way and see whether a test fails. Exits 1 where too few are noticed."""
    policy, _, review = load_tested(folder, as_json=as_json)
    thresholds = {**review.thresholds, **({} if at_least is None else {"mutants": at_least})}
    started = time.perf_counter()
    with progress("mutating", len(mutants_of(policy))) as bar:
        tally = run(folder, policy, processes, lambda count: advance(bar, count))
    figures = {"mutants": tally.score}
    if as_json:
        Console().print_json(data=_data(tally, figures_data(figures, thresholds)))
    else:
        _show(folder, tally, time.perf_counter() - started)
        show_figures(Console(), figures, thresholds)
    if not reached(figures, thresholds):
        raise typer.Exit(FAILED)


def _show(folder: Path, tally: Tally, seconds: float) -> None:
    console = Console()
    survivors = tally.of(Verdict.SURVIVED)
    for mutant in survivors:
        rule = mutant.rule
        console.print(
            f"[bold red]survived[/] [bold]{rule.id}[/] {escape(mutant.words)}", soft_wrap=True, highlight=False
        )
        console.print(f"         [dim]{folder / rule.file}:{rule.line}[/]", soft_wrap=True, highlight=False)
    if survivors:
        console.print("\n[dim]No test fails with any of these changes: write one that does.[/]\n", highlight=False)
    caught, equivalent = len(tally.of(Verdict.CAUGHT)), len(tally.of(Verdict.EQUIVALENT))
    counts = f"{len(tally.verdicts):,} mutants: {caught:,} caught, {len(survivors):,} survived"
    proved = f", {equivalent:,} proved to change nothing" if equivalent else ""
    console.print(f"{counts}{proved} [dim]in {seconds:.1f} s[/]", highlight=False)


def _data(tally: Tally, figures: dict[str, Any]) -> dict[str, Any]:
    counts = {verdict.value: len(tally.of(verdict)) for verdict in Verdict}
    return {"mutants": len(tally.verdicts), **counts, "score": figures["mutants"], "survivors": _survivors(tally)}


def _survivors(tally: Tally) -> list[dict[str, Any]]:
    return [_mutant_data(it) for it in tally.of(Verdict.SURVIVED)]


def _mutant_data(mutant: Mutant) -> dict[str, Any]:
    rule = mutant.rule
    return {"rule": rule.id, "kind": mutant.kind, "change": mutant.words, "file": rule.file, "line": rule.line}
