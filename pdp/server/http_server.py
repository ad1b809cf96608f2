"""The HTTP part of ``Routes`` on uvicorn, beside grpcio. Envoy needs none of this: there one port speaks all.

uvicorn tells the application nothing of the client certificate: a caller is authenticated here, never identified.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from typing import TYPE_CHECKING, Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle

from pdp.server.asgi import AsgiApp
from pdp.server.certificates import Certificates, server_context
from pdp.server.rpc import Limits, Routes, Tls

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterator

    from pdp.server.application import Address

_HEADER_SECONDS = 10.0
_CERTIFICATE_CHECK = 1.0


class HttpServer:
    """Serves HTTP/1.1 in the running event loop.

    Args:
        routes: what is served; only its HTTP handlers.
        limits: what one caller may ask for.
        address: where to listen.
        tls: certificate files, read again when they change; None serves plaintext.

    Raises:
        OSError: the address cannot be bound, or a certificate file cannot be read.
    """

    def __init__(self, routes: Routes, limits: Limits, address: Address, tls: Tls | None = None) -> None:
        self._limits = limits
        self._tls = tls
        self._socket = bind(address)
        self.port: int = self._socket.getsockname()[1]
        config = uvicorn.Config(
            AsgiApp(Routes(rpc={}, http=routes.http), limits),
            http=_Protocol,
            lifespan="off",
            access_log=False,
            log_config=None,
            server_header=False,
            proxy_headers=False,
            ws="none",
            backlog=4096,
            limit_concurrency=limits.concurrent_calls,
            h11_max_incomplete_event_size=limits.header_bytes,
            timeout_graceful_shutdown=int(limits.drain),
        )
        config.load()
        config.ssl = server_context(tls) if tls else None
        self._server = _Uvicorn(config)
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Accept connections."""
        self._tasks.append(asyncio.create_task(self._server.serve([self._socket])))
        if self._tls is not None and self._server.config.ssl is not None:
            self._tasks.append(asyncio.create_task(_reload(self._tls, self._server.config.ssl)))
        while not self._server.started:
            await asyncio.sleep(0.01)
            if self._tasks[0].done():
                await self._tasks[0]

    async def stop(self) -> None:
        """Refuse new connections, give requests in flight ``drain`` seconds."""
        self._server.should_exit = True
        serving, *others = self._tasks
        for task in others:
            task.cancel()
        await serving


class _Uvicorn(uvicorn.Server):
    """Leaves signals to the worker."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class _Protocol(H11Protocol):
    """Closes a connection whose request headers take too long, which uvicorn itself does not."""

    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._await_headers()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._serving():
            self._stop_timer()
        elif self._timer is None:
            self._await_headers()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        super().connection_lost(exc)

    def _serving(self) -> bool:
        cycle: RequestResponseCycle | None = self.cycle
        return cycle is not None and not cycle.response_complete

    def _await_headers(self) -> None:
        self._timer = self.loop.call_later(_HEADER_SECONDS, self._too_slow)

    def _too_slow(self) -> None:
        self._timer = None
        if not self._serving():
            self.transport.close()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def bind(address: Address) -> socket.socket:
    """A bound TCP socket that other processes of ours may bind as well (SO_REUSEPORT).

    Raises:
        OSError: the address cannot be bound.
    """
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        bound.bind((address.host, address.port))
    except OSError:
        bound.close()
        raise
    return bound


async def _reload(tls: Tls, context: ssl.SSLContext) -> None:
    """New handshakes use what the files hold; connections there are stay."""
    certificates = Certificates(tls)
    while True:
        await asyncio.sleep(_CERTIFICATE_CHECK)
        if certificates.changed():
            context.load_cert_chain(tls.certificate, tls.private_key)
            if tls.client_ca is not None:
                context.load_verify_locations(tls.client_ca)
