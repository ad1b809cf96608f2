"""``pdp config``: every setting, what it means, where it is set and what it is now."""

from __future__ import annotations

import dataclasses
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Final, NamedTuple, get_args

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from pdp.config import ENV_PREFIX, Config, load

_ENTRY: Final = re.compile(r"^    ([a-z_]+): (.*?)(?=^    [a-z_]+: |\Z)", re.MULTILINE | re.DOTALL)


_PREFACE: Final = """\
# Configuration

Settings come from a TOML file (`pdp serve --config FILE`, or `PDP_CONFIG`), then environment variables, then flags; a
later one wins. The variable of setting `url` in section `[redis]` is `PDP_REDIS__URL`; its flag is
`--set redis.url=…`. An unknown name or a value out of range is refused at the start, by name. `pdp config` prints
every setting with its present value, secrets left out. This page is what `pdp config --markdown` prints.
"""


class Setting(NamedTuple):
    """One setting as people see it; a secret's value is never in it."""

    section: str
    name: str
    value: str
    is_default: bool
    meaning: str

    @property
    def variable(self) -> str:
        """The environment variable that sets it."""
        return f"{ENV_PREFIX}{self.section}__{self.name}".upper()


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


def explain(present: Config) -> Iterator[Setting]:
    """Give every setting of every section, with its documentation taken from the section's own docstring."""
    for section, field in Config.model_fields.items():
        value = getattr(present, section)
        kind = _dataclass_of(field.annotation)
        meanings = _meanings(kind)
        for entry in filter(_is_set_by_people, dataclasses.fields(kind)):
            now = getattr(value, entry.name) if value is not None else None
            yield Setting(section, entry.name, _shown(entry, now), now == _default(entry), meanings[entry.name])


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


def _dataclass_of(annotation: Any) -> Any:
    return next((part for part in get_args(annotation) if dataclasses.is_dataclass(part)), annotation)


def _is_set_by_people(entry: dataclasses.Field[Any]) -> bool:
    """Leave out what the service works out from elsewhere, such as from the policy's schema."""
    return not entry.metadata.get("derived", False)


def _default(entry: dataclasses.Field[Any]) -> Any:
    if entry.default is not dataclasses.MISSING:
        return entry.default
    return entry.default_factory() if entry.default_factory is not dataclasses.MISSING else None


def _meanings(section: type) -> dict[str, str]:
    _, _, attributes = (section.__doc__ or "").expandtabs().partition("Attributes:")
    dedented = re.sub(r"^        (?=\S)", "    ", attributes, flags=re.MULTILINE)
    return {name: " ".join(text.replace("``", "").split()) for name, text in _ENTRY.findall(dedented)}


def _shown(entry: dataclasses.Field[Any], value: Any) -> str:
    if not entry.repr and value:
        return "(set)"
    if value is None or value in ("", (), {}, frozenset()):
        return "-"
    if isinstance(value, tuple | frozenset):
        return ", ".join(sorted(map(str, value)))
    return str(value).lower() if isinstance(value, bool) else str(value)


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
    console.print("Set in a TOML file (`pdp serve --config`), by the variable, or by `--set section.setting=value`.")
