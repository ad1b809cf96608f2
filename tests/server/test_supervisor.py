"""Workers: drained without a failed call, restarted after a crash, never left behind, counted together."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import time
from pathlib import Path

import grpc
import grpc.aio
import httpx
import psutil
import pytest

from pdp.server.application import Address, ServerSettings
from pdp.server.envoy import process
from pdp.server.supervisor import Supervisor, Transport
from tests.server.conftest import LIMITS, Server, Start
from tests.server.example import path


class Load:
    """Callers that keep calling until their server is gone, and what became of their calls."""

    def __init__(self, server: Server, callers: int) -> None:
        self._server = server
        self.answered = 0
        self.failed: list[grpc.aio.AioRpcError] = []
        self._tasks = [asyncio.create_task(self._call()) for _ in range(callers)]

    async def _call(self) -> None:
        options = [("grpc.use_local_subchannel_pool", 1)]
        async with grpc.aio.insecure_channel(self._server.address, options=options) as channel:
            sleep = channel.unary_unary(path("Sleep"))
            while True:
                try:
                    await sleep(b"20 load")
                except grpc.aio.AioRpcError as error:
                    if not (error.details() or "").startswith("failed to connect"):
                        self.failed.append(error)
                    return
                self.answered += 1

    async def until_refused(self) -> None:
        async with asyncio.timeout(20):
            await asyncio.gather(*self._tasks)


@pytest.mark.parametrize("workers", [1, 2])
async def test_a_drain_under_load_fails_no_call(start: Start, tmp_path: Path, workers: int) -> None:
    stopped = tmp_path / "stopped"
    server = start(workers, stopped_file=str(stopped))
    load = Load(server, callers=24)
    await asyncio.sleep(1)
    before = load.answered
    server.terminate()
    await load.until_refused()
    code, errors = await asyncio.to_thread(server.wait)
    assert before > 100
    if server.transport == "envoy":
        assert load.failed == []
    else:  # C-core cancels what it has received but not yet handed over; nothing of it has run
        assert {error.code() for error in load.failed} <= {grpc.StatusCode.CANCELLED}
    assert code == 0, errors
    assert sorted(map(int, stopped.read_text().split())) == sorted(server.pids)


async def test_a_call_in_flight_at_sigterm_is_answered(start: Start) -> None:
    server = start()
    async with grpc.aio.insecure_channel(server.address) as channel:
        running = [channel.unary_unary(path("Sleep"))(b"800 in-flight") for _ in range(20)]
        await asyncio.sleep(0.3)
        server.terminate()
        assert len(await asyncio.gather(*running)) == 20
    assert (await asyncio.to_thread(server.wait))[0] == 0


async def test_a_stream_is_told_to_move_when_its_server_drains(start: Start) -> None:
    server = start()
    async with grpc.aio.insecure_channel(server.address) as channel:
        stream = channel.stream_stream(path("Chat"))()
        await stream.write(b"one")
        assert await stream.read() == b"one"
        server.terminate()
        await stream.write(b"two")
        assert await stream.read() == b"two"
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stream.read()
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    began = time.monotonic()
    assert (await asyncio.to_thread(server.wait))[0] == 0
    assert time.monotonic() - began < LIMITS.drain + 5


async def pids_that_answer(server: Server, tries: int = 40) -> set[int]:
    seen = set()
    for _ in range(tries):
        options = [("grpc.use_local_subchannel_pool", 1)]
        async with grpc.aio.insecure_channel(server.address, options=options) as channel:
            answer = await channel.unary_unary(path("WhoAmI"))(b"", wait_for_ready=True, timeout=5)
        seen.add(int(re.search(rb'"pid": (\d+)', answer)[1]))  # type: ignore[index]
    return seen


async def test_workers_share_the_port(start: Start) -> None:
    server = start(2)
    assert len(server.pids) == 2
    assert await pids_that_answer(server) == set(server.pids)


async def test_a_killed_worker_is_replaced(start: Start) -> None:
    server = start(2)
    killed, kept = server.pids
    os.kill(killed, signal.SIGKILL)
    deadline = time.monotonic() + 15
    seen: set[int] = set()
    while time.monotonic() < deadline and len(seen) < 2:
        seen = await pids_that_answer(server, 10)
    assert kept in seen
    assert len(seen) == 2
    assert killed not in seen


async def test_no_worker_outlives_its_supervisor(start: Start) -> None:
    server = start(2)
    directory = Path(psutil.Process(server.pids[0]).environ()["PDP_WORKER_DIRECTORY"]).parent
    assert directory.is_dir()
    server.process.kill()
    workers = [psutil.Process(pid) for pid in server.pids if psutil.pid_exists(pid)]
    _, alive = await asyncio.to_thread(psutil.wait_procs, workers, LIMITS.drain + 10)
    assert alive == []
    # What is killed cannot tidy up: the next run does.
    start()
    assert not directory.exists()


async def counted(client: httpx.AsyncClient, server: Server) -> float:
    answer = await client.get(f"{server.http}/metrics")
    found = re.search(r"^example_calls_total (\S+)", answer.text, re.MULTILINE)
    return float(found[1]) if found else 0.0


async def test_metrics_add_up_across_workers_and_crashes(start: Start) -> None:
    server = start(2)
    for _ in range(30):
        options = [("grpc.use_local_subchannel_pool", 1)]
        async with grpc.aio.insecure_channel(server.address, options=options) as channel:
            await channel.unary_unary(path("Echo"))(b"")
    await asyncio.sleep(1.5)  # what others left is a second old at most
    async with httpx.AsyncClient(headers={"connection": "close"}) as client:
        assert {await counted(client, server) for _ in range(10)} == {30.0}
        os.kill(server.pids[0], signal.SIGKILL)
        await pids_that_answer(server)
        assert await counted(client, server) == 30.0


def test_an_application_that_does_not_start_stops_the_supervisor(start: Start) -> None:
    server = start(fail_at_start=True)
    code, errors = server.wait()
    assert code == 1
    assert "this application does not start" in errors
    assert "error: a worker ended before it served" in errors


@pytest.mark.parametrize("transport", [Transport.ENVOY, Transport.GRPCIO])
async def test_workers_that_were_never_told_what_to_serve_are_not_left_behind(transport: Transport) -> None:
    settings = ServerSettings("json:loads", {}, Address("127.0.0.1", 0))
    async with Supervisor(transport, settings, 2) as supervisor:
        workers = [psutil.Process(pid) for pid in supervisor.pids]
        directories = [Path(worker.environ()["PDP_WORKER_DIRECTORY"]) for worker in workers]
    assert len(workers) == 2
    assert not any(map(psutil.Process.is_running, workers))
    assert not any(directory.parent.exists() for directory in directories)


async def test_envoy_is_chosen_where_it_can_run(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = ServerSettings("json:loads", {}, Address("127.0.0.1", 0))
    async with Supervisor(Transport.AUTO, settings) as supervisor:
        assert supervisor.transport is Transport.ENVOY
    monkeypatch.setattr(process, "unavailable", lambda: "it is not installed")
    async with Supervisor(Transport.AUTO, settings) as supervisor:
        assert supervisor.transport is Transport.GRPCIO
    with pytest.raises(RuntimeError, match="not installed; serve by grpcio"):
        Supervisor(Transport.ENVOY, settings)


def test_an_address_that_cannot_be_bound_is_an_error() -> None:
    elsewhere = Address("192.0.2.1", 0)  # TEST-NET-1: nobody's
    with pytest.raises(OSError, match="assign"):
        Supervisor(Transport.GRPCIO, ServerSettings("x:y", {}, elsewhere))
