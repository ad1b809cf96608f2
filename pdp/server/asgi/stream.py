"""Streaming calls over ASGI.

Three tasks serve a stream: the pump takes request bytes as they come, the handler answers, the writer sends.
Answers made while a send is under way leave together in the next, so the cost of a send is shared under load and
an answer made alone leaves at once.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from pdp.server import guard, wire
from pdp.server.asgi.events import START, TRAILERS_OK, refuse, trailers
from pdp.server.rpc import Call, Code, Limits, Peer, RpcError, Streaming

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from pdp.server.asgi.calls import Active
    from pdp.server.asgi.events import Metadata, Send

_BURST = 32
"""Messages after which a handler that never waits lets other calls have the event loop."""
_BACKLOG_IN = 8 << 20
"""Bytes of requests received but not yet taken; a caller that runs further ahead is refused."""
_BACKLOG_OUT = 256 << 10
"""Bytes of answers not yet sent at which the handler is held back."""


_TOO_FAR_AHEAD = RpcError(Code.RESOURCE_EXHAUSTED, "too many unanswered requests; wait for answers")


class Requests:
    """The request messages of a stream, filled by ``pump``, taken by the handler as an async iterator."""

    def __init__(self, deframer: wire.Deframer, active: Active) -> None:
        self._deframer = deframer
        self._active = active
        self._backlog = 0
        self._taken = 0
        self._ended = False
        self._error: RpcError | None = None
        self._news = asyncio.Event()

    async def pump(self) -> None:
        """Take what the caller sends until it ends or goes away. Never cancelled: see ``Active``."""
        try:
            while not self._ended:
                event = await self._active.receive()
                if event["type"] == "http.disconnect":
                    self._active.leave()
                    return
                self._feed(event.get("body", b""), more=event.get("more_body", False))
        except RpcError as error:
            self._error = error
        self._ended = True
        self._active.watch_caller()
        self._news.set()

    def _feed(self, body: bytes, *, more: bool) -> None:
        self._backlog += len(body)
        if self._backlog > _BACKLOG_IN:
            # The handler may never look at its requests again, so this does not wait for it.
            self._active.end(_TOO_FAR_AHEAD)
        self._deframer.feed(body)
        if not more:
            self._deframer.close()
            self._ended = True
        self._news.set()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        messages = self._deframer.messages
        while True:
            while messages:
                message = messages.popleft()
                self._backlog -= len(message) + wire.PREFIX
                self._taken += 1
                if self._taken % _BURST == 0:
                    await asyncio.sleep(0)
                yield message
            if self._error is not None:
                raise RpcError(self._error.code, self._error.message)
            if self._ended:
                return
            self._news.clear()
            await self._news.wait()


class Answers:
    """The answers of a stream: queued by ``put``, sent by ``write``."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._frames: list[bytes] = []
        self._size = 0
        self._begun = False
        self._ended = False
        self._news = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()

    async def put(self, message: bytes) -> None:
        """Queue an answer; waits while the caller does not take what is already there."""
        self._frames.append(wire.frame(message))
        self._size += len(message) + wire.PREFIX
        self._news.set()
        if self._size > _BACKLOG_OUT:
            self._room.clear()
            await self._room.wait()

    async def write(self) -> None:
        """Send what is queued, until ``end``."""
        while True:
            if self._frames:
                body = b"".join(self._frames)
                self._frames.clear()
                self._size = 0
                await self._begin()
                await self._send({"type": "http.response.body", "body": body, "more_body": True})
                self._room.set()
            elif self._ended:
                return
            else:
                self._news.clear()
                await self._news.wait()

    def end(self) -> None:
        """State that no more answers come."""
        self._ended = True
        self._news.set()

    async def close(self, error: RpcError | None) -> None:
        """Send the status; answers not yet sent by then are dropped."""
        self._frames.clear()
        if error is not None and not self._begun:
            await refuse(self._send, error)
            return
        await self._begin()
        await self._send({"type": "http.response.body", "body": b""})
        await self._send(TRAILERS_OK if error is None else trailers(error))

    async def _begin(self) -> None:
        if not self._begun:
            self._begun = True
            await self._send(START)


async def serve_stream(
    method: Streaming, path: str, metadata: Metadata, peer: Peer, limits: Limits, active: Active, send: Send
) -> None:
    """Serve a stream: until the handler is done, the deadline passes or the caller goes away.

    A stream lives longer than a unary call: its deadline is the caller's, and at most ``connection_age``.
    """
    answers = Answers(send)
    active.reading = False  # the pump's business, not this task's
    try:
        status = await _run(method, path, metadata, peer, limits, active, answers)
    except asyncio.CancelledError:
        if active.gone:
            return
        if active.verdict is None:
            raise
        active.task.uncancel()
        status = active.verdict
    finally:
        answers.end()  # or the writer would wait for ever for more
    active.settle()
    await answers.close(status)


async def _run(
    method: Streaming,
    path: str,
    metadata: Metadata,
    peer: Peer,
    limits: Limits,
    active: Active,
    answers: Answers,
) -> RpcError | None:
    writer = None
    status = None
    try:
        active.deadline = active.since + metadata.budget(limits.connection_age)
        if b"grpc-timeout" not in metadata.raw:
            active.late = guard.STREAM_AGE
        requests = Requests(wire.Deframer(limits.message_bytes, metadata.encoding), active)
        writer = _start(requests, answers, active)
        call = Call(path, peer, metadata, active.deadline)
        async with guard.closing(method.handler(aiter(requests), call)) as replies:
            async for reply in replies:
                await answers.put(reply)
    except Exception as error:  # noqa: BLE001 - the outermost guard
        status = guard.to_status(error, path)
    answers.end()
    if writer is not None:
        await asyncio.wait([writer])
    return status


def _start(requests: Requests, answers: Answers, active: Active) -> asyncio.Task[None]:
    """Start pump and writer. Both end by themselves and are never cancelled: they wait on the server's futures."""
    loop = active.task.get_loop()
    pump = loop.create_task(requests.pump())
    writer = loop.create_task(answers.write())
    _running.update((pump, writer))
    pump.add_done_callback(_running.discard)
    writer.add_done_callback(lambda done: _on_written(done, active))
    return writer


_running: set[asyncio.Task[None]] = set()
"""An event loop holds tasks only weakly."""


def _on_written(writer: asyncio.Task[None], active: Active) -> None:
    """A send fails only when the caller has gone."""
    _running.discard(writer)
    if writer.exception() is not None:
        active.leave()
