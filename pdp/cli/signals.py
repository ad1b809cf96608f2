"""``pdp signals``: what signals.yaml says, and the streams by which transmitters send security signals."""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, Any, Final, TypeVar

import typer
from rich.console import Console
from rich.table import Table

from pdp.bootstrap.in_force import policy_in_force
from pdp.config import Config
from pdp.config import load as load_config
from pdp.core.errors import PdpError
from pdp.core.signals.rules import SignalRules, Transmitter
from pdp.signals import StreamClient, TransmitterHttp

app = typer.Typer(no_args_is_help=True)
stream = typer.Typer(
    no_args_is_help=True, help="Streams at a transmitter: create, read, update, delete, status, verify."
)
app.add_typer(stream, name="stream")

_STATE_BYTES: Final = 16
_SECRET: Final = ("authorization_header",)
_HIDDEN: Final = "(hidden)"
_Result = TypeVar("_Result")
_ConfigFile = Annotated[Path | None, typer.Option("--config", envvar="PDP_CONFIG", help="TOML file of settings.")]
_Folder = Annotated[
    Path | None, typer.Option(help="Policy folder, for its signals.yaml.", show_default="the policy in force")
]
_Name = Annotated[str, typer.Argument(metavar="TRANSMITTER", help="A transmitter's name in signals.yaml.")]
_Stream = Annotated[str, typer.Argument(metavar="STREAM", help="The stream's id, as `create` printed it.")]
_Endpoint = Annotated[str, typer.Option(help="URL of our push interface; for a transmitter that pushes.")]
_Description = Annotated[str, typer.Option(help="For the transmitter's people.")]


class SignalsCommandError(PdpError):
    """What was asked for makes no sense with this signals.yaml."""


@app.command()
def show(policies: _Folder = None, config: _ConfigFile = None) -> None:
    """Show whose signals are believed and what they change."""
    rules = _rules(load_config(config, os.environ, {}), policies)
    console = Console(highlight=False)
    table = Table(
        "transmitter", "issuer", "delivery", "events", "subjects", box=None, header_style="dim", pad_edge=False
    )
    for it in rules.transmitters.values():
        formats = (f"{member} by {'/'.join(one.format for one in some)}" for member, some in it.identifiers.items())
        table.add_row(it.name, it.issuer, "poll" if it.poll_uri else "push", str(len(it.events)), ", ".join(formats))
    console.print(table)
    changes = Table("event", "of", "when", "sets", box=None, header_style="dim", pad_edge=False)
    for name, some in sorted(rules.rules.items()):
        for rule in some:
            when = ", ".join(f"{'.'.join(path)} is {text}" for path, text in rule.when.items())
            changes.add_row(name, str(rule.of), when, ", ".join(rule.given))
    console.print()
    console.print(changes)


@stream.command()
def create(
    transmitter: _Name,
    endpoint: _Endpoint = "",
    description: _Description = "",
    policies: _Folder = None,
    config: _ConfigFile = None,
) -> None:
    """Make a stream for the events that signals.yaml lets the transmitter send."""

    async def make(client: StreamClient) -> Any:
        return await client.create(endpoint, description)

    _print(_with_client(transmitter, policies, config, make, endpoint=endpoint))


@stream.command()
def read(
    transmitter: _Name,
    name: Annotated[str, typer.Argument(metavar="[STREAM]", help="A stream's id; all of ours if none.")] = "",
    policies: _Folder = None,
    config: _ConfigFile = None,
) -> None:
    """Show the configuration of a stream."""

    async def look(client: StreamClient) -> Any:
        return await client.read(name)

    _print(_with_client(transmitter, policies, config, look))


@stream.command()
def update(
    transmitter: _Name,
    name: _Stream,
    endpoint: _Endpoint = "",
    description: _Description = "",
    policies: _Folder = None,
    config: _ConfigFile = None,
) -> None:
    """Bring a stream in line with signals.yaml as it is now."""

    async def change(client: StreamClient) -> Any:
        return await client.update(name, endpoint, description)

    _print(_with_client(transmitter, policies, config, change))


@stream.command()
def delete(transmitter: _Name, name: _Stream, policies: _Folder = None, config: _ConfigFile = None) -> None:
    """Delete a stream: the transmitter sends nothing more by it."""

    async def remove(client: StreamClient) -> None:
        await client.delete(name)

    _with_client(transmitter, policies, config, remove)
    typer.echo(f"{name} is deleted")


@stream.command()
def status(
    transmitter: _Name,
    name: _Stream,
    to: Annotated[str, typer.Option("--set", help="enabled, paused or disabled.")] = "",
    reason: Annotated[str, typer.Option(help="Why, for the transmitter's people.")] = "",
    policies: _Folder = None,
    config: _ConfigFile = None,
) -> None:
    """Show the status of a stream, or change it."""

    async def ask(client: StreamClient) -> Any:
        return await (client.set_status(name, to, reason) if to else client.status(name))

    try:
        _print(_with_client(transmitter, policies, config, ask))
    except ValueError as error:
        raise SignalsCommandError(str(error)) from None


@stream.command()
def verify(transmitter: _Name, name: _Stream, policies: _Folder = None, config: _ConfigFile = None) -> None:
    """Have the transmitter send a verification event; the service's log tells when it comes."""
    state = secrets.token_urlsafe(_STATE_BYTES)

    async def ask(client: StreamClient) -> None:
        await client.verify(name, state)

    _with_client(transmitter, policies, config, ask)
    typer.echo(f"a verification event with state {state} is on its way")


def _with_client(
    name: str,
    folder: Path | None,
    file: Path | None,
    work: Callable[[StreamClient], Awaitable[_Result]],
    *,
    endpoint: str | None = None,
) -> _Result:
    config = load_config(file, os.environ, {})
    transmitter = _transmitter(_rules(config, folder), name)
    if endpoint is not None and bool(endpoint) == bool(transmitter.poll_uri):
        needed = "is polled and needs no --endpoint" if endpoint else "pushes and needs --endpoint"
        raise SignalsCommandError(f"{name} {needed}")

    async def run() -> _Result:
        http = TransmitterHttp(config.signals)
        try:
            return await work(StreamClient(transmitter, http, config.signals))
        finally:
            await http.close()

    return asyncio.run(run())


def _rules(config: Config, folder: Path | None) -> SignalRules:
    """Read signals.yaml; with the whole policy, since a part of one that is refused is of no use."""
    return policy_in_force(config.policy, folder).signals


def _transmitter(rules: SignalRules, name: str) -> Transmitter:
    found = {it.name: it for it in rules.transmitters.values()}
    if name not in found:
        known = ", ".join(sorted(found)) or "none"
        raise SignalsCommandError(f"signals.yaml has no transmitter {name!r}; there are: {known}")
    return found[name]


def _print(answer: object) -> None:
    """Print what a transmitter answered, but for the header that it is to bring: that is a secret."""
    Console().print_json(data=_without_secrets(answer))


def _without_secrets(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _HIDDEN if name in _SECRET else _without_secrets(part) for name, part in value.items()}
    return [_without_secrets(part) for part in value] if isinstance(value, list) else value
