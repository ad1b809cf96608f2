"""Reading through the near cache, on real servers of every version there is."""

from __future__ import annotations

import asyncio
import logging
import time

import pytest

from pdp.attributes import RedisAttributes
from pdp.core.decision import Entity
from pdp.core.errors import AttributesUnavailableError
from pdp.core.reasons import Reason
from pdp.core.request import EntityRef
from tests.attributes.support import (
    ALICE,
    ALL,
    CUSTOMER,
    LAPTOP,
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
    write_all,
)


async def test_a_warm_cache_answers_without_a_round_trip(server: Server) -> None:
    client = server.client()
    write_all(client)
    async with started(patient(server.url)) as source:
        assert source.peek(ALL, SCHEMA) is None
        loaded = await source.load(ALL, SCHEMA, in_time())
        before = client.info("commandstats").get("cmdstat_hmget", {}).get("calls")
        for _ in range(100):
            assert source.peek(ALL, SCHEMA) == loaded
        assert client.info("commandstats")["cmdstat_hmget"]["calls"] == before == len(ALL)
        stats = source.stats()
        assert (stats.hits, stats.misses, stats.fetches, stats.entries) == (100, 1, 1, len(ALL))


async def test_values_arrive_typed_and_unknown_entities_as_none(server: Server) -> None:
    write(server.client(), SESSION, 7, risk="5", undeclared="x")
    async with started(patient(server.url)) as source:
        entities = await source.load(ALL, SCHEMA, in_time())
        assert entities.session is not None
        assert (entities.session.version, entities.session.view.risk) == (7, 5)
        assert not hasattr(entities.session.view, "undeclared")
        assert (entities.subject, entities.device, entities.resource) == (None, None, None)


