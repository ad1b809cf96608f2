"""What the commands that run a policy's tests share: loading, a progress bar, figures against thresholds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from pdp.cli.policy.problems import line_of, problem_data, show_problems
from pdp.core.errors import PolicyInvalidError
from pdp.core.policy import PolicySnapshot
from pdp.engine.matcher import CompiledEngine
from pdp.policy import load
from pdp.workbench.review import Review, read_review
from pdp.workbench.testing import Suite, read_suites

FAILED: Final = 1
_BAR: Final = 24


@contextmanager
def refusals(folder: Path, *, as_json: bool) -> Iterator[None]:
    """Print what is wrong with a policy folder, or its tests, and exit 1."""
    try:
        yield
    except PolicyInvalidError as error:
        found = [(problem, line_of(folder, problem)) for problem in error.problems]
        if as_json:
            Console().print_json(data={"valid": False, "problems": [problem_data(*pair) for pair in found]})
        else:
            show_problems(Console(), folder, found)
        raise typer.Exit(FAILED) from None


def load_tested(folder: Path, *, as_json: bool) -> tuple[PolicySnapshot, tuple[Suite, ...], Review]:
    """Load a policy folder, its tests and its review settings; print what is wrong with any and exit 1."""
    with refusals(folder, as_json=as_json):
        policy = load(folder, CompiledEngine())
        suites = read_suites(folder, policy)
        review = read_review(folder, policy)
    if not suites:
        typer.secho(f"error: {folder / 'tests'} holds no tests", fg="red", err=True)
        raise typer.Exit(FAILED)
    return policy, suites, review


def progress(what: str, total: int | None) -> Progress:
    """Make a bar on standard error, which is gone when it is done."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    bar = Progress(*columns, console=Console(stderr=True), transient=True)
    bar.add_task(what, total=total)
    return bar


def advance(bar: Progress, count: int = 1) -> None:
    """Move a bar made by ``progress`` on."""
    bar.advance(bar.task_ids[0], count)


def show_figures(console: Console, found: Mapping[str, float], thresholds: Mapping[str, float]) -> bool:
    """Print percentages as bars against their thresholds; say whether all are reached."""
    for name, figure in found.items():
        least = thresholds[name]
        style = "green" if figure >= least else "red"
        full = round(figure / 100 * _BAR)
        bar = f"[{style}]{'━' * full}[/][dim]{'━' * (_BAR - full)}[/]"
        console.print(f"{name:<13} {bar} [{style}]{figure:5.1f} %[/]  [dim]at least {least:g} %[/]", highlight=False)
    return reached(found, thresholds)


def reached(found: Mapping[str, float], thresholds: Mapping[str, float]) -> bool:
    """Say whether all figures reach their thresholds."""
    return all(figure >= thresholds[name] for name, figure in found.items())


def figures_data(found: Mapping[str, float], thresholds: Mapping[str, float]) -> dict[str, Any]:
    """Give figures as JSON has them."""
    return {name: {"percent": round(value, 2), "at_least": thresholds[name]} for name, value in found.items()}
