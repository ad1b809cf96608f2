"""The unary methods, over the real decision point."""

from __future__ import annotations

import asyncio
import logging

import pytest
from google.protobuf.message import Message
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo
from google.rpc.status_pb2 import Status
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pdp.api.decisions import SERVICE, DecisionService
from pdp.api.settings import ApiSettings
from pdp.core.trace import TraceParent
from pdp.server.rpc import Code, RpcError, Streaming, Unary
from pdp.v1 import decision_pb2 as wire
from pdp.v1 import explanation_pb2
from pdp.v1 import policy_decision_pb2 as rpc
from tests.api.messages import ask
from tests.api.world import NOW, PEP, REVISION, World, call

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
TRACEPARENT = f"00-{TRACE}-00f067aa0ba902b7-01"


def service(world: World) -> DecisionService:
    return DecisionService(world.pdp, lambda text: f"pseudonym-{len(text)}", ApiSettings())


async def send(world: World, method: str, message: Message | bytes, **parts: object) -> bytes:
    found = service(world).methods()[f"/{SERVICE}/{method}"]
    assert isinstance(found, Unary)
    raw = message if isinstance(message, bytes) else message.SerializeToString()
    return await found.handler(raw, call(**parts))  # type: ignore[arg-type]


async def evaluate(world: World, message: Message | bytes, **parts: object) -> wire.Decision:
    return rpc.EvaluateResponse.FromString(await send(world, "Evaluate", message, **parts)).decision


async def refused(world: World, method: str, message: Message | bytes) -> RpcError:
    with pytest.raises(RpcError) as caught:
        await send(world, method, message)
    return caught.value


def fields_of(error: RpcError) -> list[str]:
    found = BadRequest()
    details = Status.FromString(error.details).details
    assert any(detail.Is(ErrorInfo.DESCRIPTOR) for detail in details)
    assert any(detail.Unpack(found) for detail in details)
    return [violation.field for violation in found.field_violations]


def same(one: wire.Decision, two: wire.Decision) -> bool:
    """Whether two decisions differ in nothing but their names."""
    left, right = wire.Decision(), wire.Decision()
    left.CopyFrom(one)
    right.CopyFrom(two)
    for message in (left, right):
        message.ClearField("decision_id")
        message.ClearField("trace_id")
    return left == right


def test_every_method_of_the_contract_has_a_handler_of_its_kind(world: World) -> None:
    methods = service(world).methods()
    declared = rpc.DESCRIPTOR.services_by_name["PolicyDecisionService"].methods
    assert set(methods) == {f"/pdp.v1.PolicyDecisionService/{method.name}" for method in declared}
    for method in declared:
        kind = Streaming if method.server_streaming else Unary
        assert isinstance(methods[f"/{SERVICE}/{method.name}"], kind)


async def test_an_allow_says_all_it_rests_on(world: World) -> None:
    decision = await evaluate(world, ask())
    assert decision.effect == wire.EFFECT_ALLOW
    assert [(reason.code, reason.about) for reason in decision.reasons] == [("PERMITTED", "read-customer")]
    assert list(decision.rule_ids) == ["read-customer"]
    assert [(owed.type, dict(owed.properties)) for owed in decision.obligations] == [("mask", {"fields": "pan,iban"})]
    assert decision.policy_revision == REVISION
    uses = {use.entity: (use.version, use.age.seconds) for use in decision.attribute_uses}
    assert uses == {wire.ENTITY_SUBJECT: (3, 40), wire.ENTITY_RESOURCE: (3, 40)}
    assert decision.valid_until.ToMicroseconds() > decision.decided_at.ToMicroseconds() == int(NOW * 1e6)


async def test_a_deny_is_an_answer(world: World) -> None:
    decision = await evaluate(world, ask("bob"))
    assert decision.effect == wire.EFFECT_DENY
    assert [reason.code for reason in decision.reasons] == ["NO_MATCHING_PERMIT"]


