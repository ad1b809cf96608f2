"""The ASGI application that Envoy loads: one worker's life in the lifespan protocol.

Source: https://asgi.readthedocs.io/en/latest/specs/lifespan.html. Envoy runs lifespan to its start before it
listens, and to its end when it exits.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from typing import TYPE_CHECKING

from pdp.server.asgi import AsgiApp
from pdp.server.certificates import Certificates
from pdp.server.control import WorkerEnd
from pdp.server.envoy import config
from pdp.server.envoy.admin import Admin
from pdp.server.envoy.process import DRAIN_SECONDS
from pdp.server.rpc import Limits, Routes

if TYPE_CHECKING:
    from pathlib import Path

    from pdp.server.application import Application, ServerSettings
    from pdp.server.asgi.calls import Calls
    from pdp.server.asgi.events import Receive, Send

_CERTIFICATE_CHECK = 1.0
"""Seconds between looks at the certificate files."""


class Worker(AsgiApp):
    """One application served inside Envoy: an ASGI application that learns its routes when it starts."""

    def __init__(self) -> None:
        super().__init__(Routes(rpc={}, http={}), Limits())
        self._tasks: list[asyncio.Task[None]] = []

    async def lifespan(self, receive: Receive, send: Send) -> None:
        """Build, start and at the end stop the application."""
        await receive()
        control = WorkerEnd()
        factory, settings = control.factory(), control.settings()
        application = await factory(settings.settings, settings.place)
        try:
            await application.start()
        except BaseException:
            await application.stop()
            raise
        self._run(application, settings, control)
        await send({"type": "lifespan.startup.complete"})
        await receive()
        for task in self._tasks:
            task.cancel()
        await application.stop()
        await send({"type": "lifespan.shutdown.complete"})

    def _run(self, application: Application, settings: ServerSettings, control: WorkerEnd) -> None:
        mutual = settings.tls is not None and settings.tls.client_ca is not None
        self.serve(application.routes, settings.limits, trust_xfcc=mutual)
        admin = Admin(config.admin_socket(control.directory))
        loop = asyncio.get_running_loop()
        self._tasks.append(loop.create_task(_run(application, self.calls, settings, control, admin)))
        if settings.tls is not None:
            certificates = Certificates(settings.tls)
            self._tasks.append(loop.create_task(_watch(certificates, config.watched(control.directory))))


async def _run(
    application: Application, calls: Calls, settings: ServerSettings, control: WorkerEnd, admin: Admin
) -> None:
    """Report ready once Envoy listens; drain and end Envoy when asked to.

    A supervisor that dies takes its Envoys along at once: they have the kernel send them SIGTERM.
    """
    stop = asyncio.create_task(control.asked_to_stop())
    try:
        await admin.until_listening()
        control.ready()
        await stop
    finally:
        stop.cancel()
    application.drain()
    with contextlib.suppress(OSError):
        await admin.drain_listeners()
    await asyncio.sleep(DRAIN_SECONDS)
    await calls.finish(settings.limits.drain)
    await admin.until_idle(settings.limits.drain)
    os.kill(os.getpid(), signal.SIGTERM)


async def _watch(certificates: Certificates, watched: Path) -> None:
    """Make Envoy read the certificate files again when they have changed and fit together."""
    while True:
        await asyncio.sleep(_CERTIFICATE_CHECK)
        if certificates.changed():
            fresh = watched.parent / "changed"
            fresh.touch()
            fresh.rename(watched / "changed")


# The server that loads us puts the working directory first on the module path.
while "." in sys.path:
    sys.path.remove(".")

app = Worker()
