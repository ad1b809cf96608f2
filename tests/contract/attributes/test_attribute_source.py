"""What every ``AttributeSource`` promises, shown on the fake and on real servers alike."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from typing import Protocol

import pytest

from pdp.attributes import RedisAttributes
from pdp.attributes.keys import key_of
from pdp.core.entities import Entities
from pdp.core.errors import AttributesUnavailableError
from pdp.core.reasons import Reason
from pdp.core.schema import Schema
from pdp.ports import AttributeSource
from tests.attributes.support import (
    ALL,
    EXECUTABLES,
    SCHEMA,
    SESSION,
    Server,
    eventually,
    in_time,
    make_schema,
    patient,
    risk_in,
    running,
    started,
    write,
)
from tests.fakes.attributes import InMemoryAttributes, Target

LEASE = 5.0


class World(Protocol):
    """A source, and a hand on the store behind it."""

    source: AttributeSource

    async def put(self, target: Target, version: int, **fields: str) -> None: ...

    async def remove(self, target: Target) -> None: ...

    def break_store(self) -> None: ...

    def mend_store(self) -> None: ...


class FakeWorld:
    def __init__(self) -> None:
        self.source = InMemoryAttributes()

    async def put(self, target: Target, version: int, **fields: str) -> None:
        self.source.put(target, version, time.time(), fields)

    async def remove(self, target: Target) -> None:
        self.source.remove(target)

    def break_store(self) -> None:
        self.source.fail = True

    def mend_store(self) -> None:
        self.source.fail = False


class RedisWorld:
    """Each change waits until the source has heard of it, so that a test may go on at once."""

    def __init__(self, server: Server, source: RedisAttributes) -> None:
        self.source = source
        self._server = server
        self._client = server.client()

    async def put(self, target: Target, version: int, **fields: str) -> None:
        write(self._client, target, version, **fields)
        await self._heard()

    async def remove(self, target: Target) -> None:
        self._client.delete(key_of(*target))
        await self._heard()

    def break_store(self) -> None:
        self._server.freeze()

    def mend_store(self) -> None:
        self._server.thaw()

    async def _heard(self) -> None:
        """Wait until the store has vouched for a time after the change."""
        changed = time.monotonic()
        await eventually(lambda: self.source._lease.until >= changed + LEASE)


@pytest.fixture(params=["fake", *sorted(EXECUTABLES)])
def server(request: pytest.FixtureRequest) -> Iterator[Server | None]:
    if request.param == "fake":
        yield None
        return
    with running(EXECUTABLES[request.param]) as one:
        yield one


@pytest.fixture
async def world(server: Server | None) -> AsyncIterator[World]:
    if server is None:
        yield FakeWorld()
        return
    async with started(patient(server.url, lease=LEASE, ping_interval=0.02)) as source:
        yield RedisWorld(server, source)


async def _now(world: World, schema: Schema = SCHEMA) -> Entities:
    return world.source.peek(ALL, schema) or await world.source.load(ALL, schema, in_time())


async def test_nothing_is_in_memory_at_first(world: World) -> None:
    assert world.source.peek(ALL, SCHEMA) is None


async def test_what_was_loaded_can_be_peeked(world: World) -> None:
    await world.put(SESSION, 1, risk="5")
    loaded = await world.source.load(ALL, SCHEMA, in_time())
    assert risk_in(loaded) == 5
    assert risk_in(world.source.peek(ALL, SCHEMA)) == 5


async def test_an_unknown_entity_is_none_in_its_place(world: World) -> None:
    entities = await world.source.load(ALL, SCHEMA, in_time())
    assert entities == Entities()
    assert world.source.peek(ALL, SCHEMA) == Entities()


async def test_only_what_was_asked_for_is_given(world: World) -> None:
    await world.put(SESSION, 1, risk="5")
    await world.source.load([SESSION], SCHEMA, in_time())
    assert world.source.peek(ALL, SCHEMA) is None
    assert risk_in(world.source.peek([SESSION], SCHEMA)) == 5


async def test_a_change_is_never_hidden_by_memory(world: World) -> None:
    for version in range(1, 10):
        await world.put(SESSION, version, risk=str(version))
        assert risk_in(await _now(world)) == version
    await world.remove(SESSION)
    assert (await _now(world)).session is None


async def test_another_schema_is_not_answered_from_memory(world: World) -> None:
    await world.put(SESSION, 1, risk="5")
    await _now(world)
    other = make_schema()
    assert world.source.peek(ALL, other) is None
    assert risk_in(await _now(world, other)) == 5


async def test_a_bad_value_is_a_problem_of_its_attribute(world: World) -> None:
    await world.put(SESSION, 1, risk="500")
    session = (await _now(world)).session
    assert session is not None
    assert session.problems == {"risk": Reason.ATTRIBUTE_INVALID}


async def test_a_version_never_goes_back(world: World) -> None:
    await world.put(SESSION, 5, risk="90")
    await _now(world)
    await world.put(SESSION, 4, risk="1")
    with pytest.raises(AttributesUnavailableError):
        await _now(world)
    await world.put(SESSION, 6, risk="2")
    assert risk_in(await _now(world)) == 2


async def test_a_broken_store_is_an_error_by_the_deadline(world: World) -> None:
    """Law 4: a timeout is never an answer."""
    await world.put(SESSION, 1, risk="5")
    world.break_store()
    began = asyncio.get_running_loop().time()
    with pytest.raises(AttributesUnavailableError):
        await world.source.load(ALL, SCHEMA, began + 0.2)
    assert asyncio.get_running_loop().time() - began < 2
    world.mend_store()


async def test_a_failed_read_leaves_nothing_in_memory(world: World) -> None:
    """Law 8."""
    await world.put(SESSION, 1, risk="5")
    world.break_store()
    with pytest.raises(AttributesUnavailableError):
        await world.source.load(ALL, SCHEMA, in_time(0.1))
    assert world.source.peek(ALL, SCHEMA) is None
    world.mend_store()
    assert risk_in(await _now(world)) == 5


async def test_a_deadline_in_the_past_is_an_error_at_once(world: World) -> None:
    with pytest.raises(AttributesUnavailableError):
        await world.source.load(ALL, SCHEMA, in_time(-1))


async def test_a_cancelled_load_is_cancelled_and_leaves_the_source_whole(world: World) -> None:
    await world.put(SESSION, 1, risk="5")
    world.break_store()
    load = asyncio.create_task(world.source.load(ALL, SCHEMA, in_time(3)))
    await asyncio.sleep(0)
    load.cancel()
    with pytest.raises((asyncio.CancelledError, AttributesUnavailableError)):
        await load
    world.mend_store()
    assert risk_in(await _now(world)) == 5


async def test_what_is_given_cannot_be_changed(world: World) -> None:
    await world.put(SESSION, 1, risk="5")
    entities = await _now(world)
    assert entities.session is not None
    with pytest.raises(AttributeError):
        entities.session.view.risk = 0
    with pytest.raises(AttributeError):
        entities.session.version = 9
