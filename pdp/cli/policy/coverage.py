"""``pdp policy coverage``: what the policy's tests do not reach."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape

from pdp.cli.policy.options import DEFAULT_FOLDER, AsJson, Folder
from pdp.cli.policy.tested import FAILED, advance, figures_data, load_tested, progress, reached, show_figures
from pdp.workbench.coverage import Coverage, measure
from pdp.workbench.coverage.page import page
from pdp.workbench.testing import Result, run

_Least = Annotated[float | None, typer.Option(show_default="as review.yaml says")]


def coverage(
    folder: Folder = DEFAULT_FOLDER,
    html: Annotated[Path | None, typer.Option(help="Write a page to this file.")] = None,
    rules: _Least = None,
    sides: _Least = None,
    combinations: _Least = None,
    most: Annotated[int, typer.Option(help="How many combinations to list that no test reaches.")] = 20,
    as_json: AsJson = False,
) -> None:
    """Say which rules, sides of conditions and combinations no test reaches.

    --rules, --sides and --combinations are least percentages. Exits 1 below one of them, or where a test fails.
    """
    policy, suites, review = load_tested(folder, as_json=as_json)
    stated = {"rules": rules, "sides": sides, "combinations": combinations}
    thresholds = {**review.thresholds, **{name: it for name, it in stated.items() if it is not None}}
    results: list[Result] = []
    with progress("covering", sum(len(suite.cases) for suite in suites)) as bar:
        for result in run(suites, policy):
            results.append(result)
            advance(bar)
    found = measure(results, policy)
    failed = sum(not it.passed for it in results)
    if html:
        html.write_text(page(found, policy, thresholds, len(results)), encoding="utf-8")
    if as_json:
        Console().print_json(data=_data(found, thresholds, failed))
    else:
        _show(folder, found, thresholds, failed, most)
    if failed or not reached(found.percentages, thresholds):
        raise typer.Exit(FAILED)


def _show(folder: Path, found: Coverage, thresholds: Mapping[str, float], failed: int, most: int) -> None:
    console = Console()
    for it in found.rules:
        missing = [side for side in it.sides if not side.tests]
        if it.determined and not missing:
            continue
        place = f"[dim]{folder / it.rule.file}:{it.rule.line}[/]"
        console.print(f"[bold]{it.rule.id}[/] {place}", soft_wrap=True, highlight=False)
        if not it.determined:
            console.print("    [red]determines no test[/]")
        for side in missing:
            never = f"[red]never {str(side.truth).lower()}[/] where it matters"
            console.print(f"    {escape(side.text)} [dim]is[/] {never}", soft_wrap=True, highlight=False)
    untested = found.untested()
    for role, action, kind in untested[:most]:
        allowed = "" if (role, action, kind) not in found.permitted else " [yellow]a rule may allow it[/]"
        console.print(f"no test: {role} {action} {kind}{allowed}", highlight=False)
    if len(untested) > most:
        console.print(f"[dim]... and {len(untested) - most} more combinations; see --most[/]", highlight=False)
    if failed:
        console.print(f"[bold red]{failed} tests fail[/] and do not count; see pdp policy test", highlight=False)
    show_figures(console, found.percentages, thresholds)


def _data(found: Coverage, thresholds: Mapping[str, float], failed: int) -> dict[str, Any]:
    return {
        "failed": failed,
        "figures": figures_data(found.percentages, thresholds),
        "rules": [
            {
                "id": it.rule.id,
                "file": it.rule.file,
                "line": it.rule.line,
                "determined": it.determined,
                "sides": [{"text": side.text, "truth": side.truth, "tests": side.tests} for side in it.sides],
            }
            for it in found.rules
        ],
        "untested": [{"role": role, "action": action, "resource": kind} for role, action, kind in found.untested()],
    }
