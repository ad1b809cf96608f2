"""How long an enforcement point may rely on a decision: until anything it rests on is due to change."""

from __future__ import annotations

from collections.abc import Iterator

from pdp.core.decision import Decision
from pdp.core.entities import Entities
from pdp.core.policy import Plan
from pdp.core.reasons import Reason
from pdp.core.schema import Schema


def reliable_until(decision: Decision, entities: Entities, plan: Plan, schema: Schema, now: float) -> float:
    """Give the time, in seconds since the epoch, at which the decision must be asked for anew.

    It is the earliest of the schema's cap for the effect, the age limit of every attribute that was read, and every
    moment at which a comparison with the present time changes.
    """
    cap = schema.allow_lifetime if decision.allowed else schema.deny_lifetime
    if any(cause.code not in _LASTING for cause in decision.causes):
        return now
    return min((now + cap, *_age_limits(entities, plan, now), *_turning_times(entities, plan, now)))


_LASTING = frozenset(
    {Reason.PERMITTED, Reason.NO_MATCHING_PERMIT, Reason.DENIED_BY_RULE, Reason.OBLIGATION_UNSUPPORTED}
)


def _age_limits(entities: Entities, plan: Plan, now: float) -> Iterator[float]:
    roles = entities.subject.usable_until.get("roles") if entities.subject else None
    if roles is not None and roles > now:
        yield roles
    for entity, names in plan.needs:
        record = entities.of(entity)
        if record is not None:
            yield from (record.usable_until[name] for name in names if name in record.usable_until)


def _turning_times(entities: Entities, plan: Plan, now: float) -> Iterator[float]:
    for point in plan.turning_points:
        record = entities.of(point.entity)
        held = record.view.__dict__.get(point.name) if record else None
        # Conditions see whole seconds, so a comparison may change at the moment itself or one second past it.
        if held is not None and (moment := held + point.offset) + 1 > now:
            yield max(now, moment)
