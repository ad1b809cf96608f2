"""Attribute writes put on record: the store's ports, decorated.

A write that could not be put on record is not made. What was written is told by name, never by value; the log treats
identifiers as it does those of decisions.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping

from pdp.attributes.store import RedisAttributeStore
from pdp.audit.answers import AnswerLog
from pdp.audit.commands import ATTRIBUTE_WRITE, write_facts
from pdp.core.decision import Entity
from pdp.core.errors import AttributesUnavailableError
from pdp.core.record import Record
from pdp.core.request import EntityRef
from pdp.core.schema import Schema
from pdp.core.signals.events import Event
from pdp.core.signals.plan import Plan
from pdp.ports import WRITTEN, Applied, AttributeChange, FeedValue


class RecordedStore:
    """Implements ``pdp.ports.SignalStore`` and ``AttributeStore`` over another that does the work."""

    def __init__(self, store: RedisAttributeStore, log: AnswerLog) -> None:
        self._store = store
        self._log = log

    async def apply(self, event: Event, plan: Plan, token_age: float) -> Applied:
        """Carry out what an event changes; see ``SignalStore``."""
        self._require_log()
        applied = await self._store.apply(event, plan, token_age)
        if applied.outcome in WRITTEN:
            facts = {"attributes": [write.name for write in plan.writes], "version": applied.version}
            self._note(plan.entity, plan.ref, event.issuer, action=event.type, token=event.id, **facts)
        return applied

    async def put(
        self,
        schema: Schema,
        entity: Entity,
        ref: EntityRef,
        given: Mapping[str, FeedValue],
        issued_at: float,
        by: str,
    ) -> int:
        """Make these the entity's attributes; see ``AttributeStore``."""
        self._require_log()
        version = await self._store.put(schema, entity, ref, given, issued_at, by)
        self._note(entity, ref, by, action="put", attributes=sorted(given), version=version)
        return version

    async def patch(
        self,
        schema: Schema,
        entity: Entity,
        ref: EntityRef,
        given: Mapping[str, FeedValue],
        issued_at: float,
        by: str,
    ) -> int:
        """Change some attributes; see ``AttributeStore``."""
        self._require_log()
        version = await self._store.patch(schema, entity, ref, given, issued_at, by)
        self._note(entity, ref, by, action="patch", attributes=sorted(given), version=version)
        return version

    async def delete(self, schema: Schema, entity: Entity, ref: EntityRef, issued_at: float, by: str) -> int:
        """Make the entity unknown; see ``AttributeStore``."""
        self._require_log()
        version = await self._store.delete(schema, entity, ref, issued_at, by)
        self._note(entity, ref, by, action="delete", version=version)
        return version

    async def read(self, schema: Schema, entity: Entity, ref: EntityRef) -> Record | None:
        """Give the record as the store holds it."""
        return await self._store.read(schema, entity, ref)

    def watch(self, schema: Schema, targets: tuple[tuple[Entity, EntityRef], ...]) -> AsyncIterator[AttributeChange]:
        """Give each target's record, and again whenever it changes."""
        return self._store.watch(schema, targets)

    def _require_log(self) -> None:
        if obstacle := self._log.obstacle():
            raise AttributesUnavailableError(f"a write could not be put on record: {obstacle}")

    def _note(self, entity: Entity, ref: EntityRef, by: str, **facts: object) -> None:
        self._log.note(ATTRIBUTE_WRITE, **write_facts(entity, ref, by, **facts))
