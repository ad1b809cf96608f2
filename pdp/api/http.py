"""POST /v1/evaluate: Evaluate over HTTP, messages in the canonical JSON mapping of protobuf.

JSON is read strictly: UTF-8, no unknown and no repeated member, for a misspelt member would otherwise be a silence
that decides. Errors are ``google.rpc.Status`` in the same mapping. Source: https://protobuf.dev/programming-guides/json/
"""

from __future__ import annotations

import asyncio
import json
import re
from typing import Final

from google.protobuf import json_format
from google.protobuf.message import Message
from google.rpc.status_pb2 import Status

from pdp.api.convert import evaluate_response, to_request
from pdp.api.errors import http_status, invalid, status_bytes, to_rpc_error
from pdp.api.settings import ApiSettings
from pdp.core.trace import parse_traceparent
from pdp.ports import Caller
from pdp.server.rpc import HttpHandler, HttpRequest, HttpResponse, RpcError
from pdp.service import PolicyDecisionPoint
from pdp.v1 import policy_decision_pb2 as rpc

# Three levels are all that a request has.
_DEPTH_LIMIT: Final = 8
_SNAKE: Final = re.compile(r"_([a-z])")
_HEADERS: Final = {"content-type": "application/json", "cache-control": "no-store"}


class DecisionHttp:
    """Answers JSON with JSON."""

    def __init__(self, pdp: PolicyDecisionPoint, settings: ApiSettings) -> None:
        self._pdp = pdp
        self._settings = settings

    def handlers(self) -> dict[tuple[str, str], HttpHandler]:
        """Give the handlers by method and path. They raise nothing, cancellation apart."""
        return {("POST", "/v1/evaluate"): self._evaluate}

    async def _evaluate(self, request: HttpRequest) -> HttpResponse:
        try:
            answer = await self._pdp.evaluate(to_request(_read(request)), self._caller_of(request))
            return _response(200, rpc.EvaluateResponse.FromString(evaluate_response(answer)))
        except Exception as error:  # noqa: BLE001 - the map has an answer to every error
            return _error(to_rpc_error(error))

    def _caller_of(self, request: HttpRequest) -> Caller:
        due = asyncio.get_running_loop().time() + self._settings.answer_seconds
        trace = parse_traceparent(request.headers.get("traceparent", ""))
        return Caller(request.peer.spiffe_id or "", "http", trace, due)


def _read(request: HttpRequest) -> rpc.EvaluateRequest:
    # A browser sends this content type across origins only after a preflight, which is not answered here.
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise invalid("", "the content type is not application/json")
    message = rpc.EvaluateRequest()
    try:
        tree = json.loads(request.body.decode(), object_pairs_hook=_object)
        if not isinstance(tree, dict):
            raise TypeError("not an object")  # noqa: TRY301 - as json_format says it of the objects within
        json_format.ParseDict(tree, message, max_recursion_depth=_DEPTH_LIMIT)
    except (json_format.ParseError, TypeError, ValueError, RecursionError):
        raise invalid("", "not a pdp.v1.EvaluateRequest in JSON") from None
    return message


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """Make an object whose members are each there once, ``session_id`` and ``sessionId`` being the same one."""
    if len({_SNAKE.sub(lambda found: found[1].upper(), name) for name, _ in pairs}) < len(pairs):
        raise ValueError("a member is repeated")
    return dict(pairs)


def _error(error: RpcError) -> HttpResponse:
    return _response(http_status(error), Status.FromString(status_bytes(error)))


def _response(status: int, message: Message) -> HttpResponse:
    return HttpResponse(status, json_format.MessageToJson(message, indent=None).encode(), _HEADERS)
