"""ASGI's types, request metadata, and the events of a gRPC answer.

Source: https://asgi.readthedocs.io/en/latest/specs/www.html and the ``http.response.trailers`` extension.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Any

from pdp.server import wire
from pdp.server.rpc import Code, RpcError

Scope = dict[str, Any]
Event = dict[str, Any]
Receive = Callable[[], Awaitable[Event]]
Send = Callable[[Event], Awaitable[None]]

GRPC = b"application/grpc"
_CONTENT_TYPE = (b"content-type", GRPC)
_ACCEPT = (b"grpc-accept-encoding", b"identity,gzip")
START: Event = {"type": "http.response.start", "status": 200, "headers": [_CONTENT_TYPE], "trailers": True}
START_GZIP: Event = {**START, "headers": [_CONTENT_TYPE, (b"grpc-encoding", b"gzip")]}
TRAILERS_OK: Event = {"type": "http.response.trailers", "headers": [(b"grpc-status", b"0")]}


class Metadata(Mapping[str, str]):
    """Request headers, decoded when asked for; of a repeated key the values joined by ``,``."""

    __slots__ = ("raw",)

    def __init__(self, headers: list[tuple[bytes, bytes]]) -> None:
        raw = dict(headers)
        if len(raw) != len(headers):
            raw = {}
            for key, value in headers:
                raw[key] = raw[key] + b"," + value if key in raw else value
        self.raw = raw

    def __getitem__(self, key: str) -> str:
        return self.raw[key.encode("latin-1", "replace")].decode("latin-1")

    def get(self, key: str, default: str | None = None) -> str | None:  # type: ignore[override]
        """The value, or ``default``. Written out, for most of what is asked for is not there, and raising is slow."""
        value = self.raw.get(key.encode("latin-1", "replace"))
        return default if value is None else value.decode("latin-1")

    def __iter__(self) -> Iterator[str]:
        return (key.decode("latin-1") for key in self.raw)

    def __len__(self) -> int:
        return len(self.raw)

    @property
    def encoding(self) -> str:
        """The compression of request messages: the ``grpc-encoding`` header, or empty."""
        return self.raw.get(b"grpc-encoding", b"").decode("latin-1")

    def budget(self, most: float) -> float:
        """Seconds the caller gives, at most ``most``; ``most`` if it states none.

        Raises:
            RpcError: INVALID_ARGUMENT for a malformed ``grpc-timeout``.
        """
        value = self.raw.get(b"grpc-timeout")
        return most if value is None else min(most, wire.parse_timeout(value))


async def refuse(send: Send, error: RpcError) -> None:
    """Answer with an error status and no message: headers alone ("Trailers-Only")."""
    headers = [_CONTENT_TYPE, *wire.status_trailers(error)]
    if error.code is Code.UNIMPLEMENTED:
        headers.append(_ACCEPT)
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b""})


def trailers(error: RpcError) -> Event:
    """The event that ends a begun answer with an error status."""
    return {"type": "http.response.trailers", "headers": wire.status_trailers(error)}
