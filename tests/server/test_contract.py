"""What every transport promises a caller: one suite, run on each."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time

import grpc
import grpc.aio
import pytest
from google.protobuf import wrappers_pb2
from google.rpc import error_details_pb2, status_pb2

from tests.server.conftest import LIMITS, Server
from tests.server.example import path


async def call(channel: grpc.aio.Channel, method: str, message: bytes = b"", **options: object) -> bytes:
    reply: bytes = await channel.unary_unary(path(method))(message, **options)  # type: ignore[arg-type]
    return reply


async def failure(
    channel: grpc.aio.Channel, method: str, message: bytes = b"", **options: object
) -> grpc.aio.AioRpcError:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call(channel, method, message, **options)
    return caught.value


async def ending(stream: grpc.aio.StreamStreamCall) -> grpc.aio.AioRpcError:
    """The error status a stream ends with."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stream.read()
    return caught.value


async def cancelled(channel: grpc.aio.Channel, name: str) -> bool:
    """Whether the handler of that name is seen cancelled within two seconds."""
    for _ in range(100):
        if name in json.loads(await call(channel, "Cancelled")):
            return True
        await asyncio.sleep(0.02)
    return False


@pytest.mark.parametrize("size", [0, 1, 5, 1000, 100_000, LIMITS.message_bytes])
async def test_unary_returns_the_handlers_bytes(channel: grpc.aio.Channel, size: int) -> None:
    message = bytes(index % 251 for index in range(size))
    assert await call(channel, "Echo", message) == message


async def test_unary_calls_run_concurrently(channel: grpc.aio.Channel) -> None:
    began = time.monotonic()
    await asyncio.gather(*(call(channel, "Sleep", b"200 x") for _ in range(50)))
    assert time.monotonic() - began < 5


async def test_a_message_above_the_limit_is_refused(channel: grpc.aio.Channel) -> None:
    error = await failure(channel, "Echo", bytes(LIMITS.message_bytes + 1))
    assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


async def test_a_deny_carries_message_and_details(channel: grpc.aio.Channel) -> None:
    error = await failure(channel, "Deny")
    assert error.code() is grpc.StatusCode.PERMISSION_DENIED
    assert error.details() == "not you: ünïcode 100%"
    packed = dict(error.trailing_metadata() or ())["grpc-status-details-bin"]
    assert isinstance(packed, bytes)
    reason = error_details_pb2.ErrorInfo()
    assert status_pb2.Status.FromString(packed).details[0].Unpack(reason)
    assert reason.reason == "RISK_HIGH"


async def test_a_bug_is_internal_and_leaks_no_text(channel: grpc.aio.Channel) -> None:
    error = await failure(channel, "Fail")
    assert error.code() is grpc.StatusCode.INTERNAL
    assert "secret" not in str(error)


async def test_malformed_protobuf_is_the_callers_fault(channel: grpc.aio.Channel) -> None:
    error = await failure(channel, "Parse", b"\xff\xff\xff")
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    message = wrappers_pb2.StringValue(value="well-formed").SerializeToString()
    assert await call(channel, "Parse", message) == b"well-formed"


@pytest.mark.parametrize("name", ["/test.v1.Example/Nope", "/nope.v1.Nope/Echo"])
async def test_an_unknown_method_is_unimplemented(channel: grpc.aio.Channel, name: str) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await channel.unary_unary(name)(b"")
    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED


async def test_metadata_reaches_the_handler(channel: grpc.aio.Channel) -> None:
    metadata = (("x-one", "1"), ("x-two", "a"), ("x-two", "b"), ("x-raw-bin", b"\x00\xff\x10"))
    seen = json.loads(await call(channel, "WhoAmI", metadata=metadata))["metadata"]
    assert seen["x-one"] == "1"
    assert seen["x-two"] == "a,b"
    assert seen["x-raw-bin"].rstrip("=") == "AP8Q"


async def test_the_call_names_its_path_and_peer(channel: grpc.aio.Channel) -> None:
    seen = json.loads(await call(channel, "WhoAmI"))
    assert seen["path"] == path("WhoAmI")
    assert "127.0.0.1" in seen["address"]
    assert seen["encrypted"] is False
    assert seen["spiffe_id"] is None


async def test_a_forged_certificate_header_is_no_identity(channel: grpc.aio.Channel) -> None:
    forged = (("x-forwarded-client-cert", "By=x;Hash=y;URI=spiffe://example.org/admin"),)
    seen = json.loads(await call(channel, "WhoAmI", metadata=forged))
    assert seen["spiffe_id"] is None


async def test_a_call_without_deadline_gets_the_servers(channel: grpc.aio.Channel) -> None:
    seen = json.loads(await call(channel, "WhoAmI"))
    assert 0 < seen["left"] <= LIMITS.default_deadline


async def test_the_callers_deadline_counts_if_it_is_sooner(channel: grpc.aio.Channel) -> None:
    assert json.loads(await call(channel, "WhoAmI", timeout=0.4))["left"] < 0.45
    assert json.loads(await call(channel, "WhoAmI", timeout=60))["left"] <= LIMITS.default_deadline


