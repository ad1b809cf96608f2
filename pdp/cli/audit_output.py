"""How the decision log looks at a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from rich.box import SIMPLE_HEAD
from rich.console import Console, Group
from rich.panel import Panel
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from pdp.audit.report import Emergency, Review
from pdp.audit.verify import Finding, TreeReport, VerifyReport

_STYLES: Final = {"allow": "bold green", "deny": "bold red"}
_FIRST: Final = (
    "time",
    "kind",
    "outcome",
    "reasons",
    "subject",
    "action",
    "resource",
    "purpose",
    "rules",
    "obligations",
)
_QUIET: Final = ("worker", "seq", "decision_id", "trace_id", "revision")
_UNSAID: Final = ("time", "kind", "worker", "seq", "decision_id", "trace_id")
"""What the line of a record that is no decision leaves out or says elsewhere."""


def record_line(record: Mapping[str, Any]) -> Text:
    """One record on one line: when, what came of it, who, did what, to what, and why."""
    outcome = str(record.get("outcome") or "")
    line = Text(no_wrap=True, overflow="ellipsis")
    line.append(str(record.get("time", ""))[:23].replace("T", " ") + "  ", style="dim")
    if record.get("kind") in ("decision", "refusal"):
        line.append(f"{outcome.upper() or '?':<6}", style=_STYLES.get(outcome, "bold yellow"))
        line.append(f"{record.get('subject') or 'unidentified'} ", style="cyan")
        line.append(f"{record.get('action') or '-'} ")
        line.append(f"{_resource(record)} ", style="magenta")
        if record.get("emergency_reason"):
            line.append("EMERGENCY ", style="bold yellow")
        line.append(", ".join(map(str, record.get("reasons") or ())), style="" if outcome == "allow" else "red")
    else:
        line.append(f"{str(record.get('kind')).upper()}  ", style="bold blue")
        line.append(", ".join(f"{name}={value}" for name, value in record.items() if name not in _UNSAID))
    line.append(f"  {record.get('decision_id') or ''}", style="dim")
    return line


def _resource(record: Mapping[str, Any]) -> str:
    resource = record.get("resource") or {}
    return f"{resource.get('type', '-')}/{resource.get('id') or '-'}"


def record_panel(record: Mapping[str, Any]) -> Panel:
    """One record whole."""
    outcome = str(record.get("outcome") or "")
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", justify="right")
    table.add_column(overflow="fold")
    rest = [name for name in record if name not in (*_FIRST, *_QUIET)]
    for name in (*_FIRST, *rest, *_QUIET):
        if record.get(name) not in (None, [], {}):
            style = _STYLES.get(outcome, "") if name == "outcome" else ""
            table.add_row(name, Text(_value(name, record), style=style))
    return Panel(
        table, title=f"record {record.get('seq')} of {record.get('worker')}", border_style="dim", expand=False
    )


def _value(name: str, record: Mapping[str, Any]) -> str:
    value = record[name]
    if name == "resource":
        return _resource(record)
    if isinstance(value, list):
        return "\n".join(map(str, value))
    if isinstance(value, dict):
        return ", ".join(f"{key} {part}" for key, part in value.items())
    return str(value)


def progress_bar(console: Console, what: str) -> Progress:
    """A bar over bytes, on the given console."""
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    bar = Progress(*columns, console=console, transient=True)
    bar.add_task(what, total=None)
    return bar


def verify_view(report: VerifyReport, seconds: float) -> Group:
    """What verification found."""
    table = Table(box=None, padding=(0, 2), header_style="dim")
    for name, justify in (("tree", "left"), ("records", "right"), ("signed", "right"), ("segments", "right")):
        table.add_column(name, justify=justify)  # type: ignore[arg-type]
    table.add_column("")
    for tree in report.trees:
        state = Text("FAILED", style="bold red") if tree.finding else Text("ok", style="green")
        note = _tree_note(tree)
        counts = (f"{tree.size - tree.first:,}", f"{tree.signed:,}", str(tree.segments))
        table.add_row(tree.origin, *counts, state + Text(f"  {note}", style="dim") if note else state)
    findings = [*report.findings, *(tree.finding for tree in report.trees if tree.finding)]
    lines: list[Any] = [table, Text()]
    lines += [_finding(finding) for finding in findings]
    lines += [
        Text(f"not checked: {c.origin} of size {c.size}: its records are past their retention", style="yellow")
        for c in report.uncheckable
    ]
    rate = report.records / seconds if seconds else 0
    verdict = Text("VERIFIED", style="bold green") if report.ok else Text("NOT VERIFIED", style="bold red")
    lines.append(
        verdict + Text(f"  {report.records:,} records in {seconds:.1f} s ({rate:,.0f}/s)", style="not bold dim")
    )
    return Group(*lines)


def _tree_note(tree: TreeReport) -> str:
    notes = []
    if tree.first:
        notes.append(f"records before {tree.first:,} are past their retention")
    if not tree.finding and tree.size > tree.signed:
        notes.append(f"{tree.size - tree.signed:,} not signed yet")
    if tree.unfinished:
        notes.append(f"{tree.unfinished:,} bytes of an unfinished record at the end")
    return "; ".join(notes)


def _finding(finding: Finding) -> Text:
    fault = finding.fault
    text = Text(f"{fault.kind.value.replace('_', ' ')}: ", style="bold red")
    text.append(finding.file, style="bold")
    if fault.seq is not None:
        text.append(f", record {fault.seq}")
    if fault.offset is not None:
        text.append(f", byte {fault.offset}")
    return text.append(f"\n  {fault.detail}", style="not bold")


def finding_data(finding: Finding) -> dict[str, Any]:
    """A finding for machines."""
    fault = finding.fault
    return {
        "kind": fault.kind.value,
        "file": finding.file,
        "record": fault.seq,
        "byte": fault.offset,
        "detail": fault.detail,
    }


def verify_data(report: VerifyReport) -> dict[str, Any]:
    """What verification found, for machines."""
    trees = [
        {
            "origin": tree.origin,
            "first": tree.first,
            "size": tree.size,
            "signed": tree.signed,
            "segments": tree.segments,
            "unfinished_bytes": tree.unfinished,
            "finding": finding_data(tree.finding) if tree.finding else None,
        }
        for tree in report.trees
    ]
    findings = [finding_data(finding) for finding in report.findings]
    return {"ok": report.ok, "records": report.records, "trees": trees, "findings": findings}


def review_view(result: Review) -> Group:
    """The access review as tables."""
    parts: list[Any] = [
        Text("Access review", style="bold")
        + Text(
            f"  {_moment(result.since) or 'the beginning of the log'} to {_moment(result.until) or 'now'}",
            "not bold dim",
        ),
        Text(f"{result.allowed:,} allowed  {result.denied:,} denied  {result.emergency:,} under emergency claim"),
    ]
    for data_class, rows in result.classes():
        table = Table(title=data_class, title_justify="left", title_style="bold magenta", box=SIMPLE_HEAD)
        table.add_column("subject", no_wrap=True)
        for name in ("allowed", "denied", "emergency", "resources"):
            table.add_column(name, justify="right", no_wrap=True)
        table.add_column("purposes", overflow="fold")
        table.add_column("last", no_wrap=True)
        for subject, access in rows:
            counts = (access.allowed, access.denied, access.emergency, len(access.resources))
            cells = [f"{count:,}" if count else "" for count in counts]
            table.add_row(Text(subject), *cells, ", ".join(sorted(access.purposes)), _moment(access.last))
        parts += [Text(), table]
    if result.emergencies:
        parts += [Text(), _emergencies(result.emergencies)]
    if result.reasons:
        parts += [Text(), _reasons(result.reasons.most_common())]
    return Group(*parts)


def _moment(time: str) -> str:
    return time[:16].replace("T", " ")


def _emergencies(found: Iterable[Emergency]) -> Table:
    table = Table(title="emergency claims, each to be reviewed", title_justify="left", title_style="bold yellow")
    table.box = SIMPLE_HEAD
    for name in ("time", "subject", "access", "outcome", "reason given"):
        table.add_column(name, overflow="fold")
    for one in sorted(found):
        style = _STYLES.get(one.outcome, "")
        access = f"{one.action} {one.data_class} {one.resource}"
        table.add_row(
            *map(Text, (_moment(one.time), one.subject, access)), Text(one.outcome, style=style), Text(one.reason)
        )
    return table


def _reasons(counts: Iterable[tuple[str, int]]) -> Table:
    table = Table(title="why access was denied", title_justify="left", title_style="bold", box=SIMPLE_HEAD)
    table.add_column("reason")
    table.add_column("decisions", justify="right")
    for reason, count in counts:
        table.add_row(Text(reason), f"{count:,}")
    return table
