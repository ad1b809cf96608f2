"""Writes: checked, atomic, with versions that only rise; and what a source makes of them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pdp.attributes import AttributesInvalidError, AttributeWriter, EntityUnknownError, open_writer
from pdp.core.errors import AttributesUnavailableError
from pdp.core.record import Record
from tests.attributes.support import (
    CUSTOMER,
    EXECUTABLES,
    SCHEMA,
    SESSION,
    Server,
    eventually,
    in_time,
    patient,
    risk_in,
    running,
    started,
)

KEY = "attr:session:session:s-1"


@pytest.fixture
async def writer(server: Server) -> AsyncIterator[AttributeWriter]:
    async with open_writer(patient(server.url), SCHEMA) as one:
        yield one


async def _record(writer: AttributeWriter) -> Record:
    record = (await writer.read(*SESSION)).record
    assert record is not None
    return record


async def test_put_replaces_the_whole_record(writer: AttributeWriter, server: Server) -> None:
    await writer.put(*SESSION, {"risk": 5, "auth_time": "now"})
    version = await writer.put(*SESSION, {"risk": "7"})
    assert set(server.client().hkeys(KEY)) == {b"_version", b"_issued_at", b"risk"}
    record = await _record(writer)
    assert (record.version, record.view.risk, record.view.auth_time) == (version, 7, 0)


async def test_patch_changes_and_dates_only_what_it_names(writer: AttributeWriter) -> None:
    """The others keep their age: a patch must not make an old value look fresh."""
    now = time.time()
    await writer.put(*SESSION, {"risk": 5, "auth_time": 100}, issued_at=now - 50)
    first = await _record(writer)
    await writer.patch(*SESSION, {"risk": 6}, issued_at=now - 10)
    second = await _record(writer)
    assert second.version > first.version
    assert (second.view.risk, second.view.auth_time) == (6, 100)
    assert second.usable_from["risk"] == pytest.approx(now - 10 - SCHEMA.clock_skew, abs=0.01)
    assert second.usable_from["auth_time"] == first.usable_from["auth_time"]
    await writer.put(*SESSION, {"risk": 7, "auth_time": 1}, issued_at=now)
    assert (await _record(writer)).usable_from["risk"] == pytest.approx(now - SCHEMA.clock_skew, abs=0.01)


async def test_a_patch_of_an_unknown_entity_needs_to_be_told_to_create_it(
    writer: AttributeWriter, server: Server
) -> None:
    with pytest.raises(EntityUnknownError, match="session/s-1 is not on record"):
        await writer.patch(*SESSION, {"risk": 6})
    assert not server.client().exists(KEY)
    await writer.patch(*SESSION, {"risk": 6}, create=True)
    assert (await _record(writer)).view.risk == 6


async def test_a_late_signal_does_not_revive_what_was_deleted(writer: AttributeWriter) -> None:
    await writer.put(*SESSION, {"risk": 5})
    await writer.delete(*SESSION)
    with pytest.raises(EntityUnknownError):
        await writer.patch(*SESSION, {"risk": 6})
    with pytest.raises(EntityUnknownError):
        await writer.delete(*SESSION)
    assert (await writer.read(*SESSION)).record is None


async def test_a_deletion_leaves_a_tombstone_that_ends_some_day(writer: AttributeWriter, server: Server) -> None:
    before = await writer.put(*SESSION, {"risk": 5, "auth_time": 7})
    after = await writer.delete(*SESSION)
    assert after > before
    assert (await writer.read(*SESSION)).version == after
    assert set(server.client().hkeys(KEY)) == {b"_version", b"_issued_at", b"_deleted"}
    assert 0 < server.client().ttl(KEY) <= 30 * 86400
    revived = await writer.put(*SESSION, {"risk": 6})
    assert revived > after
    assert server.client().ttl(KEY) == -1
    assert (await _record(writer)).view.risk == 6


async def test_a_stale_replica_cannot_bring_back_what_was_deleted(writer: AttributeWriter, server: Server) -> None:
    client = server.client()
    await writer.put(*SESSION, {"risk": 5})
    old = client.dump(KEY)
    async with started(patient(server.url)) as source:
        assert risk_in(await source.load([SESSION], SCHEMA, in_time())) == 5
        await writer.delete(*SESSION)
        await eventually(lambda: source.peek([SESSION], SCHEMA) is None)
        assert (await source.load([SESSION], SCHEMA, in_time())).session is None
        client.restore(KEY, 0, old, replace=True)
        await eventually(lambda: source.peek([SESSION], SCHEMA) is None)
        with pytest.raises(AttributesUnavailableError, match="older than one already used"):
            await source.load([SESSION], SCHEMA, in_time())


@pytest.mark.parametrize("loss", ["flushall", "delete"])
async def test_a_record_made_anew_after_a_loss_is_newer_than_the_lost_one(
    writer: AttributeWriter, server: Server, loss: str
) -> None:
    async with started(patient(server.url)) as source:
        for _ in range(10):
            await writer.put(*SESSION, {"risk": 5})
        await eventually(lambda: source.ready() is None)
        await source.load([SESSION], SCHEMA, in_time())
        server.client().flushall() if loss == "flushall" else server.client().delete(KEY)
        await writer.put(*SESSION, {"risk": 9})
        await eventually(lambda: source.peek([SESSION], SCHEMA) is None)
        assert risk_in(await source.load([SESSION], SCHEMA, in_time())) == 9


async def test_versions_rise_by_one_at_least_even_where_the_clock_stands_behind(
    writer: AttributeWriter, server: Server
) -> None:
    ahead = int(time.time() * 1_000_000) + 3_600_000_000
    server.client().hset(KEY, mapping={"_version": ahead, "_issued_at": 1, "risk": 5})
    assert await writer.patch(*SESSION, {"risk": 6}) == ahead + 1
    assert await writer.put(*SESSION, {"risk": 6}) == ahead + 2
    assert await writer.delete(*SESSION) == ahead + 3


async def test_nothing_is_written_where_one_value_is_wrong(writer: AttributeWriter, server: Server) -> None:
    with pytest.raises(AttributesInvalidError, match="session/s-1 risk: must be a whole number from 0 to 100"):
        await writer.put(*SESSION, {"auth_time": "now", "risk": 101})
    with pytest.raises(AttributesInvalidError, match="no such attribute"):
        await writer.put(*CUSTOMER, {"region": "eu", "_version": "9"})
    assert server.client().keys("*") == []


async def test_a_key_of_another_type_is_not_overwritten(writer: AttributeWriter, server: Server) -> None:
    server.client().set(KEY, "x")
    with pytest.raises(AttributesUnavailableError, match="refused a write"):
        await writer.put(*SESSION, {"risk": 5})
    assert server.client().get(KEY) == b"x"


async def test_a_patch_keeps_the_time_a_record_has_to_live(writer: AttributeWriter, server: Server) -> None:
    await writer.put(*SESSION, {"risk": 5})
    server.client().expire(KEY, 100)
    await writer.patch(*SESSION, {"risk": 6})
    assert 0 < server.client().ttl(KEY) <= 100


async def test_patches_from_many_sides_are_all_kept(writer: AttributeWriter, server: Server) -> None:
    await writer.put(*SESSION, {"risk": 0, "auth_time": 0})
    async with open_writer(patient(server.url), SCHEMA) as other:
        versions = await asyncio.gather(
            *(writer.patch(*SESSION, {"risk": i}) for i in range(50)),
            *(other.patch(*SESSION, {"auth_time": i}) for i in range(50)),
        )
    assert len(set(versions)) == 100
    assert (await _record(writer)).version == max(versions)


async def test_a_store_that_is_gone_is_named(server: Server) -> None:
    async with open_writer(patient(server.url), SCHEMA) as writer:
        server.kill()
        for attempt in (writer.put(*SESSION, {"risk": 1}), writer.delete(*SESSION), writer.read(*SESSION)):
            with pytest.raises(AttributesUnavailableError, match="ConnectionError"):
                await attempt


_ACTS = st.lists(
    st.tuples(st.sampled_from(["put", "patch", "create", "delete", "lose"]), st.integers(0, 100)), max_size=20
)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(acts=_ACTS)
def test_law_7_whatever_is_done_versions_rise_and_reads_agree(acts: list[tuple[str, int]]) -> None:
    async def play(server: Server) -> None:
        last, risk = 0, None
        async with open_writer(patient(server.url), SCHEMA) as writer:
            for act, value in acts:
                if act == "lose":
                    server.client().flushall()
                    risk = None
                    continue
                try:
                    version = await _do(writer, act, value)
                except EntityUnknownError:
                    assert risk is None
                    continue
                assert version > last
                last, risk = version, None if act == "delete" else value
                stored = await writer.read(*SESSION)
                assert stored.version == version
                assert (stored.record.view.risk if stored.record else None) == risk

    with running(next(iter(EXECUTABLES.values()))) as server:
        asyncio.run(play(server))


async def _do(writer: AttributeWriter, act: str, value: int) -> int:
    if act == "delete":
        return await writer.delete(*SESSION)
    if act == "put":
        return await writer.put(*SESSION, {"risk": value})
    return await writer.patch(*SESSION, {"risk": value}, create=act == "create")
