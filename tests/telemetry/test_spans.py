"""The span of a decision: what it tells, where it stands in a trace, and what it keeps to itself."""

from __future__ import annotations

import pytest
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import SpanKind, StatusCode

from pdp.core.decision import Entity
from pdp.core.reasons import FAULTS, Reason
from pdp.core.trace import Step, TraceParent, change_trace
from pdp.ports import Answer
from pdp.telemetry.spans import SpanFactory
from tests.telemetry.answers import IDENTIFIERS, NOW, PARENT, PSEUDONYM, REQUEST, allow, deny

ALICE = PSEUDONYM("user:alice")


def make(answer: Answer) -> ReadableSpan:
    return SpanFactory("9.8.7", PSEUDONYM).make(answer)


def test_a_span_tells_the_decision() -> None:
    span = make(allow())
    assert span.name == "pdp.evaluate"
    assert dict(span.attributes or {}) == {
        "pdp.decision.id": "d" * 32,
        "pdp.interface": "evaluate",
        "pdp.effect": "allow",
        "pdp.reasons": ("PERMITTED(agent-reads-customer)",),
        "pdp.rules": ("agent-reads-customer",),
        "pdp.obligations": ("mask-pan",),
        "pdp.revision": "sha256:" + "a" * 64,
        "pdp.cached": True,
        "pdp.action": "read",
        "pdp.resource.type": "customer",
        "pdp.attributes.subject.version": 7,
        "pdp.attributes.subject.age": 12.5,
        "pdp.attributes.session.version": 3,
        "pdp.attributes.session.age": 0.25,
        "enduser.pseudo.id": ALICE,
        "rpc.system.name": "grpc",
        "rpc.method": "pdp.v1.PolicyDecisionService/Evaluate",
    }


def test_a_span_lasts_as_long_as_the_decision_took() -> None:
    span = make(allow(duration=0.002))
    assert span.end_time == int(NOW * 1e9)
    assert span.end_time - (span.start_time or 0) == 2_000_000


def test_a_span_stands_in_its_callers_trace() -> None:
    span = make(deny(trace=PARENT))
    assert f"{span.context.trace_id:032x}" == PARENT.trace_id
    assert span.parent is not None
    assert f"{span.parent.span_id:016x}" == PARENT.span_id
    assert span.parent.is_remote


def test_without_a_caller_a_span_begins_the_trace_that_the_answer_names() -> None:
    answer = allow()
    span = make(answer)
    assert span.parent is None
    assert f"{span.context.trace_id:032x}" == answer.trace_id


def test_spans_of_one_trace_have_ids_of_their_own() -> None:
    factory = SpanFactory("0", PSEUDONYM)
    assert len({factory.make(deny(trace=PARENT)).context.span_id for _ in range(100)}) == 100


def test_no_identifier_is_in_an_exported_span() -> None:
    for answer in (allow(), allow(trace=PARENT), deny(step_up=True), deny(Reason.CONDITION_ERROR)):
        exported = encode_spans([make(answer)]).SerializeToString()
        assert ALICE.encode() in exported
        for identifier in IDENTIFIERS:
            assert identifier.encode() not in exported


@pytest.mark.parametrize("code", sorted(FAULTS))
def test_a_fault_is_an_error_of_its_reasons_type(code: Reason) -> None:
    span = make(deny(Reason.ATTRIBUTE_MISSING, code))
    assert span.status.status_code is StatusCode.ERROR
    assert span.status.description == code.value
    assert (span.attributes or {})["error.type"] == code.value


def test_a_deny_is_no_error() -> None:
    span = make(deny(Reason.DENIED_BY_RULE))
    assert span.status.status_code is StatusCode.UNSET
    assert "error.type" not in (span.attributes or {})
    assert (span.attributes or {})["pdp.effect"] == "deny"


def test_a_step_up_says_so() -> None:
    assert (make(deny(Reason.STEP_UP_REQUIRED, step_up=True)).attributes or {})["pdp.step_up"] is True
    assert "pdp.step_up" not in (make(deny()).attributes or {})


