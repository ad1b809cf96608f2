"""Reads under way, with the moment of each answer in the test's hand; the reads themselves are real."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

import pytest

from pdp.attributes import RedisAttributes
from pdp.attributes.fetch import Fetched, Reader, Want
from pdp.core.errors import AttributesUnavailableError
from pdp.core.schema import Schema
from tests.attributes.support import (
    ALICE,
    CUSTOMER,
    SCHEMA,
    SESSION,
    Server,
    eventually,
    in_time,
    make_schema,
    patient,
    risk_in,
    started,
    write,
    write_all,
)


class Gate:
    """Holds back what a real read returned until it is let through."""

    def __init__(self, reader: Reader) -> None:
        self._read = reader.read
        self.waiting: list[asyncio.Event] = []
        reader.read = self.read  # type: ignore[method-assign]

    async def read(self, wants: Sequence[Want], schema: Schema) -> list[Fetched]:
        fetched = await self._read(wants, schema)
        self.waiting.append(asyncio.Event())
        await self.waiting[-1].wait()
        return fetched

    async def held(self, count: int) -> None:
        await eventually(lambda: len(self.waiting) == count)

    def open(self, which: int) -> None:
        self.waiting[which].set()


@pytest.fixture
async def source(server: Server) -> AsyncIterator[RedisAttributes]:
    write_all(server.client())
    async with started(patient(server.url)) as one:
        yield one


@pytest.fixture
def gate(source: RedisAttributes) -> Gate:
    return Gate(source._reader)


def _load(source: RedisAttributes, *targets: object, schema: Schema = SCHEMA) -> asyncio.Task[object]:
    return asyncio.create_task(source.load(targets or (SESSION,), schema, in_time()))  # type: ignore[arg-type]


async def test_a_change_during_a_read_discards_the_fill(source: RedisAttributes, gate: Gate, server: Server) -> None:
    load = _load(source)
    await gate.held(1)
    write(server.client(), SESSION, 2, risk=90)
    await eventually(lambda: not source._flights._by_key)
    gate.open(0)
    assert risk_in(await load) == 5  # The question overlaps the change: either answer is right.
    assert source.peek([SESSION], SCHEMA) is None


async def test_a_question_after_a_change_does_not_join_a_read_from_before_it(
    source: RedisAttributes, gate: Gate, server: Server
) -> None:
    before = _load(source)
    await gate.held(1)
    write(server.client(), SESSION, 2, risk=90)
    await eventually(lambda: not source._flights._by_key)
    after = _load(source)
    await gate.held(2)
    gate.open(0)
    gate.open(1)
    assert (risk_in(await before), risk_in(await after)) == (5, 90)
    assert risk_in(source.peek([SESSION], SCHEMA)) == 90


async def test_a_read_that_a_newer_one_overtook_is_made_again(
    source: RedisAttributes, gate: Gate, server: Server
) -> None:
    """Law 7 without a needless deny: the older answer is not used, the question is asked once more."""
    before = _load(source)
    await gate.held(1)
    write(server.client(), SESSION, 2, risk=90)
    await eventually(lambda: not source._flights._by_key)
    after = _load(source)
    await gate.held(2)
    gate.open(1)
    assert risk_in(await after) == 90
    gate.open(0)
    await gate.held(3)
    gate.open(2)
    assert risk_in(await before) == 90


async def test_a_flush_during_a_read_discards_the_fill(source: RedisAttributes, gate: Gate, server: Server) -> None:
    load = _load(source, SESSION, ALICE, CUSTOMER)
    await gate.held(1)
    server.client().flushall()
    await eventually(lambda: not source._flights._by_key)
    gate.open(0)
    await load
    for target in (SESSION, ALICE, CUSTOMER):
        assert source.peek([target], SCHEMA) is None


async def test_a_lost_connection_during_a_read_discards_the_fill(
    source: RedisAttributes, gate: Gate, server: Server
) -> None:
    client = server.client()
    load = _load(source)
    await gate.held(1)
    client.client_kill_filter(_id=next(it["id"] for it in client.client_list() if "t" in it["flags"]))
    await eventually(lambda: source.stats().reconnects == 1 and source.ready() is None)
    gate.open(0)
    assert risk_in(await load) == 5
    assert source.peek([SESSION], SCHEMA) is None


async def test_many_questions_share_one_read(source: RedisAttributes, gate: Gate) -> None:
    loads = [_load(source, SESSION, ALICE) for _ in range(100)]
    await gate.held(1)
    loads += [_load(source, SESSION) for _ in range(100)]
    await asyncio.sleep(0)
    gate.open(0)
    assert {risk_in(await load) for load in loads} == {5}
    assert source.stats().fetches == 1


async def test_a_question_under_another_schema_does_not_join(source: RedisAttributes, gate: Gate) -> None:
    other = make_schema()
    first, second = _load(source), _load(source, schema=other)
    await gate.held(2)
    gate.open(0)
    gate.open(1)
    assert risk_in(await first) == risk_in(await second) == 5
    assert source.stats().fetches == 2


async def test_when_all_have_given_up_the_read_still_fills(source: RedisAttributes, gate: Gate) -> None:
    load = _load(source)
    await gate.held(1)
    load.cancel()
    with pytest.raises(asyncio.CancelledError):
        await load
    gate.open(0)
    await eventually(lambda: risk_in(source.peek([SESSION], SCHEMA)) == 5)


async def test_a_read_cancelled_by_a_stop_fills_nothing(source: RedisAttributes, gate: Gate) -> None:
    """Law 8."""
    load = _load(source)
    await gate.held(1)
    await source.stop()
    with pytest.raises(AttributesUnavailableError, match="stopped"):
        await load
    assert not [entry for entry in source._cache._queue if entry.schema]
    assert not source._flights._by_key


async def test_one_failed_read_fails_those_that_joined_it_and_no_other(source: RedisAttributes, gate: Gate) -> None:
    joined = [_load(source), _load(source)]
    await gate.held(1)
    other = _load(source, ALICE)
    await gate.held(2)
    for task in source._flights._tasks:
        if source._flights._by_key["attr:session:session:s-1"] is task.get_coro().cr_frame.f_locals["flight"]:
            task.cancel()
    for load in joined:
        with pytest.raises(AttributesUnavailableError):
            await load
    gate.open(1)
    assert (await other).subject is not None
