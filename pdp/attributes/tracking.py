"""Keeping the near cache right: a dedicated connection on which Redis says what changes, and a lease.

Redis pushes the name of every changed key under the prefix (CLIENT TRACKING in broadcast mode, RESP3), in order with
its answers. So when the answer to a PING sent at time t has been read, every change made before t has been read as
well, and the cache is right as of t: it may decide until t plus the lease. A server that is stopped, or a network
that swallows packets, lets the lease run out; a connection that ends takes the whole cache with it.

Source: https://redis.io/docs/latest/develop/reference/client-side-caching/ ; CLIENT TRACKING since Redis 6.0.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Coroutine
from typing import Any, Final, Protocol

from redis.asyncio.connection import AbstractConnection

from pdp.attributes.connections import Address, Connector, describe
from pdp.attributes.keys import PREFIX
from pdp.attributes.locate import Locator
from pdp.attributes.settings import RedisSettings
from pdp.core.errors import AttributesUnavailableError

_log: Final = logging.getLogger(__name__)
_FIRST_DELAY: Final = 0.05


class Listener(Protocol):
    """Whoever holds what Redis says has changed. None of its methods may wait or raise."""

    def established(self) -> None:
        """Take note that changes are reported from here on; whatever was held before may have changed unseen."""

    def changed(self, key: bytes) -> None:
        """Take note that a key was written, deleted, or has expired or been evicted."""

    def everything_changed(self) -> None:
        """Take note that the whole store was emptied or replaced."""

    def vouched(self, at: float) -> None:
        """Take note that all changes up to a time have been reported, in seconds of ``time.monotonic``."""

    def lost(self, reason: str) -> None:
        """Take note that changes are no longer reported."""


class Tracker:
    """Holds the tracking connection, and makes a new one whenever it ends."""

    def __init__(self, settings: RedisSettings, connector: Connector, locator: Locator, listener: Listener) -> None:
        self._settings = settings
        self._connector = connector
        self._locator = locator
        self._listener = listener

    async def run(self) -> None:
        """Track until cancelled. Errors end a connection, never this."""
        delay = 0.0
        while True:
            began = time.monotonic()
            try:
                await self._session()
            except Exception as error:  # noqa: BLE001 - the library leaks more than its own errors; all mean the same here
                self._listener.lost(describe(error))
                _log.debug("attribute tracking ended: %s", describe(error))
                if _is_cancelled():
                    raise asyncio.CancelledError from None
            steady = time.monotonic() - began > self._settings.reconnect_delay
            longest = self._settings.reconnect_delay
            delay = _FIRST_DELAY * longest if steady else min(longest, max(_FIRST_DELAY * longest, 2 * delay))
            await asyncio.sleep(delay)

    async def _session(self) -> None:
        address = self._locator.address()
        if address is None:
            raise AttributesUnavailableError("no majority of the sentinels names a primary")
        connection = self._connector.dedicated(address)
        try:
            async with asyncio.timeout(self._settings.connect_timeout):
                await self._switch_on(connection)
            self._listener.established()
            sent: deque[float] = deque()
            await _first_end(self._listen(connection, sent), self._ping(connection, sent, address))
        finally:
            await connection.disconnect(nowait=True)

    async def _switch_on(self, connection: AbstractConnection) -> None:
        await connection.connect()  # type: ignore[no-untyped-call]
        # The library has no public way to be told of invalidations on an asyncio connection.
        connection._parser.set_invalidation_push_handler(_pass_on)  # type: ignore[attr-defined] # noqa: SLF001
        await connection.send_command("CLIENT", "TRACKING", "ON", "BCAST", "PREFIX", PREFIX)
        await connection.read_response()

    async def _listen(self, connection: AbstractConnection, sent: deque[float]) -> None:
        while True:
            message = await connection.read_response(disable_decoding=True, push_request=True)
            if message == b"PONG" and sent:
                self._listener.vouched(sent.popleft())
            elif isinstance(message, list) and message[:1] == [b"invalidate"]:
                self._tell(message[1])
            else:
                raise AttributesUnavailableError("the store sent something unexpected")

    def _tell(self, keys: list[bytes] | None) -> None:
        if keys is None:
            self._listener.everything_changed()
            return
        for key in keys:
            self._listener.changed(key)

    async def _ping(self, connection: AbstractConnection, sent: deque[float], address: Address) -> None:
        while True:
            now = time.monotonic()
            if sent and now - sent[0] > self._settings.silence:
                raise AttributesUnavailableError("the store fell silent")
            if self._locator.address() != address:
                raise AttributesUnavailableError("the primary moved")
            sent.append(now)
            async with asyncio.timeout(self._settings.silence):
                await connection.send_command("PING", check_health=False)
            await asyncio.sleep(self._settings.ping_interval)


async def _first_end(*runs: Coroutine[Any, Any, None]) -> None:
    """Run several until one ends, end the others, and raise what ended it.

    Not a TaskGroup: there, an error of a child that is being cancelled hides that its owner was cancelled as well.
    """
    tasks = [asyncio.create_task(run) for run in runs]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for task in done:
        task.result()


def _is_cancelled() -> bool:
    """Say whether this task is to end: an error while connections are torn down hides the cancellation behind it."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


async def _pass_on(message: Any) -> Any:
    return message
