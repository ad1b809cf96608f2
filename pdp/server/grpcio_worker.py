"""A worker process that serves by grpcio: ``python -m pdp.server.grpcio_worker``, started by the supervisor."""

from __future__ import annotations

import asyncio
import signal
from typing import TYPE_CHECKING

from pdp.server.control import WorkerEnd
from pdp.server.grpcio_server import GrpcioServer
from pdp.server.http_server import HttpServer

if TYPE_CHECKING:
    from pdp.server.application import Application, Factory, ServerSettings


async def serve(control: WorkerEnd, factory: Factory, settings: ServerSettings) -> None:
    """One worker's life: start, serve, drain, stop."""
    application = await factory(settings.settings, settings.place)
    try:
        await application.start()
        await _serve(control, settings, application)
    finally:
        await application.stop()


async def _serve(control: WorkerEnd, settings: ServerSettings, application: Application) -> None:
    routes, limits = application.routes, settings.limits
    servers: list[GrpcioServer | HttpServer] = [GrpcioServer(routes, limits, settings.listen, settings.tls)]
    if settings.http is not None:
        servers.append(HttpServer(routes, limits, settings.http, settings.tls))
    for server in servers:
        await server.start()
    control.ready()
    await _asked_to_stop(control)
    application.drain()
    await asyncio.gather(*(server.stop() for server in servers))


async def _asked_to_stop(control: WorkerEnd) -> None:
    stop = asyncio.create_task(control.asked_to_stop())
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.cancel)
    await asyncio.wait([stop])


def main() -> None:
    """Run a worker to its end. SIGINT is the supervisor's business: a terminal sends it to all."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    control = WorkerEnd()
    factory, settings = control.factory(), control.settings()
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(serve(control, factory, settings))


def _loop_factory() -> type[asyncio.AbstractEventLoop] | None:
    """The loop of uvloop where it is installed."""
    try:
        import uvloop  # noqa: PLC0415 - an optional dependency
    except ImportError:
        return None
    loop: type[asyncio.AbstractEventLoop] = uvloop.Loop
    return loop


if __name__ == "__main__":
    main()
