"""How long an enforcement point may rely on a decision: until anything it rests on is due to change."""

from __future__ import annotations

from pdp.core.decision import ALLOW, Effect
from pdp.core.entities import Entities
from pdp.core.policy import Horizon, Plan
from pdp.core.record import Record
from pdp.core.schema import Schema


def reliable_until(effect: Effect, entities: Entities, plan: Plan, schema: Schema, now: float) -> float:
    """Give the time, in seconds since the epoch, at which a decision by rules must be asked for anew.

    It is the earliest of the schema's cap for the effect, the age limit of every attribute that was read, and every
    moment at which a comparison with the present time changes.
    """
    cap = now + (schema.allow_lifetime if effect is ALLOW else schema.deny_lifetime)
    return min(cap, next_change(entities, plan, now))


def next_change(entities: Entities, plan: Plan, now: float) -> float:
    """Give the first time at which time alone may change a decision by rules; infinite where it never does."""
    until = float("inf")
    for horizon in plan.horizons:
        record = entities[horizon.position]
        if record is None:
            continue
        # What is next to change of a record stays so until then.
        at = record.horizons.get(plan)
        if at is None or at <= now:
            at = record.horizons[plan] = _next_change(record, horizon, now)
        until = min(until, at)
    return until


def _next_change(record: Record, horizon: Horizon, now: float) -> float:
    limits = [record.usable_until[name] for name in horizon.names if name in record.usable_until]
    held = record.view.__dict__
    # Conditions see whole seconds, so a comparison may change at the moment itself or up to one second past it.
    moments = [held[name] + offset for name, offset in horizon.points if name in held]
    turns = [max(now, moment) for moment in moments if now < moment + 1]
    return min([*limits, *turns], default=float("inf"))
