"""A store for each test."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from tests.attributes.support import EXECUTABLES, Server, running
from tests.risk.support import World, world_on


@pytest.fixture
def server() -> Iterator[Server]:
    with running(EXECUTABLES[min(EXECUTABLES)]) as one:
        yield one


@pytest.fixture
async def world(server: Server) -> AsyncIterator[World]:
    async with world_on(server) as one:
        yield one
