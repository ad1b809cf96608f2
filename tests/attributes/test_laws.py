"""The laws, under whatever order of writes, losses and questions hypothesis thinks of; on a real server."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis import Redis

from pdp.attributes import RedisAttributes
from pdp.core.entities import Entities
from pdp.core.errors import AttributesUnavailableError
from tests.attributes.support import (
    ALICE,
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

_OTHER = make_schema()
_STEPS = st.lists(
    st.sampled_from(["write", "write", "delete", "flush", "kill", "ask", "ask", "peek", "other", "nap"]),
    min_size=1,
    max_size=25,
)
_ON_A_SERVER = settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


@pytest.fixture(scope="module", params=sorted(EXECUTABLES))
def shared(request: pytest.FixtureRequest) -> Iterator[Server]:
    with running(EXECUTABLES[request.param]) as server:
        yield server


class _Play:
    """Plays steps, and knows what the store holds."""

    def __init__(self, client: Redis, source: RedisAttributes) -> None:
        self.client = client
        self.source = source
        self.version = int(time.monotonic_ns())
        self.risk: int | None = None
        self.last_seen = 0

    async def step(self, name: str) -> None:
        await getattr(self, f"_{name}")()

    async def _write(self) -> None:
        self.version += 1
        self.risk = self.version % 100
        write(self.client, SESSION, self.version, risk=self.risk)

    async def _delete(self) -> None:
        self.risk = None
        self.client.delete("attr:session:session:s-1")

    async def _flush(self) -> None:
        self.risk = None
        self.client.flushall()

    async def _kill(self) -> None:
        for it in self.client.client_list():
            if it["flags"] != "N" and "t" in it["flags"]:
                self.client.client_kill_filter(_id=it["id"])

    async def _nap(self) -> None:
        await asyncio.sleep(0.001)

    async def _ask(self) -> None:
        self.check(await self.source.load([SESSION, ALICE], SCHEMA, in_time()))

    async def _other(self) -> None:
        self.check(await self.source.load([SESSION, ALICE], _OTHER, in_time()))

    async def _peek(self) -> None:
        if entities := self.source.peek([SESSION, ALICE], SCHEMA):
            self.check(entities)

    def check(self, entities: Entities) -> None:
        """Law 7: no version before one already given."""
        if entities.session:
            assert entities.session.version >= self.last_seen
            assert entities.session.view.risk == entities.session.version % 100
            self.last_seen = entities.session.version

    async def settled(self) -> None:
        """Law 6: once changes have been heard of, memory says what the store says."""
        changed = time.monotonic()
        await eventually(lambda: self.source._lease.until >= changed + self.source._lease._duration)
        cached = self.source.peek([SESSION, ALICE], SCHEMA)
        assert cached is None or risk_in(cached) == self.risk
        assert risk_in(await self.source.load([SESSION, ALICE], SCHEMA, in_time())) == self.risk
        assert risk_in(self.source.peek([SESSION, ALICE], SCHEMA)) == self.risk


@_ON_A_SERVER
@given(steps=_STEPS)
def test_law_6_cached_is_uncached_and_law_7_versions_never_go_back(shared: Server, steps: list[str]) -> None:
    async def play() -> None:
        client = shared.client()
        client.flushall()
        options = patient(shared.url, ping_interval=0.01, reconnect_delay=0.02)
        async with started(options) as source:
            game = _Play(client, source)
            for step in steps:
                await game.step(step)
            await game.settled()

    asyncio.run(play())


@_ON_A_SERVER
@given(st.integers(1, 8), st.integers(1, 30), st.lists(st.integers(0, 3), min_size=1, max_size=5))
def test_law_7_holds_for_many_askers_at_once(shared: Server, askers: int, writes: int, pauses: list[int]) -> None:
    async def ask(source: RedisAttributes, done: asyncio.Event) -> None:
        last = 0
        while not done.is_set():
            with contextlib.suppress(AttributesUnavailableError):
                entities = source.peek([SESSION], SCHEMA) or await source.load([SESSION], SCHEMA, in_time())
                assert entities.session is not None
                assert entities.session.version >= last
                assert entities.session.view.risk == entities.session.version % 100
                last = entities.session.version
            await asyncio.sleep(0)

    async def play() -> None:
        client = shared.client()
        client.flushall()
        start = time.monotonic_ns()
        write(client, SESSION, start, risk=start % 100)
        async with started(patient(shared.url)) as source:
            done = asyncio.Event()
            async with asyncio.TaskGroup() as group:
                for _ in range(askers):
                    group.create_task(ask(source, done))
                for i in range(1, writes + 1):
                    await asyncio.to_thread(write, client, SESSION, start + i, risk=(start + i) % 100)
                    for _ in range(pauses[i % len(pauses)]):
                        await asyncio.sleep(0)
                done.set()

    asyncio.run(play())


@_ON_A_SERVER
@given(when=st.lists(st.integers(0, 12), min_size=1, max_size=12))
def test_law_8_a_cancelled_read_fills_nothing_false(shared: Server, when: list[int]) -> None:
    async def play() -> None:
        client = shared.client()
        client.flushall()
        version = time.monotonic_ns()
        async with started(patient(shared.url, ping_interval=0.01)) as source:
            for ticks in when:
                version += 1
                write(client, SESSION, version, risk=version % 100)
                load = asyncio.create_task(source.load([SESSION], SCHEMA, in_time()))
                for _ in range(ticks):
                    await asyncio.sleep(0)
                load.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await load
                changed = time.monotonic()
                await eventually(lambda at=changed: source._lease.until >= at + source._lease._duration)
                cached = source.peek([SESSION], SCHEMA)
                assert cached is None or risk_in(cached) == version % 100

    asyncio.run(play())
