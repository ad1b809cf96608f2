"""How long an enforcement point may rely on a decision: until anything it rests on is due to change."""

from __future__ import annotations

from pdp.core.decision import ALLOW, Effect
from pdp.core.entities import Entities
from pdp.core.policy import Plan
from pdp.core.schema import Schema


def reliable_until(effect: Effect, entities: Entities, plan: Plan, schema: Schema, now: float) -> float:
    """Give the time, in seconds since the epoch, at which a decision by rules must be asked for anew.

    It is the earliest of the schema's cap for the effect, the age limit of every attribute that was read, and every
    moment at which a comparison with the present time changes.
    """
    until = now + (schema.allow_lifetime if effect is ALLOW else schema.deny_lifetime)
    return _turning(entities, plan, now, _aging(entities, plan, schema, until))


def _aging(entities: Entities, plan: Plan, schema: Schema, until: float) -> float:
    subject, _, session, _ = entities
    if subject is not None:
        until = min(until, subject.usable_until.get("roles", until))
    if session is not None and session.sound_until < until:
        until = min([until, *[session.usable_until.get(name, until) for name in schema.bindings]])
    for _, names, position in plan.stored_needs:
        record = entities[position]
        if record is not None and record.sound_until < until:
            limits = record.usable_until
            until = min([until, *[limits[name] for name in names if name in limits]])
    return until


def _turning(entities: Entities, plan: Plan, now: float, until: float) -> float:
    for position, name, offset in plan.turning_points:
        record = entities[position]
        held = record.view.__dict__.get(name) if record else None
        # Conditions see whole seconds, so a comparison may change at the moment itself or up to one second past it.
        if held is not None and now < held + offset + 1 and held + offset < until:
            until = max(now, held + offset)
    return until
