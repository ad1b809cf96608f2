"""What a handler sees of a call, and what a transport serves: the seam between the two.

Two rules hold here. A handler takes raw bytes and parses them itself, inside the transport's guard, so that
malformed input is answered by our error map and not by a library. A transport knows nothing of decisions: it
maps bytes, metadata, identity and deadlines, and turns an ``RpcError`` into a gRPC status.
"""

from __future__ import annotations

import enum
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple


class Code(enum.IntEnum):
    """gRPC status codes (https://grpc.github.io/grpc/core/md_doc_statuscodes.html), those we answer with."""

    OK = 0
    CANCELLED = 1
    UNKNOWN = 2
    INVALID_ARGUMENT = 3
    DEADLINE_EXCEEDED = 4
    NOT_FOUND = 5
    ALREADY_EXISTS = 6
    PERMISSION_DENIED = 7
    RESOURCE_EXHAUSTED = 8
    FAILED_PRECONDITION = 9
    ABORTED = 10
    OUT_OF_RANGE = 11
    UNIMPLEMENTED = 12
    INTERNAL = 13
    UNAVAILABLE = 14
    UNAUTHENTICATED = 16


class RpcError(Exception):
    """An RPC that ends in an error status.

    Attributes:
        code: the gRPC status code, never OK.
        message: a text safe to show any caller; no internals, no personal data.
        details: a serialised ``google.rpc.Status`` for the ``grpc-status-details-bin`` trailer, or empty.
    """

    def __init__(self, code: Code, message: str, details: bytes = b"") -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.details = details


@dataclass(frozen=True, slots=True)
class Peer:
    """Who is at the other end, as the transport proved it.

    Attributes:
        address: the remote address as text, for logs; never an identity.
        spiffe_id: the URI SAN of a verified client certificate that has exactly one, else None.
        encrypted: whether the connection is TLS.
    """

    address: str = ""
    spiffe_id: str | None = None
    encrypted: bool = False


class Call(NamedTuple):
    """One RPC as a handler sees it. A tuple because one is made for every call.

    Attributes:
        path: the full method name, ``/package.Service/Method``.
        peer: the other end.
        metadata: request metadata, lower-case keys; of a repeated key the values joined by ``,``; the
            value of a ``-bin`` key is base64, as on the wire.
        deadline: when the answer is due, in seconds of the event loop's clock. Always set: a call
            that comes without a deadline is given the server's own, and a stream ``connection_age``.
    """

    path: str
    peer: Peer
    metadata: Mapping[str, str]
    deadline: float


UnaryHandler = Callable[[bytes, Call], Awaitable[bytes]]
StreamHandler = Callable[[AsyncIterator[bytes], Call], AsyncIterator[bytes]]


@dataclass(frozen=True, slots=True)
class Unary:
    """A method with one request and one response."""

    handler: UnaryHandler


@dataclass(frozen=True, slots=True)
class Streaming:
    """A method whose response is a stream; so is its request, of one message for a server stream."""

    handler: StreamHandler


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """An HTTP request, body read whole and bounded by the transport's limit."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes
    peer: Peer


@dataclass(frozen=True, slots=True)
class HttpResponse:
    """An HTTP response. ``headers`` holds lower-case names."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


HttpHandler = Callable[[HttpRequest], Awaitable[HttpResponse]]


@dataclass(frozen=True, slots=True)
class Routes:
    """All that is served: gRPC methods by full name, HTTP handlers by (method, exact path)."""

    rpc: Mapping[str, Unary | Streaming]
    http: Mapping[tuple[str, str], HttpHandler]


@dataclass(frozen=True, slots=True)
class Limits:
    """What one caller may ask for. Bytes, seconds and counts.

    Attributes:
        message_bytes: the largest request message, after decompression.
        header_bytes: the largest block of request headers or metadata.
        concurrent_streams: streams at once on one connection.
        concurrent_calls: calls at once in one process; more are shed with RESOURCE_EXHAUSTED.
        default_deadline: seconds given to a unary call or HTTP request that states no deadline, and the
            most either gets.
        connection_age: seconds after which a connection is asked to reconnect, and the most a stream gets.
        drain: seconds in-flight calls get to finish on a stop.
        connections: connections at once to one process; on Envoy.
        requests_per_second: requests each second on one connection; on Envoy.
    """

    message_bytes: int = 1 << 20
    header_bytes: int = 16 << 10
    concurrent_streams: int = 100
    concurrent_calls: int = 1000
    default_deadline: float = 2.0
    connection_age: float = 1800.0
    drain: float = 10.0
    connections: int = 10_000
    requests_per_second: int = 50_000


@dataclass(frozen=True, slots=True)
class Tls:
    """Certificate files, PEM; read again when they change.

    Attributes:
        certificate: the server's certificate chain.
        private_key: its key.
        client_ca: authorities of client certificates; set, every client must have one (mTLS).
    """

    certificate: str
    private_key: str
    client_ca: str | None = None
