"""``pdp policy import``: a policy folder of a plain Casbin model and policy."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from pdp.cli.policy.options import AsJson
from pdp.core.errors import PdpError
from pdp.workbench.migrate import Note, Result, convert, read_model
from pdp.workbench.migrate.render import render
from pdp.workbench.starting import write_files


def import_casbin(
    model: Annotated[Path, typer.Argument(help="Casbin's model.conf.")],
    policy: Annotated[Path, typer.Argument(help="Casbin's policy.csv.")],
    out: Annotated[Path, typer.Option("--out", help="Where to; a folder that does not exist, or an empty one.")],
    as_json: AsJson = False,
) -> None:
    """Carry a plain Casbin policy over (RBAC and ABAC), and list what could not be.

    Exits 0 where everything was carried over, 1 where something was not, 2 where nothing could be written.
    """
    result = convert(read_model(_read(model)), _read(policy))
    lost = [note for note in result.notes if note.lost]
    console = Console()
    if not result.rules:
        typer.secho("error: no rule could be carried over", fg="red", err=True)
    else:
        _write(out, result)
    if as_json:
        notes = [_data(note) for note in result.notes]
        console.print_json(data={"folder": str(out), "rules": len(result.rules), "notes": notes})
    else:
        _show(console, policy, out, result)
    raise typer.Exit(2 if not result.rules else 1 if lost else 0)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise PdpError(f"{path}: cannot be read: {error}") from None


def _write(out: Path, result: Result) -> None:
    try:
        write_files(out, render(result))
    except FileExistsError:
        typer.secho(f"error: {out} is not empty", fg="red", err=True)
        raise typer.Exit(2) from None


def _show(console: Console, policy: Path, out: Path, result: Result) -> None:
    for note in result.notes:
        word = "[red]not carried over[/]" if note.lost else "[yellow]changed[/]"
        where = f"{policy}:{note.line}" if note.line else "the model"
        console.print(f"[bold]{escape(where)}[/]: {word}: {escape(note.text)}", soft_wrap=True, highlight=False)
    console.print(
        f"[bold]{len(result.rules)} rules[/], {len(result.roles)} roles and {len(result.people)} people in "
        f"{escape(str(out))}; next: [cyan]pdp policy lint {escape(str(out))}[/]",
        soft_wrap=True,
        highlight=False,
    )


def _data(note: Note) -> dict[str, object]:
    return {"line": note.line, "text": note.text, "lost": note.lost}
