"""How a build gives way to the decisions beside it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

Checkpoint = Callable[[], None]
_T = TypeVar("_T")
_BETWEEN = 32


def no_pause() -> None:
    """Build without a pause."""


class GiveWay:
    """A checkpoint that sleeps after each slice of work, so that other threads get the interpreter lock at once.

    Without it a thread that wants to decide waits up to ``sys.getswitchinterval()`` for a building one, 5 ms
    unless told otherwise.

    Args:
        work: seconds of work between pauses.
        rest: seconds of a pause.
    """

    def __init__(self, work: float = 0.0005, rest: float = 0.0005) -> None:
        self._work = work
        self._rest = rest
        self._since = time.perf_counter()

    def __call__(self) -> None:
        """Pause if a slice of work is over."""
        if time.perf_counter() - self._since >= self._work:
            time.sleep(self._rest)
            self._since = time.perf_counter()


def paced(items: Iterable[_T], checkpoint: Checkpoint) -> Iterator[_T]:
    """The items, with a checkpoint every few of them."""
    for number, item in enumerate(items):
        if number % _BETWEEN == 0:
            checkpoint()
        yield item
