"""Answers to observe, with identifiers that no output may show."""

from __future__ import annotations

from pdp.core.decision import AttributeUse, Decision, Effect, Entity, Obligation, StepUp
from pdp.core.reasons import Cause, Reason
from pdp.core.request import Context, EntityRef, Request
from pdp.core.trace import TraceParent
from pdp.ports import Answer, Caller
from pdp.signing.pseudonyms import PseudonymKey
from pdp.telemetry.pseudonym import Pseudonyms

KEY = PseudonymKey("0001", bytes(range(32)))
PSEUDONYM = Pseudonyms(KEY).of("subject")
NOW = 1_800_000_000.25
IDENTIFIERS = ("alice", "c-4711", "s-99", "d-77", "spiffe://example.org/pep", "her own words")
PARENT = TraceParent("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7", sampled=True)
REQUEST = Request(
    EntityRef("user", "alice"),
    "read",
    EntityRef("customer", "c-4711"),
    Context(purpose="billing", emergency=True, emergency_reason="her own words"),
    session="s-99",
    device="d-77",
)
_ATTRIBUTES = (AttributeUse(Entity.SUBJECT, 7, NOW - 12.5), AttributeUse(Entity.SESSION, 3, NOW - 0.25))
_ALLOW = Decision(
    Effect.ALLOW,
    (Cause(Reason.PERMITTED, "agent-reads-customer"),),
    rules=("agent-reads-customer",),
    obligations=(Obligation("mask-pan", "mask"),),
    revision="sha256:" + "a" * 64,
    attributes=_ATTRIBUTES,
    valid_until=NOW + 60,
)
_DENY = _ALLOW._replace(effect=Effect.DENY, rules=(), obligations=(), attributes=(), valid_until=NOW)


def allow(
    *, trace: TraceParent | None = None, trace_id: str = "", time: float = NOW, duration: float = 30e-6
) -> Answer:
    trace_id = trace.trace_id if trace else trace_id or "0" * 18 + "8" + "0" * 13
    caller = Caller("spiffe://example.org/pep", "evaluate", trace, deadline=0.0)
    return Answer("d" * 32, trace_id, time, REQUEST, caller, _ALLOW, duration, cached=True)


def deny(*codes: Reason, trace: TraceParent | None = None, step_up: bool = False, time: float = NOW) -> Answer:
    causes = tuple(Cause(code, "device.compliant") for code in codes or (Reason.NO_MATCHING_PERMIT,))
    decision = _DENY._replace(causes=causes, step_up=StepUp(("urn:pdp:aal:2",), 300) if step_up else None)
    return allow(trace=trace, time=time)._replace(decision=decision)
