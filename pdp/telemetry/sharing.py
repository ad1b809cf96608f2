"""One exposition of several workers: each leaves its metrics in a folder that all share, and reads the others'.

Whichever worker a scrape reaches answers for all. What the others left is at most a second old. A worker that was
restarted after a crash finds what its predecessor left and keeps it apart, so that no counter falls.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

from pdp.telemetry.exposition import merge

_INTERVAL: Final = 1.0


class SharedMetrics:
    """A worker's part in the shared exposition.

    Args:
        folder: exists, and is shared by all workers of a service and by nobody else.
        worker: this worker's number; a successor has its predecessor's.
    """

    def __init__(self, folder: Path, worker: int) -> None:
        self._folder = folder
        self._own = folder / f"worker-{worker}.prom"
        self._departed = folder / f"departed-{worker}.prom"
        if left := _read(self._own):
            _write(self._departed, merge((), [_read(self._departed), left]))
            self._own.unlink()

    def merged(self, text: bytes) -> bytes:
        """Leave this worker's metrics, and give those of all workers as one text.

        Args:
            text: this worker's own, in text format 0.0.4.
        """
        _write(self._own, text)
        present = [_read(path) for path in sorted(self._folder.glob("worker-*.prom"))]
        return merge(present, [_read(path) for path in self._folder.glob("departed-*.prom")])

    async def keep(self, render: Callable[[], bytes]) -> None:
        """Leave this worker's metrics every second, until cancelled."""
        while True:
            await asyncio.to_thread(_write, self._own, render())
            await asyncio.sleep(_INTERVAL)


def _read(path: Path) -> bytes:
    with contextlib.suppress(FileNotFoundError):
        return path.read_bytes()
    return b""


def _write(path: Path, text: bytes) -> None:
    new = path.with_suffix(f".{os.getpid()}.new")
    new.write_bytes(text)
    new.replace(path)
