"""The store as feeds and signals use it: ``SignalStore``, ``AttributeStore`` and ``Turns`` of the ports, on Redis."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Final

from pdp.attributes.connections import Connector
from pdp.attributes.errors import AttributesInvalidError, EntityUnknownError
from pdp.attributes.fetch import Reader
from pdp.attributes.keys import key_of
from pdp.attributes.locate import locator_of
from pdp.attributes.scripts import SIGNAL, TURN
from pdp.attributes.settings import RedisSettings
from pdp.attributes.values import Given, declared_for
from pdp.attributes.watch import Change, watch_changes
from pdp.attributes.writer import TOMBSTONE_LIFETIME, AttributeWriter
from pdp.core.decision import Entity
from pdp.core.errors import InvalidRequestError
from pdp.core.record import Record
from pdp.core.request import EntityRef
from pdp.core.schema import Schema
from pdp.core.signals.events import Event
from pdp.core.signals.plan import Plan
from pdp.ports import WRITTEN, Applied, AttributeChange, Outcome

_MARK_PREFIX: Final = "signal:"
# The digits of a jti that go into a record: enough to find the token in a transmitter's log.
_JTI_SHOWN: Final = 64
_GAP: Final = AttributeChange(None, None, None)


class RedisAttributeStore:
    """Writes to Redis. Make it, ``start`` it on the event loop that uses it, ``stop`` it there."""

    def __init__(self, settings: RedisSettings) -> None:
        self._settings = settings
        connector = Connector(settings)
        self._locator = locator_of(settings, connector)
        self._reader = Reader(connector, self._locator)
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to look for the server; connections are made when they are needed."""
        self._task = asyncio.create_task(self._locator.run())

    async def stop(self) -> None:
        """Close every connection."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        await self._reader.close()

    async def apply(self, event: Event, plan: Plan, token_age: float) -> Applied:
        """Carry out what an event changes, once; see ``SignalStore``."""
        mark = _MARK_PREFIX + hashlib.sha256(f"{event.issuer}\0{event.id}".encode()).hexdigest()
        by = f"signal:{event.issuer} {event.id[:_JTI_SHOWN]}"
        guards = [part for guard in plan.guards for part in guard]
        writes = [part for it in plan.writes for part in (it.name, it.text, str(int(it.latch)))]
        frame = (str(int(token_age) + 1), str(TOMBSTONE_LIFETIME), f"{event.at:.3f}", by, str(len(plan.guards)))
        keys = (mark, key_of(plan.entity, plan.ref))
        told = await self._reader.evaluate(SIGNAL, keys, (*frame, *guards, *writes))
        outcome = Outcome(told[0].decode())
        return Applied(outcome, int(told[1]) if outcome in WRITTEN else 0)

    async def take(self, name: str, holder: str, seconds: float) -> int:
        """Take a turn at some work that one process of many does; see ``Turns``."""
        arguments = (holder, str(round(seconds * 1000)), str(TOMBSTONE_LIFETIME))
        return int(await self._reader.evaluate(TURN, [f"{_MARK_PREFIX}turn:{name}"], arguments))

    async def put(
        self, schema: Schema, entity: Entity, ref: EntityRef, given: Mapping[str, Given], issued_at: float, by: str
    ) -> int:
        """Make these the entity's attributes; see ``AttributeStore``."""
        with _invalid():
            return await self._writer(schema).put(entity, ref, given, issued_at, by=by)

    async def patch(
        self, schema: Schema, entity: Entity, ref: EntityRef, given: Mapping[str, Given], issued_at: float, by: str
    ) -> int:
        """Change some attributes; see ``AttributeStore``."""
        with _invalid(), contextlib.suppress(EntityUnknownError):
            return await self._writer(schema).patch(entity, ref, given, issued_at, by=by)
        return 0

    async def delete(self, schema: Schema, entity: Entity, ref: EntityRef, issued_at: float, by: str) -> int:
        """Make the entity unknown; see ``AttributeStore``."""
        with _invalid(), contextlib.suppress(EntityUnknownError):
            return await self._writer(schema).delete(entity, ref, issued_at, by=by)
        return 0

    async def read(self, schema: Schema, entity: Entity, ref: EntityRef) -> Record | None:
        """Read a record past any cache; see ``AttributeStore``."""
        with _invalid():
            return (await self._writer(schema).read(entity, ref)).record

    async def watch(
        self, schema: Schema, targets: tuple[tuple[Entity, EntityRef], ...]
    ) -> AsyncIterator[AttributeChange]:
        """Tell of changes; see ``AttributeStore``."""
        with _invalid():
            for entity, ref in targets:
                declared_for(schema, entity, ref)
        async with contextlib.aclosing(watch_changes(self._settings, schema, targets, first=True)) as changes:
            async for change in changes:
                if isinstance(change, Change):
                    yield AttributeChange(change.entity, change.ref, change.after)
                else:
                    yield _GAP

    def _writer(self, schema: Schema) -> AttributeWriter:
        return AttributeWriter(self._reader, schema)


@contextlib.contextmanager
def _invalid() -> Iterator[None]:
    """Let what a caller did wrong be the caller's error."""
    try:
        yield
    except AttributesInvalidError as error:
        raise InvalidRequestError("attributes", str(error)) from None
