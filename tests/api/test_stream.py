"""EvaluateStream: one answer to each question, whatever becomes of the others."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

import pytest
from google.rpc.status_pb2 import Status

from pdp.api.decisions import SERVICE, DecisionService
from pdp.api.pipeline import Give, pipelined
from pdp.api.settings import ApiSettings
from pdp.server.rpc import Code, RpcError, Streaming
from pdp.v1 import decision_pb2 as wire
from pdp.v1 import policy_decision_pb2 as rpc
from tests.api.messages import ask
from tests.api.world import World, call


def question(name: str, request: rpc.EvaluateRequest | None = None) -> bytes:
    return rpc.EvaluateStreamRequest(request_id=name, request=request or ask()).SerializeToString()


def answers(
    world: World, messages: AsyncIterator[bytes], settings: ApiSettings | None = None
) -> AsyncIterator[bytes]:
    service = DecisionService(world.pdp, str, settings or ApiSettings())
    method = service.methods()[f"/{SERVICE}/EvaluateStream"]
    assert isinstance(method, Streaming)
    return method.handler(messages, call())


async def listed(messages: Sequence[bytes]) -> AsyncIterator[bytes]:
    for message in messages:
        yield message


async def collect(world: World, *messages: bytes) -> dict[str, rpc.EvaluateStreamResponse]:
    found = [rpc.EvaluateStreamResponse.FromString(raw) async for raw in answers(world, listed(messages))]
    assert len({response.request_id for response in found}) == len(found)
    return {response.request_id: response for response in found}


async def test_each_question_gets_its_own_answer(world: World) -> None:
    asked = {f"q-{number}": ask(["alice", "bob"][number % 2]) for number in range(300)}
    found = await collect(world, *(question(name, request) for name, request in asked.items()))
    assert set(found) == set(asked)
    for name, request in asked.items():
        effect = wire.EFFECT_ALLOW if request.subject.id == "alice" else wire.EFFECT_DENY
        assert found[name].decision.effect == effect
    assert len(world.log.records) == 300


async def test_an_invalid_question_is_answered_with_its_error_and_the_stream_goes_on(world: World) -> None:
    found = await collect(world, question("one"), question("two", ask(subject="")), question("three"))
    assert found["two"].error.code == Code.INVALID_ARGUMENT
    assert found["two"].error.message == "subject.id: is missing"
    assert found["one"].decision.effect == found["three"].decision.effect == wire.EFFECT_ALLOW


@pytest.mark.parametrize("name", ["", "n" * 129])
async def test_a_question_needs_a_name(world: World, name: str) -> None:
    found = await collect(world, question(name))
    assert found[name].error.code == Code.INVALID_ARGUMENT
    assert not world.log.records


async def test_a_question_without_a_request_is_invalid(world: World) -> None:
    found = await collect(world, rpc.EvaluateStreamRequest(request_id="q").SerializeToString())
    assert found["q"].error.message == "subject.type: is missing"


async def test_a_fault_of_ours_is_one_questions_answer(world: World) -> None:
    whole = world.attributes.peek

    def peek(refs: object, schema: object) -> object:
        if "bob" in str(refs):
            raise ValueError("secret")
        return whole(refs, schema)  # type: ignore[arg-type]

    world.attributes.peek = peek  # type: ignore[assignment, method-assign]
    found = await collect(world, question("one", ask("bob")), question("two"))
    assert found["one"].error.code == Code.INTERNAL
    assert "secret" not in str(found["one"])
    assert found["two"].decision.effect == wire.EFFECT_ALLOW


async def test_a_slow_question_does_not_hold_up_the_rest(world: World) -> None:
    world.attributes.slow = frozenset({"bob"})
    stream = answers(world, listed([question("slow", ask("bob")), question("quick")]))
    first = rpc.EvaluateStreamResponse.FromString(await anext(stream))
    world.attributes.released.set()
    second = rpc.EvaluateStreamResponse.FromString(await anext(stream))
    assert [first.request_id, second.request_id] == ["quick", "slow"]
    assert second.decision.effect == wire.EFFECT_DENY


async def test_a_question_has_its_own_deadline(world: World) -> None:
    world.attributes.slow = frozenset({"bob"})
    stream = answers(world, listed([question("slow", ask("bob"))]), ApiSettings(answer_seconds=0.01))
    response = rpc.EvaluateStreamResponse.FromString(await anext(stream))
    assert response.decision.effect == wire.EFFECT_DENY
    assert response.decision.reasons[0].code == "DEADLINE_EXCEEDED"


async def test_bytes_that_are_no_message_end_the_stream(world: World) -> None:
    stream = answers(world, listed([b"\xff\xff", question("after")]))
    with pytest.raises(RpcError) as caught:
        async for _ in stream:
            pass
    assert caught.value.code is Code.INVALID_ARGUMENT
    assert Status.FromString(caught.value.details).message == "not a pdp.v1.EvaluateStreamRequest message"


async def test_an_empty_stream_ends(world: World) -> None:
    assert await collect(world) == {}


# The pipeline itself


async def test_no_more_is_read_than_may_be_in_flight() -> None:
    read = 0
    released = asyncio.Event()

    async def messages() -> AsyncIterator[bytes]:
        nonlocal read
        for number in range(100):
            read += 1
            yield b"%d" % number

    async def answer(together: Sequence[bytes], give: Give) -> None:
        await released.wait()
        for message in together:
            give(message)

    stream = pipelined(messages(), answer, 5)
    first = asyncio.ensure_future(anext(stream))
    await asyncio.sleep(0.01)
    # One more than is worked on: it has been taken off the wire and waits for its turn.
    assert read == 6
    released.set()
    await first
    await asyncio.sleep(0.01)
    assert read == 6
    assert len([answered async for answered in stream]) == 99


async def test_when_the_reader_goes_away_all_work_ends() -> None:
    begun, ended = asyncio.Event(), asyncio.Event()

    async def messages() -> AsyncIterator[bytes]:
        yield b"quick"
        yield b"slow"
        await asyncio.Event().wait()

    async def answer(together: Sequence[bytes], give: Give) -> None:
        give(together[0])
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    stream = pipelined(messages(), answer, 5)
    assert await anext(stream) == b"quick"
    await begun.wait()
    before = len(asyncio.all_tasks())
    await stream.aclose()  # type: ignore[attr-defined]
    assert ended.is_set()
    assert len(asyncio.all_tasks()) == before - 2


async def test_a_cancelled_reader_cancels_the_work() -> None:
    async def messages() -> AsyncIterator[bytes]:
        yield b"slow"

    async def answer(_: Sequence[bytes], give: Give) -> None:
        await asyncio.Event().wait()
        give(b"never")

    async def read() -> None:
        async for _ in pipelined(messages(), answer, 5):
            pass

    task = asyncio.create_task(read())
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_a_fault_of_the_connection_reaches_the_transport() -> None:
    async def messages() -> AsyncIterator[bytes]:
        yield b"one"
        raise RpcError(Code.CANCELLED, "gone")

    async def answer(together: Sequence[bytes], give: Give) -> None:
        for message in together:
            give(message)

    async def read() -> None:
        async for _ in pipelined(messages(), answer, 5):
            pass

    with pytest.raises(RpcError, match="gone"):
        await read()
