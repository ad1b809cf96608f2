"""Worker processes behind one port: started, watched, restarted, drained.

Workers are spawned, never forked (gRPC does not survive a fork), and bind the port themselves with SO_REUSEPORT,
so that a worker's death costs its own connections only. Each has a number, which its successor after a crash takes
over, and all have a folder to share, in which they leave their metrics for one another.
"""

from __future__ import annotations

import asyncio
import contextlib
import enum
import logging
import os
import shutil
import signal
import socket
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Self

from pdp.server import control
from pdp.server.application import Address, Place, ServerSettings
from pdp.server.envoy import process as envoy_process
from pdp.server.http_server import bind
from pdp.server.run_directory import RunDirectory

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

_log = logging.getLogger(__name__)

_START_SECONDS = 60.0
_BACKOFF = (0.1, 0.5, 2.0, 5.0, 10.0)
"""Seconds before a restart, by how many came in a row; a worker that lived ``_STABLE`` seconds starts anew."""
_STABLE = 60.0
_KILL_AFTER = 5.0
"""Seconds beyond the drain after which a worker is killed."""


class Transport(enum.StrEnum):
    """What serves in a worker process. ``AUTO`` is Envoy where it can run, and grpcio elsewhere."""

    AUTO = "auto"
    ENVOY = "envoy"
    GRPCIO = "grpcio"


class StartError(RuntimeError):
    """A worker ended before it served."""


class Supervisor:
    """Runs workers until told to stop. As a context it spawns them, and leaves none behind.

    Args:
        transport: what serves in each worker.
        settings: what each worker serves. Port 0 is chosen once, for all.
        workers: how many.

    Attributes:
        transport: what was chosen.
        settings: with the ports that were chosen.

    Raises:
        OSError: an address cannot be bound.
        RuntimeError: the transport cannot run here.
    """

    def __init__(self, transport: Transport, settings: ServerSettings, workers: int = 1) -> None:
        self.transport = _chosen(transport)
        self._reserved = [bind(address) for address in (settings.listen, settings.http) if address]
        ports = [reserved.getsockname()[1] for reserved in self._reserved]
        self.settings = replace(
            settings,
            listen=Address(settings.listen.host, ports[0]),
            http=Address(settings.http.host, ports[1]) if settings.http else None,
        )
        self._directory = RunDirectory()
        shared = self._directory.path / "shared"
        shared.mkdir()
        self._workers = [
            Worker(
                self.transport,
                replace(self.settings, place=Place(index, str(shared) if workers > 1 else "")),
                self._directory.path / f"worker-{index}",
            )
            for index in range(workers)
        ]
        self._stopping = asyncio.Event()

    @property
    def pids(self) -> list[int]:
        """The process ids of the workers that run."""
        return [worker.pid for worker in self._workers if worker.pid is not None]

    def stop(self) -> None:
        """Ask all workers to drain and end; ``run`` returns when they have."""
        self._stopping.set()

    async def __aenter__(self) -> Self:
        """Spawn the workers, which import what they are to run and wait for ``run``."""
        await asyncio.gather(*(worker.spawn() for worker in self._workers))
        return self

    async def __aexit__(self, *_: object) -> None:
        """End what still runs, and give back the ports."""
        await self._drain()
        for reserved in self._reserved:
            reserved.close()
        self._directory.remove()

    async def run(self, on_ready: Callable[[], None], values: Mapping[str, Any] | None = None) -> None:
        """Let the workers serve, keep them running, return after ``stop``, SIGTERM or SIGINT.

        Args:
            on_ready: called once, when all workers serve.
            values: what the factory is called with, where it was not yet known when the workers were spawned.

        Raises:
            StartError: a worker ended before it first served. All are drained then, as after a stop.
        """
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stop)
        if values is not None:
            for worker in self._workers:
                worker.settle(values)
        try:
            await asyncio.gather(*(worker.start() for worker in self._workers))
            on_ready()
            keepers = [asyncio.create_task(worker.keep()) for worker in self._workers]
            await self._stopping.wait()
            for keeper in keepers:
                keeper.cancel()
        finally:
            await self._drain()

    async def _drain(self) -> None:
        await asyncio.gather(*(worker.drain() for worker in self._workers))


