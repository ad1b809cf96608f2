"""How the command line finds the embedded store of a service the same user runs on this machine.

The URL, which holds a password, stands in a file that only the user can read, in a folder that only the user can
enter. Where several services run, the one started last is found.
"""

from __future__ import annotations

import contextlib
import os
import stat
import tempfile
from pathlib import Path
from typing import Final

_FILE: Final = "redis-url"
_PRIVATE: Final = 0o700


def announce(url: str) -> None:
    """Let this user's programs find a store. Where no private folder can be made, they do not."""
    with contextlib.suppress(OSError):
        folder = _folder()
        folder.mkdir(mode=_PRIVATE, exist_ok=True)
        if _is_ours(folder):
            new = folder / f"{_FILE}.{os.getpid()}"
            new.touch(mode=0o600)
            new.write_text(url, encoding="utf-8")
            new.replace(folder / _FILE)


def withdraw(url: str) -> None:
    """Take an announcement back, unless another has replaced it."""
    if announced_url() == url:
        with contextlib.suppress(OSError):
            (_folder() / _FILE).unlink()


def announced_url() -> str | None:
    """Give the URL of the store announced last; None where there is none, or where it may not be trusted."""
    folder = _folder()
    try:
        return (folder / _FILE).read_text(encoding="utf-8") if _is_ours(folder) else None
    except OSError:
        return None


def _folder() -> Path:
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    return Path(runtime) / "pdp" if runtime else Path(tempfile.gettempdir()) / f"pdp-{os.getuid()}"


def _is_ours(folder: Path) -> bool:
    """Say whether nobody else can have put anything there: anyone may make a folder of that name in /tmp."""
    try:
        found = folder.lstat()
    except OSError:
        return False
    mine = found.st_uid == os.getuid() and stat.S_ISDIR(found.st_mode)
    return mine and stat.S_IMODE(found.st_mode) == _PRIVATE
