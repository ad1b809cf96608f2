"""``pdp risk``: whose level stands above LOW, why, and how one that is wrong is lifted."""

from __future__ import annotations

import asyncio
import os
import secrets
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Final, NamedTuple, TypeVar

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from pdp.attributes import announced_url
from pdp.attributes.windows import RedisRiskStore
from pdp.audit.commands import ATTRIBUTE_WRITE, write_facts
from pdp.bootstrap.in_force import policy_in_force
from pdp.bootstrap.operator import operator_name, recorded_writes
from pdp.bootstrap.signals import writer_settings
from pdp.config import Config
from pdp.config import load as load_config
from pdp.core.decision import Entity
from pdp.core.errors import PdpError
from pdp.core.limits import Level, Limits, crossings
from pdp.core.request import EntityRef
from pdp.core.schema import Schema
from pdp.ports import Assessment, Sighting, Tally
from pdp.risk.baselines import usual

app = typer.Typer(no_args_is_help=True)

_PATIENCE: Final = 2.0
_MOST: Final = 1000
_TOKEN_BYTES: Final = 16
_COLOURS: Final = {Level.LOW: "green", Level.MEDIUM: "yellow", Level.HIGH: "red"}
_Result = TypeVar("_Result")
_ConfigFile = Annotated[Path | None, typer.Option("--config", envvar="PDP_CONFIG", help="TOML file of settings.")]
_Folder = Annotated[
    Path | None, typer.Option(help="Policy folder, for its limits.yaml.", show_default="the policy in force")
]
_Unrecorded = Annotated[
    bool, typer.Option("--unrecorded", help="Write without a record in the decision log: it is elsewhere.")
]
_Url = Annotated[
    str | None,
    typer.Option(
        "--redis",
        envvar=["PDP_REDIS__URL", "PDP_REDIS_URL"],
        help="Redis URL; without one, the embedded store of a service you run on this machine.",
    ),
]


class RiskCommandError(PdpError):
    """What was asked for makes no sense here."""


class _Watch(NamedTuple):
    """Where behaviour is counted, and by which limits."""

    store: RedisRiskStore
    limits: Limits
    schema: Schema
    issuer: str

    async def tally(self, subject: EntityRef) -> Tally:
        return (await self.store.count(self.limits, [Sighting(subject, {})], time.time()))[0]


@app.command()
def show(
    subject: Annotated[str | None, typer.Argument(metavar="[TYPE:ID]", help="Such as user:alice.")] = None,
    redis: _Url = None,
    policies: _Folder = None,
    config: _ConfigFile = None,
) -> None:
    """Show who stands above LOW, or all that is counted of one person."""
    config_ = load_config(config, os.environ, {"redis.url": redis})

    async def look(watch: _Watch) -> tuple[Limits, list[Tally]]:
        wanted = [_ref(subject)] if subject else await watch.store.raised(_MOST)
        return watch.limits, [await watch.tally(it) for it in wanted]

    limits, tallies = asyncio.run(_watching(config_, policies, look))
    (_show_one if subject else _show_all)(limits, tallies)


@app.command()
def lift(
    subject: Annotated[str, typer.Argument(metavar="TYPE:ID", help="Such as user:alice.")],
    redis: _Url = None,
    policies: _Folder = None,
    config: _ConfigFile = None,
    unrecorded: _Unrecorded = False,
) -> None:
    """Forget what a person did of late, and set the level to LOW. What is usual for the person is kept."""
    config_ = load_config(config, os.environ, {"redis.url": redis})
    ref = _ref(subject)

    async def forget(watch: _Watch) -> Level:
        with recorded_writes(None if unrecorded else config_.audit, watch.schema) as put:
            before = (await watch.tally(ref)).standing.level
            await watch.store.forget(watch.limits, ref)
            found = (await watch.tally(ref)).standing
            by = (watch.issuer, secrets.token_hex(_TOKEN_BYTES))
            await watch.store.assess(watch.limits, Assessment(ref, Level.LOW, False, found, time.time(), by))
            facts = write_facts(
                Entity.SUBJECT, ref, operator_name(), action="lift", attributes=[watch.limits.attribute]
            )
            put({"kind": ATTRIBUTE_WRITE, **facts})
        return before

    typer.echo(f"{ref} was {asyncio.run(_watching(config_, policies, forget)).name} and is LOW")


async def _watching(config: Config, folder: Path | None, work: Callable[[_Watch], Awaitable[_Result]]) -> _Result:
    where = config.redis.url or announced_url()
    if not where:
        raise RiskCommandError("no store: give --redis URL, or run the service, which starts one, as this user")
    policy = policy_in_force(config.policy, folder)
    if not policy.limits.features:
        raise RiskCommandError("the policy has no limits.yaml: nothing is counted")
    # A person waits longer than a service does.
    found = replace(config.redis, url=where, connect_timeout=_PATIENCE)
    settings = writer_settings(config.model_copy(update={"redis": found}))
    store = RedisRiskStore(settings, config.risk.retention, _PATIENCE)
    await store.start()
    try:
        return await work(_Watch(store, policy.limits, policy.schema, config.risk.issuer))
    finally:
        await store.stop()


def _ref(text: str) -> EntityRef:
    kind, colon, name = text.partition(":")
    if not (kind and colon and name):
        raise RiskCommandError(f"{text!r} is not of the form type:id, such as user:alice")
    return EntityRef(kind, name)


def _show_all(limits: Limits, tallies: list[Tally]) -> None:
    table = Table("subject", "level", "since", "because", box=None, header_style="dim", pad_edge=False)
    for tally in tallies:
        why = "; ".join(map(str, crossings(limits, tally.values, usual(limits, tally))))
        table.add_row(escape(str(tally.subject)), _level(tally), _time(tally.standing.since), why or "falling")
    Console(highlight=False).print(table if tallies else "nobody stands above LOW")


def _show_one(limits: Limits, tallies: list[Tally]) -> None:
    (tally,) = tallies
    crossed = crossings(limits, tally.values, usual(limits, tally))
    table = Table("feature", "now", "limits", "past periods", "crossed", box=None, header_style="dim", pad_edge=False)
    for feature in limits.features:
        bounds = ", ".join(f"{level.name} {bound}" for level, bound in sorted(feature.limits.items()))
        samples = ", ".join(map(str, tally.samples[feature.name]))
        why = "; ".join(str(it) for it in crossed if it.feature.name == feature.name)
        table.add_row(feature.name, str(tally.values[feature.name]), bounds, samples, escape(why))
    console = Console(highlight=False)
    console.print(f"[bold]{escape(str(tally.subject))}[/] {_level(tally)} [dim]{_time(tally.standing.since)}[/]")
    console.print(table)


def _level(tally: Tally) -> str:
    level = tally.standing.level
    return f"[{_COLOURS[level]}]{level.name}[/]"


def _time(since: float) -> str:
    return f"{datetime.fromtimestamp(since, UTC).astimezone():%Y-%m-%d %H:%M:%S}" if since else ""