def _chosen(transport: Transport) -> Transport:
    if transport is Transport.GRPCIO:
        return transport
    reason = envoy_process.unavailable()
    if reason and transport is Transport.ENVOY:
        raise RuntimeError(f"cannot serve by envoy: {reason}; serve by grpcio")
    return Transport.GRPCIO if reason else Transport.ENVOY


class Worker:
    """One worker process, and its successors after a crash."""

    def __init__(self, transport: Transport, settings: ServerSettings, directory: Path) -> None:
        self._transport = transport
        self._settings = settings
        self._directory = directory
        self._process: asyncio.subprocess.Process | None = None
        self._line: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self._idle = False

    @property
    def pid(self) -> int | None:
        """The process id while it runs."""
        running = self._process is not None and self._process.returncode is None
        return self._process.pid if running and self._process else None

    def settle(self, values: Mapping[str, Any]) -> None:
        """Say what the factory is to be called with, from the next ``start`` on."""
        self._settings = replace(self._settings, settings=values)

    async def spawn(self) -> None:
        """Spawn the process; it imports what it is to run, and waits for ``start``."""
        shutil.rmtree(self._directory, ignore_errors=True)
        self._directory.mkdir(mode=0o700)
        ours, theirs = socket.socketpair()
        with theirs:
            self._process = await asyncio.create_subprocess_exec(
                *self._command(),
                env={**os.environ, **self._variables(), control.VARIABLE: str(theirs.fileno())},
                pass_fds=[theirs.fileno()],
            )
        self._line = await asyncio.open_connection(sock=ours)
        self._line[1].write(self._settings.factory.encode() + b"\n")
        self._idle = True

    async def start(self) -> None:
        """Let the process serve, and wait until it does; spawn it where it has ended.

        Raises:
            StartError: it ended, or did not serve in time.
        """
        if not self._idle:
            await self.spawn()
        self._idle = False
        assert self._line  # noqa: S101 - it was spawned
        reader, writer = self._line
        line = b""
        with contextlib.suppress(TimeoutError, ConnectionError):
            writer.write(self._settings.to_json().encode() + b"\n")
            async with asyncio.timeout(_START_SECONDS):
                line = await reader.readline()
        if line != control.READY:
            raise StartError("a worker ended before it served; its output says why")

    async def keep(self) -> None:
        """Restart the process whenever it ends, ever later if it does not last."""
        failures = 0
        while True:
            began = asyncio.get_running_loop().time()
            code = await self._end()
            if asyncio.get_running_loop().time() - began > _STABLE:
                failures = 0
            pause = _BACKOFF[min(failures, len(_BACKOFF) - 1)]
            failures += 1
            _log.error("a worker ended with code %s; restarting in %.1f s", code, pause)
            await asyncio.sleep(pause)
            with contextlib.suppress(StartError):
                await self.start()

    async def drain(self) -> None:
        """Let calls in flight finish, then end the process; kill it if it does not end in time. Once is enough."""
        if self._process is None or self._line is None or self._line[1].is_closing():
            return
        if self._idle:  # it does not serve, and listens to nothing but its settings
            self._idle = False
            self._process.kill()
        with contextlib.suppress(ConnectionError):
            self._line[1].write(control.DRAIN)
        try:
            async with asyncio.timeout(2 * self._settings.limits.drain + _KILL_AFTER):
                await self._process.wait()
        except TimeoutError:
            self._process.kill()
        await self._end()

    async def _end(self) -> int:
        """The exit code, once the process has ended."""
        if self._process is None or self._line is None:
            return 0
        code = await self._process.wait()
        self._line[1].close()
        return code

    def _command(self) -> list[str]:
        if self._transport is Transport.ENVOY:
            return envoy_process.command(self._settings, self._directory)
        return [sys.executable, "-m", "pdp.server.grpcio_worker"]

    def _variables(self) -> dict[str, str]:
        own = {control.DIRECTORY_VARIABLE: str(self._directory)}
        return own | envoy_process.environment() if self._transport is Transport.ENVOY else own
