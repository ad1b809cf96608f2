"""Finding out whether authenticating again would help: the deny is judged anew with a session as it might be."""

from __future__ import annotations

from collections.abc import Callable

from pdp.core.decision import POSITION, SESSION, StepUp
from pdp.core.entities import Entities
from pdp.core.policy import PolicySnapshot
from pdp.core.turning import turning_points

Judge = Callable[[Entities], bool]


def find_step_up(allows: Judge, entities: Entities, policy: PolicySnapshot, now: float) -> StepUp | None:
    """Give the least authentication that turns a deny into an allow, or None where none does.

    Args:
        allows: says whether the request would be allowed with other entities.
        entities: what is known now.
        policy: the revision; its schema says what authenticating changes.
        now: seconds since the epoch.
    """
    rules = policy.schema.step_up
    if rules is None or entities.session is None:
        return None
    present = entities.session.view.__dict__.get(rules.level)
    if not isinstance(present, int):
        return None
    fresh = dict.fromkeys(rules.times, int(now))
    if allows(entities.with_session(fresh)):
        return StepUp(max_age=_greatest_age(allows, entities, policy, now))
    higher = [level for level in rules.levels if level.level > present]
    acrs = tuple(it.acr for it in higher if allows(entities.with_session({**fresh, rules.level: it.level})))
    if not acrs:
        return None
    lowest = next(level for level in higher if level.acr == acrs[0])
    raised = entities.with_session({rules.level: lowest.level})
    return StepUp(acrs, None if allows(raised) else _greatest_age(allows, raised, policy, now))


def _greatest_age(allows: Judge, entities: Entities, policy: PolicySnapshot, now: float) -> int:
    """Give the greatest age of an authentication that still suffices; 0 where it must be new."""
    rules = policy.schema.step_up
    times = rules.times if rules else ()
    limits = {
        int(point.offset)
        for rule in policy.rules
        for point in turning_points(rule.condition)
        if point.position == POSITION[SESSION] and point.name in times
    }
    # An authentication is a moment old when it is first used, so an age limit is offered one second short.
    for age in sorted((limit - 1 for limit in limits if limit > 1), reverse=True):
        if allows(entities.with_session(dict.fromkeys(times, int(now) - age))):
            return age
    return 0
