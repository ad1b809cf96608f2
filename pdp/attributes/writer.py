"""Writes attribute records: checked against the schema first, then atomic, and always with a higher version.

A version is the store's time in microseconds, or one more than the version before it where that is higher. So it
rises with every write, and goes on rising where a record was lost (flushed, expired, or not yet replicated when the
primary failed) and is made anew: a reader that remembers the lost one takes the new one for what it is.

A deleted record leaves a tombstone with a version, so that a stale replica cannot bring the record back.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncIterator, Mapping
from typing import Final

from redis.exceptions import RedisError

from pdp.attributes.connections import Connector, describe
from pdp.attributes.errors import EntityUnknownError
from pdp.attributes.fetch import Reader, want
from pdp.attributes.fields import Stored
from pdp.attributes.keys import address_of, key_of
from pdp.attributes.locate import settled_locator
from pdp.attributes.scripts import WRITE
from pdp.attributes.settings import RedisSettings
from pdp.attributes.values import Given, declared_for, encode_all
from pdp.core.decision import Entity
from pdp.core.errors import AttributesUnavailableError
from pdp.core.request import EntityRef
from pdp.core.schema import Schema

# Long enough for any replica to have caught up or been replaced.
TOMBSTONE_LIFETIME: Final = 30 * 86400
_UNKNOWN: Final = 0


class AttributeWriter:
    """Writes and reads back records. ``async with open_writer(settings, schema) as writer``."""

    def __init__(self, reader: Reader, schema: Schema) -> None:
        self._reader = reader
        self._schema = schema

    async def put(
        self,
        entity: Entity,
        ref: EntityRef,
        given: Mapping[str, Given],
        issued_at: float | None = None,
        *,
        by: str = "",
    ) -> int:
        """Make these the entity's attributes, and drop any others. Revives a deleted entity.

        What signals said, and latches that have risen, outlast it: see ``pdp.attributes.scripts``.

        Args:
            entity: whose attributes.
            ref: the same.
            given: values by attribute name; see ``values.encode``.
            issued_at: when they were established, in seconds since the epoch; now if not given.
            by: the feed that says so. What a feed says counts only if nothing newer is stored. Empty for a person,
                whose word is taken as it comes.

        Returns:
            The record's new version.

        Raises:
            AttributesInvalidError: the schema does not allow it; nothing is written.
            AttributesUnavailableError: the store did not take it.
        """
        return await self._write("put", entity, ref, given, issued_at, by)

    async def patch(
        self,
        entity: Entity,
        ref: EntityRef,
        given: Mapping[str, Given],
        issued_at: float | None = None,
        *,
        create: bool = False,
        by: str = "",
    ) -> int:
        """Change some attributes, which get a time of issue of their own; the others keep theirs.

        Args:
            entity: as for ``put``.
            ref: as for ``put``.
            given: as for ``put``.
            issued_at: as for ``put``.
            create: whether an entity that is not on record is made. Otherwise a late signal could revive what was
                deleted.
            by: as for ``put``.

        Returns:
            The record's new version.

        Raises:
            AttributesInvalidError: as for ``put``.
            AttributesUnavailableError: as for ``put``.
            EntityUnknownError: the entity is not on record; nothing is written.
        """
        return await self._write("create" if create else "patch", entity, ref, given, issued_at, by)

    async def delete(self, entity: Entity, ref: EntityRef, issued_at: float | None = None, *, by: str = "") -> int:
        """Make the entity unknown. Every request that involves it is a deny from here on.

        Args:
            entity: as for ``put``.
            ref: as for ``put``.
            issued_at: since when, in seconds since the epoch; now if not given.
            by: as for ``put``.

        Returns:
            The tombstone's version.

        Raises:
            AttributesInvalidError: no request could name the entity.
            AttributesUnavailableError: as for ``put``.
            EntityUnknownError: the entity is not on record.
        """
        return await self._write("delete", entity, ref, {}, issued_at, by)

    async def read(self, entity: Entity, ref: EntityRef) -> Stored:
        """Read an entity's record as a decision would, past any cache.

        Raises:
            AttributesInvalidError: no request could name the entity.
            AttributesUnavailableError: the store did not answer properly.
        """
        declared_for(self._schema, entity, ref)
        try:
            return (await self._reader.read([want(entity, ref)], self._schema))[0].stored
        except (RedisError, OSError) as error:
            raise AttributesUnavailableError(f"the attribute store: {describe(error)}") from None

    async def _write(
        self,
        mode: str,
        entity: Entity,
        ref: EntityRef,
        given: Mapping[str, Given],
        issued_at: float | None,
        by: str,
    ) -> int:
        now = time.time()
        texts = encode_all(self._schema, entity, ref, given, now)
        issued = f"{now if issued_at is None else issued_at:.3f}"
        latches = [it.name for it in self._schema.attributes_of(entity, ref.type).values() if it.latch]
        pairs = [part for pair in texts.items() for part in pair]
        frame = (mode, issued, str(TOMBSTONE_LIFETIME), by and f"writer:{by}", str(len(latches)), *latches)
        version = int(await self._reader.evaluate(WRITE, [key_of(entity, ref)], [*frame, *pairs]))
        if version == _UNKNOWN:
            raise EntityUnknownError(f"{address_of(entity, ref)} is not on record")
        return version


@contextlib.asynccontextmanager
async def open_writer(settings: RedisSettings, schema: Schema) -> AsyncIterator[AttributeWriter]:
    """Connect a writer, and close its connections afterwards.

    Raises:
        AttributesUnavailableError: no sentinel majority names a primary.
    """
    connector = Connector(settings)
    async with settled_locator(settings, connector) as locator:
        reader = Reader(connector, locator)
        try:
            yield AttributeWriter(reader, schema)
        finally:
            await reader.close()
