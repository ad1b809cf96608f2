"""Pure translation between the wire contract pdp.v1 and the core.

Nothing is decided or checked here: a request is carried over as it is, and the service validates it.

A decision is written in pieces (see ``pdp.api.pieces``). Each memo below is a pure function of its whole key; it
saves time and can hold nothing stale.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from pdp.api.pieces import LAST_SECOND, tag, text, timestamp, with_length
from pdp.core.decision import AttributeUse, Decision, Effect, Entity, StepUp
from pdp.core.request import Context, EntityRef, Request
from pdp.ports import Answer
from pdp.v1 import decision_pb2 as wire
from pdp.v1 import policy_decision_pb2 as rpc
from pdp.v1 import request_pb2

EFFECTS: Final = {Effect.ALLOW: wire.EFFECT_ALLOW, Effect.DENY: wire.EFFECT_DENY}
ENTITIES: Final = {
    Entity.SUBJECT: wire.ENTITY_SUBJECT,
    Entity.DEVICE: wire.ENTITY_DEVICE,
    Entity.SESSION: wire.ENTITY_SESSION,
    Entity.RESOURCE: wire.ENTITY_RESOURCE,
    Entity.CONTEXT: wire.ENTITY_CONTEXT,
}


def to_request(message: rpc.EvaluateRequest) -> Request:
    """Carry a request over to the core."""
    return Request(
        _ref(message.subject),
        message.action.name,
        _ref(message.resource),
        _context(message.context.SerializeToString()),
        message.session_id,
        message.device_id,
    )


# Callers state few distinct circumstances, and building them is a third of the translation.
@lru_cache(maxsize=1024)
def _context(serialised: bytes) -> Context:
    context = request_pb2.Context.FromString(serialised)
    return Context(
        context.purpose,
        context.channel,
        context.network,
        context.emergency,
        context.emergency_reason,
        frozenset(context.supported_obligations),
    )


def to_requests(batch: rpc.BatchEvaluateRequest) -> list[Request]:
    """Carry a batch over: what an item has replaces the default's as a whole (AuthZEN 1.0, section 7.1.1)."""
    default = to_request(batch.defaults)
    return [_completed(item, default) for item in batch.items]


def _completed(item: rpc.EvaluateRequest, default: Request) -> Request:
    given = item.HasField
    subject, action, resource, context, session, device = default
    if given("subject"):
        subject = _ref(item.subject)
    if given("action"):
        action = item.action.name
    if given("resource"):
        resource = _ref(item.resource)
    if given("context"):
        context = _context(item.context.SerializeToString())
    return Request(subject, action, resource, context, item.session_id or session, item.device_id or device)


def _ref(named: request_pb2.Subject | request_pb2.Resource) -> EntityRef:
    return EntityRef(named.type, named.id)


def decision_bytes(answer: Answer) -> bytes:
    """Serialise an answer as a ``pdp.v1.Decision``."""
    decision, seconds = answer.decision, answer.time
    pieces = [
        *(_DECISION_ID, text(answer.id), _TRACE_ID, text(answer.trace_id), _DECIDED_AT, timestamp(seconds)),
        *(_VALID_UNTIL, timestamp(decision.valid_until), _verdict(decision)),
    ]
    for use in decision.attributes:
        age = int(seconds - use.issued_at)
        kept = _USES.get(id(use))
        pieces.append(kept[2] if kept and kept[0] is use and kept[1] == age else _attribute_use(use, age))
    if decision.step_up:
        pieces.append(_step_up(decision.step_up))
    return b"".join(pieces)


def evaluate_response(answer: Answer) -> bytes:
    """Serialise an ``EvaluateResponse``."""
    return _RESPONSE_DECISION + with_length(decision_bytes(answer))


def batch_decision(answer: Answer) -> bytes:
    """Serialise a ``BatchEvaluateResponse`` of one result, a decision; concatenated, such are the whole response."""
    return _BATCH_RESULTS + with_length(_RESULT_DECISION + with_length(decision_bytes(answer)))


