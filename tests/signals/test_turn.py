"""One worker of many polls a transmitter; another follows when it ends, dies, or loses sight of the store."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator

import pytest

from pdp.core.errors import AttributesUnavailableError
from pdp.ports import Turns
from pdp.signals import Poller
from pdp.signals import turn as module
from pdp.signals.turn import Turn
from tests.attributes.support import Server, eventually
from tests.signals.support import OPAQUE, SESSION, World, receiving
from tests.signals.test_poll import REVOKED, polled
from tests.signals.transmitter import Transmitter


class Cut:
    """A way to the store that can be cut; then a worker on it is as good as dead, or out of sight."""

    def __init__(self, turns: Turns) -> None:
        self._turns = turns
        self.cut = False
        self.silent = False

    async def take(self, name: str, holder: str, seconds: float) -> int:
        if self.silent:
            await asyncio.sleep(60)
        if self.cut:
            raise AttributesUnavailableError("cut")
        return await self._turns.take(name, holder, seconds)


class Worker:
    """A worker that polls, and what it polled."""

    def __init__(self, world: World) -> None:
        self.way = Cut(world.store)
        self.poller = Poller(world.policies, world.receiver, world.http, world.settings, self.way)
        self.task = asyncio.create_task(self.poller.run())

    @property
    def polls(self) -> int:
        return sum(self.poller.counts().values())


@pytest.fixture(autouse=True)
def brief(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LEASE", 1.0)
    monkeypatch.setattr(module, "LOOK", 0.1)


@contextlib.asynccontextmanager
async def working(server: Server, transmitter: Transmitter, number: int = 3) -> AsyncIterator[list[Worker]]:
    # An empty answer at once, so that polls are many and quick.
    transmitter.answer_poll = {"sets": {}}
    async with receiving(server, transmitter, text=polled(transmitter)) as world:
        workers = [Worker(world) for _ in range(number)]
        try:
            yield workers
        finally:
            for worker in workers:
                worker.task.cancel()
            await asyncio.wait([worker.task for worker in workers])


async def who_polls(workers: list[Worker]) -> list[Worker]:
    """Give those that poll within a while."""
    before = [worker.polls for worker in workers]
    await eventually(lambda: sum(worker.polls for worker in workers) >= sum(before) + 20, "nobody polls")
    return [worker for worker, polls in zip(workers, before, strict=True) if worker.polls > polls]


async def test_one_of_many_polls(server: Server, transmitter: Transmitter) -> None:
    async with working(server, transmitter) as workers:
        (one,) = await who_polls(workers)
        await asyncio.sleep(1.5)
        assert await who_polls(workers) == [one]


async def test_one_that_ends_is_followed_at_once(server: Server, transmitter: Transmitter) -> None:
    async with working(server, transmitter) as workers:
        (one,) = await who_polls(workers)
        one.task.cancel()
        await asyncio.wait([one.task])
        (other,) = await who_polls(workers)
        assert other is not one


@pytest.mark.parametrize("silent", [False, True])
async def test_one_out_of_sight_of_the_store_stops_before_another_begins(
    server: Server, transmitter: Transmitter, *, silent: bool
) -> None:
    async with working(server, transmitter) as workers:
        (one,) = await who_polls(workers)
        others = [worker for worker in workers if worker is not one]
        before = [worker.polls for worker in others]
        one.way.cut, one.way.silent = not silent, silent
        await eventually(lambda: [worker.polls for worker in others] != before, "nobody follows")
        # One answer may have been on its way.
        polls = one.polls
        await who_polls(others)
        assert one.polls <= polls + 1


async def test_what_was_not_acknowledged_is_by_the_next_and_has_its_effect_once(
    server: Server, transmitter: Transmitter
) -> None:
    async with working(server, transmitter) as workers:
        (one,) = await who_polls(workers)
        transmitter.answer_poll = None
        token, claims = transmitter.token, transmitter.claims(REVOKED, OPAQUE)
        one.way.cut = True
        jti = transmitter.enqueue(token(REVOKED, OPAQUE, jti=claims["jti"]), claims["jti"])
        await eventually(lambda: jti in transmitter.acknowledged)
        world = one.poller._receiver
        assert sum(n for (_, _, outcome), n in world.counts().items() if outcome == "applied") == 1


async def test_a_term_that_ran_out_is_over_even_for_who_had_it(world: World) -> None:
    turn = Turn(world.store, "https://idp.example.com/")
    assert await turn.taken()
    first = turn.term
    assert await turn.taken()
    assert turn.term == first
    await asyncio.sleep(module.LEASE + 0.05)
    other = Turn(world.store, "https://idp.example.com/")
    assert await other.taken()
    assert other.term == first + 1
    assert not await turn.taken()
    await turn.give_back()
    assert await other.taken()
    await other.give_back()
    began = time.monotonic()
    assert await turn.taken()
    assert turn.term == first + 2
    assert time.monotonic() - began < module.LEASE


async def test_turns_at_different_work_do_not_meet(world: World) -> None:
    one, other = Turn(world.store, "https://a.example/"), Turn(world.store, "https://b.example/")
    assert await one.taken()
    assert await other.taken()
    assert await world.attribute(SESSION, "revoked") is False
