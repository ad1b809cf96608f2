"""``pdp serve``: run the service until it is told to stop."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Annotated

import typer

from pdp.bootstrap import launch
from pdp.config import ConfigError, Engine, load
from pdp.server.supervisor import Transport


def serve(
    file: Annotated[Path | None, typer.Option("--config", envvar="PDP_CONFIG", help="TOML file of settings.")] = None,
    policies: Annotated[Path | None, typer.Option(help="Policy folder.", show_default="policies")] = None,
    source: Annotated[
        str | None, typer.Option(help="Where the policy comes from: a .bundle, https://..., git+URL#REF:PATH.")
    ] = None,
    bundle_key: Annotated[
        list[str] | None, typer.Option(help="Verifier key, text or file: accept signed bundles only.")
    ] = None,
    redis: Annotated[str | None, typer.Option(help="Redis URL; none starts an embedded one.")] = None,
    listen: Annotated[str | None, typer.Option(help="host:port for gRPC.")] = None,
    http: Annotated[str | None, typer.Option(help="host:port for HTTP.")] = None,
    server: Annotated[Transport | None, typer.Option(help="What carries the protocol.")] = None,
    engine: Annotated[Engine | None, typer.Option(help="What matches the rules.")] = None,
    workers: Annotated[int | None, typer.Option(help="Processes behind one port.", min=1)] = None,
    insecure: Annotated[bool | None, typer.Option("--insecure", help="Permit plaintext beyond loopback.")] = None,
    sample: Annotated[
        bool, typer.Option("--sample", help="Load the sample attributes of the policy folder.")
    ] = False,
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="section.setting=value; may be repeated.")
    ] = None,
) -> None:
    """Run the decision service. `pdp config` lists every setting."""
    flags = {
        "policy.folder": policies,
        "policy.source": source,
        "policy.bundle_keys": tuple(bundle_key) if bundle_key else None,
        "policy.engine": engine,
        "redis.url": redis,
        "server.listen": listen,
        "server.http": http,
        "server.transport": server,
        "server.workers": workers,
        "server.insecure": insecure,
        **dict(_assignment(text) for text in settings or ()),
    }
    asyncio.run(launch.run(load(file, os.environ, flags), sample=sample))


def _assignment(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or "." not in name:
        raise ConfigError(f"--set {text!r} is not of the form section.setting=value")
    return name, value
