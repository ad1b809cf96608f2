"""A bundle in a file."""

from __future__ import annotations

import os
import stat
from collections.abc import Hashable
from pathlib import Path

from pdp.policy.archive import ARCHIVE_LIMIT
from pdp.policy.bundle import Trust, refused, verify
from pdp.policy.origins.origin import Contents, PolicyUnavailableError


class FileOrigin:
    """Implements ``Origin`` on a bundle file."""

    settles = True

    def __init__(self, path: Path, trust: Trust, *, interval: float = 0.25) -> None:
        self.name = str(path)
        self.interval = interval
        self._path = path
        self._trust = trust

    def probe(self) -> Hashable:
        """Give the file's identity, size and time of change; None where there is none."""
        try:
            about = self._path.stat()
        except OSError:
            return None
        return about.st_dev, about.st_ino, about.st_size, about.st_ctime_ns

    def read(self) -> Contents:
        """Read and verify the bundle."""
        archive = read_archive(self._path)
        return Contents.of(verify(archive, self._trust), archive)


def read_archive(path: Path) -> bytes:
    """Read a bundle's bytes, and never more than one more than a bundle may have.

    Raises:
        PolicyInvalidError: it is not a plain file.
        PolicyUnavailableError: it cannot be read.
    """
    try:
        # Without O_NONBLOCK a pipe would be waited for.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise refused(f"{path} is not a plain file")
            return file.read(ARCHIVE_LIMIT + 1)
    except OSError as error:
        raise PolicyUnavailableError(str(path), f"cannot be read: {error.strerror}") from None
