"""What an operator writes into the attribute store by command: one record in the decision log for each write."""

from __future__ import annotations

import contextlib
import getpass
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import replace

from pdp.attributes import AttributeWriter, RedisSettings, open_writer
from pdp.attributes.values import Given
from pdp.audit import LogSettings
from pdp.audit.answers import identifiers_of
from pdp.audit.commands import ATTRIBUTE_WRITE, OPERATOR, Put, UnrecordableError, recording, write_facts
from pdp.core.decision import Entity
from pdp.core.errors import PdpError
from pdp.core.request import EntityRef
from pdp.core.schema import Schema


class UnrecordedWriteError(PdpError):
    """A write that cannot be put on record; the message says whether it was made."""


def operator_name() -> str:
    """Give the name under which the person at this machine writes."""
    return f"local:{getpass.getuser()}"


class RecordedWriter:
    """An ``AttributeWriter`` in the name of a person, whose writes are told to whoever puts them on record."""

    def __init__(self, writer: AttributeWriter, by: str, told: Callable[[Mapping[str, object]], None]) -> None:
        self._writer = writer
        self._by = by
        self._told = told

    async def put(
        self, entity: Entity, ref: EntityRef, given: Mapping[str, Given], issued_at: float | None = None
    ) -> int:
        """Make these the entity's attributes; see ``AttributeWriter``."""
        version = await self._writer.put(entity, ref, given, issued_at)
        self._tell(entity, ref, action="put", attributes=sorted(given), version=version)
        return version

    async def patch(self, entity: Entity, ref: EntityRef, given: Mapping[str, Given], *, create: bool = False) -> int:
        """Change some attributes; see ``AttributeWriter``."""
        version = await self._writer.patch(entity, ref, given, create=create)
        self._tell(entity, ref, action="patch", attributes=sorted(given), version=version)
        return version

    async def delete(self, entity: Entity, ref: EntityRef) -> int:
        """Make the entity unknown; see ``AttributeWriter``."""
        version = await self._writer.delete(entity, ref)
        self._tell(entity, ref, action="delete", version=version)
        return version

    def _tell(self, entity: Entity, ref: EntityRef, **facts: object) -> None:
        self._told({"kind": ATTRIBUTE_WRITE, **write_facts(entity, ref, self._by, **facts)})


@contextlib.asynccontextmanager
async def open_recorded_writer(
    store: RedisSettings, schema: Schema, log: LogSettings | None
) -> AsyncIterator[RecordedWriter]:
    """Connect a writer for a person at this machine, whose every write is one record in the decision log.

    Args:
        store: where attributes are.
        schema: what they are, and how identifiers are to appear in the log.
        log: the decision log; None puts nothing on record.

    Raises:
        UnrecordedWriteError: it cannot be put on record; the message says whether it was written.
        AttributesUnavailableError: no sentinel majority names a primary.
    """
    with recorded_writes(log, schema) as put:
        done: list[Mapping[str, object]] = []
        try:
            async with open_writer(store, schema) as writer:
                yield RecordedWriter(writer, operator_name(), done.append)
        finally:
            if done:
                put(*done)


@contextlib.contextmanager
def recorded_writes(log: LogSettings | None, schema: Schema) -> Iterator[Put]:
    """Give what puts on record the writes that are about to be made.

    Args:
        log: the decision log; None puts nothing on record.
        schema: how identifiers are to appear in it.

    Raises:
        UnrecordedWriteError: they cannot be put on record; the message says whether they were made.
    """
    if log is None:
        yield lambda *_: None
        return
    with contextlib.ExitStack() as stack:
        try:
            put = stack.enter_context(recording(replace(log, identifiers=identifiers_of(schema)), OPERATOR))
        except UnrecordableError as error:
            raise UnrecordedWriteError(
                f"this write cannot be put on record, so nothing is written ({error}); see --unrecorded"
            ) from None
        try:
            yield put
        except UnrecordableError as error:
            raise UnrecordedWriteError(f"this was written, and could not be put on record ({error})") from None
