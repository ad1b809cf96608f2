"""``pdp policy what-can``: everything that somebody on record can do."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console

from pdp.cli.policy.accesses import access_data, show_accesses
from pdp.cli.policy.asking import (
    AttributesOption,
    FolderOption,
    NowOption,
    check_known,
    open_world,
    parted,
    records_of,
)
from pdp.cli.policy.options import DEFAULT_FOLDER, AsJson
from pdp.core.decision import Entity
from pdp.core.request import EntityRef
from pdp.workbench.access import Finder


def what_can(
    subject: Annotated[str, typer.Argument(help="Who, as type:id.")],
    folder: FolderOption = DEFAULT_FOLDER,
    attributes: AttributesOption = None,
    now: NowOption = None,
    as_json: AsJson = False,
) -> None:
    """List everything somebody on record can do, to which resources on record, and what it still depends on.

    Exits 0 where there is something, 1 where there is nothing.
    """
    policy, world = open_world(folder, attributes, now)
    ref = EntityRef(*parted(subject, "SUBJECT"))
    records = records_of(world)
    check_known(subject, [str(it) for entity, it in records if entity is Entity.SUBJECT], "subject on record")
    accesses = list(Finder(policy, records, world.now).what_can(ref))
    console = Console()
    if as_json:
        console.print_json(data=[access_data(it) for it in accesses])
    else:
        show_accesses(console, accesses, lambda it: f"[bold]{it.action}[/] {it.resource_type}")
    raise typer.Exit(0 if accesses else 1)
