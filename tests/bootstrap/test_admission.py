"""Who may call is looked at on every call."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from pdp.bootstrap.admission import admitted
from pdp.server.rpc import Call, Code, Peer, RpcError, Streaming, Unary

KNOWN = "spiffe://example.org/sidecar/crm"


async def echo(message: bytes, _: Call) -> bytes:
    return message


async def echo_all(messages: AsyncIterator[bytes], _: Call) -> AsyncIterator[bytes]:
    async for message in messages:
        yield message


async def one() -> AsyncIterator[bytes]:
    yield b"x"


def call(spiffe_id: str | None) -> Call:
    return Call("/a/B", Peer("127.0.0.1:1", spiffe_id, encrypted=True), {}, 1e9)


async def ask(spiffe_id: str | None, callers: frozenset[str]) -> list[bytes]:
    methods = admitted({"unary": Unary(echo), "stream": Streaming(echo_all)}, callers)
    unary, stream = methods["unary"], methods["stream"]
    assert isinstance(unary, Unary)
    assert isinstance(stream, Streaming)
    return [await unary.handler(b"x", call(spiffe_id)), *[it async for it in stream.handler(one(), call(spiffe_id))]]


async def test_a_caller_on_the_list_is_let_in() -> None:
    assert await ask(KNOWN, frozenset({KNOWN})) == [b"x", b"x"]


async def test_without_a_list_the_transports_word_is_enough() -> None:
    assert await ask(None, frozenset()) == [b"x", b"x"]


@pytest.mark.parametrize(
    ("spiffe_id", "code"),
    [
        (None, Code.UNAUTHENTICATED),
        ("spiffe://example.org/sidecar/other", Code.PERMISSION_DENIED),
        (KNOWN + "/", Code.PERMISSION_DENIED),
        (KNOWN.upper(), Code.PERMISSION_DENIED),
    ],
)
async def test_any_other_caller_is_refused_on_both_kinds_of_method(spiffe_id: str | None, code: Code) -> None:
    methods = admitted({"unary": Unary(echo), "stream": Streaming(echo_all)}, frozenset({KNOWN}))
    with pytest.raises(RpcError) as refused:
        await methods["unary"].handler(b"x", call(spiffe_id))  # type: ignore[arg-type, misc]
    assert refused.value.code is code
    with pytest.raises(RpcError) as refused:
        [it async for it in methods["stream"].handler(one(), call(spiffe_id))]  # type: ignore[arg-type, union-attr]
    assert refused.value.code is code