async def test_a_step_up_is_foreseen(world: World) -> None:
    decision = await evaluate(world, ask(action="export", session="s-1", device="d-1"))
    assert decision.effect == wire.EFFECT_DENY
    assert list(decision.step_up.acr_values) == ["urn:example:aal:2"]


async def test_the_answer_is_on_record_under_its_name_and_the_callers(world: World) -> None:
    decision = await evaluate(world, ask(), metadata={"traceparent": TRACEPARENT})
    [record] = world.log.records
    assert (record.id, record.trace_id) == (decision.decision_id, decision.trace_id) == (record.id, TRACE)
    assert record.caller.id == PEP
    assert record.caller.interface == "evaluate"
    assert record.caller.trace == TraceParent(TRACE, "00f067aa0ba902b7", sampled=True)


async def test_a_caller_without_a_certificate_has_no_identity(world: World) -> None:
    await evaluate(world, ask(), caller=None, metadata={"x-caller": PEP})
    assert world.log.records[0].caller.id == ""


async def test_what_is_not_on_record_is_not_allowed(world: World) -> None:
    world.log.broken = True
    decision = await evaluate(world, ask())
    assert decision.effect == wire.EFFECT_DENY
    assert [reason.code for reason in decision.reasons] == ["AUDIT_UNAVAILABLE"]


async def test_without_attributes_or_policy_the_answer_is_a_deny_with_its_reason(world: World) -> None:
    world.attributes.broken = True
    assert (await evaluate(world, ask())).reasons[0].code == "ATTRIBUTES_UNAVAILABLE"
    world.policies.snapshot = None
    decision = await evaluate(world, ask())
    assert (decision.effect, decision.reasons[0].code) == (wire.EFFECT_DENY, "POLICY_UNAVAILABLE")


MALFORMED = [b"\x0a", b"\x0a\xff\xff\xff\xff\x0f", b"\xff" * 40, b"\x0a\x03\x0a\x01\xff", b"\x00", b"\x0b" * 5000]


@pytest.mark.parametrize("method", ["Evaluate", "BatchEvaluate", "Explain"])
@pytest.mark.parametrize("message", MALFORMED)
async def test_bytes_that_are_no_message_are_an_invalid_argument(world: World, method: str, message: bytes) -> None:
    error = await refused(world, method, message)
    assert error.code is Code.INVALID_ARGUMENT
    assert error.message == f"not a pdp.v1.{method}Request message"
    assert not world.log.records


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=200))
async def test_no_bytes_are_allowed_or_crash(message: bytes) -> None:
    world = World()
    for method in ("Evaluate", "BatchEvaluate", "Explain"):
        try:
            await send(world, method, message)
        except RpcError as error:
            assert error.code is Code.INVALID_ARGUMENT  # noqa: PT017 - it need not be raised
    assert not any(record.decision.allowed for record in world.log.records)


async def test_fields_of_a_later_contract_are_ignored(world: World) -> None:
    later = ask().SerializeToString() + b"\xfa\x7f\x03abc"
    assert same(await evaluate(world, later), await evaluate(world, ask()))


async def test_unknown_fields_nested_deeply_are_invalid_and_not_a_crash(world: World) -> None:
    groups = b"\xfb\x7f" * 10_000 + b"\xfc\x7f" * 10_000
    assert (await refused(world, "Evaluate", groups)).code is Code.INVALID_ARGUMENT


@pytest.mark.parametrize(
    ("message", "field"),
    [
        (b"", "subject.type"),
        (ask(subject=""), "subject.id"),
        (ask(subject="ali ce"), "subject.id"),
        (ask(subject="аlice"), "subject.id"),  # noqa: RUF001 - the first letter is Cyrillic
        (ask(subject="a" * 256), "subject.id"),
        (ask(subject="alice\0"), "subject.id"),
        (ask(action="READ"), "action.name"),
        (ask(resource="customer:"), "resource.id"),
        (ask(session="s 1"), "session_id"),
        (ask(device="d\n1"), "device_id"),
        (ask(purpose="Billing!"), "context.purpose"),
        (ask(supported=("mask", "x y")), "context.supported_obligations"),
        (ask(subject="-"), "subject.id"),
    ],
)
async def test_an_invalid_field_is_named_as_on_the_wire(world: World, message: Message | bytes, field: str) -> None:
    error = await refused(world, "Evaluate", message)
    assert error.code is Code.INVALID_ARGUMENT
    assert fields_of(error) == [field]
    assert Status.FromString(error.details).code == Code.INVALID_ARGUMENT
    assert not world.log.records


