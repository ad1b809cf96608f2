"""How long an enforcement point may rely on a decision: until anything it rests on is due to change."""

from __future__ import annotations

from collections.abc import Sequence

from pdp.core.decision import ALLOW, Effect
from pdp.core.policy import Horizon, Plan
from pdp.core.record import Record
from pdp.core.schema import Schema


def reliable_until(effect: Effect, change: float, schema: Schema, now: float) -> float:
    """Give the time, in seconds since the epoch, at which a decision by rules must be asked for anew.

    It is the earlier of the schema's cap for the effect and the first change by time alone, see ``next_change``.
    """
    return min(now + (schema.allow_lifetime if effect is ALLOW else schema.deny_lifetime), change)


def next_change(records: Sequence[Record | None], plan: Plan, now: float) -> float:
    """Give the first time at which time alone may change a decision by rules; infinite where it never does.

    It is the age limit of an attribute that is read, or a moment at which a comparison with the present time changes.

    Args:
        records: those to look at, in the order of ``Entities``, from its beginning.
        plan: what the decision looks at.
        now: seconds since the epoch.
    """
    until = float("inf")
    for horizon, record in zip(plan.horizons, records, strict=False):
        if record is not None:
            until = min(until, change_of(record, horizon, plan, now))
    return until


def change_of(record: Record, horizon: Horizon, plan: Plan, now: float) -> float:
    """Give the same for one record. What is next to change of it stays so until then, and is kept with it."""
    at = record.horizons.get(plan)
    if at is None or at <= now:
        at = record.horizons[plan] = _next_change(record, horizon, now)
    return at


def _next_change(record: Record, horizon: Horizon, now: float) -> float:
    limits = [record.usable_until[name] for name in horizon.names if name in record.usable_until]
    held = record.view.__dict__
    # Conditions see whole seconds, so a comparison may change at the moment itself or up to one second past it.
    moments = [held[name] + offset for name, offset in horizon.points if name in held]
    turns = [max(now, moment) for moment in moments if now < moment + 1]
    return min([*limits, *turns], default=float("inf"))
