"""One ASGI application that serves ``Routes``: gRPC over HTTP/2 with trailers, and plain HTTP."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from pdp.server import guard
from pdp.server.asgi import identity
from pdp.server.asgi.calls import Calls
from pdp.server.asgi.events import GRPC, Metadata, refuse
from pdp.server.asgi.http import serve_http
from pdp.server.asgi.stream import serve_stream
from pdp.server.asgi.unary import serve_unary
from pdp.server.rpc import Code, Limits, Peer, Routes, RpcError, Unary

if TYPE_CHECKING:
    from pdp.server.asgi.events import Receive, Scope, Send

_UNKNOWN = ("", None)
_UNKNOWN_METHOD = RpcError(Code.UNIMPLEMENTED, "unknown method")


@lru_cache(maxsize=4096)
def _peer(client: tuple[str, int] | None, scheme: str, xfcc: bytes) -> Peer:
    """One object a connection, not one a request."""
    address = f"{client[0]}:{client[1]}" if client else ""
    return Peer(address, identity.from_xfcc(xfcc) if xfcc else None, scheme == "https")


def _is_grpc(content_type: bytes) -> bool:
    return content_type == GRPC or content_type.startswith((b"application/grpc+", b"application/grpc;"))


class AsgiApp:
    """Serves ``Routes``.

    Args:
        routes: what is served.
        limits: what one caller may ask for.
        trust_xfcc: whether ``x-forwarded-client-cert`` was written by our own front (mTLS in Envoy with
            SANITIZE_SET). False ignores the header.
    """

    def __init__(self, routes: Routes, limits: Limits, *, trust_xfcc: bool = False) -> None:
        self.calls = Calls()
        self.serve(routes, limits, trust_xfcc=trust_xfcc)

    def serve(self, routes: Routes, limits: Limits, *, trust_xfcc: bool) -> None:
        """Serve these routes from here on."""
        self._rpc = {path.encode(): (path, method) for path, method in routes.rpc.items()}
        self._http = routes.http
        self._limits = limits
        self._trust_xfcc = trust_xfcc

    async def lifespan(self, receive: Receive, send: Send) -> None:
        """The lifespan protocol: none here."""
        raise NotImplementedError

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or live through the lifespan."""
        if scope["type"] == "lifespan":
            await self.lifespan(receive, send)
            return
        metadata = Metadata(scope["headers"])
        xfcc = metadata.raw.get(b"x-forwarded-client-cert", b"") if self._trust_xfcc else b""
        peer = _peer(scope["client"], scope["scheme"], xfcc)
        active = self.calls.enter(receive, send)
        try:
            overloaded = len(self.calls) > self._limits.concurrent_calls
            if not _is_grpc(metadata.raw.get(b"content-type", b"")):
                await serve_http(self._http, scope, metadata, peer, self._limits, active, send, overloaded=overloaded)
                return
            path, method = self._rpc.get(scope["raw_path"], _UNKNOWN)
            if method is None:
                await refuse(send, _UNKNOWN_METHOD)
            elif overloaded:
                await refuse(send, guard.SHED)
            elif isinstance(method, Unary):
                await serve_unary(method, path, metadata, peer, self._limits, active, send)
            else:
                await serve_stream(method, path, metadata, peer, self._limits, active, send)
        finally:
            self.calls.leave(active)
