"""The gRPC health checking protocol, version 1, as ``Routes`` entries: Check, Watch and List.

Source: https://github.com/grpc/grpc/blob/master/doc/health-checking.md and grpc/health/v1/health.proto.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from google.protobuf.message import DecodeError
from grpc_health.v1 import health_pb2

from pdp.server.rpc import Call, Code, RpcError, Streaming, Unary

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable

SERVICE = "grpc.health.v1.Health"
_Response = health_pb2.HealthCheckResponse


class Health:
    """Serving status by service name; "" is the server as a whole.

    Args:
        services: full names of the services to report on. All are NOT_SERVING until ``set``.
    """

    def __init__(self, services: Iterable[str]) -> None:
        self._status = dict.fromkeys(["", *services], _Response.NOT_SERVING)
        self._changed = asyncio.Event()
        self._draining = False

    def set(self, *, serving: bool) -> None:
        """Change the status of all services and tell the watchers. Ignored after ``drain``."""
        if not self._draining:
            self._set(_Response.SERVING if serving else _Response.NOT_SERVING)

    def drain(self) -> None:
        """Turn NOT_SERVING for good, as a server does that is shutting down."""
        self._set(_Response.NOT_SERVING)
        self._draining = True

    def routes(self) -> dict[str, Unary | Streaming]:
        """The entries for ``Routes.rpc``."""
        return {
            f"/{SERVICE}/Check": Unary(self._check),
            f"/{SERVICE}/List": Unary(self._list),
            f"/{SERVICE}/Watch": Streaming(self._watch),
        }

    def _set(self, status: int) -> None:
        self._status = dict.fromkeys(self._status, status)
        self._changed.set()
        self._changed = asyncio.Event()

    async def _check(self, message: bytes, _call: Call) -> bytes:
        status = self._status.get(_service(message))
        if status is None:
            raise RpcError(Code.NOT_FOUND, "unknown service")
        return _encode(status)

    async def _list(self, _message: bytes, _call: Call) -> bytes:
        statuses = {name: _Response(status=status) for name, status in self._status.items()}
        reply: bytes = health_pb2.HealthListResponse(statuses=statuses).SerializeToString()
        return reply

    async def _watch(self, requests: AsyncIterator[bytes], _call: Call) -> AsyncIterator[bytes]:
        async for message in requests:
            service, told = _service(message), None
            while True:
                changed = self._changed
                status = self._status.get(service, _Response.SERVICE_UNKNOWN)
                if status != told:
                    told = status
                    yield _encode(status)
                await changed.wait()


def _service(message: bytes) -> str:
    try:
        return str(health_pb2.HealthCheckRequest.FromString(message).service)
    except DecodeError:
        raise RpcError(Code.INVALID_ARGUMENT, "malformed HealthCheckRequest") from None


def _encode(status: int) -> bytes:
    reply: bytes = _Response(status=status).SerializeToString()
    return reply
