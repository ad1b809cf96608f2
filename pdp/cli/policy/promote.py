"""``pdp policy promote``: let the candidate on trial decide."""

from __future__ import annotations

import typer

from pdp.bootstrap.reporting import live_reports
from pdp.cli.policy.state import ConfigOption, StateOption, await_workers, pin, settings, trust
from pdp.cli.policy.status import trial_of
from pdp.policy.bundle import verify
from pdp.policy.store import StateError, StateFolder


def promote(config: ConfigOption = None, state: StateOption = None) -> None:
    """Put the candidate in force in all workers, until the source holds it too, or `rollback --release`."""
    section = settings(config, state)
    folder = StateFolder(section.state)
    archive = folder.candidate()
    if archive is None:
        raise StateError("nothing is on trial; begin with `pdp policy shadow start`")
    revision = verify(archive, trust(section)).revision
    found = trial_of(live_reports(folder))
    folder.hold(pin(revision, "promote"), archive)
    folder.propose(None)
    counted = f", {found['compared']:,} requests after its trial began" if "compared" in found else ""
    typer.echo(f"{await_workers(folder, revision)} workers decide by {revision}{counted}")
    typer.echo("bring the source to the same revision; it is followed again from then on")
