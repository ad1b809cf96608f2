"""What a process and all its children use: CPU time and memory."""

from __future__ import annotations

import contextlib
from typing import NamedTuple

import psutil


class Usage(NamedTuple):
    """CPU seconds, user and system, spent so far; resident memory of the largest process and of all, in MiB."""

    cpu: float
    largest: float
    total: float


def usage_of(pid: int) -> Usage:
    """Add a process and its children up. Memory that processes share is counted in each."""
    root = psutil.Process(pid)
    cpu, sizes = 0.0, []
    for process in (root, *root.children(recursive=True)):
        with contextlib.suppress(psutil.NoSuchProcess):
            times = process.cpu_times()
            cpu += times.user + times.system
            sizes.append(process.memory_info().rss / 2**20)
    return Usage(cpu, max(sizes), sum(sizes))
