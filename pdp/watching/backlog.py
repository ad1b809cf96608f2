"""What of one caller is to be decided anew, in which order, and what must be told after it. Pure.

Rules:
- Each watch is in it at most once, however often it changes: memory is bounded by what is watched.
- Changes go before requests that were only asked for, so that a revocation does not wait for a registration.
- A ping is answered after every change that was marked before it came.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from itertools import chain, islice
from typing import Final, NamedTuple

from pdp.watching.events import Cause, Why
from pdp.watching.watch import Watch

_MAX_PINGS: Final = 64
_REGISTERED: Final = Cause(Why.REGISTERED)


class Mark(NamedTuple):
    """A watch to be decided anew: why, in which order, and since when (seconds of a steady clock)."""

    watch: Watch
    cause: Cause
    number: int
    at: float


class Ping(NamedTuple):
    """A ping that waits: how many marks there were when it came, and how stale the knowledge was."""

    nonce: int
    marked: int
    staleness: float | None


class Backlog:
    """Marks and pings. ``elapsed`` gives seconds of a clock that never steps."""

    def __init__(self, elapsed: Callable[[], float]) -> None:
        self._elapsed = elapsed
        self._changes: dict[int, Mark] = {}
        self._asked: dict[int, Mark] = {}
        self._pings: deque[Ping] = deque(maxlen=_MAX_PINGS)
        self._marked = 0

    def __len__(self) -> int:
        return len(self._changes) + len(self._asked)

    def change(self, watch: Watch, cause: Cause) -> None:
        """Have a watch decided anew because something changed; of several causes the first stands."""
        if watch.id not in self._changes:
            self._asked.pop(watch.id, None)
            self._changes[watch.id] = self._mark(watch, cause)

    def ask(self, watch: Watch) -> None:
        """Have a watch decided, and its caller told whatever comes out."""
        watch.asked = True
        if watch.id not in self._changes and watch.id not in self._asked:
            self._asked[watch.id] = self._mark(watch, _REGISTERED)

    def drop(self, watch: Watch) -> None:
        """Decide a watch no more."""
        self._changes.pop(watch.id, None)
        self._asked.pop(watch.id, None)

    def clear(self) -> None:
        """Decide nothing any more."""
        self._changes.clear()
        self._asked.clear()

    def ping(self, nonce: int, staleness: float | None) -> None:
        """Answer a ping once all that is marked is told."""
        self._pings.append(Ping(nonce, self._marked, staleness))

    def take(self, most: int) -> list[Mark]:
        """Take what is to be decided next; the cause of what was asked for is that."""
        taken = list(islice(chain(self._changes.values(), self._asked.values()), most))
        for mark in taken:
            self.drop(mark.watch)
        marks = [mark._replace(cause=_REGISTERED) if mark.watch.asked else mark for mark in taken]
        for mark in taken:
            mark.watch.asked = False
        return marks

    def put_back(self, marks: Iterable[Mark]) -> None:
        """Undo a ``take``; a mark made since then gives way to the earlier one."""
        earlier = {mark.watch.id: mark for mark in marks}
        for mark in earlier.values():
            mark.watch.asked = mark.watch.asked or mark.cause is _REGISTERED
            self.drop(mark.watch)
        # What was taken as asked for may have changed as well, so it goes back before everything else.
        self._changes = earlier | self._changes

    def pongs(self) -> list[Ping]:
        """Take the pings that nothing stands before any more."""
        firsts = [next(iter(marks.values())).number for marks in (self._changes, self._asked) if marks]
        pending = min(firsts, default=self._marked + 1)
        ready = []
        while self._pings and self._pings[0].marked < pending:
            ready.append(self._pings.popleft())
        return ready

    def restart(self) -> None:
        """Begin to count the age of changes anew, for a caller who was away; pings of another stream are void."""
        now = self._elapsed()
        self._changes = {watch_id: mark._replace(at=now) for watch_id, mark in self._changes.items()}
        self._pings.clear()

    def lag(self) -> float:
        """Give for how long the oldest change has waited, in seconds."""
        oldest = next(iter(self._changes.values()), None)
        return self._elapsed() - oldest.at if oldest else 0.0

    def _mark(self, watch: Watch, cause: Cause) -> Mark:
        self._marked += 1
        return Mark(watch, cause, self._marked, self._elapsed())
