"""Nothing is lost or made up between the wire and the core."""

from __future__ import annotations

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import given
from hypothesis import strategies as st

from pdp.api.convert import decision_bytes, evaluate_response, to_request, to_requests
from pdp.core.decision import AttributeUse, Decision, Effect, Entity, Obligation, StepUp
from pdp.core.reasons import Cause, Reason
from pdp.core.request import Context, EntityRef, Request
from pdp.ports import Answer, Caller
from pdp.v1 import decision_pb2 as wire
from pdp.v1 import policy_decision_pb2 as rpc
from pdp.v1 import request_pb2
from tests.api.world import NOW

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
HEX = st.text("0123456789abcdef", min_size=32, max_size=32)
CONTEXTS = st.builds(Context, TEXT, TEXT, TEXT, st.booleans(), TEXT, st.frozensets(TEXT, max_size=3))
REFS = st.builds(EntityRef, TEXT, TEXT)
REQUESTS = st.builds(Request, REFS, TEXT, REFS, CONTEXTS, TEXT, TEXT)
# A double holds the present time to 0.24 microseconds; the wire has whole microseconds.
TIMES = st.integers(0, 4 * 10**15).map(lambda micros: micros / 1e6)
CAUSES = st.builds(Cause, st.sampled_from(Reason), TEXT)
OBLIGATIONS = st.builds(Obligation, TEXT, TEXT, st.booleans(), st.dictionaries(TEXT, TEXT, max_size=3))
USES = st.builds(AttributeUse, st.sampled_from(Entity), st.integers(-(2**63), 2**63 - 1), TIMES)
STEP_UPS = st.builds(StepUp, st.lists(TEXT, max_size=3).map(tuple), st.none() | st.integers(0, 10**6))
DECISIONS = st.builds(
    Decision,
    st.sampled_from(Effect),
    st.lists(CAUSES, min_size=1, max_size=3).map(tuple),
    st.lists(TEXT, max_size=3).map(tuple),
    st.lists(OBLIGATIONS, max_size=3).map(tuple),
    TEXT,
    st.lists(USES, max_size=4).map(tuple),
    TIMES,
    st.none() | STEP_UPS,
)
CALLER = Caller("", "evaluate", None, 0.0)


def answer_of(decision: Decision, time: float = NOW, name: str = "d" * 32, trace: str = "7" * 32) -> Answer:
    return Answer(name, trace, time, None, CALLER, decision, 0.0, cached=True)


def message_of(request: Request) -> rpc.EvaluateRequest:
    context = request_pb2.Context(
        purpose=request.context.purpose,
        channel=request.context.channel,
        network=request.context.network,
        emergency=request.context.emergency,
        emergency_reason=request.context.emergency_reason,
        supported_obligations=request.context.supported_obligations,
    )
    return rpc.EvaluateRequest(
        subject=request_pb2.Subject(type=request.subject.type, id=request.subject.id),
        action=request_pb2.Action(name=request.action),
        resource=request_pb2.Resource(type=request.resource.type, id=request.resource.id),
        context=context,
        session_id=request.session,
        device_id=request.device,
    )


@given(REQUESTS)
def test_a_request_arrives_as_it_was_sent(request: Request) -> None:
    sent = rpc.EvaluateRequest.FromString(message_of(request).SerializeToString())
    assert to_request(sent) == request


def test_an_empty_message_is_a_request_of_empty_names() -> None:
    assert to_request(rpc.EvaluateRequest()) == Request(EntityRef("", ""), "", EntityRef("", ""))


@given(DECISIONS, TIMES, HEX, HEX)
def test_a_decision_is_written_whole(decision: Decision, time: float, name: str, trace: str) -> None:
    message = rpc.EvaluateResponse.FromString(evaluate_response(answer_of(decision, time, name, trace))).decision
    assert (message.decision_id, message.trace_id) == (name, trace)
    assert message.effect == (wire.EFFECT_ALLOW if decision.allowed else wire.EFFECT_DENY)
    assert [(reason.code, reason.about) for reason in message.reasons] == list(decision.causes)
    assert tuple(message.rule_ids) == decision.rules
    assert message.policy_revision == decision.revision
    assert _seconds(message.decided_at) == pytest.approx(time, abs=1e-6)
    assert _seconds(message.valid_until) == pytest.approx(decision.valid_until, abs=1e-6)
    owed = tuple(Obligation(o.id, o.type, o.mandatory, dict(o.properties)) for o in message.obligations)
    assert owed == decision.obligations
    _check_uses(message, decision, time)
    _check_step_up(message, decision.step_up)


