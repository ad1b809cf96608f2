"""``pdp attributes``: read, write, load and follow the attributes that decisions rest on."""

from __future__ import annotations

import asyncio
import contextlib
import math
import os
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Final, NamedTuple, TypeVar

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from pdp.attributes import (
    AttributesInvalidError,
    EntityUnknownError,
    RedisSettings,
    announced_url,
    open_writer,
    read_file,
)
from pdp.attributes.keys import address_of, parse_address
from pdp.attributes.watch import Change, Notice, watch_changes
from pdp.audit import LogSettings
from pdp.bootstrap.in_force import policy_in_force
from pdp.bootstrap.operator import RecordedWriter, open_recorded_writer
from pdp.config import load as load_config
from pdp.core.decision import Entity
from pdp.core.reasons import Reason
from pdp.core.record import Record
from pdp.core.request import EntityRef
from pdp.core.schema import Attribute, Kind, Schema, Sensitivity
from pdp.policy import load_schema

app = typer.Typer(no_args_is_help=True)

_SCHEMA: Final = "schema.yaml"
_PATIENCE: Final = 2.0
_WORDS: Final = {Reason.ATTRIBUTE_MISSING: "missing", Reason.ATTRIBUTE_INVALID: "invalid"}
_Result = TypeVar("_Result")
_ConfigFile = Annotated[Path | None, typer.Option("--config", envvar="PDP_CONFIG", help="TOML file of settings.")]
_Url = Annotated[
    str | None,
    typer.Option(
        "--redis",
        envvar=["PDP_REDIS__URL", "PDP_REDIS_URL"],
        help="Redis URL; without one, the embedded store of a service you run on this machine.",
    ),
]
_Folder = Annotated[
    Path | None, typer.Option(help="Policy folder, for its schema.yaml.", show_default="the policy in force")
]
_Unrecorded = Annotated[
    bool, typer.Option("--unrecorded", help="Write without a record in the decision log: it is elsewhere.")
]
_Address = Annotated[
    str,
    typer.Argument(
        metavar="ENTITY", help="subject/user:alice (or user:alice), resource/customer:c-1, session/s-1, device/d-1."
    ),
]


class _Place(NamedTuple):
    """What a command works on."""

    schema: Schema
    store: RedisSettings
    log: LogSettings


@app.command()
def get(address: _Address, redis: _Url = None, policies: _Folder = None, config: _ConfigFile = None) -> None:
    """Show an entity's attributes as a decision would read them now. Values not marked clear are not shown."""
    entity, ref = parse_address(address)
    place = _place(redis, policies, config)
    record = asyncio.run(_read(place, entity, ref))
    if record is None:
        raise EntityUnknownError(f"{address_of(entity, ref)} is not on record")
    _show(place.schema, entity, record)


@app.command(name="set")
def set_(
    address: _Address,
    assignments: Annotated[list[str], typer.Argument(metavar="NAME=VALUE...", help="risk=90 roles=agent,supervisor")],
    create: Annotated[bool, typer.Option("--create", help="Make an entity that is not on record.")] = False,
    redis: _Url = None,
    policies: _Folder = None,
    config: _ConfigFile = None,
    unrecorded: _Unrecorded = False,
) -> None:
    """Change some attributes of an entity; the others keep their values and their age.

    Times may be relative: training_valid_until=+90d, auth_time=-5m, last_activity=now.
    """
    entity, ref = parse_address(address)
    given = dict(_assignment(text) for text in assignments)

    async def write(writer: RecordedWriter) -> int:
        return await writer.patch(entity, ref, given, create=create)

    try:
        version = asyncio.run(_write(_place(redis, policies, config), write, unrecorded=unrecorded))
    except EntityUnknownError as error:
        raise EntityUnknownError(f"{error}; --create makes it") from None
    typer.echo(f"{address_of(entity, ref)} is at version {version}")


@app.command()
def delete(
    address: _Address,
    redis: _Url = None,
    policies: _Folder = None,
    config: _ConfigFile = None,
    unrecorded: _Unrecorded = False,
) -> None:
    """Make an entity unknown: every request that needs it is denied from here on."""
    entity, ref = parse_address(address)

    async def remove(writer: RecordedWriter) -> int:
        return await writer.delete(entity, ref)

    version = asyncio.run(_write(_place(redis, policies, config), remove, unrecorded=unrecorded))
    typer.echo(f"{address_of(entity, ref)} is deleted, at version {version}")


@app.command()
def load(
    file: Annotated[Path, typer.Argument(help="YAML file of records.")],
    redis: _Url = None,
    policies: _Folder = None,
    config: _ConfigFile = None,
    unrecorded: _Unrecorded = False,
) -> None:
    """Put every record of a file. Nothing is written unless the whole file is right."""
    place = _place(redis, policies, config)
    now = time.time()
    records = read_file(file, place.schema, now)

    async def put(writer: RecordedWriter) -> None:
        for record in records:
            await writer.put(record.entity, record.ref, record.given, now)

    asyncio.run(_write(place, put, unrecorded=unrecorded))
    typer.echo(f"records loaded from {file}: {len(records)}")


