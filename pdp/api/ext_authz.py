"""Envoy's external authorization service, envoy.service.auth.v3.Authorization/Check.

A deny is a CheckResponse that denies. So is a refusal for a request that cannot be decided on: it is put on record
first, like every decision. A fault of ours is an error, never an allow; Envoy denies on it unless it was told
otherwise (failure_mode_allow), which its operator should not do.

Source: https://www.envoyproxy.io/docs/envoy/latest/configuration/http/http_filters/ext_authz_filter
"""

from __future__ import annotations

from typing import Final

from google.protobuf.message import DecodeError

from pdp.api.decisions import caller_of
from pdp.api.envoy_request import AmbiguousEvidenceError, Evidence, read_request
from pdp.api.envoy_response import check_response
from pdp.api.errors import mapped
from pdp.api.settings import ExtAuthzSettings
from pdp.core.errors import InvalidRequestError
from pdp.core.reasons import Cause, Reason
from pdp.core.trace import parse_traceparent
from pdp.extauthz.v3.external_auth_pb2 import AttributeContext, CheckRequest
from pdp.ports import Answer, Caller, PolicySource
from pdp.server.rpc import Call, Unary
from pdp.service import PolicyDecisionPoint

SERVICE: Final = "envoy.service.auth.v3.Authorization"


class ExtAuthz:
    """Answers Envoy.

    Args:
        pdp: decides, and puts on record.
        policies: holds the routes, as part of the revision in force; the same source that ``pdp`` decides by.
        settings: where to find what about a request.
    """

    def __init__(self, pdp: PolicyDecisionPoint, policies: PolicySource, settings: ExtAuthzSettings) -> None:
        self._pdp = pdp
        self._policies = policies
        self._settings = settings

    def methods(self) -> dict[str, Unary]:
        """Give the handler by its full method name. It raises ``RpcError`` and, cancellation apart, nothing else."""
        return {f"/{SERVICE}/Check": Unary(mapped(self._check))}

    async def _check(self, message: bytes, call: Call) -> bytes:
        caller = caller_of(call, "ext_authz")
        try:
            attributes = CheckRequest.FromString(message).attributes
        except DecodeError:
            # Denied, not an error: what a client sends must not choose the outcome under failure_mode_allow.
            answer = await self._pdp.refuse(caller, Cause(Reason.REQUEST_INVALID), None)
        else:
            answer = await self._answer(attributes, caller)
        return check_response(answer, self._settings.headers_to_remove)

    async def _answer(self, attributes: AttributeContext, caller: Caller) -> Answer:
        caller = self._traced(attributes, caller)
        policy = self._policies.current()
        if policy is None:
            return await self._pdp.refuse(caller, Cause(Reason.POLICY_UNAVAILABLE), None)
        reading = read_request(attributes, self._settings, caller.id, policy.routes)
        if reading.cause:
            return await self._pdp.refuse(caller, reading.cause, reading.request)
        try:
            answer = await self._pdp.evaluate(reading.request, caller)
        except InvalidRequestError as error:
            code = Reason.PATH_AMBIGUOUS if error.field.startswith("resource.") else Reason.REQUEST_INVALID
            return await self._pdp.refuse(caller, Cause(code, error.field), reading.request)
        if answer.decision.revision != policy.revision:
            # A new revision came in between: this decision is about what the old one's routes say was asked.
            return await self._pdp.refuse(caller, Cause(Reason.POLICY_UNAVAILABLE), reading.request)
        return answer

    def _traced(self, attributes: AttributeContext, caller: Caller) -> Caller:
        """Join the client's trace where Envoy has none of its own."""
        if caller.trace:
            return caller
        try:
            header = Evidence(attributes, self._settings, caller.id).header("traceparent")
        except AmbiguousEvidenceError:
            return caller
        return Caller(caller.id, caller.interface, parse_traceparent(header), caller.deadline)
