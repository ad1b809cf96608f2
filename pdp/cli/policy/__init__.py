"""``pdp policy``: look at the policy, and find what is wrong with it.

Each command stands in a module of its own, which is imported where the command may be called.
"""

from __future__ import annotations

import importlib
from typing import Final

import typer

# Command to module; the module's function has the module's name.
_COMMANDS: Final = {
    "show": "show",
    "test": "run_tests",
    "coverage": "coverage",
    "mutate": "mutate",
    "diff": "diff",
    "lint": "lint",
    "fmt": "fmt",
    "verify": "verify",
    "explain": "explain",
    "who-can": "who_can",
    "what-can": "what_can",
    "schema": "schema",
    "init": "init",
    "import": "import_casbin",
    "status": "status",
    "rollback": "rollback",
    "promote": "promote",
}
# Group of commands to module; the module's ``app`` has them.
_GROUPS: Final = {"bundle": "bundle", "shadow": "shadow"}

app = typer.Typer(no_args_is_help=True)


@app.callback()
def policy() -> None:
    """Look at the policy, and find what is wrong with it."""


for _command, _module in _COMMANDS.items():
    app.command(_command)(getattr(importlib.import_module(f"{__name__}.{_module}"), _module))
for _command, _module in _GROUPS.items():
    app.add_typer(importlib.import_module(f"{__name__}.{_module}").app, name=_command)