@app.command()
def watch(
    addresses: Annotated[list[str] | None, typer.Argument(metavar="[ENTITY...]", help="Whose; all if none.")] = None,
    redis: _Url = None,
    policies: _Folder = None,
    config: _ConfigFile = None,
) -> None:
    """Follow changes as they happen, until Ctrl-C."""
    targets = [parse_address(text) for text in addresses or ()]
    place = _place(redis, policies, config)
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_follow(place, targets))


async def _follow(place: _Place, targets: list[tuple[Entity, EntityRef]]) -> None:
    console = Console(highlight=False)
    async with contextlib.aclosing(watch_changes(place.store, place.schema, targets)) as told:
        async for event in told:
            at = f"[dim]{datetime.now().astimezone():%H:%M:%S}[/]"
            if isinstance(event, Notice):
                console.print(at, f"[yellow]{escape(event.text)}[/]")
            else:
                for line in _differences(place.schema, event):
                    console.print(at, line)


async def _read(place: _Place, entity: Entity, ref: EntityRef) -> Record | None:
    async with open_writer(place.store, place.schema) as writer:
        return (await writer.read(entity, ref)).record


async def _write(place: _Place, work: Callable[[RecordedWriter], Awaitable[_Result]], *, unrecorded: bool) -> _Result:
    """Do what writes, each write with a record of its own.

    Raises:
        UnrecordedWriteError: it cannot be put on record; the message says whether it was done.
    """
    log = None if unrecorded else place.log
    async with open_recorded_writer(place.store, place.schema, log) as writer:
        return await work(writer)


def _place(url: str | None, folder: Path | None, file: Path | None) -> _Place:
    """Find the schema, the store and the log.

    Raises:
        PdpError: the schema or the store is not to be had; says why.
    """
    config = load_config(file, os.environ, {"redis.url": url, "policy.folder": folder})
    where = config.redis.url or announced_url()
    if not where:
        raise AttributesInvalidError("no store: give --redis URL, or run the service, which starts one, as this user")
    schema = load_schema(folder / _SCHEMA) if folder else policy_in_force(config.policy).schema
    # A person waits longer than a request does.
    store = replace(config.redis, url=where, fetch_timeout=_PATIENCE, connect_timeout=_PATIENCE)
    return _Place(schema, store, config.audit)


def _assignment(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise AttributesInvalidError(f"{name!r} is not of the form name=value")
    return name, value


def _show(schema: Schema, entity: Entity, record: Record) -> None:
    now = time.time()
    table = Table("attribute", "value", "age", "state", box=None, header_style="dim", pad_edge=False)
    for name, attribute in sorted(schema.attributes_of(entity, record.ref.type).items()):
        since = record.usable_from.get(name)
        age = "" if since is None else _span(now - since - schema.clock_skew)
        state, colour = _state(record, name, now)
        table.add_row(name, escape(_value(attribute, record)), age, f"[{colour}]{state}[/]")
    console = Console(highlight=False)
    console.print(f"[bold]{escape(address_of(entity, record.ref))}[/] [dim]version {record.version}[/]")
    console.print(table)


def _state(record: Record, name: str, now: float) -> tuple[str, str]:
    """Say whether an attribute may decide now, and in which colour."""
    if name in record.problems:
        return _WORDS.get(record.problems[name], str(record.problems[name])), "red"
    if now >= record.usable_until.get(name, math.inf):
        return "stale", "red"
    return ("from the future", "red") if now < record.usable_from.get(name, now) else ("usable", "green")


def _value(attribute: Attribute, record: Record | None) -> str:
    """Write a value as far as the schema lets it be seen."""
    if record is None or attribute.name in record.problems:
        return "-"
    if attribute.sensitivity is not Sensitivity.CLEAR:
        return "(hidden)"
    value = record.view.__dict__.get(attribute.name)
    if attribute.kind is Kind.TIME and isinstance(value, int) and value:
        return datetime.fromtimestamp(value, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
    if isinstance(value, tuple):
        return ", ".join(value)
    return str(value).lower() if isinstance(value, bool) else str(value)


def _differences(schema: Schema, change: Change) -> Iterator[str]:
    """Tell a change, a line an attribute."""
    who = f"[bold]{escape(address_of(change.entity, change.ref))}[/]"
    before, after = change.before, change.after
    if after is None:
        yield f"{who} [red]is not on record[/]"
        return
    if before is None:
        yield f"{who} [green]{'is on record' if change.seen else 'changed'}[/] [dim]version {after.version}[/]"
        return
    for name, attribute in schema.attributes_of(change.entity, change.ref.type).items():
        if _raw(before, name) != _raw(after, name):
            old, new = escape(_value(attribute, before)), escape(_value(attribute, after))
            yield f"{who} {name} {old} → [bold]{new}[/] [dim]version {after.version}[/]"


def _raw(record: Record, name: str) -> object:
    return record.problems.get(name) or record.view.__dict__.get(name)


def _span(seconds: float) -> str:
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        if abs(seconds) >= 2 * size:
            return f"{seconds / size:.0f}{unit}"
    return f"{seconds:.0f}s"
