"""pdp.v1.PolicyDecisionService: its four methods over bytes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Final, TypeVar

from google.protobuf.message import DecodeError, Message

from pdp.api.convert import (
    batch_decision,
    batch_error,
    decision_bytes,
    evaluate_response,
    stream_decision,
    stream_error,
    to_request,
    to_requests,
)
from pdp.api.errors import invalid, mapped, status_bytes, to_rpc_error, unreadable
from pdp.api.explanations import Pseudonym, rule_traces
from pdp.api.pipeline import pipelined
from pdp.api.settings import ApiSettings
from pdp.core.errors import InvalidRequestError
from pdp.core.request import Request, validate
from pdp.core.trace import parse_traceparent
from pdp.ports import Answer, Caller
from pdp.server.rpc import Call, Streaming, Unary
from pdp.service import PolicyDecisionPoint
from pdp.v1 import decision_pb2
from pdp.v1 import policy_decision_pb2 as rpc

SERVICE: Final = rpc.DESCRIPTOR.services_by_name["PolicyDecisionService"].full_name
_BATCH_LIMIT: Final = 1000
_REQUEST_ID_LIMIT: Final = 128

_M = TypeVar("_M", bound=Message)


class DecisionService:
    """Answers serialised messages with serialised messages.

    Args:
        pdp: decides, and puts on record.
        pseudonym: gives the keyed pseudonym of a text, for explanations.
        settings: deadlines and bounds.
    """

    def __init__(self, pdp: PolicyDecisionPoint, pseudonym: Pseudonym, settings: ApiSettings) -> None:
        self._pdp = pdp
        self._pseudonym = pseudonym
        self._settings = settings

    def methods(self) -> dict[str, Unary | Streaming]:
        """Give the handlers by full method name. They raise ``RpcError`` and, cancellation apart, nothing else."""
        return {
            f"/{SERVICE}/Evaluate": Unary(mapped(self._evaluate)),
            f"/{SERVICE}/BatchEvaluate": Unary(mapped(self._batch_evaluate)),
            f"/{SERVICE}/EvaluateStream": Streaming(self._evaluate_stream),
            f"/{SERVICE}/Explain": Unary(mapped(self._explain)),
        }

    async def _evaluate(self, message: bytes, call: Call) -> bytes:
        request = to_request(parse(rpc.EvaluateRequest, message))
        return evaluate_response(await self._pdp.evaluate(request, caller_of(call, "evaluate")))

    async def _batch_evaluate(self, message: bytes, call: Call) -> bytes:
        requests, caller = _batch(parse(rpc.BatchEvaluateRequest, message)), caller_of(call, "batch_evaluate")
        try:
            return b"".join(map(batch_decision, await self._pdp.evaluate_many(requests, caller)))
        except InvalidRequestError:
            return await self._answer_sound(requests, caller)

    async def _answer_sound(self, requests: Sequence[Request], caller: Caller) -> bytes:
        """Answer a batch of which some items are malformed: those with their error."""
        faults = [_fault(request) for request in requests]
        sound = [request for request, fault in zip(requests, faults, strict=True) if fault is None]
        answers = iter(await self._pdp.evaluate_many(sound, caller))
        return b"".join(batch_decision(next(answers)) if fault is None else batch_error(fault) for fault in faults)

    async def _evaluate_stream(self, messages: AsyncIterator[bytes], call: Call) -> AsyncIterator[bytes]:
        caller = caller_of(call, "evaluate_stream")

        async def answer(message: bytes) -> bytes:
            asked = parse(rpc.EvaluateStreamRequest, message)
            try:
                return stream_decision(asked.request_id, await self._answer_streamed(asked, caller))
            except Exception as error:  # noqa: BLE001 - one question's error, whatever it is, is its answer
                return stream_error(asked.request_id, status_bytes(to_rpc_error(error)))

        async for answered in pipelined(messages, answer, self._settings.stream_in_flight):
            yield answered

    async def _explain(self, message: bytes, call: Call) -> bytes:
        request = to_request(parse(rpc.ExplainRequest, message).request)
        answer, explanation = await self._pdp.explain(request, caller_of(call, "explain"))
        decision = decision_pb2.Decision.FromString(decision_bytes(answer))
        rules = rule_traces(explanation, self._pseudonym)
        return rpc.ExplainResponse(decision=decision, rules=rules).SerializeToString()

    async def _answer_streamed(self, asked: rpc.EvaluateStreamRequest, caller: Caller) -> Answer:
        if not 0 < len(asked.request_id) <= _REQUEST_ID_LIMIT:
            raise invalid("request_id", f"is missing or longer than {_REQUEST_ID_LIMIT} characters")
        due = asyncio.get_running_loop().time() + self._settings.answer_seconds
        own = Caller(caller.id, caller.interface, caller.trace, min(due, caller.deadline))
        return await self._pdp.evaluate(to_request(asked.request), own)


def parse(message_type: type[_M], message: bytes) -> _M:
    """Read a message.

    Raises:
        RpcError: INVALID_ARGUMENT, where the bytes are not such a message.
    """
    try:
        return message_type.FromString(message)
    except DecodeError:
        raise unreadable(message_type) from None


def caller_of(call: Call, interface: str) -> Caller:
    """Say who asks: by the identity that the transport proved, and nothing that the caller says of itself."""
    trace = parse_traceparent(call.metadata.get("traceparent", ""))
    return Caller(call.peer.spiffe_id or "", interface, trace, call.deadline)


def _batch(message: rpc.BatchEvaluateRequest) -> Sequence[Request]:
    if not 0 < len(message.items) <= _BATCH_LIMIT:
        raise invalid("items", f"has {len(message.items)} entries; 1 to {_BATCH_LIMIT} are allowed")
    return to_requests(message)


def _fault(request: Request) -> bytes | None:
    try:
        validate(request)
    except InvalidRequestError as error:
        return status_bytes(to_rpc_error(error))
    return None
