"""The file a worker is writing to."""

import os
from pathlib import Path

from pdp.audit.segment import SegmentHeader, sync_folder

_datasync = getattr(os, "fdatasync", os.fsync)


class SegmentOutput:
    """An open segment. Every method raises OSError as the kernel reports it; after one the file must not be used.

    Attributes:
        base: the seq of its first record.
        path: the file.
        size: its bytes so far.
    """

    def __init__(self, path: Path, header: SegmentHeader) -> None:
        self.base = header.base
        self.path = path
        self.size = 0
        self._fd = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC, 0o640)
        self.write(header.encode())
        self.sync()
        sync_folder(path.parent)

    def write(self, data: bytes) -> None:
        """Hand all the bytes to the kernel; a short write is continued."""
        self.size += len(data)
        written = os.write(self._fd, data)
        while written < len(data):
            data = data[written:]
            written = os.write(self._fd, data)

    def sync(self) -> None:
        """Wait until everything written is on the disk. Never call it again after it failed: the kernel forgets."""
        _datasync(self._fd)

    def close(self) -> None:
        """Give the descriptor back."""
        os.close(self._fd)