async def test_a_passed_deadline_ends_the_work(channel: grpc.aio.Channel) -> None:
    error = await failure(channel, "Sleep", b"5000 own-deadline")
    assert error.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert await cancelled(channel, "own-deadline")


async def test_the_callers_passed_deadline_ends_the_work(channel: grpc.aio.Channel) -> None:
    error = await failure(channel, "Sleep", b"5000 callers-deadline", timeout=0.1)
    assert error.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert await cancelled(channel, "callers-deadline")


async def test_a_cancelled_call_ends_the_work(channel: grpc.aio.Channel) -> None:
    running = channel.unary_unary(path("Sleep"))(b"900 cancelled-call")
    await asyncio.sleep(0.1)
    running.cancel()
    assert await cancelled(channel, "cancelled-call")


@pytest.mark.parametrize("size", [10, 100_000, LIMITS.message_bytes])
async def test_compressed_requests_are_understood(server: Server, size: int) -> None:
    async with grpc.aio.insecure_channel(server.address, compression=grpc.Compression.Gzip) as channel:
        message = b"pdp!" * (size // 4)
        assert await call(channel, "Echo", message) == message


async def test_a_compression_bomb_is_refused(server: Server) -> None:
    async with grpc.aio.insecure_channel(server.address, compression=grpc.Compression.Gzip) as channel:
        error = await failure(channel, "Size", bytes(64 << 20))
    assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


async def test_a_stream_answers_each_request_in_turn(channel: grpc.aio.Channel) -> None:
    stream = channel.stream_stream(path("Chat"))()
    for index in range(20):
        await stream.write(b"%d" % index)
        assert await stream.read() == b"%d" % index
    await stream.done_writing()
    assert await stream.read() is grpc.aio.EOF
    assert await stream.code() is grpc.StatusCode.OK


async def test_a_stream_keeps_order_at_full_speed(channel: grpc.aio.Channel) -> None:
    expected = [b"%d" % index for index in range(5000)]

    async def requests() -> object:
        for message in expected:
            yield message

    stream = channel.stream_stream(path("Chat"))(requests())
    assert [message async for message in stream] == expected


async def test_a_stream_outlives_the_unary_deadline(channel: grpc.aio.Channel) -> None:
    stream = channel.stream_stream(path("Chat"))()
    await stream.write(b"before")
    assert await stream.read() == b"before"
    await asyncio.sleep(LIMITS.default_deadline * 1.5)
    await stream.write(b"after")
    assert await stream.read() == b"after"
    stream.cancel()


async def test_a_server_stream_sends_all(channel: grpc.aio.Channel) -> None:
    stream = channel.unary_stream(path("Count"))(b"3000")
    assert [int(message) async for message in stream] == list(range(3000))


async def test_a_stream_ends_with_the_handlers_status(channel: grpc.aio.Channel) -> None:
    stream = channel.stream_stream(path("Break"))()
    await stream.write(b"first")
    assert await stream.read() == b"first"
    await stream.write(b"status")
    error = await ending(stream)
    assert error.code() is grpc.StatusCode.ABORTED
    assert error.details() == "as asked"


async def test_a_bug_in_a_stream_leaks_no_text(channel: grpc.aio.Channel) -> None:
    stream = channel.stream_stream(path("Break"))()
    await stream.write(b"bug")
    error = await ending(stream)
    assert error.code() is grpc.StatusCode.INTERNAL
    assert "secret" not in str(error)


async def test_a_stream_has_its_callers_deadline(channel: grpc.aio.Channel) -> None:
    stream = channel.stream_stream(path("Chat"))(timeout=0.2)
    await stream.write(b"one")
    assert await stream.read() == b"one"
    assert (await ending(stream)).code() is grpc.StatusCode.DEADLINE_EXCEEDED


@pytest.mark.parametrize(
    ("method", "message", "name"),
    [("Chat", b"the cancelled", "chat ended after the cancelled"), ("Count", b"-1", "count ended at -1")],
)
async def test_a_cancelled_stream_ends_the_work(
    channel: grpc.aio.Channel, method: str, message: bytes, name: str
) -> None:
    stream = channel.stream_stream(path(method))()
    await stream.write(message)
    await stream.read()
    stream.cancel()
    assert await cancelled(channel, name)


async def test_a_stream_message_above_the_limit_is_refused(channel: grpc.aio.Channel) -> None:
    stream = channel.stream_stream(path("Chat"))()
    await stream.write(bytes(LIMITS.message_bytes + 1))
    assert (await ending(stream)).code() is grpc.StatusCode.RESOURCE_EXHAUSTED


async def test_a_caller_too_far_ahead_of_its_answers_is_stopped(channel: grpc.aio.Channel) -> None:
    """On grpcio flow control makes it wait; on Envoy it is refused. Neither collects without bound."""
    stream = channel.stream_stream(path("Count"))()
    await stream.write(b"-2")
    with contextlib.suppress(grpc.aio.AioRpcError, asyncio.InvalidStateError, TimeoutError):
        async with asyncio.timeout(3):
            for _ in range(1000):
                await stream.write(bytes(100_000))
            pytest.fail("all was taken, none was read")
    stream.cancel()
    assert await cancelled(channel, "count ended at -2")
