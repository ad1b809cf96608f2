"""Writes a decision as Envoy's CheckResponse.

An empty CheckResponse is an allow, so every answer sets a status and exactly one response, and an allow is written in
one place. The client is told the decision's id and reason codes, no more; the upstream is told its obligations.
"""

from __future__ import annotations

import json
import re
from typing import Any, Final

from google.protobuf.struct_pb2 import Struct
from google.rpc.status_pb2 import Status

from pdp.core.decision import Obligation, StepUp
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
        return _refusal(answer, Code.UNAVAILABLE, 503, {"retry-after": "1"})
    if decision.allowed:
        return _allow(answer, headers_to_remove)
    if decision.step_up:
        return _refusal(answer, Code.UNAUTHENTICATED, 401, {"www-authenticate": challenge(decision.step_up)})
    return _refusal(answer, Code.PERMISSION_DENIED, 403, {})


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
    obligations = [_plain(obligation) for obligation in answer.decision.obligations]
    # Set even where it is empty, so that whatever the client sent under the name is gone.
    owed = json.dumps(obligations, separators=(",", ":"))
    response = CheckResponse(
        status=Status(code=Code.OK),
        ok_response=OkHttpResponse(
            headers=_headers({DECISION_ID: answer.id, OBLIGATIONS: owed}), headers_to_remove=headers_to_remove
        ),
        dynamic_metadata=_metadata(answer, obligations),
    )
    return response.SerializeToString()


def _refusal(answer: Answer, code: Code, status: int, headers: dict[str, str]) -> bytes:
    reasons = [cause.code for cause in answer.decision.causes]
    response = DeniedHttpResponse(
        status=HttpStatus(code=status),
        headers=_headers(
            {"content-type": "application/json", "cache-control": "no-store", DECISION_ID: answer.id} | headers
        ),
        body=json.dumps({"decision_id": answer.id, "reasons": reasons}),
    )
    if answer.decision.fault:
        return CheckResponse(status=Status(code=code), error_response=response).SerializeToString()
    return CheckResponse(status=Status(code=code), denied_response=response).SerializeToString()


def _headers(values: dict[str, str]) -> list[HeaderValueOption]:
    # Envoy's default for a header that is there already is to add to it: a client could then speak first.
    action = HeaderValueOption.HEADER_APPEND_ACTION_OVERWRITE_IF_EXISTS_OR_ADD
    return [
        HeaderValueOption(header=HeaderValue(key=name, value=value.encode("ascii")), append_action=action)
        for name, value in values.items()
    ]


def _metadata(answer: Answer, obligations: list[dict[str, Any]]) -> Struct:
    metadata = Struct()
    metadata.update(
        {
            "decision_id": answer.id,
            "trace_id": answer.trace_id,
            "policy_revision": answer.decision.revision,
            "rule_ids": list(answer.decision.rules),
            "obligations": obligations,
        }
    )
    return metadata


def _plain(obligation: Obligation) -> dict[str, Any]:
    return {
        "id": obligation.id,
        "type": obligation.type,
        "mandatory": obligation.mandatory,
        "properties": dict(obligation.properties),
    }


def _quoted(value: str) -> str:
    """Write a quoted-string of RFC 9110, section 5.6.4, without what could end the header."""
    return '"' + _TO_ESCAPE.sub(r"\\\1", _NOT_QUOTABLE.sub("", value)) + '"'
