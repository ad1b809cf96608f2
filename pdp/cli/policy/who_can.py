"""``pdp policy who-can``: everybody who can do something, among the people on record."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console

from pdp.cli.policy.accesses import access_data, show_accesses
from pdp.cli.policy.asking import AttributesOption, FolderOption, NowOption, check_known, open_world, records_of
from pdp.cli.policy.options import DEFAULT_FOLDER, AsJson
from pdp.workbench.access import Finder


def who_can(
    action: Annotated[str, typer.Argument(help="What is to be done.")],
    resource: Annotated[str, typer.Argument(help="To what: type:id of a resource on record, or a type.")],
    folder: FolderOption = DEFAULT_FOLDER,
    attributes: AttributesOption = None,
    now: NowOption = None,
    as_json: AsJson = False,
) -> None:
    """List everybody on record who can do something, in which session, and what it still depends on.

    Exits 0 where somebody can, 1 where nobody can.
    """
    policy, world = open_world(folder, attributes, now)
    type_, _, identifier = resource.partition(":")
    check_known(action, policy.schema.actions, "action")
    check_known(type_, policy.schema.resources, "resource type")
    records = records_of(world)
    if identifier:
        check_known(resource, [str(ref) for _, ref in records], "resource on record")
    accesses = list(Finder(policy, records, world.now).who_can(action, type_, identifier))
    console = Console()
    if as_json:
        console.print_json(data=[access_data(it) for it in accesses])
    else:
        show_accesses(console, accesses, lambda it: f"[bold]{it.subject}[/]")
    raise typer.Exit(0 if accesses else 1)
