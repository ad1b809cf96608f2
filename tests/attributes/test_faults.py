"""The store absent, killed, frozen, cut off, out of bounds: never a stale answer beyond the lease, never a hang."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import time
from pathlib import Path

import pytest
from redis.asyncio.connection import Connection, UnixDomainSocketConnection

from pdp.attributes import RedisAttributes, RedisSettings
from pdp.core.decision import Entity
from pdp.core.errors import AttributesUnavailableError
from pdp.core.request import EntityRef
from tests.attributes.support import (
    ALL,
    SCHEMA,
    SESSION,
    Server,
    eventually,
    in_time,
    patient,
    risk_in,
    running,
    started,
    write,
    write_all,
)


def _open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


async def _recovers(source: RedisAttributes, risk: int) -> None:
    await eventually(lambda: source.ready() is None, "it did not recover by itself")
    assert risk_in(await source.load(ALL, SCHEMA, in_time())) == risk
    assert risk_in(source.peek(ALL, SCHEMA)) == risk


async def test_absent_at_start_it_denies_at_once_and_recovers_by_itself(server: Server) -> None:
    server.kill()
    async with started(patient(server.url), wait=False) as source:
        began = time.monotonic()
        with pytest.raises(AttributesUnavailableError, match="ConnectionError"):
            await source.load(ALL, SCHEMA, in_time())
        assert time.monotonic() - began < 2
        assert source.peek(ALL, SCHEMA) is None
        await eventually(lambda: "Connection" in (source.ready() or ""))
        server.start()
        write_all(server.client())
        await _recovers(source, 5)


async def test_killed_its_cache_is_dropped_and_it_recovers_by_itself(server: Server) -> None:
    write_all(server.client())
    async with started(patient(server.url)) as source:
        await source.load(ALL, SCHEMA, in_time())
        server.kill()
        await eventually(lambda: source.peek(ALL, SCHEMA) is None, limit=1)
        with pytest.raises(AttributesUnavailableError):
            await source.load(ALL, SCHEMA, in_time())
        server.start()
        write_all(server.client(), version=2)
        await _recovers(source, 5)
        assert source.stats().reconnects == 1


async def test_frozen_the_lease_bounds_what_the_cache_may_decide(server: Server) -> None:
    write_all(server.client())
    settings = RedisSettings(server.url, lease=0.4, ping_interval=0.1, fetch_timeout=5, connect_timeout=5)
    async with started(settings) as source:
        await source.load(ALL, SCHEMA, in_time())
        server.freeze()
        frozen = time.monotonic()
        await eventually(lambda: source.peek(ALL, SCHEMA) is None)
        assert time.monotonic() - frozen < 1
        assert source.ready() == "attribute store: the lease has run out"
        deadline = in_time(0.2)
        with pytest.raises(AttributesUnavailableError, match="in time"):
            await source.load(ALL, SCHEMA, deadline)
        assert 0 <= asyncio.get_running_loop().time() - deadline < 1
        server.thaw()
        await _recovers(source, 5)


async def test_frozen_in_flight_it_gives_up_at_the_fetch_timeout_and_caches_nothing(server: Server) -> None:
    write_all(server.client())
    async with started(patient(server.url, fetch_timeout=0.1)) as source:
        server.freeze()
        loads = [asyncio.create_task(source.load(ALL, SCHEMA, in_time())) for _ in range(50)]
        began = time.monotonic()
        for load in loads:
            with pytest.raises(AttributesUnavailableError):
                await load
        assert time.monotonic() - began < 2
        assert source.stats().fetches < 50
        assert source.peek(ALL, SCHEMA) is None
        server.thaw()
        await asyncio.sleep(0.05)
        assert source.peek(ALL, SCHEMA) is None


async def test_silence_beyond_the_limit_ends_the_connection_and_a_new_one_is_made(server: Server) -> None:
    write_all(server.client())
    async with started(RedisSettings(server.url, silence=0.4, connect_timeout=0.3, fetch_timeout=2)) as source:
        await source.load(ALL, SCHEMA, in_time())
        server.freeze()
        await eventually(lambda: not source.stats().connected)
        await eventually(lambda: "TimeoutError" in (source.ready() or ""))
        server.thaw()
        await _recovers(source, 5)
        assert source.stats().reconnects >= 1


async def test_a_tracking_connection_that_is_killed_takes_the_cache_with_it(server: Server) -> None:
    """Changes made before the next connection is up go unreported: nothing read earlier may decide."""
    client = server.client()
    write_all(client)
    async with started(patient(server.url, reconnect_delay=5)) as source:
        await source.load(ALL, SCHEMA, in_time())
        tracking = [it["id"] for it in client.client_list() if "t" in it["flags"] or "B" in it["flags"]]
        assert len(tracking) == 1
        client.client_kill_filter(_id=tracking[0])
        await eventually(lambda: source.peek(ALL, SCHEMA) is None)
        write(client, SESSION, 2, risk=90)
        assert risk_in(await source.load(ALL, SCHEMA, in_time())) == 90
        await _recovers(source, 90)


async def test_without_tracking_reads_are_fresh_and_not_cached(server: Server) -> None:
    client = server.client()
    write_all(client)
    source = RedisAttributes(patient(server.url))  # Not started: no tracking connection.
    for risk in (5, 6, 7):
        write(client, SESSION, risk, risk=risk)
        assert risk_in(await source.load(ALL, SCHEMA, in_time())) == risk
        assert source.peek(ALL, SCHEMA) is None
    await source.stop()


async def test_read_connections_closed_by_the_server_are_replaced_without_an_error(server: Server) -> None:
    client = server.client()
    write_all(client)
    async with started(patient(server.url)) as source:
        for version in range(2, 12):
            assert risk_in(await source.load(ALL, SCHEMA, in_time())) == 5
            readers = [it["id"] for it in client.client_list() if it["cmd"] == "pttl"]
            assert readers
            for reader in readers:
                client.client_kill_filter(_id=reader)
            write(client, SESSION, version, risk=5)
            await eventually(lambda: source.peek(ALL, SCHEMA) is None)
        assert source.stats().fetch_errors == 0


async def test_reads_given_up_by_the_hundred_leave_the_pool_whole(server: Server) -> None:
    write_all(server.client())
    async with started(patient(server.url, max_connections=3, fetch_timeout=0.05)) as source:
        server.freeze()
        for batch in range(10):
            refs = [(Entity.RESOURCE, EntityRef("customer", f"c-{batch}-{i}")) for i in range(20)]
            loads = [source.load([ref], SCHEMA, in_time()) for ref in refs]
            failed = await asyncio.gather(*loads, return_exceptions=True)
            assert all(isinstance(error, AttributesUnavailableError) for error in failed)
        assert source.stats().fetch_errors == 200
        server.thaw()
        await eventually(lambda: source.ready() is None)
        for _ in range(10):
            with contextlib.suppress(AttributesUnavailableError):
                assert risk_in(await source.load(ALL, SCHEMA, in_time())) == 5
        assert source.peek(ALL, SCHEMA)
        # The pool, the tracking connection, the client that counts and the one that wrote.
        assert len(server.client().client_list()) <= 3 + 1 + 2


async def test_a_cancelled_caller_leaves_the_read_to_the_others(server: Server) -> None:
    write_all(server.client())
    async with started(patient(server.url)) as source:
        first = asyncio.create_task(source.load(ALL, SCHEMA, in_time()))
        second = asyncio.create_task(source.load(ALL, SCHEMA, in_time()))
        await asyncio.sleep(0)
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        assert risk_in(await second) == 5
        assert source.stats().fetches == 1


async def test_stopping_tells_those_who_wait(server: Server) -> None:
    async with started(patient(server.url)) as source:
        server.freeze()
        load = asyncio.create_task(source.load(ALL, SCHEMA, in_time()))
        await asyncio.sleep(0.05)
        await source.stop()
        with pytest.raises(AttributesUnavailableError, match="stopped"):
            await load
        server.thaw()


async def test_an_error_while_it_is_torn_down_does_not_keep_it_from_stopping(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The library may raise when a cancelled read and its owner both close the connection."""
    disconnect = Connection.disconnect

    async def fails(connection: Connection, *args: object, **options: object) -> None:
        await disconnect(connection, *args, **options)
        raise AttributeError("'NoneType' object has no attribute 'close'")

    source = RedisAttributes(patient(server.url))
    await source.start()
    await eventually(lambda: source.ready() is None)
    monkeypatch.setattr(UnixDomainSocketConnection, "disconnect", fails)
    async with asyncio.timeout(5):
        await source.stop()