async def test_an_emergency_without_a_reason_is_invalid(world: World) -> None:
    message = ask()
    message.context.emergency = True
    assert fields_of(await refused(world, "Evaluate", message)) == ["context.emergency_reason"]


async def test_a_fault_of_ours_tells_the_caller_nothing(world: World, caplog: pytest.LogCaptureFixture) -> None:
    def explode() -> None:
        raise ValueError("secret of alice")

    world.policies.current = explode  # type: ignore[method-assign]
    with caplog.at_level(logging.ERROR):
        error = await refused(world, "Evaluate", ask())
    assert (error.code, error.message) == (Code.INTERNAL, "internal error")
    assert b"secret" not in error.details
    assert "ValueError" in caplog.text
    assert "secret" not in caplog.text


async def test_a_cancelled_call_stays_cancelled(world: World) -> None:
    world.attributes.slow = frozenset({"alice"})
    task = asyncio.create_task(send(world, "Evaluate", ask()))
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


# Batch


async def batch(world: World, message: rpc.BatchEvaluateRequest) -> list[rpc.BatchEvaluateResult]:
    return list(rpc.BatchEvaluateResponse.FromString(await send(world, "BatchEvaluate", message)).results)


ITEMS = st.builds(
    ask,
    st.sampled_from(["alice", "bob", "nobody", "ali ce", ""]),
    st.sampled_from(["read", "export", "erase", "Read"]),
    st.sampled_from(["customer:c-1", "customer:c-9", "page:home", "ship:x", "customer:"]),
    purpose=st.sampled_from(["billing", "fraud", "fun", ""]),
    session=st.sampled_from(["", "s-1", "s-2", "s 3"]),
    device=st.sampled_from(["", "d-1", "d-9"]),
    supported=st.sampled_from([(), ("mask",)]),
)


@given(st.lists(ITEMS, min_size=1, max_size=8))
async def test_item_i_of_a_batch_equals_the_single_call(items: list[rpc.EvaluateRequest]) -> None:
    world = World()
    results = await batch(world, rpc.BatchEvaluateRequest(items=items))
    assert len(results) == len(items)
    for item, result in zip(items, results, strict=True):
        try:
            single = await evaluate(world, item)
        except RpcError as error:
            assert result.error == Status.FromString(error.details)  # noqa: PT017 - it need not be raised
        else:
            assert same(result.decision, single)


@given(ITEMS, st.lists(ITEMS, min_size=1, max_size=3), st.sets(st.sampled_from(["subject", "action", "context"])))
async def test_defaults_are_as_if_written_in_each_item(
    defaults: rpc.EvaluateRequest, items: list[rpc.EvaluateRequest], left_out: set[str]
) -> None:
    world = World()
    for item in items:
        for name in left_out:
            item.ClearField(name)
    results = await batch(world, rpc.BatchEvaluateRequest(defaults=defaults, items=items))
    for item in items:
        for name in left_out:
            getattr(item, name).CopyFrom(getattr(defaults, name))
        item.session_id = item.session_id or defaults.session_id
        item.device_id = item.device_id or defaults.device_id
    plain = await batch(world, rpc.BatchEvaluateRequest(items=items))
    for with_defaults, written in zip(results, plain, strict=True):
        assert with_defaults.WhichOneof("result") == written.WhichOneof("result")
        assert with_defaults.error == written.error
        assert same(with_defaults.decision, written.decision)


