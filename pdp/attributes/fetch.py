"""One step of the store at a time, within a limit: a round trip that reads all a request needs, or a script."""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from redis.asyncio import Redis
from redis.exceptions import RedisError, ResponseError

from pdp.attributes.connections import Address, Connector, describe
from pdp.attributes.fields import Stored, read, unreadable, wanted_fields
from pdp.attributes.keys import key_of
from pdp.attributes.locate import Locator
from pdp.core.decision import Entity
from pdp.core.errors import AttributesUnavailableError
from pdp.core.request import EntityRef
from pdp.core.schema import Schema

_NEVER_EXPIRES: Final = -1
_CLOSE_LIMIT: Final = 1.0


@dataclass(frozen=True, slots=True)
class Want:
    """An entity to read, with its key."""

    entity: Entity
    ref: EntityRef
    key: str


@dataclass(frozen=True, slots=True)
class Fetched:
    """One entity as read.

    Attributes:
        stored: the record and version.
        until: when it expires in the store, in seconds of ``time.monotonic``; infinite where it does not.
    """

    stored: Stored
    until: float


def want(entity: Entity, ref: EntityRef) -> Want:
    """Name an entity to read."""
    return Want(entity, ref, key_of(entity, ref))


class Reader:
    """Reads from, and writes to, whichever server the locator names."""

    def __init__(self, connector: Connector, locator: Locator) -> None:
        self._connector = connector
        self._locator = locator
        self._address: Address | None = None
        self._client: Redis | None = None
        self._closing: set[asyncio.Task[None]] = set()

    async def read(self, wants: Sequence[Want], schema: Schema) -> list[Fetched]:
        """Read entities in one round trip.

        Raises:
            TimeoutError: the store did not answer within the limit.
            AttributesUnavailableError: nobody can say which server to read.
            Exception: whatever the library raises; every kind of it means that the store did not answer properly.
        """
        pipeline = self.client().pipeline(transaction=False)
        for item in wants:
            pipeline.hmget(item.key, wanted_fields(schema.attributes_of(item.entity, item.ref.type)))
            pipeline.pttl(item.key)
        sent = time.monotonic()
        async with asyncio.timeout(self._connector.fetch_timeout):
            answers = await pipeline.execute(raise_on_error=False)
        values, lifetimes = answers[::2], answers[1::2]
        return [
            _fetched(item, schema, value, lifetime, sent)
            for item, value, lifetime in zip(wants, values, lifetimes, strict=True)
        ]

    async def evaluate(self, script: str, keys: Sequence[str], arguments: Sequence[str]) -> Any:
        """Run a script in the store, in one atomic step.

        Raises:
            AttributesUnavailableError: the store did not answer in time, or refused; whether the script ran is then
                not known.
        """
        try:
            async with asyncio.timeout(self._connector.fetch_timeout):
                return await self.client().eval(script, len(keys), *keys, *arguments)
        except (RedisError, OSError) as error:
            raise AttributesUnavailableError(f"the attribute store refused a write: {describe(error)}") from None

    async def close(self) -> None:
        """Close every connection."""
        self._retire()
        if self._closing:
            await asyncio.wait(self._closing)

    def client(self) -> Redis:
        """Give a client of the server to read.

        Raises:
            AttributesUnavailableError: nobody can say which it is.
        """
        address = self._locator.address()
        if address is None:
            raise AttributesUnavailableError("no majority of the sentinels names a primary")
        if self._client is None or address != self._address:
            self._retire()
            self._client, self._address = self._connector.client(address), address
        return self._client

    def _retire(self) -> None:
        if self._client is not None:
            task = asyncio.create_task(_close(self._client))
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)
            self._client = None


async def _close(client: Redis) -> None:
    with contextlib.suppress(Exception):
        async with asyncio.timeout(_CLOSE_LIMIT):
            await client.aclose(close_connection_pool=True)


def _fetched(item: Want, schema: Schema, values: Any, lifetime: Any, sent: float) -> Fetched:
    declared = schema.attributes_of(item.entity, item.ref.type)
    if isinstance(values, ResponseError) and str(values).startswith("WRONGTYPE"):
        stored = unreadable(item.ref, declared)
    elif isinstance(values, Exception):
        raise values
    else:
        stored = read(item.ref, declared, values, schema.clock_skew)
    if isinstance(lifetime, Exception):
        raise lifetime
    return Fetched(stored, _until(lifetime, stored, sent))


def _until(lifetime: int, stored: Stored, sent: float) -> float:
    """Reckon from before the question was sent, so that nothing decides longer than it lives in the store."""
    absent = stored.record is None and lifetime < 0
    return math.inf if absent or lifetime == _NEVER_EXPIRES else sent + max(lifetime, 0) / 1000
