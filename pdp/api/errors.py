"""The one map from errors to gRPC statuses with google.rpc details, and from those to HTTP.

What a caller is told: the code, a text of ours, the offending field. Never an exception's own text, unless it is an
``InvalidRequestError``, whose text is made for the caller and repeats no value.

Source: https://google.aip.dev/193
"""

from __future__ import annotations

import logging
import traceback
from typing import Final

from google.protobuf.message import Message
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status

from pdp.core.errors import AttributesUnavailableError, AuditUnavailableError, InvalidRequestError
from pdp.server.rpc import Call, Code, RpcError, UnaryHandler
from pdp.watching import TooManyWatchesError, WatchClosedError

_log = logging.getLogger(__name__)

_DOMAIN: Final = "pdp"
_RETRY_AFTER: Final = 1
# The core speaks of entities; on the wire a session and a device are named by a field of the request.
_WIRE_FIELDS: Final = {"session.id": "session_id", "device.id": "device_id"}
_HTTP: Final = {
    Code.INVALID_ARGUMENT: 400,
    Code.UNAUTHENTICATED: 401,
    Code.PERMISSION_DENIED: 403,
    Code.RESOURCE_EXHAUSTED: 429,
    Code.UNAVAILABLE: 503,
    Code.DEADLINE_EXCEEDED: 504,
}


def to_rpc_error(error: Exception) -> RpcError:
    """Give the status to answer with. An error that nobody foresaw is logged and becomes INTERNAL."""
    match error:
        case RpcError():
            return error
        case InvalidRequestError():
            return invalid(_WIRE_FIELDS.get(error.field, error.field), error.problem)
        case AttributesUnavailableError() | AuditUnavailableError():
            retry = RetryInfo()
            retry.retry_delay.seconds = _RETRY_AFTER
            return _error(Code.UNAVAILABLE, "the decision point cannot decide now", "DECISION_UNAVAILABLE", retry)
        case TooManyWatchesError():
            return _error(Code.RESOURCE_EXHAUSTED, str(error), "TOO_MANY_WATCHES")
        case WatchClosedError():
            return _error(Code.UNAVAILABLE, f"{error}; open a stream again", "WATCH_CLOSED")
        case TimeoutError():
            return _error(Code.DEADLINE_EXCEEDED, "the deadline passed before a decision", "DEADLINE_EXCEEDED")
        case _:
            _log_unforeseen(error)
            return _error(Code.INTERNAL, "internal error", "INTERNAL")


def mapped(handler: UnaryHandler) -> UnaryHandler:
    """Let no error but an ``RpcError`` out of a handler. Cancellation is no error and passes."""

    async def answer(message: bytes, call: Call) -> bytes:
        try:
            return await handler(message, call)
        except Exception as error:  # noqa: BLE001 - the map has an answer to every error
            raise to_rpc_error(error) from None

    return answer


def invalid(field: str, problem: str) -> RpcError:
    """Make the error for a request that is at fault itself.

    Args:
        field: path of the offending field in the request message, empty where the message as a whole is meant.
        problem: what is wrong with it, without its value.
    """
    violation = BadRequest.FieldViolation(field=field, description=problem)
    text = f"{field}: {problem}" if field else problem
    return _error(Code.INVALID_ARGUMENT, text, "INVALID_REQUEST", BadRequest(field_violations=[violation]))


def unreadable(message_type: type[Message]) -> RpcError:
    """Make the error for bytes that are not a message of the expected type."""
    return invalid("", f"not a {message_type.DESCRIPTOR.full_name} message")


def status_bytes(error: RpcError) -> bytes:
    """Give an error as a serialised ``google.rpc.Status``."""
    return error.details or Status(code=error.code, message=error.message).SerializeToString()


def http_status(error: RpcError) -> int:
    """Give the HTTP status that stands for an error's code."""
    return _HTTP.get(error.code, 500)


def _error(code: Code, message: str, reason: str, *details: Message) -> RpcError:
    status = Status(code=code, message=message)
    for detail in (ErrorInfo(reason=reason, domain=_DOMAIN), *details):
        status.details.add().Pack(detail)
    return RpcError(code, message, status.SerializeToString())


def _log_unforeseen(error: Exception) -> None:
    # The type and the places only: an exception's text may repeat what it choked on.
    places = (f"{frame.filename}:{frame.lineno}" for frame in reversed(traceback.extract_tb(error.__traceback__)))
    _log.error("unforeseen %s at %s", type(error).__name__, " < ".join(places))
