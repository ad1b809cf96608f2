"""A store and a transmitter for each test."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from tests.attributes.support import Server, running
from tests.signals.support import EXECUTABLE, World, receiving
from tests.signals.transmitter import Transmitter


@pytest.fixture
def server() -> Iterator[Server]:
    with running(EXECUTABLE) as one:
        yield one


@pytest.fixture
def transmitter() -> Iterator[Transmitter]:
    with Transmitter() as one:
        yield one


@pytest.fixture
async def world(server: Server, transmitter: Transmitter) -> AsyncIterator[World]:
    async with receiving(server, transmitter) as one:
        yield one
