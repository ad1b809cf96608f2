"""``pdp policy status``: by which revision each worker decides, what is wrong with the source, what is on trial."""

from __future__ import annotations

import time
from collections import Counter
from typing import Any, Final

import typer
from rich.console import Console
from rich.markup import escape

from pdp.bootstrap.reporting import live_reports
from pdp.cli.policy.options import AsJson
from pdp.cli.policy.state import ConfigOption, StateOption, settings
from pdp.policy.store import Entry, StateFolder

_SHOWN: Final = 10
_COUNTS: Final = ("compared", "newly_allowed", "newly_denied", "obligations_changed", "skipped")


def status(config: ConfigOption = None, state: StateOption = None, as_json: AsJson = False) -> None:
    """Show how the policy stands in every worker. Exits 1 where one has a problem, or no worker is alive."""
    folder = StateFolder(settings(config, state).state)
    reports, history = live_reports(folder), folder.history()
    trial = trial_of(reports)
    if as_json:
        recent = [{"revision": it.revision, "at": it.at, "cause": it.cause} for it in history[-_SHOWN:]]
        Console().print_json(data={"workers": reports, "trial": trial, "history": recent})
    else:
        _show(Console(highlight=False), reports, history, trial)
    alike = len({it["revision"] for it in reports.values()}) == 1
    raise typer.Exit(0 if alike and not any(it["problems"] for it in reports.values()) else 1)


def trial_of(reports: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Add up the trial over all workers; empty where nothing is on trial."""
    trials = [it["trial"] for it in reports.values() if it["trial"]]
    problems = sorted({it["problem"] for it in trials if "problem" in it})
    if problems:
        return {"problems": problems}
    sums: Counter[str] = Counter()
    for it in trials:
        sums.update({name: it[name] for name in _COUNTS})
    if not trials:
        return {}
    apart = sorted({name for it in trials for name in it.get("apart", ())})
    return {
        "candidate": trials[0]["candidate"],
        **{name: sums[name] for name in _COUNTS},
        **({"apart": apart} if apart else {}),
    }


def _show(console: Console, reports: dict[str, dict[str, Any]], history: list[Entry], trial: dict[str, Any]) -> None:
    if not reports:
        console.print("[red]no worker has shown a sign of life[/]: is the service running, with this policy.state?")
    for name, it in reports.items():
        mark = "[red]✘[/]" if it["problems"] else "[green]✔[/]"
        held = f" [yellow]held by {it['held']}[/]" if it["held"] else ""
        console.print(
            f"{mark} [bold]{name}[/] {it['revision'][:19] or 'no revision'}{held}, {it['rules']} rules, "
            f"for {_age(it['since'])}, from {escape(it['source'])}",
            soft_wrap=True,
        )
    for problem in sorted({problem for it in reports.values() for problem in it["problems"]}):
        console.print(f"    [red]{escape(problem)}[/]", soft_wrap=True)
    _show_trial(console, trial)
    if history:
        console.print("\n[dim]came into force:[/]")
    for entry in reversed(history[-_SHOWN:]):
        serial = f", serial {entry.serial}" if entry.serial else ""
        console.print(f"  {_moment(entry.at)} {entry.revision[:19]} [dim]by {entry.cause}{serial}[/]")


def _show_trial(console: Console, trial: dict[str, Any]) -> None:
    for problem in trial.get("problems", ()):
        console.print(f"\n[bold]on trial[/] [red]refused: {escape(problem)}[/]", soft_wrap=True)
    if "candidate" not in trial:
        return
    console.print(f"\n[bold]on trial[/] {trial['candidate'][:19]}: {trial['compared']:,} requests decided by both")
    for name in _COUNTS[1:]:
        style = "yellow" if trial[name] else "dim"
        console.print(f"  [{style}]{trial[name]:>10,} {name.replace('_', ' ')}[/]")
    if apart := trial.get("apart"):
        console.print(
            f"  [yellow]declared otherwise by the candidate: {', '.join(apart)}[/]; where its rules read that, "
            "requests are skipped; pdp policy diff replays them",
            soft_wrap=True,
        )


def _age(since: float) -> str:
    seconds = max(0, int(time.time() - since)) if since else 0
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"


def _moment(at: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(at)) + "Z"
