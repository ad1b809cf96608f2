"""Follows changes of attributes live, as the near cache hears of them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Iterable
from dataclasses import dataclass
from typing import Final

from redis.exceptions import RedisError

from pdp.attributes.connections import Connector, describe
from pdp.attributes.fetch import Reader, Want, want
from pdp.attributes.keys import split_key
from pdp.attributes.locate import settled_locator
from pdp.attributes.settings import RedisSettings
from pdp.attributes.tracking import Tracker
from pdp.core.decision import Entity
from pdp.core.record import Record
from pdp.core.request import EntityRef
from pdp.core.schema import Schema

_Target = tuple[Entity, EntityRef]


@dataclass(frozen=True, slots=True)
class Change:
    """One entity's record became another.

    Attributes:
        entity: whose.
        ref: the same.
        before: the record before; None where it was unknown, or was not seen before.
        seen: whether it was seen before.
        after: the record now; None where it is unknown.
    """

    entity: Entity
    ref: EntityRef
    before: Record | None
    seen: bool
    after: Record | None


@dataclass(frozen=True, slots=True)
class Notice:
    """The connection began or ended; while it is down, changes are missed."""

    text: str


class _Everything:
    """Stands for every key in the queue."""


_EVERYTHING: Final = _Everything()


class _Queue:
    """A ``Listener`` that puts what it hears in a queue."""

    def __init__(self) -> None:
        self.heard: asyncio.Queue[bytes | _Everything | Notice] = asyncio.Queue()

    def established(self) -> None:
        self.heard.put_nowait(Notice("following changes"))
        self.heard.put_nowait(_EVERYTHING)

    def changed(self, key: bytes) -> None:
        self.heard.put_nowait(key)

    def everything_changed(self) -> None:
        self.heard.put_nowait(Notice("the store was flushed"))
        self.heard.put_nowait(_EVERYTHING)

    def vouched(self, at: float) -> None:
        """Nothing here depends on a lease."""

    def lost(self, reason: str) -> None:
        self.heard.put_nowait(Notice(f"the connection is down: {reason}"))


async def watch_changes(
    settings: RedisSettings, schema: Schema, targets: Iterable[_Target] = (), *, first: bool = False
) -> AsyncGenerator[Change | Notice]:
    """Tell of changes for as long as it is iterated.

    Args:
        settings: the store.
        schema: what to read the records by.
        targets: whose changes to tell of; everybody's if empty.
        first: whether to tell how each target stands when the following begins.

    Raises:
        AttributesUnavailableError: no majority of the sentinels names a primary.
    """
    connector = Connector(settings)
    queue = _Queue()
    async with settled_locator(settings, connector) as locator:
        reader = Reader(connector, locator)
        tracker = asyncio.create_task(Tracker(settings, connector, locator, queue).run())
        try:
            follower = _Follower(reader, schema, frozenset(want(*target) for target in targets), first=first)
            while True:
                heard = await queue.heard.get()
                if isinstance(heard, Notice):
                    yield heard
                    continue
                for item in follower.concerned(heard):
                    async for told in follower.look(item):
                        yield told
        finally:
            tracker.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await tracker
            await reader.close()


class _Follower:
    """Knows the records last seen, and tells how they differ from what is stored now."""

    def __init__(self, reader: Reader, schema: Schema, targets: frozenset[Want], *, first: bool) -> None:
        self._reader = reader
        self._schema = schema
        self._targets = targets
        self._first = first
        self._seen: dict[Want, Record | None] = {}

    def concerned(self, heard: bytes | _Everything) -> list[Want]:
        """Give the entities to look at."""
        if isinstance(heard, _Everything):
            return [*self._targets, *(item for item in self._seen if item not in self._targets)]
        parts = split_key(heard)
        if parts is None or parts[0] not in list(Entity):
            return []
        item = want(Entity(parts[0]), EntityRef(*parts[1:]))
        return [item] if not self._targets or item in self._targets else []

    async def look(self, item: Want) -> AsyncIterator[Change | Notice]:
        """Read an entity and tell what changed; the first look at a target tells nothing, unless asked to."""
        try:
            after = (await self._reader.read([item], self._schema))[0].stored.record
        except (RedisError, OSError) as error:
            yield Notice(f"a record could not be read: {describe(error)}")
            return
        seen, before = item in self._seen, self._seen.get(item)
        self._seen[item] = after
        if (seen or self._first or item not in self._targets) and not (seen and _same(before, after)):
            yield Change(item.entity, item.ref, before, seen, after)


def _same(before: Record | None, after: Record | None) -> bool:
    return (before and before.version) == (after and after.version)
