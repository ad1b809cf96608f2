"""Clocks and scales."""

from __future__ import annotations

import gc
import statistics
import time
import tracemalloc
from collections.abc import Callable
from typing import TypeVar

_T = TypeVar("_T")


def median_us(call: Callable[[], object], *, seconds: float = 0.15) -> float:
    """The median cost of a call in microseconds, over batches of about 200 microseconds of this thread's CPU time."""
    call()
    started = time.thread_time_ns()
    call()
    once = max(1, time.thread_time_ns() - started)
    size = max(1, 200_000 // once)
    batches: list[float] = []
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(batches) < 3:
        started = time.thread_time_ns()
        for _ in range(size):
            call()
        batches.append((time.thread_time_ns() - started) / size)
    return statistics.median(batches) / 1000


def timed(build: Callable[[], _T]) -> tuple[_T, float]:
    """What a call returns, and its seconds."""
    gc.collect()
    started = time.perf_counter()
    found = build()
    return found, time.perf_counter() - started


def bytes_of(build: Callable[[], _T]) -> tuple[_T, int]:
    """What a call returns, and the bytes it left allocated."""
    gc.collect()
    tracemalloc.start()
    found = build()
    gc.collect()
    size, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return found, size