@pytest.mark.parametrize(
    ("interface", "method"),
    [
        ("evaluate", "pdp.v1.PolicyDecisionService/Evaluate"),
        ("explain", "pdp.v1.PolicyDecisionService/Explain"),
        ("ext_authz", "envoy.service.auth.v3.Authorization/Check"),
    ],
)
def test_where_a_call_is_a_decision_the_span_serves_it(interface: str, method: str) -> None:
    answer = allow()
    span = make(answer._replace(caller=answer.caller._replace(interface=interface)))
    assert span.kind is SpanKind.SERVER
    assert (span.attributes or {})["rpc.method"] == method


def test_a_batchs_decisions_are_not_calls() -> None:
    answer = allow()
    span = make(answer._replace(caller=answer.caller._replace(interface="batch_evaluate")))
    assert span.kind is SpanKind.INTERNAL
    assert "rpc.method" not in (span.attributes or {})


def test_a_call_that_named_no_request_has_a_span_too() -> None:
    span = make(deny(Reason.IDENTITY_MISSING)._replace(request=None))
    assert "enduser.pseudo.id" not in (span.attributes or {})
    assert "pdp.action" not in (span.attributes or {})


@pytest.mark.parametrize("name", ["\ud800", "lösch", "\U0001f600"])
def test_names_that_utf_8_cannot_express_do_not_spoil_a_batch(name: str) -> None:
    request = REQUEST._replace(action=name, subject=REQUEST.subject._replace(id=name))
    span = make(deny(Reason.ROUTE_UNKNOWN)._replace(request=request))
    assert encode_spans([span]).SerializeToString()
    assert (span.attributes or {})["pdp.action"] == name.encode(errors="replace").decode()


def test_the_resource_names_the_service_and_yields_to_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    assert make(allow()).resource.attributes["service.name"] == "pdp"
    assert make(allow()).resource.attributes["service.version"] == "9.8.7"
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test,service.name=pdp-east")
    resource = make(allow()).resource.attributes
    assert resource["service.name"] == "pdp-east"
    assert resource["deployment.environment.name"] == "test"
    assert resource["service.instance.id"]


def test_the_steps_of_a_change_are_one_tree() -> None:
    change = change_trace(Entity.DEVICE, 1_700_000_000_000_000)
    factory = SpanFactory("9.8.7", PSEUDONYM)
    caller = TraceParent(change.trace_id, "ab" * 8, sampled=True)
    steps = [
        Step("pdp.signal", change.trace_id, change.cause, "", NOW, NOW + 1, facts={"pdp.signal.event": "x"}),
        Step("pdp.attributes.write", change.trace_id, change.write, change.cause, NOW, NOW + 1),
        Step("pdp.watch.decide", change.trace_id, caller.span_id, change.write, NOW, NOW + 2, remote=True),
    ]
    signal, write, decide = map(factory.make, steps)
    evaluate = factory.make(deny(trace=caller))
    spans = (signal, write, decide, evaluate)
    assert {f"{it.context.trace_id:032x}" for it in spans} == {change.trace_id}
    assert signal.parent is None
    for child, parent in ((write, signal), (decide, write), (evaluate, decide)):
        assert child.parent is not None
        assert child.parent.span_id == parent.context.span_id
    assert [it.kind for it in spans][:2] == [SpanKind.SERVER, SpanKind.CLIENT]
    assert dict(signal.attributes or {}) == {"pdp.signal.event": "x"}
    assert (decide.start_time, decide.end_time) == (int(NOW * 1e9), int((NOW + 2) * 1e9))
    # The ids of one are not those of the next.
    assert factory.make(deny(trace=caller)).context.span_id not in {it.context.span_id for it in spans}


def test_a_step_never_ends_before_it_began() -> None:
    span = SpanFactory("9.8.7", PSEUDONYM).make(Step("pdp.signal", "1" * 32, "2" * 16, "", NOW, NOW - 1))
    assert span.end_time == span.start_time


def test_traces_of_changes_say_nothing_of_whose_record_it_is_and_differ() -> None:
    traces = {change_trace(entity, version) for entity in Entity for version in range(1, 100)}
    ids = [part for trace in traces for part in (trace.trace_id, trace.cause, trace.write)]
    assert len(set(ids)) == len(ids) == 3 * 99 * len(Entity)
    assert change_trace(Entity.DEVICE, 7) == change_trace(Entity.DEVICE, 7)
