"""Reads under way: each entity is read once at a time, however many requests wait for it.

Rules:
- A read that fails, times out or is cancelled leaves nothing behind.
- A read fills the cache only if changes were being reported when it began and none was reported for its key since;
  otherwise it may have seen the past. Those who were waiting for it may use it: their questions overlap the change.
- A request that gives up, or is cancelled, does not end the read for the others.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from pdp.attributes.cache import NearCache
from pdp.attributes.connections import describe
from pdp.attributes.fetch import Fetched, Reader, Want
from pdp.core.errors import AttributesUnavailableError
from pdp.core.record import Record
from pdp.core.schema import Schema

_log: Final = logging.getLogger(__name__)


class Outdated:
    """Stands in for a record older than one already seen."""


OUTDATED: Final = Outdated()
Outcome = Record | None | Outdated


class Flight:
    """One read under way.

    Attributes:
        schema: what its records are read under.
        fills: whether it may fill the cache.
        done: its outcome by key, or the error that ended it.
    """

    __slots__ = ("done", "fills", "schema")

    def __init__(self, schema: Schema, *, fills: bool) -> None:
        self.schema = schema
        self.fills = fills
        self.done: asyncio.Future[Mapping[str, Outcome]] = asyncio.get_running_loop().create_future()


class Flights:
    """All reads under way, and the rule by which they fill the cache."""

    def __init__(self, reader: Reader, cache: NearCache) -> None:
        self._reader = reader
        self._cache = cache
        self._by_key: dict[str, Flight] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self.started = 0
        self.failed = 0
        self.refused = 0

    async def read(self, wants: Sequence[Want], schema: Schema, *, fills: bool) -> dict[str, Outcome]:
        """Read entities, joining reads under way where there are.

        Raises:
            AttributesUnavailableError: one of the reads failed.
        """
        joined = {flight for item in wants if (flight := self._under_way(item, schema))}
        if fresh := [item for item in wants if self._under_way(item, schema) is None]:
            joined.add(self._start(fresh, schema, fills=fills))
        await asyncio.wait([flight.done for flight in joined])
        outcomes: dict[str, Outcome] = {}
        for flight in joined:
            if error := flight.done.exception():
                raise AttributesUnavailableError(str(error))
            outcomes.update(flight.done.result())
        return {item.key: outcomes[item.key] for item in wants}

    def forget(self, key: str) -> None:
        """Let no read under way fill this key, and let no later request join one."""
        self._by_key.pop(key, None)

    def forget_all(self) -> None:
        """The same for every key."""
        self._by_key.clear()

    async def stop(self) -> None:
        """End every read; whoever waits is told that the store is not available."""
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    def _under_way(self, item: Want, schema: Schema) -> Flight | None:
        flight = self._by_key.get(item.key)
        return flight if flight and flight.schema is schema else None

    def _start(self, wants: Sequence[Want], schema: Schema, *, fills: bool) -> Flight:
        flight = Flight(schema, fills=fills)
        self._by_key.update((item.key, flight) for item in wants)
        task = asyncio.get_running_loop().create_task(self._fly(flight, wants))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        self.started += 1
        return flight

    async def _fly(self, flight: Flight, wants: Sequence[Want]) -> None:
        error = AttributesUnavailableError("the attribute source was stopped")
        try:
            fetched = await self._reader.read(wants, flight.schema)
            flight.done.set_result(self._admit(flight, wants, fetched))
        except Exception as problem:  # noqa: BLE001 - the library leaks more than its own errors; all mean the same here
            self.failed += 1
            error = AttributesUnavailableError(f"the attribute store did not answer properly: {describe(problem)}")
            _log.debug("attribute read failed: %s", describe(problem))
        finally:
            self._land(flight, wants, error)

    def _land(self, flight: Flight, wants: Iterable[Want], error: AttributesUnavailableError) -> None:
        for item in wants:
            if self._by_key.get(item.key) is flight:
                del self._by_key[item.key]
        if not flight.done.done():
            flight.done.set_exception(error)
        flight.done.exception()  # Retrieved here, for nobody may be waiting any more.

    def _admit(self, flight: Flight, wants: Sequence[Want], fetched: Sequence[Fetched]) -> dict[str, Outcome]:
        return {item.key: self._admit_one(flight, item, read) for item, read in zip(wants, fetched, strict=True)}

    def _admit_one(self, flight: Flight, item: Want, read: Fetched) -> Outcome:
        entry = self._cache.see(item.entity, item.ref, read.stored.version)
        if entry is None:
            self.refused += 1
            return OUTDATED
        if flight.fills and self._by_key.get(item.key) is flight:
            entry.record, entry.schema, entry.until = read.stored.record, flight.schema, read.until
        return read.stored.record
