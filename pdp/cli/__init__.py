"""The ``pdp`` command: serve, ask, look after attributes, policy and the decision log.

Exit codes, everywhere: 0 done (for ``check``: allow), 1 failed, 2 misused, 3 (for ``check``: deny).
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from typing import Final

import typer

from pdp.core.errors import PdpError

_HELP: Final = "A zero-trust policy decision point: Casbin ABAC over live device, session and role attributes."
# A command's module is imported when it is called: asking a question must not wait for the server's parts.
_COMMANDS: Final = ("serve", "check", "config")
_GROUPS: Final = {
    "attributes": "Read and write the attributes that decisions rest on.",
    "policy": "Look at the policy, and find what is wrong with it.",
    "audit": "Read, search, verify and export the decision log.",
    "risk": "Behaviour that raises risk: who stands above LOW, why, and how that is lifted.",
    "signals": "Security signals (OpenID CAEP, RISC): who sends them, what they change, their streams.",
}


def app_for(arguments: Sequence[str]) -> typer.Typer:
    """Make the application with the command that is called, or with all of them where none is."""
    app = typer.Typer(
        name="pdp",
        help=_HELP,
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    known = (*_COMMANDS, *_GROUPS)
    called = [arguments[0]] if arguments and arguments[0] in known else known

    @app.callback(help=_HELP)
    def root() -> None:
        """Keep the command's name required, also where only one is made."""

    for name in called:
        module = importlib.import_module(f"{__name__}.{name}")
        if name in _GROUPS:
            app.add_typer(module.app, name=name, help=_GROUPS[name])
        else:
            app.command(name)(getattr(module, name))
    return app


def main() -> None:
    """Run the command line. What goes wrong on purpose is one line on standard error, not a traceback."""
    try:
        app_for(sys.argv[1:])()
    except PdpError as error:
        typer.secho(f"error: {error}", fg="red", err=True)
        sys.exit(1)
