"""Which server is to be read: the one that is configured, or the one that sentinels name."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Protocol

from pdp.attributes.connections import Address, Connector
from pdp.attributes.sentinel import SentinelLocator
from pdp.attributes.settings import RedisSettings, parse_url
from pdp.core.errors import AttributesUnavailableError


class Locator(Protocol):
    """Knows which server is to be read."""

    def address(self) -> Address | None:
        """Give host and port (the socket's path and 0); None while nobody can vouch for one."""

    async def named(self) -> None:
        """Wait until there is an address."""

    async def run(self) -> None:
        """Keep the address right until cancelled."""


class FixedLocator:
    """One server, whose address does not change."""

    def __init__(self, address: Address) -> None:
        self._address = address

    def address(self) -> Address | None:
        """Give the address."""
        return self._address

    async def named(self) -> None:
        """Return at once."""

    async def run(self) -> None:
        """Return at once: there is nothing to follow."""


def locator_of(settings: RedisSettings, connector: Connector) -> Locator:
    """Make what knows the address to read."""
    url = parse_url(settings.url)
    if url.service:
        return SentinelLocator(connector, url.hosts, url.service, settings.connect_timeout)
    return FixedLocator((url.path, 0) if url.path else url.hosts[0])


@contextlib.asynccontextmanager
async def settled_locator(settings: RedisSettings, connector: Connector) -> AsyncIterator[Locator]:
    """Run a locator, and wait until it names a server.

    Raises:
        AttributesUnavailableError: it names none within twice the connect timeout.
    """
    locator = locator_of(settings, connector)
    task = asyncio.create_task(locator.run())
    try:
        async with asyncio.timeout(2 * settings.connect_timeout):
            await locator.named()
    except TimeoutError:
        task.cancel()
        raise AttributesUnavailableError("no majority of the sentinels names a primary") from None
    try:
        yield locator
    finally:
        task.cancel()
        await asyncio.wait([task])
