"""Policy folders to start from: templates that lint, test and verify find nothing wrong with."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import as_file, files
from pathlib import Path
from typing import Final

TEMPLATES: Final[Mapping[str, str]] = {
    "contact-centre": "The sample: customers, cards, health notes, recordings, chats; posture, purpose, break-glass.",
    "health-records": "Patient records, laboratory results and appointments; care teams, emergencies.",
    "minimal": "One resource type, two roles and the floors under them.",
}


def template_files(name: str) -> Mapping[str, bytes]:
    """Give the files of a template, one of ``TEMPLATES``, by path relative to the policy folder."""
    with as_file(files(__package__) / "templates" / name) as folder:
        paths = sorted(path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("."))
        return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


def write_files(folder: Path, contents: Mapping[str, bytes]) -> None:
    """Write files into a folder, which is made if need be.

    Raises:
        FileExistsError: the folder holds something already; nothing is written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()):
        raise FileExistsError(folder)
    for name, content in contents.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
