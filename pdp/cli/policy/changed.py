"""How a difference between two revisions looks at the terminal, and as data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from rich.console import Console
from rich.markup import escape

from pdp.core.policy import PolicySnapshot
from pdp.workbench.diff import RuleChange
from pdp.workbench.impact import Change, Grid, Group, Tally

_MARKS: Final = {"added": "[green]+[/]", "removed": "[red]-[/]", "changed": "[yellow]~[/]"}
_STYLES: Final = {Change.ALLOWED: "yellow", Change.DENIED: "red", Change.OBLIGATIONS: "cyan"}
_GROUPS: Final = 12


@dataclass
class Findings:
    """Everything that is said of a change.

    Attributes:
        old: the revision before.
        new: the revision after.
        rules: rules that changed.
        others: what else changed.
        grid: what a search found; None where none was made.
        replayed: what a replay found; None where none was made.
        seconds: how long the replay took.
        sensitive: sensitive resource types.
        acknowledged: whether what is newly allowed on them is accepted.
    """

    old: PolicySnapshot
    new: PolicySnapshot
    rules: Sequence[RuleChange]
    others: Sequence[str]
    grid: Grid | None = None
    replayed: Tally | None = None
    seconds: float = 0.0
    sensitive: frozenset[str] = frozenset()
    acknowledged: bool = False

    @property
    def exposed(self) -> tuple[str, ...]:
        """Give the sensitive resource types on which something is newly allowed, or may be for all that is known."""
        tallies = [tally for tally in (self.grid and self.grid.tally, self.replayed) if tally]
        kinds = {group.resource for tally in tallies for group in tally.newly_allowed(self.sensitive)}
        if self.grid:
            unknown = {group.resource for group in self.grid.undecided if group.change is Change.ALLOWED}
            kinds |= (unknown | set(self.grid.incomparable)) & self.sensitive
        return tuple(sorted(kinds))

    @property
    def refused(self) -> bool:
        """Whether somebody must acknowledge the change first."""
        return bool(self.exposed) and not self.acknowledged


def show_findings(console: Console, found: Findings) -> None:
    """Print a difference."""
    _show_words(console, found)
    if found.grid:
        _say(
            console,
            "\n[bold]Of everything the schema permits[/] [dim]each role, action and type counts once[/]",
        )
        _show_tally(console, found.grid.tally, found.sensitive, "combinations whose rules differ")
        for kind in found.grid.incomparable:
            _say(console, f"[red]{kind}: the two revisions cannot be compared: what they read differs in type[/]")
        for group in found.grid.undecided:
            _say(console, f"[red]not known[/]: {group.change} for {group.roles} {group.action} {group.resource}")
    if found.replayed:
        _say(console, f"\n[bold]Of recorded decisions[/] [dim]replayed in {found.seconds:.1f} s[/]")
        _show_tally(console, found.replayed, found.sensitive, "decisions")
        _show_fidelity(console, found.replayed)
    _show_verdict(console, found)


def diff_data(found: Findings) -> dict[str, Any]:
    """Give a difference as JSON has it."""
    return {
        "old": found.old.revision,
        "new": found.new.revision,
        "rules": [
            {"id": it.rule.id, "change": it.kind, "file": it.rule.file, "line": it.rule.line, "words": list(it.words)}
            for it in found.rules
        ],
        "others": list(found.others),
        "search": found.grid
        and {
            **_tally_data(found.grid.tally),
            "undecided": [group._asdict() for group in found.grid.undecided],
            "incomparable": found.grid.incomparable,
        },
        "replay": found.replayed and _replay_data(found.replayed),
        "sensitive": sorted(found.sensitive),
        "exposed": list(found.exposed),
        "acknowledged": found.acknowledged,
        "refused": found.refused,
    }


def _show_words(console: Console, found: Findings) -> None:
    for it in found.rules:
        place = f"[dim]{it.rule.file}:{it.rule.line}[/]"
        _say(console, f"{_MARKS[it.kind]} [bold]{it.rule.id}[/] {it.kind} {place}")
        for words in it.words:
            _say(console, f"    {escape(words)}")
    for words in found.others:
        _say(console, f"[yellow]~[/] {escape(words)}")
    if not found.rules and not found.others:
        _say(console, "[dim]Both say the same.[/]")


def _show_tally(console: Console, tally: Tally, sensitive: frozenset[str], unit: str) -> None:
    totals = ", ".join(f"[{_STYLES[it]}]{tally.total(it):,} {it}[/]" for it in Change)
    _say(console, f"{tally.asked:,} {unit}: {totals}")
    for change in Change:
        groups = [(it, count) for it, count in tally.counts.most_common() if it.change is change]
        for group, count in groups[:_GROUPS]:
            _show_group(console, tally, group, count, marked=group.resource in sensitive)
        if len(groups) > _GROUPS:
            _say(console, f"  [dim]... and {len(groups) - _GROUPS} more groups {change}; --json has them all[/]")


def _show_group(console: Console, tally: Tally, group: Group, count: int, *, marked: bool) -> None:
    mark = " [red]sensitive[/]" if marked and group.change is Change.ALLOWED else ""
    head = f"[{_STYLES[group.change]}]{group.change}[/] [bold]{group.roles}[/] {group.action} {group.resource}"
    _say(console, f"  {count:>9,}  {head}{mark}")
    example = tally.examples[group][0]
    _say(console, f"             [dim]{escape(example.asked)}[/]")
    _say(console, f"             [dim]{escape(example.before)} -> {escape(example.after)}[/]")


def _show_fidelity(console: Console, tally: Tally) -> None:
    if tally.unreadable:
        _say(
            console, f"[yellow]{tally.unreadable:,} not replayed[/]: they name somebody by a pseudonym or not at all"
        )
    if tally.unknown:
        _say(console, f"[yellow]{tally.unknown:,} not replayed[/]: they name what the attributes do not hold")
    asked = tally.asked - tally.unreadable - tally.unknown
    if asked:
        same = 100 * (1 - tally.disagreeing / asked)
        _say(console, f"[dim]{same:.1f} % of the others are answered by OLD as they were when they were recorded[/]")


def _show_verdict(console: Console, found: Findings) -> None:
    if not found.exposed:
        return
    kinds = ", ".join(found.exposed)
    if found.acknowledged:
        _say(console, f"\n[yellow]Newly allowed on sensitive data[/] ({kinds}), and acknowledged.")
        return
    digits = found.new.revision.removeprefix("sha256:")[:12]
    _say(console, f"\n[bold red]Newly allowed on sensitive data[/] ({kinds}). If meant: --acknowledge {digits}")


def _say(console: Console, text: str) -> None:
    console.print(text, soft_wrap=True, highlight=False)


def _tally_data(tally: Tally) -> dict[str, Any]:
    return {
        "asked": tally.asked,
        "totals": {change.value: tally.total(change) for change in Change},
        "groups": [
            {**group._asdict(), "count": count, "examples": [it._asdict() for it in tally.examples[group]]}
            for group, count in tally.counts.most_common()
        ],
    }


def _replay_data(tally: Tally) -> dict[str, Any]:
    rest = {"unreadable": tally.unreadable, "unknown": tally.unknown, "disagreeing": tally.disagreeing}
    return {**_tally_data(tally), **rest}