def batch_error(status: bytes) -> bytes:
    """Serialise a ``BatchEvaluateResponse`` of one result, an error, from a serialised ``google.rpc.Status``."""
    return _BATCH_RESULTS + with_length(_RESULT_ERROR + with_length(status))


def stream_decision(request_id: str, answer: Answer) -> bytes:
    """Serialise an ``EvaluateStreamResponse`` with a decision."""
    return _REQUEST_ID + text(request_id) + _STREAM_DECISION + with_length(decision_bytes(answer))


def stream_error(request_id: str, status: bytes) -> bytes:
    """Serialise an ``EvaluateStreamResponse`` with an error, from a serialised ``google.rpc.Status``."""
    return _REQUEST_ID + text(request_id) + _STREAM_ERROR + with_length(status)


# Rules answer with the same few objects again and again. Hashing one costs more than all the rest, so these memos go
# by identity; an entry holds what it is about, so no other object can take its place.
_VERDICTS: Final[dict[int, tuple[Decision, bytes]]] = {}
_USES: Final[dict[int, tuple[AttributeUse, int, bytes]]] = {}
_KEPT: Final = 16384


def _verdict(decision: Decision) -> bytes:
    """Serialise what rules say: all of a decision that is not of this one moment and these very records."""
    kept = _VERDICTS.get(id(decision.causes))
    if (
        kept is None
        or kept[0].causes is not decision.causes
        or kept[0].rules is not decision.rules
        or kept[0].obligations is not decision.obligations
        or kept[0].revision != decision.revision
        or kept[0].effect is not decision.effect
    ):
        if len(_VERDICTS) >= _KEPT:
            _VERDICTS.clear()
        kept = _VERDICTS[id(decision.causes)] = decision, _verdict_message(decision).SerializeToString()
    return kept[1]


def _verdict_message(decision: Decision) -> wire.Decision:
    return wire.Decision(
        effect=EFFECTS[decision.effect],
        reasons=[wire.Reason(code=cause.code, about=cause.about) for cause in decision.causes],
        rule_ids=decision.rules,
        policy_revision=decision.revision,
        obligations=[
            wire.Obligation(id=owed.id, type=owed.type, mandatory=owed.mandatory, properties=dict(owed.properties))
            for owed in decision.obligations
        ],
    )


def _attribute_use(use: AttributeUse, age: int) -> bytes:
    """Serialise the use of a record. Its age is in whole seconds, so a hot record is serialised once a second."""
    message = wire.AttributeUse(entity=ENTITIES[use.entity], version=use.version)
    message.age.seconds = min(max(0, age), LAST_SECOND)
    piece = _ATTRIBUTE_USES + with_length(message.SerializeToString() + _ISSUED_AT + timestamp(use.issued_at))
    if len(_USES) >= _KEPT:
        _USES.clear()
    _USES[id(use)] = use, age, piece
    return piece


def _step_up(step_up: StepUp) -> bytes:
    message = wire.StepUp(acr_values=step_up.acr_values)
    if step_up.max_age is not None:
        message.max_age.seconds = step_up.max_age
    return wire.Decision(step_up=message).SerializeToString()


_DECISION_ID: Final = tag(wire.Decision, "decision_id")
_TRACE_ID: Final = tag(wire.Decision, "trace_id")
_DECIDED_AT: Final = tag(wire.Decision, "decided_at")
_VALID_UNTIL: Final = tag(wire.Decision, "valid_until")
_ATTRIBUTE_USES: Final = tag(wire.Decision, "attribute_uses")
_ISSUED_AT: Final = tag(wire.AttributeUse, "issued_at")
_RESPONSE_DECISION: Final = tag(rpc.EvaluateResponse, "decision")
_BATCH_RESULTS: Final = tag(rpc.BatchEvaluateResponse, "results")
_RESULT_DECISION: Final = tag(rpc.BatchEvaluateResult, "decision")
_RESULT_ERROR: Final = tag(rpc.BatchEvaluateResult, "error")
_REQUEST_ID: Final = tag(rpc.EvaluateStreamResponse, "request_id")
_STREAM_DECISION: Final = tag(rpc.EvaluateStreamResponse, "decision")
_STREAM_ERROR: Final = tag(rpc.EvaluateStreamResponse, "error")