async def test_a_changed_attribute_decides_within_fifty_milliseconds(server: Server) -> None:
    client = server.client()
    write_all(client)
    async with started(patient(server.url)) as source:
        took = []
        for risk in range(1, 41):
            await source.load(ALL, SCHEMA, in_time())
            await asyncio.to_thread(write, client, SESSION, risk + 1, risk=risk)
            written = time.monotonic()
            while risk_in(source.peek(ALL, SCHEMA) or await source.load(ALL, SCHEMA, in_time())) != risk:
                await asyncio.sleep(0)
            took.append(time.monotonic() - written)
        assert sorted(took)[len(took) // 2] < 0.05


async def test_an_entity_known_not_to_exist_is_found_once_it_does(server: Server) -> None:
    client = server.client()
    async with started(patient(server.url)) as source:
        await source.load([SESSION], SCHEMA, in_time())
        absent = source.peek([SESSION], SCHEMA)
        assert absent is not None
        assert absent.session is None
        write(client, SESSION, 1, risk=5)
        await eventually(lambda: source.peek([SESSION], SCHEMA) is None)
        assert risk_in(await source.load([SESSION], SCHEMA, in_time())) == 5


@pytest.mark.parametrize("how", ["delete", "flush", "unlink", "rename", "expire"])
async def test_whatever_takes_a_record_away_is_noticed(server: Server, how: str) -> None:
    client, key = server.client(), "attr:session:session:s-1"
    write_all(client)
    gone = {
        "delete": lambda: client.delete(key),
        "flush": client.flushall,
        "unlink": lambda: client.unlink(key),
        "rename": lambda: client.rename(key, "elsewhere"),
        "expire": lambda: client.pexpire(key, 1),
    }
    async with started(patient(server.url)) as source:
        assert risk_in(await source.load(ALL, SCHEMA, in_time())) == 5
        gone[how]()
        await eventually(lambda: source.peek(ALL, SCHEMA) is None)
        assert (await source.load(ALL, SCHEMA, in_time())).session is None


async def test_a_record_decides_no_longer_than_it_lives_in_the_store(server: Server) -> None:
    """Redis removes what has expired some time later, and only then says so."""
    client = server.client()
    client.execute_command("DEBUG", "SET-ACTIVE-EXPIRE", "0")
    write(client, SESSION, 1, risk=5)
    client.pexpire("attr:session:session:s-1", 150)
    async with started(patient(server.url)) as source:
        assert risk_in(await source.load([SESSION], SCHEMA, in_time())) == 5
        end = time.monotonic() + 0.15
        while risk_in(source.peek([SESSION], SCHEMA) or await source.load([SESSION], SCHEMA, in_time())):
            assert time.monotonic() < end + 1
            await asyncio.sleep(0.001)
        assert time.monotonic() > end - 0.1


async def test_eviction_by_the_store_is_noticed(executable: str) -> None:
    with running(executable, "maxmemory-policy allkeys-random") as server:
        client = server.client()
        write_all(client)
        async with started(patient(server.url)) as source:
            assert risk_in(await source.load(ALL, SCHEMA, in_time())) == 5
            client.config_set("maxmemory", "1")
            await eventually(lambda: source.peek(ALL, SCHEMA) is None)
            client.config_set("maxmemory", "0")
            assert await source.load(ALL, SCHEMA, in_time()) == await source.load(ALL, SCHEMA, in_time())


async def test_records_read_under_another_schema_are_not_used(server: Server) -> None:
    write_all(server.client())
    other = make_schema()
    async with started(patient(server.url)) as source:
        await source.load(ALL, SCHEMA, in_time())
        assert source.peek(ALL, other) is None
        assert await source.load(ALL, other, in_time()) is not None
        assert source.peek(ALL, other) is not None
        assert source.peek(ALL, SCHEMA) is None


async def test_a_version_never_goes_back(server: Server) -> None:
    """Law 7: what a stale replica shows is refused, not decided by."""
    client = server.client()
    write(client, SESSION, 9, risk=90)
    async with started(patient(server.url)) as source:
        assert risk_in(await source.load([SESSION], SCHEMA, in_time())) == 90
        write(client, SESSION, 8, risk=5)
        await eventually(lambda: source.peek([SESSION], SCHEMA) is None)
        with pytest.raises(AttributesUnavailableError, match="older than one already used"):
            await source.load([SESSION], SCHEMA, in_time())
        assert source.peek([SESSION], SCHEMA) is None
        assert source.stats().refused_versions > 0
        client.flushall()
        await eventually(lambda: source.stats().flushes > 1)
        assert (await source.load([SESSION], SCHEMA, in_time())).session is None
        write(client, SESSION, 8, risk=5)
        await eventually(lambda: source.peek([SESSION], SCHEMA) is None)
        with pytest.raises(AttributesUnavailableError):
            await source.load([SESSION], SCHEMA, in_time())
        write(client, SESSION, 10, risk=7)
        await eventually(lambda: source.peek([SESSION], SCHEMA) is None)
        assert risk_in(await source.load([SESSION], SCHEMA, in_time())) == 7


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("risk", b"\xff\xfe\x00"),
        ("risk", b"9" * 100_000),
        ("risk", b"NaN"),
        ("risk", b""),
        ("risk", b"101"),
        ("risk", b"5\n"),
        ("risk@issued_at", b"\x80"),
        ("_version", b"x" * 20_000),
        ("_version", b"0"),
        ("_version", b"-1"),
        ("_issued_at", b"\xff"),
        ("_issued_at", b"inf"),
    ],
)
async def test_garbage_makes_an_attribute_invalid_and_nothing_worse(server: Server, field: str, value: bytes) -> None:
    write_all(server.client())
    server.client().hset("attr:session:session:s-1", field, value)
    async with started(patient(server.url)) as source:
        entities = await source.load(ALL, SCHEMA, in_time())
        assert entities.session is not None
        assert entities.session.problems["risk"] is Reason.ATTRIBUTE_INVALID
        assert entities.device is not None
        assert not entities.device.problems


