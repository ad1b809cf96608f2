"""Servers to test against: the real transports, each in its own processes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import grpc.aio
import httpx
import pytest

from pdp.server.application import Address, ServerSettings
from pdp.server.envoy.process import unavailable
from pdp.server.rpc import Limits, Tls
from tests.server.pki import Authority, Pair

ROOT = Path(__file__).parents[2]
TRANSPORTS = [
    "grpcio",
    pytest.param("envoy", marks=pytest.mark.skipif(unavailable() is not None, reason=str(unavailable()))),
]
LIMITS = Limits(message_bytes=256 << 10, default_deadline=1.0, connection_age=600.0, drain=4.0)


class Server:
    """A supervisor process and where it serves."""

    def __init__(self, transport: str, settings: ServerSettings, workers: int = 1) -> None:
        self.transport = transport
        self.settings = settings
        options = {"transport": transport, "settings": asdict(settings), "workers": workers}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.server.serve", json.dumps(options)],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        self.ready = json.loads(line) if line else {}

    @property
    def port(self) -> int:
        return int(self.ready["grpc"])

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def http(self) -> str:
        scheme = "https" if self.settings.tls else "http"
        return f"{scheme}://127.0.0.1:{self.ready['http']}"

    @property
    def pids(self) -> list[int]:
        return list(self.ready["pids"])

    def terminate(self) -> None:
        self.process.send_signal(signal.SIGTERM)

    def wait(self) -> tuple[int, str]:
        """The exit code and what was written to stderr."""
        _, errors = self.process.communicate(timeout=30)
        return self.process.returncode, errors

    def stop(self) -> None:
        if self.process.poll() is None:
            self.terminate()
            self.wait()


Start = Callable[..., Server]


def settings(limits: Limits = LIMITS, tls: Tls | None = None, **application: Any) -> ServerSettings:
    local = Address("127.0.0.1", 0)
    return ServerSettings("tests.server.example:build", application, local, local, limits, tls)


@pytest.fixture(scope="module", params=TRANSPORTS)
def transport(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def server(transport: str) -> Iterator[Server]:
    """One plaintext server for all tests of a module; they leave it as they found it."""
    started = Server(transport, settings())
    yield started
    started.stop()


@pytest.fixture
def start(transport: str) -> Iterator[Start]:
    """Starts servers of a test's own."""
    started: list[Server] = []

    def run(workers: int = 1, **options: Any) -> Server:
        started.append(Server(transport, settings(**options), workers))
        return started[-1]

    yield run
    for each in started:
        each.stop()


@pytest.fixture
async def channel(server: Server) -> AsyncIterator[grpc.aio.Channel]:
    async with grpc.aio.insecure_channel(server.address) as opened:
        yield opened


@pytest.fixture
async def client(server: Server) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=server.http, timeout=5) as opened:
        yield opened


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path, "authority")


@pytest.fixture
def server_pair(authority: Authority) -> Pair:
    return authority.issue("server")
