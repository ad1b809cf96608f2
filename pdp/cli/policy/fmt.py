"""``pdp policy fmt``: lay rule files out in the one canonical way."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from pdp.cli.policy.options import DEFAULT_FOLDER, AsJson, Folder
from pdp.workbench.files import PolicyFiles, read_policy
from pdp.workbench.layout import format_rules


def fmt(
    folder: Folder = DEFAULT_FOLDER,
    check: Annotated[bool, typer.Option("--check", help="Write nothing; exit 1 where a file would change.")] = False,
    as_json: AsJson = False,
) -> None:
    """Lay rule files out: spacing, quotes, indentation. Meaning, order, comments and line breaks stay as they are."""
    files = read_policy(folder)
    formatted = {source.file: format_rules(source) for source in files.rule_sources}
    unreadable = sorted(name for name, text in formatted.items() if text is None)
    changed = {name: text for name, text in formatted.items() if text not in (None, files.sources[name].text)}
    if not check:
        for name, text in changed.items():
            (folder / name).write_text(str(text), encoding="utf-8", newline="")
    if as_json:
        Console().print_json(data={"changed": sorted(changed), "unreadable": unreadable, "written": not check})
    else:
        _show(files, sorted(changed), unreadable, check=check)
    raise typer.Exit(1 if unreadable or (check and changed) else 0)


def _show(files: PolicyFiles, changed: list[str], unreadable: list[str], *, check: bool) -> None:
    console = Console()
    for name in changed:
        word = "[yellow]would change[/]" if check else "[green]laid out[/]"
        console.print(f"{word} {escape(str(files.folder / name))}", soft_wrap=True, highlight=False)
    for name in unreadable:
        path = escape(str(files.folder / name))
        console.print(f"[red]is no readable CSV[/] {path}; pdp policy lint says where", soft_wrap=True)
    if not changed and not unreadable:
        console.print("[green]nothing to do[/]")