def _check_uses(message: wire.Decision, decision: Decision, time: float) -> None:
    assert len(message.attribute_uses) == len(decision.attributes)
    for written, use in zip(message.attribute_uses, decision.attributes, strict=True):
        assert wire.Entity.Name(written.entity) == f"ENTITY_{use.entity.name}"
        assert written.version == use.version
        assert _seconds(written.issued_at) == pytest.approx(use.issued_at, abs=1e-6)
        assert written.age.nanos == 0
        assert written.age.seconds == max(0, int(time - use.issued_at))


def _check_step_up(message: wire.Decision, step_up: StepUp | None) -> None:
    assert message.HasField("step_up") == (step_up is not None)
    if step_up is not None:
        assert tuple(message.step_up.acr_values) == step_up.acr_values
        assert message.step_up.HasField("max_age") == (step_up.max_age is not None)
        assert message.step_up.max_age.seconds == (step_up.max_age or 0)


def _seconds(stamp: Timestamp) -> float:
    return stamp.ToNanoseconds() / 1e9


def test_the_pieces_of_a_decision_are_one_plain_protobuf_message() -> None:
    """Byte for byte what another writer of the same fields means: parsed and written again it is unchanged."""
    decision = Decision(
        Effect.DENY,
        (Cause(Reason.STEP_UP_REQUIRED), Cause(Reason.NO_MATCHING_PERMIT)),
        ("r-1",),
        (Obligation("o", "notify", mandatory=False),),
        "sha256:0",
        (AttributeUse(Entity.SESSION, 9, NOW - 3.5),),
        NOW,
        StepUp(("urn:a",), 0),
    )
    parsed = wire.Decision.FromString(decision_bytes(answer_of(decision)))
    expected = wire.Decision(decision_id="d" * 32, effect=wire.EFFECT_DENY, rule_ids=["r-1"], trace_id="7" * 32)
    expected.reasons.add(code="STEP_UP_REQUIRED")
    expected.reasons.add(code="NO_MATCHING_PERMIT")
    expected.obligations.add(id="o", type="notify")
    expected.policy_revision = "sha256:0"
    use = expected.attribute_uses.add(entity=wire.ENTITY_SESSION, version=9)
    use.issued_at.FromMicroseconds(1_799_999_996_750_000)
    use.age.FromSeconds(3)
    expected.decided_at.FromMicroseconds(1_800_000_000_250_000)
    expected.valid_until.FromMicroseconds(1_800_000_000_250_000)
    expected.step_up.acr_values.append("urn:a")
    expected.step_up.max_age.FromSeconds(0)
    assert parsed == expected


@pytest.mark.parametrize("issued_at", [1e16, -1e16, 1.8e12, 253402300799.9999999])
def test_a_record_that_claims_an_impossible_time_is_still_reported(issued_at: float) -> None:
    decision = Decision(
        Effect.DENY,
        (Cause(Reason.ATTRIBUTE_FROM_FUTURE),),
        attributes=(AttributeUse(Entity.DEVICE, 1, issued_at),),
        valid_until=NOW,
    )
    message = wire.Decision.FromString(decision_bytes(answer_of(decision)))
    stamp = message.attribute_uses[0].issued_at
    assert -62135596800 <= stamp.seconds <= 253402300799
    assert 0 <= stamp.nanos < 10**9
    assert stamp.ToJsonString()


@given(st.lists(REQUESTS, min_size=2, max_size=4))
def test_what_is_remembered_of_one_request_never_answers_for_another(requests: list[Request]) -> None:
    for _ in range(2):
        assert [to_request(message_of(request)) for request in requests] == requests


@given(
    REQUESTS,
    REQUESTS,
    st.sets(st.sampled_from(sorted(field.name for field in rpc.EvaluateRequest.DESCRIPTOR.fields))),
)
def test_a_default_stands_in_for_what_an_item_leaves_out_and_only_as_a_whole(
    one: Request, two: Request, left_out: set[str]
) -> None:
    item, defaults = message_of(one), message_of(two)
    for name in left_out:
        item.ClearField(name)
    whole = message_of(two)
    for field, _ in item.ListFields():
        whole.ClearField(field.name)
    whole.MergeFrom(item)
    batch = rpc.BatchEvaluateRequest(defaults=defaults, items=[item])
    assert to_requests(batch) == [to_request(whole)]
    assert to_requests(rpc.BatchEvaluateRequest(items=[item])) == [to_request(item)]
