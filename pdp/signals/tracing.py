"""What is done for a signal, as spans: the beginning of the trace of the change that it makes."""

from __future__ import annotations

import secrets
from typing import NamedTuple

from pdp.core.signals.events import Event
from pdp.core.signals.plan import Plan
from pdp.core.trace import Step, change_trace
from pdp.ports import Applied, Tracer


class Times(NamedTuple):
    """When a signal came, was believed, and had its effect; in seconds since the epoch."""

    received: float
    verified: float
    written: float


def trace_signal(tracer: Tracer, transmitter: str, event: Event, plan: Plan, applied: Applied, times: Times) -> None:
    """Tell of a signal that changed a record, of its verification, and of the write.

    Args:
        tracer: told.
        transmitter: our name for whose it is.
        event: what it said.
        plan: what that changes.
        applied: what became of it; it was written.
        times: when.
    """
    trace_id, signal, write = change_trace(plan.entity, applied.version)
    facts = {
        "pdp.signal.transmitter": transmitter,
        "pdp.signal.event": event.type,
        "pdp.signal.outcome": applied.outcome.value,
        "pdp.signal.age": times.received - event.at,
    }
    written = {
        "db.system.name": "redis",
        "db.operation.name": "EVAL",
        "pdp.write.entity": plan.entity.value,
        "pdp.write.attributes": tuple(it.name for it in plan.writes),
        f"pdp.attributes.{plan.entity.value}.version": applied.version,
    }
    received, verified, done = times
    tracer.ended(Step("pdp.signal", trace_id, signal, "", received, done, facts=facts))
    tracer.ended(Step("pdp.signal.verify", trace_id, secrets.token_hex(8), signal, received, verified))
    tracer.ended(Step("pdp.attributes.write", trace_id, write, signal, verified, done, facts=written))
