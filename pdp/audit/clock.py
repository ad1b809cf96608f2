"""Time stamps of records."""

from collections.abc import Callable
from time import gmtime, strftime


class Stamp:
    """Reads the wall clock as RFC 3339 UTC text with microseconds. Order is the seq's; time is what the clock said.

    Args:
        clock: nanoseconds since the epoch.
    """

    def __init__(self, clock: Callable[[], int]) -> None:
        self._clock = clock
        self._last = 0
        self._second = -1
        self._text = ""

    def now(self) -> tuple[str, int]:
        """The time, and by how many microseconds the clock is behind the reading before it (0: it is not)."""
        reading = self._clock() // 1000
        behind = self._last - reading
        self._last = reading
        second = reading // 1_000_000
        if second != self._second:
            self._second, self._text = second, strftime("%Y-%m-%dT%H:%M:%S.", gmtime(second))
        return f"{self._text}{reading % 1_000_000:06d}Z", max(behind, 0)
