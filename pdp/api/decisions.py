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
from pdp.api.pipeline import Give, pipelined
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

        async def answer(together: Sequence[bytes], give: Give) -> None:
            await self._answer_streamed(
                [parse(rpc.EvaluateStreamRequest, message) for message in together], caller, give
            )

        async for answered in pipelined(messages, answer, self._settings.stream_in_flight):
            yield answered

    async def _explain(self, message: bytes, call: Call) -> bytes:
        request = to_request(parse(rpc.ExplainRequest, message).request)
        answer, explanation = await self._pdp.explain(request, caller_of(call, "explain"))
        decision = decision_pb2.Decision.FromString(decision_bytes(answer))
        rules = rule_traces(explanation, self._pseudonym)
        return rpc.ExplainResponse(decision=decision, rules=rules).SerializeToString()

    async def _answer_streamed(
        self, questions: Sequence[rpc.EvaluateStreamRequest], caller: Caller, give: Give
    ) -> None:
        """Answer questions that came together: at once what memory answers, each of the others when it is known."""
        due = asyncio.get_running_loop().time() + self._settings.answer_seconds
        own = caller._replace(deadline=min(due, caller.deadline))
        later = []
        for asked, outcome in zip(questions, await self._held(questions, own), strict=True):
            if outcome is None:
                later.append(self._answer_alone(asked, own, give))
            else:
                give(_streamed(asked.request_id, outcome))
        if later:
            await asyncio.gather(*later)

    async def _held(
        self, questions: Sequence[rpc.EvaluateStreamRequest], caller: Caller
    ) -> Sequence[Answer | Exception | None]:
        if not all(map(_is_named, questions)):
            return [None] * len(questions)
        try:
            return await self._pdp.evaluate_held([to_request(asked.request) for asked in questions], caller)
        except Exception:  # noqa: BLE001 - asked one by one it shows whose error it is
            return [None] * len(questions)

    async def _answer_alone(self, asked: rpc.EvaluateStreamRequest, caller: Caller, give: Give) -> None:
        if not _is_named(asked):
            unnamed = invalid("request_id", f"is missing or longer than {_REQUEST_ID_LIMIT} characters")
            give(_streamed(asked.request_id, unnamed))
            return
        outcome: Answer | Exception
        try:
            outcome = await self._pdp.evaluate(to_request(asked.request), caller)
        except Exception as error:  # noqa: BLE001 - one question's error, whatever it is, is its answer
            outcome = error
        give(_streamed(asked.request_id, outcome))


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
    header = call.metadata.get("traceparent")
    return Caller(call.peer.spiffe_id or "", interface, parse_traceparent(header) if header else None, call.deadline)


def _batch(message: rpc.BatchEvaluateRequest) -> Sequence[Request]:
    if not 0 < len(message.items) <= _BATCH_LIMIT:
        raise invalid("items", f"has {len(message.items)} entries; 1 to {_BATCH_LIMIT} are allowed")
    return to_requests(message)


def _is_named(asked: rpc.EvaluateStreamRequest) -> bool:
    return 0 < len(asked.request_id) <= _REQUEST_ID_LIMIT


def _streamed(name: str, outcome: Answer | Exception) -> bytes:
    if isinstance(outcome, Answer):
        return stream_decision(name, outcome)
    return stream_error(name, status_bytes(to_rpc_error(outcome)))


def _fault(request: Request) -> bytes | None:
    try:
        validate(request)
    except InvalidRequestError as error:
        return status_bytes(to_rpc_error(error))
    return None
