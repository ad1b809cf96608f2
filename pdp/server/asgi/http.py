"""Plain HTTP over ASGI: the ``HttpRequest`` handlers."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

from pdp.server import guard
from pdp.server.asgi.calls import Answered
from pdp.server.rpc import Code, HttpHandler, HttpRequest, HttpResponse, Limits, Peer, RpcError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pdp.server.asgi.calls import Active
    from pdp.server.asgi.events import Metadata, Scope, Send

_HTTP_STATUS = {
    Code.CANCELLED: 499,
    Code.INVALID_ARGUMENT: 400,
    Code.DEADLINE_EXCEEDED: 504,
    Code.NOT_FOUND: 404,
    Code.ALREADY_EXISTS: 409,
    Code.PERMISSION_DENIED: 403,
    Code.RESOURCE_EXHAUSTED: 429,
    Code.FAILED_PRECONDITION: 400,
    Code.ABORTED: 409,
    Code.OUT_OF_RANGE: 400,
    Code.UNIMPLEMENTED: 501,
    Code.UNAVAILABLE: 503,
    Code.UNAUTHENTICATED: 401,
}
"""The HTTP status of each code (google/rpc/code.proto); 500 for the others."""


def error_response(error: RpcError, status: int | None = None) -> HttpResponse:
    """An error in the JSON form of google.rpc.Status, without details."""
    body = json.dumps({"code": int(error.code), "message": error.message}).encode()
    headers = {"content-type": "application/json"}
    return HttpResponse(status or _HTTP_STATUS.get(error.code, 500), body, headers)


async def serve_http(
    handlers: Mapping[tuple[str, str], HttpHandler],
    scope: Scope,
    metadata: Metadata,
    peer: Peer,
    limits: Limits,
    active: Active,
    send: Send,
    *,
    overloaded: bool,
) -> None:
    """Read the body, call the handler of (method, path), answer.

    ``overloaded`` sheds all but GET: probes and metrics are answered when they matter most.
    """
    active.refuse = _refuse
    active.deadline = active.since + limits.default_deadline
    try:
        response = await _respond(handlers, scope, metadata, peer, limits, active, overloaded=overloaded)
    except Answered:
        return
    except asyncio.CancelledError:
        if active.gone:
            return
        if active.verdict is None:
            raise
        active.task.uncancel()
        response = error_response(active.verdict)
    except Exception as error:  # noqa: BLE001 - the outermost guard
        response = error_response(guard.to_status(error, scope["path"]))
    active.settle()
    await _send(send, response)


async def _respond(
    handlers: Mapping[tuple[str, str], HttpHandler],
    scope: Scope,
    metadata: Metadata,
    peer: Peer,
    limits: Limits,
    active: Active,
    *,
    overloaded: bool,
) -> HttpResponse:
    method, path = scope["method"], scope["raw_path"].decode("latin-1")
    handler = handlers.get((method, path))
    if handler is None:
        return _no_handler(handlers, path)
    if sum(len(name) + len(value) for name, value in scope["headers"]) > limits.header_bytes:
        return error_response(RpcError(Code.RESOURCE_EXHAUSTED, "headers too large"), 431)
    if method != "GET" and overloaded:
        return error_response(guard.SHED)
    body = await _read_body(limits, active)
    active.body_read()
    query = scope["query_string"].decode("latin-1")
    return await handler(HttpRequest(method, path, query, metadata, body, peer))


def _no_handler(handlers: Mapping[tuple[str, str], HttpHandler], path: str) -> HttpResponse:
    methods = sorted(method for method, known in handlers if known == path)
    if not methods:
        return error_response(RpcError(Code.NOT_FOUND, "no such path"))
    response = error_response(RpcError(Code.UNIMPLEMENTED, "method not allowed"), 405)
    return HttpResponse(405, response.body, {**response.headers, "allow": ", ".join(methods)})


async def _read_body(limits: Limits, active: Active) -> bytes:
    chunks, size = [], 0
    while True:
        event = await active.receive()
        if event["type"] == "http.disconnect":
            raise Answered
        chunk = event.get("body", b"")
        size += len(chunk)
        if size > limits.message_bytes:
            raise RpcError(Code.RESOURCE_EXHAUSTED, f"body larger than {limits.message_bytes} bytes")
        chunks.append(chunk)
        if not event.get("more_body"):
            return b"".join(chunks)


async def _refuse(send: Send, error: RpcError) -> None:
    await _send(send, error_response(error))


async def _send(send: Send, response: HttpResponse) -> None:
    headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in response.headers.items()]
    headers.append((b"content-length", b"%d" % len(response.body)))
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    await send({"type": "http.response.body", "body": response.body})
