"""``pdp policy init``: a new policy folder from a template."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from pdp.cli.policy.asking import check_known
from pdp.cli.policy.options import AsJson
from pdp.workbench.starting import TEMPLATES, template_files, write_files

_MINIMAL = "minimal"


def init(
    folder: Annotated[Path, typer.Argument(help="Where to; a folder that does not exist, or an empty one.")],
    template: Annotated[str, typer.Option(help=f"One of {', '.join(TEMPLATES)}.")] = _MINIMAL,
    as_json: AsJson = False,
) -> None:
    """Make a policy folder from a template. Exits 2 where there is something already."""
    check_known(template, TEMPLATES, "template")
    contents = template_files(template)
    console = Console()
    try:
        write_files(folder, contents)
    except FileExistsError:
        typer.secho(f"error: {folder} is not empty", fg="red", err=True)
        raise typer.Exit(2) from None
    if as_json:
        console.print_json(data={"folder": str(folder), "template": template, "files": list(contents)})
        return
    console.print(f"[bold]{template}[/]: {TEMPLATES[template]}", highlight=False)
    for name in contents:
        console.print(f"  {escape(str(folder / name))}", soft_wrap=True, highlight=False)
    console.print(f"next: [cyan]pdp policy lint {escape(str(folder))}[/]", soft_wrap=True, highlight=False)
