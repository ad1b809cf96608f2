"""The outermost guard of both transports: whatever a handler raises becomes a status that leaks nothing."""

from __future__ import annotations

import contextlib
import logging
import traceback
from typing import TYPE_CHECKING

from pdp.server.rpc import Code, RpcError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

_log = logging.getLogger(__name__)

INTERNAL = RpcError(Code.INTERNAL, "internal error")
DEADLINE_EXCEEDED = RpcError(Code.DEADLINE_EXCEEDED, "deadline exceeded")
SHED = RpcError(Code.RESOURCE_EXHAUSTED, "too many concurrent calls; retry with backoff")
DRAINING = RpcError(Code.UNAVAILABLE, "server is shutting down")
STREAM_AGE = RpcError(Code.UNAVAILABLE, "stream reached its maximum age; open a new one")
NO_MESSAGE = RpcError(Code.INTERNAL, "request carries no message")
TOO_MANY_MESSAGES = RpcError(Code.INTERNAL, "request carries more than one message")


def to_status(error: Exception, path: str) -> RpcError:
    """The status for what a handler raised.

    An ``RpcError`` is the handler's own answer. Anything else is a fault of ours: the caller learns only
    INTERNAL. The log gets the type and the places, not the exception's text, which may hold request data.
    """
    if isinstance(error, RpcError):
        return error
    places = [f"{f.filename}:{f.lineno}" for f in traceback.extract_tb(error.__traceback__)]
    _log.error("unhandled %s in %s at %s", type(error).__name__, path, " < ".join(reversed(places)))
    return INTERNAL


@contextlib.asynccontextmanager
async def closing(answers: AsyncIterator[bytes]) -> AsyncIterator[AsyncIterator[bytes]]:
    """The answers of a handler, whose ``finally`` runs now and not when the garbage is collected."""
    try:
        yield answers
    finally:
        close = getattr(answers, "aclose", None)  # an async generator has one, a plain iterator need not
        if close is not None:
            await close()
