"""How lists of who can do what look at the terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from rich.console import Console
from rich.markup import escape

from pdp.workbench.access import Access, Way

_Key = tuple[str, tuple[Way, ...]]


def show_accesses(console: Console, accesses: list[Access], heading: Callable[[Access], str]) -> None:
    """Print accesses, those that differ by session or resource alone together."""
    if not accesses:
        console.print("[bold]nobody and nothing[/]: no rule can allow it, with what is on record")
        return
    groups: dict[_Key, list[Access]] = {}
    for access in accesses:
        groups.setdefault((heading(access), access.ways), []).append(access)
    told: set[str] = set()
    for (name, ways), members in groups.items():
        console.print(f"{name}{_where(members)}", soft_wrap=True, highlight=False)
        for way in ways:
            _show_way(console, way, told)


def access_data(access: Access) -> dict[str, Any]:
    """Give an access as JSON has it."""
    return {
        "subject": str(access.subject),
        "session": access.session,
        "action": access.action,
        "resource_type": access.resource_type,
        "resource": access.resource,
        "ways": [
            {"rule": way.rule.id, "when": list(way.when), "unless": {id_: list(parts) for id_, parts in way.unless}}
            for way in access.ways
        ],
    }


def _where(members: list[Access]) -> str:
    sessions = _listed(it.session for it in members)
    resources = _listed(it.resource for it in members)
    parts = [f"in {sessions}" if sessions else "in no session on record", resources]
    return f" [dim]{escape(', '.join(part for part in parts if part))}[/]"


def _listed(names: Iterable[str]) -> str:
    return ", ".join(dict.fromkeys(name for name in names if name))


def _show_way(console: Console, way: Way, told: set[str]) -> None:
    owed = f" [yellow]{', '.join(way.rule.obligations)}[/]" if way.rule.obligations else ""
    when = f" [cyan]when[/] {escape(' && '.join(way.when))}" if way.when else ""
    console.print(f"    [green]{way.rule.id}[/]{owed}{when}", soft_wrap=True, highlight=False)
    for id_, parts in way.unless:
        # A deny's text is shown the first time; a list that repeats it is not read.
        text = "" if id_ in told else f" [dim]{escape(' && '.join(parts))}[/]"
        told.add(id_)
        console.print(f"        [red]unless[/] {id_}{text}", soft_wrap=True, highlight=False)
