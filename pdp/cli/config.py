"""``pdp config``: every setting, what it means, where it is set and what it is now."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from pdp.bootstrap.configuration import Setting, digest, explain
from pdp.config import Config, load

_PREFACE: Final = """\
# Configuration

Settings come from a TOML file (`pdp serve --config FILE`, or `PDP_CONFIG`), then environment variables, then flags; a
later one wins. The variable of setting `url` in section `[redis]` is `PDP_REDIS__URL`; its flag is
`--set redis.url=…`. An unknown name or a value out of range is refused at the start, by name. `pdp config` prints
every setting with its present value, secrets left out. This page is what `pdp config --markdown` prints.
"""


def config(
    file: Annotated[Path | None, typer.Option("--config", envvar="PDP_CONFIG", help="TOML file to read.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False,
    as_markdown: Annotated[
        bool, typer.Option("--markdown", help="Print docs/configuration.md: the defaults.")
    ] = False,
) -> None:
    """List every setting with its meaning, its environment variable and its present value."""
    if as_markdown:
        sys.stdout.write(reference(list(explain(Config()))))
        return
    settings = list(explain(load(file, os.environ, {})))
    if as_json:
        Console().print_json(data=[{**entry._asdict(), "variable": entry.variable} for entry in settings])
        return
    _show(settings)


def reference(settings: list[Setting]) -> str:
    """Give the settings as the page of the documentation."""
    parts = [_PREFACE]
    for section in dict.fromkeys(entry.section for entry in settings):
        parts.append(f"\n## [{section}]\n\n| setting | default | meaning |\n|---|---|---|\n")
        parts += [_row(entry) for entry in settings if entry.section == section]
    return "".join(parts)


def _row(entry: Setting) -> str:
    default = "" if entry.value == "-" else f"`{entry.value}`"
    return f"| `{entry.name}` | {default} | {entry.meaning.replace('|', chr(92) + '|')} |\n"


def _show(settings: list[Setting]) -> None:
    console = Console()
    for section in dict.fromkeys(entry.section for entry in settings):
        table = Table(
            title=f"[bold cyan]\\[{section}][/]", title_justify="left", box=None, pad_edge=False, expand=True
        )
        table.add_column("setting", style="bold", no_wrap=True)
        table.add_column("now", max_width=30, overflow="fold")
        table.add_column("meaning", ratio=1)
        for entry in settings:
            if entry.section == section:
                style = "dim" if entry.is_default else "green"
                meaning = f"{escape(entry.meaning)} [dim]{entry.variable}[/]"
                table.add_row(entry.name, f"[{style}]{escape(entry.value)}[/]", meaning)
        console.print(table)
        console.print()
    console.print(f"This is {digest(settings)}; the decision log says at each start which configuration is in force.")
    console.print("Set in a TOML file (`pdp serve --config`), by the variable, or by `--set section.setting=value`.")
