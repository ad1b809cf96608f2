"""``pdp policy shadow``: try a candidate revision on real requests, beside the one in force."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pdp.bootstrap.gate import gate_of
from pdp.cli.policy.bundle import read_bundle
from pdp.cli.policy.state import ConfigOption, StateOption, settings, trust
from pdp.core.errors import PolicyInvalidError, PolicyProblem
from pdp.engine.matcher import CompiledEngine
from pdp.policy import assemble
from pdp.policy.bundle import build, read_files, verify
from pdp.policy.origins import Contents
from pdp.policy.problems import Problems
from pdp.policy.store import StateFolder

app = typer.Typer(no_args_is_help=True, help="Try a candidate revision on real requests, beside the one in force.")


@app.command()
def start(
    candidate: Annotated[Path, typer.Argument(help="A policy folder, or a bundle.")],
    config: ConfigOption = None,
    state: StateOption = None,
) -> None:
    """Have every worker decide each request by the candidate too, unheard, and count where it differs.

    Differences are in `pdp policy status`, the metrics, the log, and the decision log as `trial_difference`.
    """
    section = settings(config, state)
    archive = build(read_files(candidate)) if candidate.is_dir() else read_bundle(candidate)
    demanded = trust(section)
    if candidate.is_dir() and demanded.needed:
        problem = "is a folder, which carries no signatures; the service demands a signed bundle"
        raise PolicyInvalidError((PolicyProblem(str(candidate), 0, 0, problem),))
    contents = Contents.of(verify(archive, demanded), archive)
    snapshot = assemble(contents.policy, CompiledEngine(), Problems())
    if section.checks and (against := gate_of(section.state)(contents, snapshot)):
        raise PolicyInvalidError(against)
    StateFolder(section.state).propose(archive)
    typer.echo(f"on trial: {snapshot.revision}, {len(snapshot.rules)} rules; see pdp policy status")


@app.command()
def stop(config: ConfigOption = None, state: StateOption = None) -> None:
    """End the trial."""
    StateFolder(settings(config, state).state).propose(None)
    typer.echo("nothing is on trial")