async def test_a_stall_of_the_process_itself_ends_the_lease(server: Server) -> None:
    """A process that was paused cannot know what changed meanwhile, however full its socket is."""
    client = server.client()
    write_all(client)
    async with started(RedisSettings(server.url, fetch_timeout=5, connect_timeout=5)) as source:
        await source.load(ALL, SCHEMA, in_time())
        write(client, SESSION, 2, risk=90)
        time.sleep(0.4)  # noqa: ASYNC251 - the stall is the point
        assert source.peek(ALL, SCHEMA) is None
        assert risk_in(await source.load(ALL, SCHEMA, in_time())) == 90


@pytest.mark.parametrize("password", ["", "wrong"])
async def test_a_wrong_password_is_named_and_not_shown(executable: str, password: str) -> None:
    with running(executable, "requirepass s3cret-of-the-store") as server:
        settings = patient(server.url, password=password)
        async with started(settings, wait=False) as source:
            await eventually(lambda: source.ready() != "attribute store: not started")
            assert "Authentication" in (source.ready() or "")
            with pytest.raises(AttributesUnavailableError) as caught:
                await source.load(ALL, SCHEMA, in_time())
            assert "Authentication" in str(caught.value)
            assert "wrong" not in str(caught.value)


async def test_a_server_that_speaks_something_else_is_an_error_and_not_a_crash() -> None:
    async def gibberish(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n" + os.urandom(200) + b"\r\n")
        await writer.drain()
        writer.close()

    listener = await asyncio.start_server(gibberish, "127.0.0.1", 0)
    port = listener.sockets[0].getsockname()[1]
    async with listener, started(patient(f"redis://127.0.0.1:{port}"), wait=False) as source:
        for _ in range(5):
            with pytest.raises(AttributesUnavailableError):
                await source.load(ALL, SCHEMA, in_time())
        assert source.ready()


async def test_nothing_is_left_behind(server: Server) -> None:
    write_all(server.client())
    before = _open_files()
    for _ in range(5):
        async with started(patient(server.url)) as source:
            await source.load(ALL, SCHEMA, in_time())
    gc.collect()
    await asyncio.sleep(0.05)
    assert _open_files() <= before + 1
    assert len(asyncio.all_tasks()) == 1
