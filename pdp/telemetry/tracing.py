"""One ``pdp.evaluate`` span a decision, made after the fact, when it is known whether to keep it.

A sampler that chooses before the outcome is known loses the denies. Here the outcome comes first: denies, faults and
step-ups are always kept, allows as their caller's trace says or else by ratio, and an allow that is not kept costs a
comparison of two strings.

A span holds no identifier of a person, device, session or resource: the subject appears as a pseudonym
(``enduser.pseudo.id``), the rest not at all.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from opentelemetry.context import Context
from opentelemetry.trace import (
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    set_span_in_context,
)
from opentelemetry.util.types import AttributeValue

from pdp.core.decision import Decision, Effect
from pdp.core.reasons import FAULTS
from pdp.core.request import Request
from pdp.core.trace import TraceParent
from pdp.ports import Answer
from pdp.telemetry.export import SpanPipeline

SPAN_NAME: Final = "pdp.evaluate"
_ALLOW: Final = Effect.ALLOW
_NANOSECONDS: Final = 1_000_000_000
# The last 56 bits of a trace id are random (W3C Trace Context level 2, section 3.2.2.4), and a trace is kept where
# they reach the rejection threshold: OpenTelemetry's consistent probability sampling, so that all who follow it keep
# the same traces. As hexadecimal digits of one length they compare as numbers do.
_RANDOM: Final = slice(18, None)
_RANDOM_SPACE: Final = 1 << 56
_BEYOND_HEX: Final = "g"
# Interfaces where one RPC is one decision. Elsewhere a span a decision would count one call many times.
_METHODS: Final = {
    "evaluate": "pdp.v1.PolicyDecisionService/Evaluate",
    "explain": "pdp.v1.PolicyDecisionService/Explain",
    "ext_authz": "envoy.service.auth.v3.Authorization/Check",
}


class DecisionTracer:
    """An observer that traces decisions.

    Args:
        pipeline: where spans go.
        pseudonym: gives the pseudonym of ``type:id``.
        ratio: share of allows to keep where the caller sent no trace, 0 to 1.
    """

    def __init__(self, pipeline: SpanPipeline, pseudonym: Callable[[str], str], ratio: float) -> None:
        self._pipeline = pipeline
        self._pseudonym = pseudonym
        self._threshold = rejection_threshold(ratio)

    def answered(self, answer: Answer) -> None:
        """Trace an answer, if it is one to keep."""
        if answer.decision.effect is _ALLOW:
            parent = answer.caller.trace
            if not (parent.sampled if parent else answer.trace_id[_RANDOM] >= self._threshold):
                return
        if self._pipeline.admit(answer.time):
            try:
                self._trace(answer)
            except Exception:  # noqa: BLE001 - an observer must not raise; the loss is counted
                self._pipeline.withdraw()

    def _trace(self, answer: Answer) -> None:
        method = _METHODS.get(answer.caller.interface)
        attributes = _attributes(answer, self._pseudonym)
        if method:
            attributes |= {"rpc.system.name": "grpc", "rpc.method": method}
        ended = int(answer.time * _NANOSECONDS)
        self._pipeline.ids.next = int(answer.trace_id, 16)
        span = self._pipeline.tracer.start_span(
            SPAN_NAME,
            _context(answer.caller.trace),
            SpanKind.SERVER if method else SpanKind.INTERNAL,
            attributes,
            start_time=ended - int(answer.duration * _NANOSECONDS),
        )
        fault = attributes.get("error.type")
        if fault:
            span.set_status(Status(StatusCode.ERROR, str(fault)))
        span.end(ended)


def rejection_threshold(ratio: float) -> str:
    """Give the least random part of a trace id, as 14 hexadecimal digits, that keeps this share of all traces."""
    threshold = round((1.0 - ratio) * _RANDOM_SPACE)
    return f"{threshold:014x}" if threshold < _RANDOM_SPACE else _BEYOND_HEX


def _context(parent: TraceParent | None) -> Context:
    """Give the context of the caller's span, or an empty one, where the ambient one would be another decision's."""
    if parent is None:
        return Context()
    flags = TraceFlags(TraceFlags.SAMPLED if parent.sampled else TraceFlags.DEFAULT)
    remote = SpanContext(int(parent.trace_id, 16), int(parent.span_id, 16), is_remote=True, trace_flags=flags)
    return set_span_in_context(NonRecordingSpan(remote), Context())


def _attributes(answer: Answer, pseudonym: Callable[[str], str]) -> dict[str, AttributeValue]:
    decision = answer.decision
    attributes: dict[str, AttributeValue] = {
        "pdp.decision.id": answer.id,
        "pdp.interface": answer.caller.interface,
        "pdp.effect": decision.effect.value,
        "pdp.reasons": tuple(map(str, decision.causes)),
        "pdp.revision": decision.revision,
        "pdp.cached": answer.cached,
    }
    if answer.request:
        attributes |= _asked(answer.request, pseudonym)
    for use in decision.attributes:
        attributes[f"pdp.attributes.{use.entity}.version"] = use.version
        attributes[f"pdp.attributes.{use.entity}.age"] = answer.time - use.issued_at
    return attributes | _outcome(decision)


def _asked(request: Request, pseudonym: Callable[[str], str]) -> dict[str, AttributeValue]:
    return {
        "pdp.action": _text(request.action),
        "pdp.resource.type": _text(request.resource.type),
        "enduser.pseudo.id": pseudonym(str(request.subject)),
    }


def _outcome(decision: Decision) -> dict[str, AttributeValue]:
    """Tell what only some decisions have."""
    attributes: dict[str, AttributeValue] = {}
    if decision.rules:
        attributes["pdp.rules"] = decision.rules
    if decision.obligations:
        attributes["pdp.obligations"] = tuple(obligation.id for obligation in decision.obligations)
    if decision.step_up:
        attributes["pdp.step_up"] = True
    if fault := next((cause.code for cause in decision.causes if cause.code in FAULTS), None):
        attributes["error.type"] = fault.value
    return attributes


def _text(name: str) -> str:
    """Give a name that UTF-8 can express. A refused request's names are unchecked, and one would spoil its batch."""
    return name if name.isascii() else name.encode(errors="replace").decode()
