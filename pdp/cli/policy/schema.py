"""``pdp policy schema``: JSON Schemas of the YAML files, for editors."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from pdp.cli.policy.asking import check_known
from pdp.cli.policy.options import AsJson
from pdp.workbench.formats import FORMATS, json_schema


def schema(
    name: Annotated[str | None, typer.Argument(help=f"Of which file: {', '.join(FORMATS)}.")] = None,
    out: Annotated[Path | None, typer.Option("--out", help="Write all of them into this folder.")] = None,
    as_json: AsJson = False,
) -> None:
    """Print the JSON Schema of one YAML file, write all of them, or list which there are.

    An editor that knows YAML schemas uses one from a comment at the top of a file:
    # yaml-language-server: $schema=schemas/invariants.json
    """
    if name is not None:
        check_known(name, FORMATS, "file")
        typer.echo(json_schema(name), nl=False)
    elif out is not None:
        out.mkdir(parents=True, exist_ok=True)
        for each in FORMATS:
            (out / f"{each}.json").write_text(json_schema(each), encoding="utf-8")
        typer.echo(f"{len(FORMATS)} schemas written to {out}")
    elif as_json:
        typer.echo(json.dumps(FORMATS))
    else:
        console = Console(highlight=False)
        for each, pattern in FORMATS.items():
            console.print(f"[bold]{each:<12}[/] {escape(pattern)}")
