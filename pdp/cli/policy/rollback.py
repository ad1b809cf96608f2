"""``pdp policy rollback``: go back to an earlier revision, in all workers, whatever the source says."""

from __future__ import annotations

from typing import Annotated

import typer

from pdp.bootstrap.reporting import live_reports
from pdp.cli.policy.state import ConfigOption, StateOption, await_workers, pin, settings, trust
from pdp.policy.bundle import verify
from pdp.policy.store import StateError, StateFolder


def rollback(
    to: Annotated[
        str, typer.Option(help="First digits of a revision that was in force.", show_default="the one before")
    ] = "",
    release: Annotated[bool, typer.Option("--release", help="Follow the source again.")] = False,
    config: ConfigOption = None,
    state: StateOption = None,
) -> None:
    """Hold an earlier revision until --release, or until the source holds the same. Waits for the workers."""
    section = settings(config, state)
    folder = StateFolder(section.state)
    if release:
        word = "following the source again" if folder.release() else "nothing was held"
        typer.echo(word)
        return
    revision = folder.find(to) if to else folder.previous(_present(folder)).revision
    verify(folder.read(revision), trust(section))
    folder.hold(pin(revision, "rollback"))
    typer.echo(f"{await_workers(folder, revision)} workers decide by {revision}")


def _present(folder: StateFolder) -> str:
    """Give the revision in force: as the workers say, else as it was when they stopped."""
    told = {it["revision"] for it in live_reports(folder).values() if it["revision"]}
    if len(told) > 1:
        raise StateError("the workers do not agree on the revision in force; name one with --to")
    history = folder.history()
    if not told and not history:
        raise StateError("no revision was in force yet")
    return told.pop() if told else history[-1].revision
