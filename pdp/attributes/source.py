"""Attributes from Redis, through a near cache: the policy information point."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine
from typing import Any

from pdp.attributes.cache import NearCache
from pdp.attributes.connections import Connector
from pdp.attributes.fetch import Reader, Want, want
from pdp.attributes.flights import Flights, Outdated
from pdp.attributes.lease import Lease
from pdp.attributes.locate import locator_of
from pdp.attributes.settings import RedisSettings
from pdp.attributes.stats import AttributeStats
from pdp.attributes.tracking import Tracker
from pdp.core.entities import Entities
from pdp.core.errors import AttributesUnavailableError
from pdp.core.record import Record
from pdp.core.schema import Schema
from pdp.ports import ChangeListener, Refs


class RedisAttributes:
    """The ``AttributeSource`` on Redis. Make it, ``start`` it on the event loop that uses it, ``stop`` it there.

    It does not wait for Redis to be there: until it is, and whenever it is gone, ``load`` raises and ``ready`` says
    why.
    """

    def __init__(self, settings: RedisSettings) -> None:
        connector = Connector(settings)
        self._locator = locator_of(settings, connector)
        self._cache = NearCache(settings.max_entries)
        self._reader = Reader(connector, self._locator)
        self._flights = Flights(self._reader, self._cache)
        self._lease = Lease(settings.lease, self._cache, self._flights)
        self._tracker = Tracker(settings, connector, self._locator, self._lease)
        self._tasks: list[asyncio.Task[None]] = []
        self._hits = 0
        self._misses = 0

    async def start(self) -> None:
        """Begin to connect, and return without waiting for it."""
        for run in (self._locator.run(), self._tracker.run()):
            self._tasks.append(_background(run))

    async def stop(self) -> None:
        """Close every connection. Whoever waits for attributes is told that they are not available."""
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        self._tasks.clear()
        self._lease.stopped()
        await self._flights.stop()
        await self._reader.close()

    def peek(self, refs: Refs, schema: Schema) -> Entities | None:
        """Give the records from memory, without waiting; see ``AttributeSource``."""
        now = time.monotonic()
        if now >= self._lease.until:
            return None
        entities = self._cache.peek(refs, schema, now)
        self._hits += entities is not None
        return entities

    async def load(self, refs: Refs, schema: Schema, deadline: float) -> Entities:
        """Read the records, from memory where the lease allows and from Redis otherwise; see ``AttributeSource``.

        Raises:
            AttributesUnavailableError: Redis did not answer in time, or not properly, or with a record older than
                one already used here.
        """
        self._misses += 1
        held, wants = self._split(refs, schema)
        try:
            async with asyncio.timeout_at(deadline):
                found = await self._read(wants, schema) if wants else {}
        except TimeoutError:
            raise AttributesUnavailableError("the attribute store did not answer in time") from None
        return Entities(**held, **{item.entity.value: found[item.key] for item in wants})

    def follow(self, listener: ChangeListener) -> None:
        """Tell a listener of all changes from now on; see ``ChangeFeed``."""
        self._lease.follow(listener)

    def staleness(self) -> float | None:
        """Give for how many seconds changes may have gone untold; see ``ChangeFeed``."""
        return self._lease.staleness()

    def ready(self) -> str | None:
        """Say why cached attributes may not decide now, or None where they may."""
        if time.monotonic() < self._lease.until:
            return None
        return f"attribute store: {self._lease.reason or 'the lease has run out'}"

    def stats(self) -> AttributeStats:
        """Give a snapshot for metrics."""
        lease, flights = self._lease, self._flights
        left = max(0.0, lease.until - time.monotonic())
        return AttributeStats(
            hits=self._hits,
            misses=self._misses,
            fetches=flights.started,
            fetch_errors=flights.failed,
            refused_versions=flights.refused,
            invalidations=lease.invalidations,
            flushes=lease.flushes,
            lapses=lease.lapses,
            reconnects=max(0, lease.connections - 1),
            entries=len(self._cache),
            connected=lease.connected,
            lease_live=left > 0,
            lease_left=left,
            reason=self.ready() or "",
        )

    def _split(self, refs: Refs, schema: Schema) -> tuple[dict[str, Record | None], list[Want]]:
        """Part what memory may answer from what Redis must."""
        now = time.monotonic()
        live = now < self._lease.until
        held: dict[str, Record | None] = {}
        wants: list[Want] = []
        for entity, ref in refs:
            entry = self._cache.get(entity, ref, schema, now) if live else None
            if entry:
                held[entity.value] = entry.record
            else:
                wants.append(want(entity, ref))
        return held, wants

    async def _read(self, wants: list[Want], schema: Schema) -> dict[str, Record | None]:
        """Read, and once more what came back older than known: a change can overtake a read that began before it."""
        found: dict[str, Record | None] = {}
        for _ in range(2):
            outcomes = await self._flights.read(wants, schema, fills=self._lease.connected)
            found.update((key, record) for key, record in outcomes.items() if not isinstance(record, Outdated))
            wants = [item for item in wants if item.key not in found]
            if not wants:
                return found
        raise AttributesUnavailableError("a record is older than one already used: a stale replica or a lost write")


def _background(run: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
    return asyncio.get_running_loop().create_task(run)