async def test_every_decision_of_a_batch_is_on_record_and_no_invalid_item_is(world: World) -> None:
    results = await batch(world, rpc.BatchEvaluateRequest(items=[ask(), ask(subject=""), ask("bob")]))
    assert [result.WhichOneof("result") for result in results] == ["decision", "error", "decision"]
    named = [result.decision.decision_id for result in results if result.HasField("decision")]
    assert [record.id for record in world.log.records] == named


@pytest.mark.parametrize("count", [0, 1001])
async def test_a_batch_has_bounds(world: World, count: int) -> None:
    error = await refused(world, "BatchEvaluate", rpc.BatchEvaluateRequest(items=[ask()] * count))
    assert error.code is Code.INVALID_ARGUMENT
    assert fields_of(error) == ["items"]


async def test_a_full_batch_is_answered(world: World) -> None:
    results = await batch(world, rpc.BatchEvaluateRequest(items=[ask()] * 1000))
    assert len({result.decision.decision_id for result in results}) == len(world.log.records) == 1000


async def test_a_batch_that_cannot_be_recorded_allows_nothing(world: World) -> None:
    world.log.broken = True
    results = await batch(world, rpc.BatchEvaluateRequest(items=[ask(), ask("bob")]))
    assert [result.decision.effect for result in results] == [wire.EFFECT_DENY] * 2


# Explain


async def explain(world: World, message: rpc.EvaluateRequest) -> rpc.ExplainResponse:
    return rpc.ExplainResponse.FromString(await send(world, "Explain", rpc.ExplainRequest(request=message)))


@given(ITEMS)
async def test_explain_decides_as_evaluate_does(item: rpc.EvaluateRequest) -> None:
    world = World()
    try:
        single = await evaluate(world, item)
    except RpcError as error:
        with pytest.raises(RpcError) as caught:
            await explain(world, item)
        assert caught.value.details == error.details  # noqa: PT017 - it need not be raised
    else:
        assert same((await explain(world, item)).decision, single)
        assert len(world.log.records) == 2


async def test_an_explanation_shows_values_as_the_schema_lets_it(world: World) -> None:
    [rule] = (await explain(world, ask())).rules
    assert (rule.rule_id, rule.effect, rule.file, rule.line) == ("read-customer", wire.EFFECT_ALLOW, "rules.csv", 1)
    assert rule.outcome == explanation_pb2.OUTCOME_TRUE
    same_region, for_billing = rule.conditions
    assert same_region.text == "r.subject.region == r.resource.region"
    shown = [(value.path, value.disclosure, value.value.string_value) for value in same_region.values]
    assert shown == [
        ("subject.region", explanation_pb2.DISCLOSURE_PSEUDONYM, "pseudonym-2"),
        ("resource.region", explanation_pb2.DISCLOSURE_PSEUDONYM, "pseudonym-2"),
    ]
    assert for_billing.outcome == explanation_pb2.OUTCOME_TRUE


async def test_an_explanation_withholds_what_the_schema_omits(world: World) -> None:
    response = await send(world, "Explain", rpc.ExplainRequest(request=ask(resource="page:home")))
    [rule] = rpc.ExplainResponse.FromString(response).rules
    salary = rule.conditions[0].values[0]
    assert (salary.path, salary.disclosure) == ("subject.salary", explanation_pb2.DISCLOSURE_OMITTED)
    assert not salary.HasField("value")


async def test_an_explanation_says_which_value_is_not_usable(world: World) -> None:
    [rule] = (await explain(world, ask(action="export"))).rules
    assert rule.outcome == explanation_pb2.OUTCOME_UNKNOWN
    assert {value.disclosure for part in rule.conditions for value in part.values} == {
        explanation_pb2.DISCLOSURE_UNUSABLE
    }


async def test_an_explanation_shows_clear_values_by_their_kind(world: World) -> None:
    [rule] = (await explain(world, ask(action="export", session="s-2", device="d-1"))).rules
    values = {value.path: value.value for part in rule.conditions for value in part.values}
    assert values["session.level"].number_value == 2
    assert values["device.managed"].bool_value is True