@pytest.mark.parametrize("value", [b"\xff\xfe", b"\xed\xa0\x80", b"x" * 5000, b"x" * 3_000_000])
async def test_a_free_text_that_is_none_is_invalid(server: Server, value: bytes) -> None:
    """No lone surrogate and no megabyte reaches a log or a header by way of an attribute without listed values."""
    write(server.client(), ALICE, 1, roles='["agent"]', nickname=value)
    async with started(patient(server.url)) as source:
        subject = (await source.load([ALICE], SCHEMA, in_time())).subject
        assert subject is not None
        assert subject.problems == {"nickname": Reason.ATTRIBUTE_INVALID}


@pytest.mark.parametrize("make", ["set", "rpush", "sadd"])
async def test_a_key_of_the_wrong_type_is_an_invalid_record(server: Server, make: str) -> None:
    client = server.client()
    write_all(client)
    client.delete("attr:session:session:s-1")
    getattr(client, make)("attr:session:session:s-1", "x")
    async with started(patient(server.url)) as source:
        entities = await source.load(ALL, SCHEMA, in_time())
        assert entities.session is not None
        assert entities.session.problems["risk"] is Reason.ATTRIBUTE_INVALID
        assert entities.resource is not None
        client.delete("attr:session:session:s-1")
        write(client, SESSION, 1, risk=5)
        await eventually(lambda: source.peek(ALL, SCHEMA) is None)
        assert risk_in(await source.load(ALL, SCHEMA, in_time())) == 5


async def test_a_hash_of_a_million_foreign_fields_costs_nothing(server: Server) -> None:
    client = server.client()
    write_all(client)
    client.eval("for i = 1, 300000 do redis.call('HSET', KEYS[1], 'x' .. i, i) end", 1, "attr:session:session:s-1")
    async with started(patient(server.url)) as source:
        assert risk_in(await source.load(ALL, SCHEMA, in_time())) == 5
        assert source.stats().entries == len(ALL)


async def test_keys_do_not_collide(server: Server) -> None:
    """Types hold no colon, so no two entities share a key, whatever their identifiers."""
    client = server.client()
    write(client, (Entity.SUBJECT, EntityRef("user", "a:b")), 1, roles='["agent"]')
    async with started(patient(server.url)) as source:
        other = await source.load([(Entity.SUBJECT, EntityRef("user", "a"))], SCHEMA, in_time())
        assert other.subject is None
        assert (
            await source.load([(Entity.SUBJECT, EntityRef("user", "a:b"))], SCHEMA, in_time())
        ).subject is not None


async def test_changes_of_other_keys_are_not_our_business(server: Server) -> None:
    client = server.client()
    write_all(client)
    async with started(patient(server.url)) as source:
        await source.load(ALL, SCHEMA, in_time())
        client.set("other:key", 1)
        client.hset("attr:resource:customer:c-2", "region", "eu")
        await asyncio.sleep(0.1)
        assert source.peek(ALL, SCHEMA) is not None
        assert source.stats().invalidations == 0


async def test_memory_is_bounded(server: Server) -> None:
    async with started(patient(server.url, max_entries=10)) as source:
        for i in range(50):
            await source.load([(Entity.RESOURCE, EntityRef("customer", f"c-{i}"))], SCHEMA, in_time())
        assert source.stats().entries == 10


async def test_a_stop_that_was_asked_for_is_no_warning(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, logger="pdp.attributes"):
        async with started(patient(server.url)) as source:
            assert source.ready() is None
    assert caplog.records == []


async def test_it_stops_and_can_be_stopped_again(server: Server) -> None:
    source = RedisAttributes(patient(server.url))
    await source.start()
    await eventually(lambda: source.ready() is None)
    await source.stop()
    await source.stop()
    assert source.peek([LAPTOP, CUSTOMER], SCHEMA) is None
    assert source.ready() == "attribute store: stopped"
    assert len(asyncio.all_tasks()) == 1
