"""Unary calls over ASGI. This is the hot path: what every decision passes through."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from pdp.server import guard, wire
from pdp.server.asgi.calls import Answered
from pdp.server.asgi.events import START, START_GZIP, TRAILERS_OK, refuse
from pdp.server.rpc import Call, Code, Limits, Peer, RpcError, Unary

if TYPE_CHECKING:
    from pdp.server.asgi.calls import Active
    from pdp.server.asgi.events import Event, Metadata, Receive, Send

_GZIP_FROM = 1024
"""Bytes from which an answer is worth compressing, for a caller that compresses its requests."""


async def serve_unary(
    method: Unary, path: str, metadata: Metadata, peer: Peer, limits: Limits, active: Active, send: Send
) -> None:
    """Read one message, call the handler, answer with its reply or a status."""
    try:
        active.deadline = active.since + metadata.budget(limits.default_deadline)
        message = await read_message(metadata, limits, active.receive)
        active.body_read()
        reply = await method.handler(message, Call(path, peer, metadata, active.deadline))
    except Answered:
        return
    except asyncio.CancelledError:
        if active.gone:
            return
        if active.verdict is None:
            raise
        active.task.uncancel()
        await refuse(send, active.verdict)
    except Exception as error:  # noqa: BLE001 - the outermost guard
        active.settle()
        await refuse(send, guard.to_status(error, path))
    else:
        active.settle()
        if len(reply) >= _GZIP_FROM and metadata.encoding == "gzip":
            await send(START_GZIP)
            await send({"type": "http.response.body", "body": wire.frame_gzip(reply)})
        else:
            await send(START)
            await send({"type": "http.response.body", "body": wire.frame(reply)})
        await send(TRAILERS_OK)


async def read_message(metadata: Metadata, limits: Limits, receive: Receive) -> bytes:
    """The one message of a request that has exactly one.

    Raises:
        RpcError: as ``wire.Deframer``; INTERNAL when there is none or more than one.
        Answered: the caller has gone.
    """
    event = await receive()
    body: bytes = event.get("body", b"")
    size = len(body) - wire.PREFIX
    if (
        0 <= size <= limits.message_bytes
        and body[0] == 0
        and int.from_bytes(body[1:5], "big") == size
        and not event.get("more_body")
    ):
        return body[wire.PREFIX :]
    return await _read_frames(metadata, limits, event, receive)


async def _read_frames(metadata: Metadata, limits: Limits, event: Event, receive: Receive) -> bytes:
    deframer = wire.Deframer(limits.message_bytes, metadata.encoding)
    while True:
        if event["type"] == "http.disconnect":
            raise Answered
        deframer.feed(event.get("body", b""))
        if len(deframer.messages) > 1:
            raise RpcError(Code.INTERNAL, "request carries more than one message")
        if not event.get("more_body"):
            break
        event = await receive()
    deframer.close()
    if not deframer.messages:
        raise RpcError(Code.INTERNAL, "request carries no message")
    return deframer.messages[0]
