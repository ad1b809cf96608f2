"""What the commands about the running service's policy share: the settings, the state folder, waiting for workers."""

from __future__ import annotations

import getpass
import os
import time
from pathlib import Path
from typing import Annotated, Final

import typer

from pdp.bootstrap.policies import trust_of
from pdp.bootstrap.reporting import live_reports
from pdp.config import PolicySection, load
from pdp.core.errors import PdpError
from pdp.policy.bundle import Trust
from pdp.policy.store import Pin, StateFolder

ConfigOption = Annotated[
    Path | None, typer.Option("--config", envvar="PDP_CONFIG", help="TOML file of settings, as for serve.")
]
StateOption = Annotated[Path | None, typer.Option("--state", help="State folder.", show_default="policy.state")]
_PATIENCE: Final = 10.0


class WorkersError(PdpError):
    """The workers did not do what was asked."""


def settings(config: Path | None, state: Path | None) -> PolicySection:
    """Give the policy settings of the service whose state folder it is."""
    return load(config, os.environ, {"policy.state": state}).policy


def trust(section: PolicySection) -> Trust:
    """Give whose signatures the service demands."""
    return trust_of(section)


def pin(revision: str, cause: str) -> Pin:
    """Make a pin in the name of the person at the terminal."""
    return Pin(revision, cause, getpass.getuser(), time.time())


def await_workers(state: StateFolder, revision: str) -> int:
    """Wait until every live worker decides by a revision; give their number.

    Raises:
        WorkersError: one does not, with what it says is wrong.
    """
    deadline = time.monotonic() + _PATIENCE
    while True:
        reports = live_reports(state)
        late = {name: it for name, it in reports.items() if it["revision"] != revision}
        if not late:
            return len(reports)
        if time.monotonic() > deadline:
            name, report = next(iter(late.items()))
            problems = "; ".join(report["problems"]) or "it says nothing of why"
            raise WorkersError(f"{len(late)} of {len(reports)} workers do not follow; {name}: {problems}")
        time.sleep(0.1)
