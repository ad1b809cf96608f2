"""The line between supervisor and worker: a socket pair that outlives neither.

The supervisor sends the factory's name as the first line, so that the worker can import it, and the settings as the
second, when they are known; it may send ``drain``. The worker says ``ready``. When the supervisor is gone, however it
went, the worker reads the end of the line and ends: no worker is left behind.
"""

from __future__ import annotations

import asyncio
import os
import socket
from pathlib import Path

from pdp.server.application import Factory, ServerSettings, load_factory

VARIABLE = "PDP_CONTROL_FD"
"""The environment variable that tells a worker its end's file descriptor."""
DIRECTORY_VARIABLE = "PDP_WORKER_DIRECTORY"
"""The environment variable that tells a worker its private directory, inside the run's."""

READY = b"ready\n"
DRAIN = b"drain\n"


class WorkerEnd:
    """A worker's end of the line.

    Raises:
        KeyError: the process was not started by a supervisor.
    """

    def __init__(self) -> None:
        self._socket = socket.socket(fileno=int(os.environ[VARIABLE]))
        self.directory = Path(os.environ[DIRECTORY_VARIABLE])

    def factory(self) -> Factory:
        """The application's factory, imported. Call once, first.

        Raises:
            EOFError: the supervisor is gone.
            ValueError, ImportError, AttributeError: as ``load_factory``.
        """
        return load_factory(self._line())

    def settings(self) -> ServerSettings:
        """What to serve, awaited without an event loop. Call once, after ``factory``.

        Raises:
            EOFError: the supervisor is gone.
        """
        return ServerSettings.from_json(self._line())

    def _line(self) -> str:
        line = bytearray()
        while not line.endswith(b"\n"):
            chunk = self._socket.recv(1)
            if not chunk:
                raise EOFError("the supervisor is gone")
            line += chunk
        return line.decode().rstrip("\n")

    def ready(self) -> None:
        """Tell the supervisor that calls are served."""
        self._socket.sendall(READY)

    async def asked_to_stop(self) -> None:
        """Return when the supervisor asks for a drain, or is gone."""
        reader, _writer = await asyncio.open_connection(sock=self._socket)
        await reader.readline()
