"""Who may call at all: a list of SPIFFE ids, looked at on every call and not only when a connection is made."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping

from pdp.server.rpc import Call, Code, RpcError, StreamHandler, Streaming, Unary, UnaryHandler


def admitted(methods: Mapping[str, Unary | Streaming], callers: frozenset[str]) -> dict[str, Unary | Streaming]:
    """Let only the callers named call the methods; an empty list lets everyone whom the transport let in."""
    if not callers:
        return dict(methods)
    return {path: _admitted(method, callers) for path, method in methods.items()}


def _admitted(method: Unary | Streaming, callers: frozenset[str]) -> Unary | Streaming:
    if isinstance(method, Unary):
        return Unary(_unary(method.handler, callers))
    return Streaming(_streaming(method.handler, callers))


def _unary(handler: UnaryHandler, callers: frozenset[str]) -> UnaryHandler:
    async def admit(message: bytes, call: Call) -> bytes:
        _require(call, callers)
        return await handler(message, call)

    return admit


def _streaming(handler: StreamHandler, callers: frozenset[str]) -> StreamHandler:
    async def admit(messages: AsyncIterator[bytes], call: Call) -> AsyncIterator[bytes]:
        _require(call, callers)
        async for answer in handler(messages, call):
            yield answer

    return admit


def _require(call: Call, callers: frozenset[str]) -> None:
    if call.peer.spiffe_id is None:
        raise RpcError(Code.UNAUTHENTICATED, "a client certificate with exactly one SPIFFE id is required")
    if call.peer.spiffe_id not in callers:
        raise RpcError(Code.PERMISSION_DENIED, "this SPIFFE id is not among the callers that the service admits")
