"""What a stream leaves behind in the ASGI transport, against a server made of two futures."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from pdp.server import wire
from pdp.server.asgi import AsgiApp
from pdp.server.asgi.events import Event
from pdp.server.rpc import Call, Code, Limits, Routes, RpcError, Streaming

PATH = "/example.Echo/Talk"
SCOPE = {
    "type": "http",
    "headers": [(b"content-type", b"application/grpc")],
    "client": ("127.0.0.1", 1),
    "scheme": "http",
    "raw_path": PATH.encode(),
    "path": PATH,
}


class Caller:
    """The other end of one stream: sends one message, takes answers, and goes away when told."""

    def __init__(self) -> None:
        self.sent: list[Event] = []
        self.gone = asyncio.Event()
        self._first = True

    async def receive(self) -> Event:
        if self._first:
            self._first = False
            return {"type": "http.request", "body": wire.frame(b"hello"), "more_body": True}
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, event: Event) -> None:
        if self.gone.is_set():
            raise OSError("gone")
        self.sent.append(event)


async def echo(messages: AsyncIterator[bytes], _: Call) -> AsyncIterator[bytes]:
    async for message in messages:
        yield message


async def fail(messages: AsyncIterator[bytes], _: Call) -> AsyncIterator[bytes]:
    async for message in messages:
        yield message
        raise RpcError(Code.ABORTED, "enough")


async def settled(condition: object) -> None:
    for _ in range(200):
        if condition():  # type: ignore[operator]
            return
        await asyncio.sleep(0.005)
    raise AssertionError("it did not come to that")


@pytest.mark.parametrize("handler", [echo, fail])
async def test_a_caller_that_goes_away_leaves_no_task_behind(handler: object) -> None:
    app = AsgiApp(Routes({PATH: Streaming(handler)}, {}), Limits(), trust_xfcc=False)  # type: ignore[arg-type]
    before = asyncio.all_tasks()
    callers = [Caller() for _ in range(3)]
    calls = [asyncio.create_task(app(SCOPE, caller.receive, caller.send)) for caller in callers]
    await settled(lambda: all(len(caller.sent) >= 2 for caller in callers))
    for caller in callers:
        caller.gone.set()
    await asyncio.wait(calls)
    await settled(lambda: asyncio.all_tasks() == before)
    assert len(app.calls) == 0


async def test_a_stream_ended_by_its_deadline_leaves_no_task_behind() -> None:
    app = AsgiApp(Routes({PATH: Streaming(echo)}, {}), Limits(connection_age=0.05), trust_xfcc=False)
    before = asyncio.all_tasks()
    caller = Caller()
    await app(SCOPE, caller.receive, caller.send)
    assert caller.sent[-1]["type"] == "http.response.trailers"
    caller.gone.set()
    await settled(lambda: asyncio.all_tasks() == before)
