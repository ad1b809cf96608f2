"""The portable transport: ``Routes`` on grpc.aio, HTTP beside it on a port of its own.

Handlers are registered without (de)serialisers, so that they get raw bytes and malformed input is answered by our
error map. C-core's own decompression is off because it inflates a message whole before it looks at the limit.
"""

from __future__ import annotations

import asyncio
import base64
from typing import TYPE_CHECKING, Any, NoReturn

import grpc
import grpc.aio

from pdp.server import guard, wire
from pdp.server.certificates import Certificates
from pdp.server.rpc import Call, Limits, Peer, Routes, RpcError, Streaming, Unary

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from pdp.server.application import Address
    from pdp.server.rpc import Tls

_STATUS = {code.value[0]: code for code in grpc.StatusCode}
_GZIP_MAGIC = b"\x1f\x8b"
"""Opens every gzip stream and no protobuf message: its first byte would be a tag of wire type 7, which is none."""

Context = grpc.aio.ServicerContext[bytes, bytes]


def _options(limits: Limits) -> list[tuple[str, Any]]:
    age = int(limits.connection_age * 1000)
    return [
        ("grpc.so_reuseport", 1),
        ("grpc.max_receive_message_length", limits.message_bytes + wire.PREFIX),
        ("grpc.max_metadata_size", limits.header_bytes),
        ("grpc.absolute_max_metadata_size", limits.header_bytes),
        ("grpc.max_concurrent_streams", limits.concurrent_streams),
        ("grpc.max_connection_age_ms", age),
        ("grpc.max_connection_age_grace_ms", int(limits.drain * 1000)),
        ("grpc.max_connection_idle_ms", age),
        ("grpc.server_handshake_timeout_ms", 10_000),
        ("grpc.keepalive_time_ms", 60_000),
        ("grpc.keepalive_timeout_ms", 10_000),
        ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
        ("grpc.http2.max_ping_strikes", 2),
        ("grpc.per_message_decompression", 0),
    ]


class GrpcioServer:
    """Serves the gRPC part of ``Routes`` in the running event loop.

    Args:
        routes: what is served.
        limits: what one caller may ask for.
        address: where to listen.
        tls: certificate files, read again when they change; None serves plaintext.
    """

    def __init__(self, routes: Routes, limits: Limits, address: Address, tls: Tls | None = None) -> None:
        self._limits = limits
        self._server = grpc.aio.server(options=_options(limits), maximum_concurrent_rpcs=limits.concurrent_calls)
        self._server.add_generic_rpc_handlers((_Handlers(routes, limits, encrypted=tls is not None),))
        if tls is None:
            self.port = self._server.add_insecure_port(str(address))
        else:
            self.port = self._server.add_secure_port(str(address), Certificates(tls).grpc_credentials())

    async def start(self) -> None:
        """Accept calls."""
        await self._server.start()

    async def stop(self) -> None:
        """Refuse new calls, give those in flight ``drain`` seconds, then cancel the rest."""
        await self._server.stop(self._limits.drain)


class _Handlers(grpc.GenericRpcHandler):
    """Finds the method of a path."""

    def __init__(self, routes: Routes, limits: Limits, *, encrypted: bool) -> None:
        bind = _Binder(limits, encrypted=encrypted)
        self._methods = {path: bind.method(path, method) for path, method in routes.rpc.items()}

    def service(self, details: grpc.HandlerCallDetails) -> Any:
        """The method handler, or None, which grpcio answers with UNIMPLEMENTED."""
        return self._methods.get(details.method)


class _Binder:
    """Wraps our handlers as grpc.aio's, with the guard outermost."""

    def __init__(self, limits: Limits, *, encrypted: bool) -> None:
        self._limits = limits
        self._encrypted = encrypted

    def method(self, path: str, method: Unary | Streaming) -> Any:
        if isinstance(method, Unary):
            return grpc.unary_unary_rpc_method_handler(self._unary(path, method))
        return grpc.stream_stream_rpc_method_handler(self._stream(path, method))

    def _unary(self, path: str, method: Unary) -> Callable[[bytes, Context], Any]:
        async def serve(message: bytes, context: Context) -> bytes:
            try:
                call = self._call(path, context, self._limits.default_deadline)
                async with asyncio.timeout_at(call.deadline) as timer:
                    return await method.handler(self._plain(message), call)
            except Exception as error:  # noqa: BLE001 - the outermost guard
                expired = isinstance(error, TimeoutError) and timer.expired()
                await _abort(context, guard.DEADLINE_EXCEEDED if expired else guard.to_status(error, path))

        return serve

    def _stream(self, path: str, method: Streaming) -> Callable[[AsyncIterator[bytes], Context], Any]:
        async def serve(requests: AsyncIterator[bytes], context: Context) -> AsyncIterator[bytes]:
            stated: float | None = context.time_remaining()
            late = guard.STREAM_AGE if stated is None else guard.DEADLINE_EXCEEDED
            try:
                call = self._call(path, context, self._limits.connection_age)
                answers = method.handler(self._each_plain(requests), call)
                async with asyncio.timeout_at(call.deadline) as timer, guard.closing(answers):
                    async for answer in answers:
                        yield answer
            except Exception as error:  # noqa: BLE001 - the outermost guard
                expired = isinstance(error, TimeoutError) and timer.expired()
                await _abort(context, late if expired else guard.to_status(error, path))

        return serve

    def _call(self, path: str, context: Context, most: float) -> Call:
        left: float | None = context.time_remaining()
        budget = most if left is None else min(most, left)
        deadline = asyncio.get_running_loop().time() + budget
        return Call(path, self._peer(context), _metadata(context), deadline)

    def _peer(self, context: Context) -> Peer:
        ids = context.auth_context().get("peer_spiffe_id", ()) if self._encrypted else ()
        spiffe_id = next(iter(ids)).decode("ascii") if ids else None
        return Peer(context.peer(), spiffe_id, self._encrypted)

    def _plain(self, message: bytes) -> bytes:
        if message.startswith(_GZIP_MAGIC):
            return wire.gunzip(message, self._limits.message_bytes)
        if len(message) > self._limits.message_bytes:
            raise wire.too_large(self._limits.message_bytes)
        return message

    async def _each_plain(self, requests: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        async for message in requests:
            yield self._plain(message)


def _metadata(context: Context) -> dict[str, str]:
    metadata: dict[str, str] = {}
    for key, value in context.invocation_metadata() or ():
        text = base64.b64encode(value).rstrip(b"=").decode() if isinstance(value, bytes) else value
        metadata[key] = f"{metadata[key]},{text}" if key in metadata else text
    return metadata


async def _abort(context: Context, error: RpcError) -> NoReturn:
    """Raises grpc.aio.AbortError, which the server takes as the end of the call."""
    trailers = (("grpc-status-details-bin", error.details),) if error.details else ()
    await context.abort(_STATUS[error.code], error.message, trailers)
