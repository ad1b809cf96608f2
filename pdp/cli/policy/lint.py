"""``pdp policy lint``: what is wrong, or likely not meant, in a policy folder."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.console import Console
from rich.markup import escape

from pdp.cli.policy.options import DEFAULT_FOLDER, AsJson, Folder
from pdp.cli.policy.problems import underline
from pdp.engine.matcher import CompiledEngine
from pdp.policy.source import Source
from pdp.workbench.coverage import measure
from pdp.workbench.files import PolicyFiles, read_policy
from pdp.workbench.layout import format_rules
from pdp.workbench.lint import Finding, Report, Severity, apply_fixes
from pdp.workbench.lint import lint as find
from pdp.workbench.testing import read_suites, run
from pdp.workbench.testing.documents import FOLDER as TESTS

_STYLES: Final = {Severity.ERROR: "red", Severity.WARNING: "yellow"}
# Each round of mending may uncover what the one before hid.
_ROUNDS: Final = 5


def lint(
    folder: Folder = DEFAULT_FOLDER,
    fix: Annotated[bool, typer.Option("--fix", help="Mend what is mechanical, and lay the files out.")] = False,
    tests: Annotated[bool, typer.Option(help="Run the policy's tests, to find rules that none decides.")] = True,
    as_json: AsJson = False,
) -> None:
    """Find what is wrong, or likely not meant. Exits 0 where there is nothing, 1 where there is something."""
    files, report = _look(folder, tests=tests)
    mended: set[str] = set()
    for _ in range(_ROUNDS if fix else 0):
        changed = _mend(files, report)
        if not changed:
            break
        mended |= changed
        files, report = _look(folder, tests=tests)
    console = Console()
    if as_json:
        console.print_json(data=_report_data(report, sorted(mended)))
    else:
        _show(console, files, report, sorted(mended))
    raise typer.Exit(1 if report.findings else 0)


def _look(folder: Path, *, tests: bool) -> tuple[PolicyFiles, Report]:
    wanted = tests and any((folder / TESTS).glob("*.yaml"))
    files = read_policy(folder, CompiledEngine() if wanted else None)
    if not wanted or files.policy is None:
        return files, find(files)
    coverage = measure(run(read_suites(folder, files.policy), files.policy), files.policy)
    return files, find(files, {it.rule.id for it in coverage.rules if it.determined})


def _mend(files: PolicyFiles, report: Report) -> set[str]:
    texts = dict(apply_fixes(report.findings))
    for source in files.rule_sources:
        if source.file not in texts and (text := format_rules(source)) not in (None, source.text):
            texts[source.file] = str(text)
    for name, text in texts.items():
        (files.folder / name).write_text(text, encoding="utf-8", newline="")
    return set(texts)


def _show(console: Console, files: PolicyFiles, report: Report, mended: list[str]) -> None:
    for name in mended:
        console.print(f"[green]mended[/] {escape(str(files.folder / name))}", soft_wrap=True, highlight=False)
    for finding in report.findings:
        _show_finding(console, files.folder, files.sources.get(finding.file), finding)
    counts = Counter(it.kind.severity for it in report.findings)
    parts = [f"[bold {_STYLES[it]}]{counts[it]} {it}{'s' * (counts[it] != 1)}[/]" for it in Severity if counts[it]]
    exempted = f" [dim]({len(report.suppressed)} exempted)[/]" if report.suppressed else ""
    console.print((", ".join(parts) or "[bold green]no findings[/]") + exempted, highlight=False)


def _show_finding(console: Console, folder: Path, source: Source | None, finding: Finding) -> None:
    where = f"{folder / finding.file}" + "".join(f":{it}" for it in (finding.line, finding.column) if it)
    kind = finding.kind
    console.print(
        f"[bold]{escape(where)}[/]: [{_STYLES[kind.severity]}]{kind.severity}[/]"
        f"[dim]\\[{kind.code}][/] {escape(finding.problem)}",
        soft_wrap=True,
        highlight=False,
    )
    if source is not None and finding.line:
        underline(console, finding.line, finding.column, finding.length, source.line(finding.line))
    console.print(f"    [cyan]why:[/] {escape(kind.why)}", soft_wrap=True, highlight=False)
    if finding.help:
        mechanical = " [dim](--fix does it)[/]" if finding.fix else ""
        console.print(f"    [cyan]help:[/] {escape(finding.help)}{mechanical}", soft_wrap=True, highlight=False)
    console.print()


def _report_data(report: Report, mended: list[str]) -> dict[str, Any]:
    return {
        "findings": [_finding_data(it) for it in report.findings],
        "suppressed": [{**_finding_data(it.finding), "reason": it.reason} for it in report.suppressed],
        "mended": mended,
    }


def _finding_data(finding: Finding) -> dict[str, Any]:
    return {
        "code": finding.kind.code,
        "severity": finding.kind.severity.value,
        "file": finding.file,
        "line": finding.line,
        "column": finding.column,
        "length": finding.length,
        "problem": finding.problem,
        "why": finding.kind.why,
        "help": finding.help,
        "fixable": bool(finding.fix),
    }
