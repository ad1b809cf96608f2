"""Clocks and scales."""

from __future__ import annotations

import gc
import statistics
import time
import tracemalloc
from collections.abc import Callable
from typing import TypeVar

_T = TypeVar("_T")


ROUNDS = 5


def median_us(call: Callable[[], object], *, seconds: float = 0.05) -> float:
    """The median cost of a call in microseconds of this thread's CPU time.

    The median of the quietest of five rounds, since a busy neighbour on the same core slows whole rounds down.
    """
    call()
    started = time.thread_time_ns()
    call()
    size = max(1, 200_000 // max(1, time.thread_time_ns() - started))
    return min(_round(call, size, seconds) for _ in range(ROUNDS)) / 1000


def _round(call: Callable[[], object], size: int, seconds: float) -> float:
    batches: list[float] = []
    end = time.perf_counter() + seconds
    while not batches or time.perf_counter() < end:
        started = time.thread_time_ns()
        for _ in range(size):
            call()
        batches.append((time.thread_time_ns() - started) / size)
    return statistics.median(batches)


def timed(build: Callable[[], _T]) -> tuple[_T, float]:
    """What a call returns, and its seconds of CPU time."""
    gc.collect()
    started = time.thread_time()
    found = build()
    return found, time.thread_time() - started


def bytes_of(build: Callable[[], _T]) -> tuple[_T, int]:
    """What a call returns, and the bytes it left allocated."""
    gc.collect()
    tracemalloc.start()
    found = build()
    gc.collect()
    size, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return found, size
