"""The one error map."""

from __future__ import annotations

import pytest
from google.rpc.error_details_pb2 import ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status

from pdp.api.errors import http_status, status_bytes, to_rpc_error
from pdp.core.errors import AttributesUnavailableError, AuditUnavailableError, InvalidRequestError, PdpError
from pdp.server.rpc import Code, RpcError


@pytest.mark.parametrize(
    ("error", "code", "status"),
    [
        (InvalidRequestError("subject.id", "is missing"), Code.INVALID_ARGUMENT, 400),
        (AttributesUnavailableError(), Code.UNAVAILABLE, 503),
        (AuditUnavailableError(), Code.UNAVAILABLE, 503),
        (TimeoutError(), Code.DEADLINE_EXCEEDED, 504),
        (PdpError("x"), Code.INTERNAL, 500),
        (RuntimeError("x"), Code.INTERNAL, 500),
        (RpcError(Code.RESOURCE_EXHAUSTED, "x"), Code.RESOURCE_EXHAUSTED, 429),
        (RpcError(Code.ABORTED, "x"), Code.ABORTED, 500),
    ],
)
def test_each_error_has_one_code(error: Exception, code: Code, status: int) -> None:
    mapped = to_rpc_error(error)
    assert mapped.code is code
    assert http_status(mapped) == status
    assert Status.FromString(status_bytes(mapped)).code == code


def test_no_error_is_ok() -> None:
    assert all(to_rpc_error(kind()).code is not Code.OK for kind in (Exception, ValueError, KeyError, PdpError))


def test_the_callers_own_error_passes_unchanged() -> None:
    error = RpcError(Code.RESOURCE_EXHAUSTED, "too many", b"")
    assert to_rpc_error(error) is error


def test_unavailable_says_when_to_try_again() -> None:
    details = Status.FromString(to_rpc_error(AuditUnavailableError()).details).details
    info, retry = ErrorInfo(), RetryInfo()
    assert details[0].Unpack(info)
    assert details[1].Unpack(retry)
    assert (info.domain, info.reason) == ("pdp", "DECISION_UNAVAILABLE")
    assert retry.retry_delay.seconds == 1


@pytest.mark.parametrize("kind", [RuntimeError, AttributesUnavailableError, TimeoutError, PdpError])
def test_an_exceptions_text_stays_inside(kind: type[Exception]) -> None:
    mapped = to_rpc_error(kind("redis://user:password@host"))
    assert "password" not in mapped.message
    assert b"password" not in mapped.details
