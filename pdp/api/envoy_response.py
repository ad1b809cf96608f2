"""Writes a decision as Envoy's CheckResponse.

An empty CheckResponse is an allow, so every answer sets a status and exactly one response, and an allow is written in
one place. The client is told the decision's id and reason codes, no more; the upstream is told its obligations.
Messages are written in pieces (see ``pdp.api.pieces``); each memo is a pure function of its whole key.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Any, Final

from google.protobuf.struct_pb2 import Struct
from google.rpc.status_pb2 import Status

from pdp.api.pieces import tag, with_length
from pdp.core.decision import StepUp
from pdp.extauthz.v3.external_auth_pb2 import (
    CheckResponse,
    DeniedHttpResponse,
    HeaderValue,
    HeaderValueOption,
    HttpStatus,
    OkHttpResponse,
)
from pdp.ports import Answer
from pdp.server.rpc import Code

DECISION_ID: Final = "x-pdp-decision-id"
OBLIGATIONS: Final = "x-pdp-obligations"
# The id, type, mandatory flag and properties of each obligation: what is said of them, in a form that can be a key.
_Owed = tuple[tuple[str, str, bool, tuple[tuple[str, str], ...]], ...]
_NOT_QUOTABLE: Final = re.compile(r"[^\x20-\x7e]")
_TO_ESCAPE: Final = re.compile(r'(["\\])')


def check_response(answer: Answer, headers_to_remove: tuple[str, ...]) -> bytes:
    """Serialise an answer as a ``CheckResponse``.

    Args:
        answer: the decision, on record.
        headers_to_remove: names of headers to take off an allowed request.
    """
    decision = answer.decision
    if decision.fault:
        return _FAULT + with_length(_refusal(answer, 503, ("retry-after", "1")))
    if decision.allowed:
        return _allow(answer, headers_to_remove)
    if decision.step_up:
        return _CHALLENGE + with_length(_refusal(answer, 401, ("www-authenticate", challenge(decision.step_up))))
    return _DENY + with_length(_refusal(answer, 403))


def challenge(step_up: StepUp) -> str:
    """Write the ``WWW-Authenticate`` challenge of RFC 9470, section 3."""
    parameters = {
        "error": "insufficient_user_authentication",
        "error_description": "A stronger or more recent authentication is required",
    }
    if step_up.acr_values:
        parameters["acr_values"] = " ".join(step_up.acr_values)
    if step_up.max_age is not None:
        parameters["max_age"] = str(step_up.max_age)
    return "Bearer " + ", ".join(f"{name}={_quoted(value)}" for name, value in parameters.items())


def _allow(answer: Answer, headers_to_remove: tuple[str, ...]) -> bytes:
    decision = answer.decision
    owed = tuple((o.id, o.type, o.mandatory, tuple(o.properties.items())) for o in decision.obligations)
    request = _headers(OkHttpResponse, ((DECISION_ID, answer.id),)) + _shared_headers(owed, headers_to_remove)
    names = _struct({"decision_id": answer.id, "trace_id": answer.trace_id})
    metadata = names + _shared_metadata(decision.revision, decision.rules, owed)
    return _ALLOW + with_length(request) + _METADATA + with_length(metadata)


@lru_cache(maxsize=1024)
def _shared_headers(owed: _Owed, headers_to_remove: tuple[str, ...]) -> bytes:
    # Set even where nothing is owed, so that whatever the client sent under the name is gone.
    obligations = json.dumps(_plain(owed), separators=(",", ":"))
    removed = OkHttpResponse(headers_to_remove=headers_to_remove)
    return _headers(OkHttpResponse, ((OBLIGATIONS, obligations),)) + removed.SerializeToString()


@lru_cache(maxsize=1024)
def _shared_metadata(revision: str, rules: tuple[str, ...], owed: _Owed) -> bytes:
    return _struct({"policy_revision": revision, "rule_ids": list(rules), "obligations": _plain(owed)})


def _refusal(answer: Answer, status: int, *header: tuple[str, str]) -> bytes:
    body = json.dumps({"decision_id": answer.id, "reasons": [cause.code for cause in answer.decision.causes]})
    own = DeniedHttpResponse(body=body).SerializeToString()
    return _shared_refusal(status, *header) + _headers(DeniedHttpResponse, ((DECISION_ID, answer.id),)) + own


@lru_cache(maxsize=64)
def _shared_refusal(status: int, *header: tuple[str, str]) -> bytes:
    headers = (("content-type", "application/json"), ("cache-control", "no-store"), *header)
    code = DeniedHttpResponse(status=HttpStatus(code=status)).SerializeToString()
    return code + _headers(DeniedHttpResponse, headers)


def _headers(message_type: type[OkHttpResponse | DeniedHttpResponse], values: Iterable[tuple[str, str]]) -> bytes:
    """Serialise headers as a piece of the message that they belong to."""
    # Envoy's default for a header that is there already is to add to it: a client could then speak first.
    action = HeaderValueOption.HEADER_APPEND_ACTION_OVERWRITE_IF_EXISTS_OR_ADD
    options = [
        HeaderValueOption(header=HeaderValue(key=name, value=value.encode("ascii")), append_action=action)
        for name, value in values
    ]
    return message_type(headers=options).SerializeToString()


def _struct(values: dict[str, Any]) -> bytes:
    struct = Struct()
    struct.update(values)
    return struct.SerializeToString()


def _plain(owed: _Owed) -> list[dict[str, Any]]:
    return [
        {"id": name, "type": kind, "mandatory": mandatory, "properties": dict(properties)}
        for name, kind, mandatory, properties in owed
    ]


def _quoted(value: str) -> str:
    """Write a quoted-string of RFC 9110, section 5.6.4, without what could end the header."""
    return '"' + _TO_ESCAPE.sub(r"\\\1", _NOT_QUOTABLE.sub("", value)) + '"'


def _opening(code: Code, response: str) -> bytes:
    """Give a CheckResponse up to the length of its one response."""
    return CheckResponse(status=Status(code=code)).SerializeToString() + tag(CheckResponse, response)


_ALLOW: Final = _opening(Code.OK, "ok_response")
_DENY: Final = _opening(Code.PERMISSION_DENIED, "denied_response")
_CHALLENGE: Final = _opening(Code.UNAUTHENTICATED, "denied_response")
_FAULT: Final = _opening(Code.UNAVAILABLE, "error_response")
_METADATA: Final = tag(CheckResponse, "dynamic_metadata")
