"""Which server is the primary, as a majority of the sentinels says.

One sentinel is not enough: one that is cut off together with a deposed primary goes on naming it, and attributes read
there may be out of date for as long as the partition lasts. So an address holds only while more than half of the
configured sentinels named it a moment ago.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import Sequence
from typing import Final

from redis.asyncio import Redis

from pdp.attributes.connections import Address, Connector

_PERIOD: Final = 0.5
_HOLDS: Final = 3.0


class SentinelLocator:
    """Asks all sentinels, twice a second, where the primary of a service is."""

    def __init__(self, connector: Connector, sentinels: Sequence[Address], service: str, timeout: float) -> None:
        self._timeout = timeout
        self._sentinels = [connector.sentinel(address) for address in sentinels]
        self._service = service
        self._named: Address | None = None
        self._named_at = 0.0
        self._first = asyncio.Event()

    def address(self) -> Address | None:
        """Give the primary; None while no majority has named one in the last three seconds."""
        return self._named if time.monotonic() - self._named_at < _HOLDS else None

    async def named(self) -> None:
        """Wait until a majority has named a primary for the first time."""
        await self._first.wait()

    async def run(self) -> None:
        """Follow the primary until cancelled."""
        try:
            while True:
                await self._ask_all()
                await asyncio.sleep(_PERIOD)
        finally:
            for sentinel in self._sentinels:
                with contextlib.suppress(Exception):
                    await sentinel.aclose(close_connection_pool=True)

    async def _ask_all(self) -> None:
        asked = time.monotonic()
        answers = await asyncio.gather(*(self._ask(sentinel) for sentinel in self._sentinels))
        named, votes = Counter(answers).most_common(1)[0]
        if named is not None and votes > len(self._sentinels) / 2:
            self._named, self._named_at = named, asked
            self._first.set()

    async def _ask(self, sentinel: Redis) -> Address | None:
        try:
            async with asyncio.timeout(self._timeout):
                host, port = await sentinel.execute_command(  # type: ignore[no-untyped-call]
                    "SENTINEL", "GET-MASTER-ADDR-BY-NAME", self._service
                )
            return host.decode(), int(port)
        except Exception:  # noqa: BLE001 - whatever went wrong, this sentinel names nobody
            return None
