"""The ``pdp.evaluate`` span of a decision, and the spans of steps that lead to one.

None holds an identifier of a person, device, session or resource: the subject appears as a pseudonym
(``enduser.pseudo.id``), the rest not at all.
"""

from __future__ import annotations

import platform
from collections.abc import Callable
from typing import Final

from opentelemetry.context import Context
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
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

from pdp.core.decision import Decision
from pdp.core.reasons import FAULTS
from pdp.core.request import Request
from pdp.core.trace import Step, TraceParent
from pdp.ports import Answer

SPAN_NAME: Final = "pdp.evaluate"
_SCHEMA_URL: Final = "https://opentelemetry.io/schemas/1.44.0"
_NANOSECONDS: Final = 1_000_000_000
_KINDS: Final = {
    "pdp.signal": SpanKind.SERVER,
    "pdp.attributes.write": SpanKind.CLIENT,
    "pdp.watch.tell": SpanKind.PRODUCER,
}
# Interfaces where one RPC is one decision. Elsewhere a server span a decision would count one call many times.
_METHODS: Final = {
    "evaluate": "pdp.v1.PolicyDecisionService/Evaluate",
    "explain": "pdp.v1.PolicyDecisionService/Explain",
    "ext_authz": "envoy.service.auth.v3.Authorization/Check",
}


class SpanFactory:
    """Makes spans after the fact. For one thread.

    Args:
        version: of this service.
        pseudonym: gives the pseudonym of ``type:id``.
    """

    def __init__(self, version: str, pseudonym: Callable[[str], str]) -> None:
        self._pseudonym = pseudonym
        self._ids = _GivenIds()
        self._ended = _LastEnded()
        # Which decisions to trace is settled before, so the SDK is to keep every span.
        provider = TracerProvider(
            sampler=ALWAYS_ON, resource=_resource(version), id_generator=self._ids, shutdown_on_exit=False
        )
        provider.add_span_processor(self._ended)
        self._tracer = provider.get_tracer("pdp", version, _SCHEMA_URL)

    def make(self, work: Answer | Step) -> ReadableSpan:
        """Make the span of a decision or a step, ended."""
        return self._step(work) if isinstance(work, Step) else self._decision(work)

    def _decision(self, answer: Answer) -> ReadableSpan:
        """Make an answer's span, in its caller's trace where there is one."""
        attributes = _attributes(answer, self._pseudonym)
        ended = int(answer.time * _NANOSECONDS)
        self._ids.trace = int(answer.trace_id, 16)
        span = self._tracer.start_span(
            SPAN_NAME,
            _context(answer.caller.trace),
            SpanKind.SERVER if "rpc.method" in attributes else SpanKind.INTERNAL,
            attributes,
            start_time=ended - int(answer.duration * _NANOSECONDS),
        )
        if fault := attributes.get("error.type"):
            span.set_status(Status(StatusCode.ERROR, str(fault)))
        span.end(ended)
        return self._ended.span

    def _step(self, step: Step) -> ReadableSpan:
        self._ids.trace, self._ids.span = int(step.trace_id, 16), int(step.span_id, 16)
        parent = TraceParent(step.trace_id, step.parent, sampled=True) if step.parent else None
        span = self._tracer.start_span(
            step.name,
            _context(parent, remote=step.remote),
            _KINDS.get(step.name, SpanKind.INTERNAL),
            step.facts,
            start_time=int(step.started * _NANOSECONDS),
        )
        span.end(max(int(step.started * _NANOSECONDS), int(step.time * _NANOSECONDS)))
        return self._ended.span


class _GivenIds(RandomIdGenerator):
    """Gives the next span the ids that its work already has.

    Attributes:
        trace: the trace id of a span without a parent, 128 bits.
        span: the span id, 64 bits; 0 where it is to be made.
    """

    trace = 0
    span = 0

    def generate_trace_id(self) -> int:
        return self.trace

    def generate_span_id(self) -> int:
        given, self.span = self.span, 0
        return given or super().generate_span_id()

    def is_trace_id_random(self) -> bool:
        return False  # who made it is not known here


class _LastEnded(SpanProcessor):
    """Holds the span that ended last."""

    span: ReadableSpan

    def on_end(self, span: ReadableSpan) -> None:
        self.span = span


def _context(parent: TraceParent | None, *, remote: bool = True) -> Context:
    if parent is None:
        return Context()
    flags = TraceFlags(TraceFlags.SAMPLED if parent.sampled else TraceFlags.DEFAULT)
    known = SpanContext(int(parent.trace_id, 16), int(parent.span_id, 16), is_remote=remote, trace_flags=flags)
    return set_span_in_context(NonRecordingSpan(known), Context())


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
    if method := _METHODS.get(answer.caller.interface):
        attributes |= {"rpc.system.name": "grpc", "rpc.method": method}
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


def _resource(version: str) -> Resource:
    """Describe this process; ``OTEL_SERVICE_NAME`` and ``OTEL_RESOURCE_ATTRIBUTES`` override and add."""
    own = {
        "service.name": "pdp",
        "service.version": version,
        "process.runtime.name": platform.python_implementation().lower(),
        "process.runtime.version": platform.python_version(),
    }
    return Resource.create(own).merge(OTELResourceDetector().detect())
