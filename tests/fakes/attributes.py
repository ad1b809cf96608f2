"""An attribute store in memory that keeps every promise of the port, for tests of what stands above it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from pdp.core.decision import Entity
from pdp.core.entities import Entities
from pdp.core.errors import AttributesUnavailableError
from pdp.core.record import ISSUED_FIELD, VERSION_FIELD, Record, parse_record
from pdp.core.request import EntityRef
from pdp.core.schema import Schema
from pdp.ports import Refs

Target = tuple[Entity, EntityRef]


class InMemoryAttributes:
    """Holds stored fields and reads them as the real source does. ``fail`` and ``delay`` make it a bad store.

    ``peek`` answers for what ``load`` has read since it last changed, so that both paths of a caller are walked.
    """

    def __init__(self) -> None:
        self._stored: dict[Target, Mapping[str, str]] = {}
        self._read: dict[Target, Schema] = {}
        self._seen: dict[Target, int] = {}
        self.fail = False
        self.delay = 0.0

    def put(self, target: Target, version: int, issued_at: float, fields: Mapping[str, str]) -> None:
        """Store a record as text, in place of any other."""
        self._stored[target] = {VERSION_FIELD: str(version), ISSUED_FIELD: str(issued_at), **fields}
        self._read.pop(target, None)

    def remove(self, target: Target) -> None:
        """Forget a record."""
        self._stored.pop(target, None)
        self._read.pop(target, None)

    def peek(self, refs: Refs, schema: Schema) -> Entities | None:
        """Give the records if all of them were read under this schema and have not changed since."""
        if self.fail or any(self._read.get(target) is not schema for target in refs):
            return None
        return Entities(**{target[0].value: self._record(target, schema) for target in refs})

    async def load(self, refs: Refs, schema: Schema, deadline: float) -> Entities:
        """Read the records, after the delay."""
        try:
            async with asyncio.timeout_at(deadline):
                await asyncio.sleep(self.delay)
        except TimeoutError:
            raise AttributesUnavailableError("not in time") from None
        if self.fail:
            raise AttributesUnavailableError("told to fail")
        found = {target[0].value: self._admit(target, schema) for target in refs}
        self._read.update(dict.fromkeys(refs, schema))
        return Entities(**found)

    def _admit(self, target: Target, schema: Schema) -> Record | None:
        record = self._record(target, schema)
        if record:
            if record.version < self._seen.get(target, 0):
                raise AttributesUnavailableError("a record is older than one already used")
            self._seen[target] = record.version
        return record

    def _record(self, target: Target, schema: Schema) -> Record | None:
        entity, ref = target
        declared = schema.attributes_of(entity, ref.type)
        return parse_record(ref, declared, self._stored.get(target, {}), schema.clock_skew)
