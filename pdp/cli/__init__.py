"""The ``pdp`` command: serve, ask, look after attributes, policy and the decision log.

Exit codes, everywhere: 0 done (for ``check``: allow), 1 failed, 2 misused, 3 (for ``check``: deny).
"""

from __future__ import annotations

import sys

import typer

from pdp.cli import attributes, audit, check, config, policy, serve
from pdp.core.errors import PdpError

app = typer.Typer(
    name="pdp",
    help="A zero-trust policy decision point: Casbin ABAC over live device, session and role attributes.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("serve")(serve.serve)
app.command("check")(check.check)
app.command("config")(config.config)
app.add_typer(attributes.app, name="attributes", help="Read and write the attributes that decisions rest on.")
app.add_typer(policy.app, name="policy", help="Look at the policy, and find what is wrong with it.")
app.add_typer(audit.app, name="audit", help="Read, search, verify and export the decision log.")


def main() -> None:
    """Run the command line. What goes wrong on purpose is one line on standard error, not a traceback."""
    try:
        app()
    except PdpError as error:
        typer.secho(f"error: {error}", fg="red", err=True)
        sys.exit(1)
