"""Whether cached attributes may decide: tracking is up, and the store was in touch a moment ago."""

from __future__ import annotations

import logging
import time
from typing import Final

from pdp.attributes.cache import NearCache
from pdp.attributes.flights import Flights
from pdp.attributes.keys import split_key
from pdp.ports import ChangeListener

_log: Final = logging.getLogger(__name__)


class Lease:
    """Takes what the tracking connection tells to the cache and the reads under way.

    Attributes:
        until: when the lease runs out, in seconds of ``time.monotonic``.
        connected: whether changes are being reported.
        reason: why not; empty while they are.
    """

    def __init__(self, duration: float, cache: NearCache, flights: Flights) -> None:
        self._duration = duration
        self._cache = cache
        self._flights = flights
        self.until = 0.0
        self.connected = False
        self.reason = "not started"
        self.invalidations = 0
        self.flushes = 0
        self.lapses = 0
        self.connections = 0
        self._listeners: list[ChangeListener] = []

    def follow(self, listener: ChangeListener) -> None:
        """Pass on to a listener what changes."""
        self._listeners.append(listener)

    def staleness(self) -> float | None:
        """Give for how many seconds changes may have gone unheard; None while they are not heard of at all."""
        return max(0.0, time.monotonic() - self.until + self._duration) if self.until > 0 else None

    def established(self) -> None:
        """Begin: whatever was read before may have changed unseen."""
        self._drop_all()
        self.connected, self.reason = True, ""
        self.connections += 1
        self._tell_everything()
        _log.info("attribute tracking established")

    def changed(self, key: bytes) -> None:
        """Drop one entity."""
        self._flights.forget(key.decode("ascii", "replace"))
        if parts := split_key(key):
            self.invalidations += self._cache.invalidate(*parts)
            for listener in self._listeners:
                listener.changed(*parts)

    def everything_changed(self) -> None:
        """Drop all."""
        self._drop_all()
        self._tell_everything()
        _log.warning("attribute store was flushed")

    def vouched(self, at: float) -> None:
        """Renew."""
        if 0 < self.until <= time.monotonic():
            self.lapses += 1
        self.until = at + self._duration

    def lost(self, reason: str) -> None:
        """End: nothing cached may decide, and what is being read may not be cached."""
        if self.connected:
            _log.warning("attribute tracking lost: %s", reason)
        self._end(reason)

    def stopped(self) -> None:
        """End, because the service does: as ``lost``, but nothing to warn of."""
        self._end("stopped")

    def _end(self, reason: str) -> None:
        self.connected, self.reason, self.until = False, reason, 0.0
        self._drop_all()

    def _tell_everything(self) -> None:
        for listener in self._listeners:
            listener.everything_changed()

    def _drop_all(self) -> None:
        self.flushes += 1
        self._cache.flush()
        self._flights.forget_all()
