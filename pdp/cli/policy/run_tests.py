"""``pdp policy test``: run the policy's own tests."""

from __future__ import annotations

import time
from collections.abc import Iterable
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from pdp.cli.policy.explained import failure_data, show_failure
from pdp.cli.policy.options import DEFAULT_FOLDER, AsJson, Folder
from pdp.cli.policy.tested import FAILED, advance, load_tested, progress
from pdp.core.policy import PolicySnapshot
from pdp.workbench.testing import Result, Suite, run
from pdp.workbench.testing.junit import junit_xml


def run_tests(
    folder: Folder = DEFAULT_FOLDER,
    only: Annotated[
        str, typer.Option(help="Run the cases whose name fits this pattern, such as '*recording*'.")
    ] = "",
    most: Annotated[int, typer.Option(help="How many failures to explain.")] = 20,
    junit: Annotated[Path | None, typer.Option(help="Write a JUnit report to this file.")] = None,
    as_json: AsJson = False,
) -> None:
    """Run the tables of ``tests/*.yaml``. Exits 0 where all cases pass, 1 where one fails or a file is refused."""
    policy, suites, _ = load_tested(folder, as_json=as_json)
    suites = tuple(it for suite in suites if (it := _chosen(suite, only)).cases)
    started = time.perf_counter()
    results = _run(suites, policy)
    seconds = time.perf_counter() - started
    failures = [it for it in results if not it.passed]
    if junit:
        junit.write_text(junit_xml(results, seconds), encoding="utf-8")
    if as_json:
        Console().print_json(data=_data(results, failures[:most], policy, seconds))
    else:
        _show(folder, results, failures, most, policy, seconds)
    if failures or not results:
        raise typer.Exit(FAILED)


def _chosen(suite: Suite, only: str) -> Suite:
    cases = tuple(case for case in suite.cases if not only or fnmatchcase(case.name, only))
    return Suite(suite.file, suite.world, cases)


def _run(suites: Iterable[Suite], policy: PolicySnapshot) -> list[Result]:
    results = []
    with progress("testing", sum(len(suite.cases) for suite in suites)) as bar:
        for result in run(suites, policy):
            results.append(result)
            advance(bar)
    return results


def _show(
    folder: Path, results: list[Result], failures: list[Result], most: int, policy: PolicySnapshot, seconds: float
) -> None:
    console = Console()
    for result in failures[:most]:
        show_failure(console, folder, result, policy)
    if len(failures) > most:
        console.print(f"[dim]... and {len(failures) - most} more; see --most[/]\n", highlight=False)
    files = len({it.case.file for it in results})
    passed = f"[bold green]{len(results) - len(failures):,} passed[/]"
    failed = f", [bold red]{len(failures):,} failed[/]" if failures else ""
    noun = "file" if files == 1 else "files"
    console.print(f"{passed}{failed} [dim]in {files} {noun}, {seconds:.2f} s[/]", highlight=False)


def _data(results: list[Result], failures: list[Result], policy: PolicySnapshot, seconds: float) -> dict[str, Any]:
    return {
        "valid": True,
        "revision": policy.revision,
        "passed": sum(it.passed for it in results),
        "failed": sum(not it.passed for it in results),
        "seconds": round(seconds, 3),
        "failures": [failure_data(it, policy) for it in failures],
    }
