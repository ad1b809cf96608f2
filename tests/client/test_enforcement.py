"""Enforcement points: only an allow passes, answers are shown as they must be, a stream ends with its access."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import grpc
import pytest

from pdp.client import (
    AccessDeniedError,
    AsyncClient,
    AuthorizationInterceptor,
    AuthorizationMiddleware,
    Client,
    ClientSettings,
    Question,
    UnansweredError,
    protect,
    protect_blocking,
)
from pdp.v1 import policy_decision_pb2 as rpc
from tests.client.live import DEVICE, MASKS, READ, Live, settled

NOBODY = READ._replace(subject=("user", "nobody"))
WEAK = READ._replace(session="s-1", resource=("payment_card", "card-1"))
RECORD = {"name": "Ada", "national_id": "AB123456C"}
_METHODS = {"One": "unary_unary", "Many": "unary_stream", "Each": "stream_stream"}


@pytest.fixture
async def client(live: Live) -> AsyncIterator[AsyncClient]:
    async with AsyncClient(live.settings(), MASKS) as one:
        await settled(one)
        yield one


# gRPC. The messages are whatever is at hand that has a field with a name that the policy masks: none; so the
# interceptor is seen to pass answers on, and the masks of messages are tested by themselves.


class Handlers(grpc.GenericRpcHandler):
    """Three methods of different shapes; ``go`` lets the stream of the second go on."""

    def __init__(self) -> None:
        self.go = asyncio.Semaphore(0)

    def service(self, details: grpc.HandlerCallDetails) -> Any:
        name = details.method.rpartition("/")[2]
        kind = _METHODS.get(name)
        if kind is None:
            return None
        make = getattr(grpc, f"{kind}_rpc_method_handler")
        return make(
            getattr(self, kind),
            request_deserializer=rpc.EvaluateRequest.FromString,
            response_serializer=rpc.EvaluateRequest.SerializeToString,
        )

    async def unary_unary(self, request: rpc.EvaluateRequest, _context: Any) -> rpc.EvaluateRequest:
        return request

    async def unary_stream(self, request: rpc.EvaluateRequest, _context: Any) -> AsyncIterator[rpc.EvaluateRequest]:
        while True:
            yield request
            await self.go.acquire()

    async def stream_stream(self, requests: Any, _context: Any) -> AsyncIterator[rpc.EvaluateRequest]:
        async for request in requests:
            yield request


@contextlib.asynccontextmanager
async def guarded(client: AsyncClient, question_of: Callable[..., Question | None]) -> AsyncIterator[Any]:
    handlers = Handlers()
    interceptor = AuthorizationInterceptor(client, question_of, frozenset({"/open.Service/*"}))
    server = grpc.aio.server(interceptors=[interceptor])
    server.add_generic_rpc_handlers((handlers,))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:

            def method(name: str, service: str = "test.Service") -> Any:
                make = getattr(channel, _METHODS[name])
                return make(
                    f"/{service}/{name}",
                    request_serializer=rpc.EvaluateRequest.SerializeToString,
                    response_deserializer=rpc.EvaluateRequest.FromString,
                )

            yield method, handlers
    finally:
        await server.stop(0)


def by_session(_method: str, message: rpc.EvaluateRequest | None, _context: Any) -> Question | None:
    known = {"": READ, "nobody": NOBODY, "weak": WEAK, "none": None}
    return known[message.session_id if message else ""]


async def test_a_call_passes_on_an_allow_alone(client: AsyncClient) -> None:
    async with guarded(client, by_session) as (method, _):
        assert await method("One")(rpc.EvaluateRequest(device_id="x")) == rpc.EvaluateRequest(device_id="x")
        for name in ("nobody", "none", "not in the table"):
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await method("One")(rpc.EvaluateRequest(session_id=name))
            assert caught.value.code() is grpc.StatusCode.PERMISSION_DENIED
        assert await method("One", "open.Service")(rpc.EvaluateRequest(session_id="nobody"))
        stream = method("Each")()
        await stream.write(rpc.EvaluateRequest(device_id="y"))
        assert (await stream.read()).device_id == "y"
        stream.cancel()


async def test_stronger_authentication_is_asked_for(client: AsyncClient) -> None:
    async with guarded(client, by_session) as (method, _):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await method("One")(rpc.EvaluateRequest(session_id="weak"))
    assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED
    assert dict(caught.value.trailing_metadata())["pdp-step-up-acr"] == "urn:pdp:aal:2 urn:pdp:aal:3"
    status, headers, _ = await get(client, "/", WEAK)
    assert status == 401
    challenge = headers[b"www-authenticate"].decode()
    assert challenge.startswith('Bearer realm="pdp", error="insufficient_user_authentication"')
    assert 'acr_values="urn:pdp:aal:2 urn:pdp:aal:3"' in challenge


async def test_without_a_decision_a_call_is_unavailable() -> None:
    nowhere = AsyncClient(ClientSettings(("127.0.0.1:1",), timeout=0.2))
    async with nowhere as client, guarded(client, by_session) as (method, _):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await method("One")(rpc.EvaluateRequest())
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE


async def test_a_stream_ends_with_its_access(live: Live, client: AsyncClient) -> None:
    async with live.writer() as writer, guarded(client, by_session) as (method, handlers):
        stream = method("Many")(rpc.EvaluateRequest(device_id="x"))
        assert (await stream.read()).device_id == "x"
        handlers.go.release()
        assert (await stream.read()).device_id == "x"
        await writer.patch(*DEVICE, {"compliant": False})
        async with asyncio.timeout(10):
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await read_on(stream, handlers)
        assert caught.value.code() is grpc.StatusCode.PERMISSION_DENIED


async def read_on(stream: Any, handlers: Handlers) -> None:
    while True:
        handlers.go.release()
        await stream.read()


# ASGI


async def application(scope: dict[str, Any], receive: Any, send: Any) -> None:
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        while True:
            await send({"type": "websocket.send", "text": json.dumps(RECORD)})
            await receive()
    content = b"not json" if scope["path"] == "/text" else json.dumps(RECORD).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", b"999"), (b"etag", b"x")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": content[:5], "more_body": True})
    await send({"type": "http.response.body", "body": content[5:]})


async def get(client: AsyncClient, path: str, question: Question | None) -> tuple[int, dict[bytes, bytes], Any]:
    sent: list[dict[str, Any]] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        return {"type": "http.request", "body": b""}

    def question_of(scope: Any) -> Question | None:
        if scope["path"] == "/broken":
            raise KeyError(scope["path"])
        return question

    middleware = AuthorizationMiddleware(application, client, question_of, frozenset({"/healthz"}))
    await middleware({"type": "http", "path": path}, receive, send)
    body = b"".join(message.get("body", b"") for message in sent[1:])
    return sent[0]["status"], dict(sent[0]["headers"]), body


async def test_an_answer_is_shown_as_it_must_be(client: AsyncClient) -> None:
    status, headers, body = await get(client, "/", READ)
    assert (status, json.loads(body)) == (200, {"name": "Ada", "national_id": "*****456C"})
    assert headers[b"content-length"] == str(len(body)).encode()
    assert b"etag" not in headers
    assert headers[b"cache-control"] == b"no-store"


@pytest.mark.parametrize(
    ("path", "question", "status"),
    [("/", NOBODY, 403), ("/", None, 403), ("/broken", READ, 403), ("/text", READ, 503), ("/healthz", NOBODY, 200)],
)
async def test_nothing_else_is_shown(client: AsyncClient, path: str, question: Question | None, status: int) -> None:
    found, headers, body = await get(client, path, question)
    assert found == status
    if status != 200:
        assert headers[b"content-type"] == b"application/problem+json"
        assert b"AB123456C" not in body


async def test_a_websocket_closes_with_its_access(live: Live, client: AsyncClient) -> None:
    sent: asyncio.Queue[dict[str, Any]] = asyncio.Queue()

    async def receive() -> Any:
        await asyncio.sleep(0.01)
        return {"type": "websocket.receive", "text": ""}

    async def send(message: Any) -> None:
        sent.put_nowait(message)

    middleware = AuthorizationMiddleware(application, client, lambda _: READ)
    async with live.writer() as writer:
        serving = asyncio.create_task(middleware({"type": "websocket", "path": "/"}, receive, send))
        assert (await sent.get())["type"] == "websocket.accept"
        assert json.loads((await sent.get())["text"]) == {"name": "Ada", "national_id": "*****456C"}
        await writer.patch(*DEVICE, {"compliant": False})
        await asyncio.wait_for(serving, 10)
    last = [sent.get_nowait() for _ in range(sent.qsize())][-1]
    assert (last["type"], last["code"]) == ("websocket.close", 1008)
    denied = AuthorizationMiddleware(application, client, lambda _: NOBODY)
    await denied({"type": "websocket", "path": "/"}, receive, send)
    assert sent.get_nowait()["type"] == "websocket.close"


# Functions


async def test_a_function_runs_on_an_allow_alone(client: AsyncClient) -> None:
    ran: list[str] = []

    @protect(client, lambda user: READ._replace(subject=("user", user)))
    async def look(user: str) -> dict[str, str]:
        """Look."""
        ran.append(user)
        return dict(RECORD)

    assert look.__doc__ == "Look."
    assert await look("alice") == {"name": "Ada", "national_id": "*****456C"}
    with pytest.raises(AccessDeniedError):
        await look("nobody")
    with pytest.raises(UnansweredError):
        await look("not an id")
    assert ran == ["alice"]


def test_a_blocking_function_runs_on_an_allow_alone(live: Live) -> None:
    with Client(live.settings(), MASKS) as client:

        @protect_blocking(client, lambda user: READ._replace(subject=("user", user)))
        def look(user: str) -> dict[str, str]:
            return {"of": user, **RECORD}

        assert look("alice")["national_id"] == "*****456C"
        with pytest.raises(AccessDeniedError):
            look("nobody")
