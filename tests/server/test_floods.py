"""Abuse of the protocol by one caller, while the calls of others all succeed."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Self

import grpc.aio
import psutil
import pytest

from pdp.server.rpc import Limits
from tests.server import rawh2
from tests.server.conftest import Server, settings
from tests.server.example import path

VICTIMS = 8
CALLS = 40
_GROWTH = 200 << 20


@pytest.fixture(scope="module")
def server(transport: str) -> Iterator[Server]:
    """Deadlines long enough that a busy machine is not mistaken for a successful attack."""
    started = Server(transport, settings(Limits(default_deadline=20.0)))
    yield started
    started.stop()


async def all_calls_succeed(server: Server) -> bool:
    """Victims on connections of their own, opened under attack."""

    async def victim() -> int:
        options = [("grpc.use_local_subchannel_pool", 1)]
        async with grpc.aio.insecure_channel(server.address, options=options) as channel:
            echo = channel.unary_unary(path("Echo"))
            answers = [await echo(b"%d" % index, timeout=20, wait_for_ready=True) for index in range(CALLS)]
            return sum(answer == b"%d" % index for index, answer in enumerate(answers))

    return await asyncio.gather(*(victim() for _ in range(VICTIMS))) == [CALLS] * VICTIMS


class Attack:
    """Sends a flood over several connections, opened anew when the server closes them, until stopped."""

    def __init__(self, port: int, flood: Callable[[int], bytes], connections: int = 4) -> None:
        self._port = port
        self._flood = flood
        self._stop = threading.Event()
        self.turns = 0
        self._threads = [threading.Thread(target=self._run) for _ in range(connections)]

    def _run(self) -> None:
        while not self._stop.wait(0.01):
            with contextlib.suppress(OSError), rawh2.RawConnection(self._port) as connection:
                connection.socket.settimeout(0.2)
                for turn in range(100_000):
                    if self._stop.is_set():
                        return
                    connection.send(self._flood(turn))
                    self.turns += 1

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()


def resident(server: Server) -> int:
    return sum(psutil.Process(pid).memory_info().rss for pid in server.pids)


@pytest.mark.parametrize(
    "flood",
    [rawh2.rapid_reset, rawh2.continuation, rawh2.settings, rawh2.ping, rawh2.empty_data],
    ids=lambda flood: flood.__name__,
)
async def test_a_flood_fails_no_call_of_others(server: Server, flood: Callable[[int], bytes]) -> None:
    before = resident(server)
    with Attack(server.port, flood) as attack:
        await asyncio.sleep(0.2)
        assert await all_calls_succeed(server)
    assert attack.turns > 10
    assert resident(server) - before < _GROWTH
    assert psutil.pid_exists(server.pids[0])


async def test_slow_senders_fail_no_call_of_others(server: Server) -> None:
    """Slowloris: connections that never finish their preface, their request line or their request."""
    beginnings = [b"", rawh2.PREFACE[:10], b"GET /healthz HTTP/1.1\r\nhost: x\r\nx-slow: "]
    half = rawh2.PREFACE + rawh2.headers(1, rawh2.request_headers()) + rawh2.data(1, b"\0\0\0\xff")
    with contextlib.ExitStack() as stack:
        for index in range(200):
            opened = stack.enter_context(socket.create_connection(("127.0.0.1", server.port)))
            opened.sendall([*beginnings, half][index % 4])
        assert await all_calls_succeed(server)


async def test_800_idle_connections_fail_no_call_of_others(server: Server) -> None:
    before = resident(server)
    with contextlib.ExitStack() as stack:
        for _ in range(800):
            stack.enter_context(rawh2.RawConnection(server.port))
        assert await all_calls_succeed(server)
        assert resident(server) - before < _GROWTH


async def test_a_connection_has_no_more_streams_than_its_limit(server: Server) -> None:
    limit = server.settings.limits.concurrent_streams
    with rawh2.RawConnection(server.port) as connection:
        for stream in range(1, 4 * limit, 2):
            connection.send(rawh2.headers(stream, rawh2.request_headers("Sleep")))
        assert await all_calls_succeed(server)
