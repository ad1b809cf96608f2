"""Options that several policy commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Folder = Annotated[Path, typer.Argument(help="The policy folder.")]
FolderOption = Annotated[Path, typer.Option("--policies", help="The policy folder.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print as JSON.")]
DEFAULT_FOLDER = Path("policies")
