"""WatchDecisions over bytes: commands in, events out, and what ends the stream."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from pdp.api.watch import SERVICE, WatchService
from pdp.server.rpc import Code, RpcError
from pdp.v1 import decision_pb2 as wire
from pdp.v1 import watch_pb2 as rpc
from pdp.watching import WatchSettings
from tests.api.messages import ask
from tests.api.world import call
from tests.watching.world import CUSTOMER, World

_END = object()


class Wire:
    """A stream as a transport runs it."""

    def __init__(self, world: World, *, caller: str | None = "spiffe://example.org/pep") -> None:
        self._sent: asyncio.Queue[object] = asyncio.Queue()
        handler = WatchService(world.hub).methods()[f"/{SERVICE}/WatchDecisions"].handler
        self._answers = handler(self._messages(), call(caller=caller))

    async def _messages(self) -> AsyncIterator[bytes]:
        while (message := await self._sent.get()) is not _END:
            yield message

    def send(self, command: rpc.WatchDecisionsRequest | bytes) -> None:
        self._sent.put_nowait(command if isinstance(command, bytes) else command.SerializeToString())

    def half_close(self) -> None:
        self._sent.put_nowait(_END)

    async def next(self) -> rpc.WatchDecisionsResponse:
        async with asyncio.timeout(5):
            return rpc.WatchDecisionsResponse.FromString(await anext(self._answers))

    async def open(self, epoch: str = "", sequence: int = 0) -> rpc.WatchDecisionsResponse:
        self.send(rpc.WatchDecisionsRequest(open=rpc.WatchOpen(epoch=epoch, sequence=sequence)))
        return await self.next()

    async def cut(self) -> None:
        await self._answers.aclose()


def register(*items: tuple[int, rpc.WatchedRequest | None]) -> rpc.WatchDecisionsRequest:
    watched = [rpc.WatchedRequest(watch_id=watch_id, request=request or ask()) for watch_id, request in items]
    return rpc.WatchDecisionsRequest(register=rpc.WatchRegister(items=watched))


@pytest.fixture
def world() -> World:
    return World()


async def test_a_watched_request_is_answered_and_taken_back(world: World) -> None:
    stream = Wire(world)
    opened = await stream.open()
    assert (opened.sequence, opened.opened.resumed) == (1, False)
    stream.send(register((5, None)))
    first = await stream.next()
    assert (first.sequence, first.decision.watch_id, first.decision.cause) == (2, 5, rpc.WATCH_CAUSE_REGISTERED)
    assert first.decision.decision.effect == wire.EFFECT_ALLOW
    assert first.decision.decision.obligations[0].type == "mask"
    world.write(CUSTOMER, region="us")
    second = await stream.next()
    assert second.decision.decision.effect == wire.EFFECT_DENY
    assert second.decision.cause == rpc.WATCH_CAUSE_ATTRIBUTES
    assert second.decision.entity == wire.ENTITY_RESOURCE
    stream.send(rpc.WatchDecisionsRequest(ping=rpc.WatchPing(nonce=4)))
    pong = await stream.next()
    assert (pong.sequence, pong.pong.nonce, pong.pong.age.ToMilliseconds()) == (4, 4, 10)
    stream.send(rpc.WatchDecisionsRequest(unregister=rpc.WatchUnregister(watch_ids=[5])))
    world.feed.lost = True
    stream.send(rpc.WatchDecisionsRequest(ping=rpc.WatchPing(nonce=5)))
    pong = await stream.next()
    assert not pong.pong.HasField("age")
    await stream.cut()
    assert world.hub.stats().watches == 0


async def test_a_stream_goes_on_where_another_ended(world: World) -> None:
    stream = Wire(world)
    epoch = (await stream.open()).opened.epoch
    stream.send(register((5, None)))
    last = await stream.next()
    await stream.cut()
    world.write(CUSTOMER, region="us")
    again = Wire(world)
    opened = await again.open(epoch, last.sequence)
    assert opened.opened.resumed
    assert (await again.next()).decision.decision.effect == wire.EFFECT_DENY
    other = Wire(world, caller="spiffe://example.org/other")
    assert not (await other.open(epoch, last.sequence)).opened.resumed
    await again.cut()
    await other.cut()


async def test_a_caller_with_no_more_to_say_is_forgotten(world: World) -> None:
    stream = Wire(world)
    await stream.open()
    stream.send(register((5, None)))
    await stream.next()
    stream.half_close()
    with pytest.raises(StopAsyncIteration):
        await stream.next()
    assert world.hub.stats().sessions == 0


async def test_a_stream_without_a_message_ends(world: World) -> None:
    stream = Wire(world)
    stream.half_close()
    with pytest.raises(StopAsyncIteration):
        await stream.next()


@pytest.mark.parametrize(
    ("first", "problem"),
    [
        (b"\xff\xff", "not a pdp.v1.WatchDecisionsRequest message"),
        (register((1, None)).SerializeToString(), "open: must come first"),
        (b"", "open: must come first"),
    ],
)
async def test_a_stream_begins_with_open(world: World, first: bytes, problem: str) -> None:
    stream = Wire(world)
    stream.send(first)
    with pytest.raises(RpcError, match=problem) as caught:
        await stream.next()
    assert caught.value.code is Code.INVALID_ARGUMENT


@pytest.mark.parametrize(
    ("command", "problem"),
    [
        (rpc.WatchDecisionsRequest(open=rpc.WatchOpen()), "command: is missing, or open is not the first"),
        (rpc.WatchDecisionsRequest(), "command: is missing"),
        (register(), "register.items: has 0 entries"),
        (register(*[(number, None) for number in range(1, 1002)]), "has 1001 entries; 1 to 1000"),
        (register((0, None)), "watch_id: is missing"),
    ],
)
async def test_a_command_that_makes_no_sense_ends_the_stream(
    world: World, command: rpc.WatchDecisionsRequest, problem: str
) -> None:
    stream = Wire(world)
    await stream.open()
    stream.send(command)
    with pytest.raises(RpcError, match=problem) as caught:
        await stream.next()
    assert caught.value.code is Code.INVALID_ARGUMENT


async def test_a_request_that_is_invalid_is_told_as_an_error(world: World) -> None:
    stream = Wire(world)
    await stream.open()
    stream.send(register((3, ask(subject=""))))
    refused = (await stream.next()).decision
    assert (refused.watch_id, refused.error.code) == (3, Code.INVALID_ARGUMENT)
    assert refused.error.message == "subject.id: is missing"
    await stream.cut()


async def test_too_much_is_told_as_such() -> None:
    world = World(WatchSettings(max_watches=1, max_streams=1))
    stream = Wire(world)
    await stream.open()
    stream.send(register((1, None), (2, None)))
    told = [(await stream.next()).decision for _ in range(2)]
    assert {item.watch_id: item.error.code for item in told} == {1: 0, 2: Code.RESOURCE_EXHAUSTED}
    with pytest.raises(RpcError) as caught:
        await Wire(world).open()
    assert caught.value.code is Code.UNAVAILABLE
    await stream.cut()


async def test_one_who_cannot_keep_up_is_told_to_begin_anew(world: World) -> None:
    stream = Wire(world)
    await stream.open()
    stream.send(register((1, None)))
    await stream.next()
    world.write(CUSTOMER, region="us")
    world.steady += 60
    assert (await stream.next()).resync.reason == rpc.WATCH_RESYNC_REASON_OVERLOAD
    await stream.cut()


async def test_a_stop_sends_callers_elsewhere(world: World) -> None:
    stream = Wire(world)
    await stream.open()
    world.hub.drain()
    with pytest.raises(RpcError) as caught:
        await stream.next()
    assert caught.value.code is Code.UNAVAILABLE
