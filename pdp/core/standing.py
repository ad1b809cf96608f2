"""How a subject, in a session on a device, stands towards an action on a type of resource.

It is all of a decision that does not depend on which resource of the type is asked for. People open one record after
another, so it is worked out once and kept with the policy revision, for as long as the records are the very ones it
was worked out from and time alone cannot change it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from pdp.core.decision import RESOURCE, SESSION, SUBJECT, AttributeUse
from pdp.core.entities import Entities, problem_with, view_of
from pdp.core.policy import Plan, PolicySnapshot
from pdp.core.reasons import Cause, Reason
from pdp.core.record import Record
from pdp.core.request import Request
from pdp.core.validity import next_change

_ROLES: Final = ("roles",)
# Some 40 MB. Emptied when full, rather than left to grow.
_KEPT: Final = 65_536


@dataclass(frozen=True, slots=True, eq=False)
class Standing:
    """See the module.

    Attributes:
        subject: the record it was worked out from.
        device: likewise.
        session: likewise.
        since: with ``until``, the half-open span of time in which all of this holds.
        until: the first moment at which time alone may change a decision.
        obstacle: why the answer is a deny, whatever the resource; None where there is no such reason.
        roles: the subject's roles.
        plan: what a decision must look at.
        uses: the records used so far.
        reads_resource: whether a rule that may match reads the resource.
    """

    subject: Record | None
    device: Record | None
    session: Record | None
    since: float
    until: float
    obstacle: Cause | None
    roles: tuple[str, ...]
    plan: Plan
    uses: tuple[AttributeUse, ...]
    reads_resource: bool


def standing_of(request: Request, entities: Entities, policy: PolicySnapshot, now: float) -> Standing | Cause:
    """Give the standing, from memory if it still holds; where a name or the roles are unusable, why there is none."""
    asker, action, (resource_type, _), context, session_id, device_id = request
    subject, device, session, _ = entities
    key = (asker, action, resource_type, context, session_id, device_id)
    held = policy.standings.get(key)
    if (
        held is not None
        and held.since <= now < held.until
        and held.subject is subject
        and held.session is session
        and held.device is device
    ):
        return held
    if cause := _unknown_name(request, policy) or problem_with(SUBJECT, _ROLES, subject, now):
        return cause
    made = _work_out(request, entities, policy, now)
    if made.obstacle is None:
        if len(policy.standings) >= _KEPT:
            policy.standings.clear()
        policy.standings[key] = made
    return made


def _work_out(request: Request, entities: Entities, policy: PolicySnapshot, now: float) -> Standing:
    subject, device, session, _ = entities
    roles = view_of(entities, SUBJECT).__dict__["roles"]
    plan = policy.plan(roles, request.action, request.resource.type)
    own = [need for need in plan.stored_needs if need.entity is not RESOURCE]
    found = [(need.entity, entities[need.position]) for need in own]
    return Standing(
        subject=subject,
        device=device,
        session=session,
        since=now,
        until=next_change((subject, device, session), plan, now),
        obstacle=_unfit(request, entities, policy, plan, now) or _unbound(request, entities, policy, now),
        roles=roles,
        plan=plan,
        uses=tuple([record.used_as(entity) for entity, record in found if record is not None]),
        reads_resource=len(own) < len(plan.stored_needs),
    )


def _unknown_name(request: Request, policy: PolicySnapshot) -> Cause | None:
    schema = policy.schema
    if request.subject.type not in schema.subject_types:
        return Cause(Reason.TYPE_UNKNOWN, "subject.type")
    if request.resource.type not in schema.resources:
        return Cause(Reason.TYPE_UNKNOWN, "resource.type")
    return None if request.action in schema.actions else Cause(Reason.ACTION_UNKNOWN)


def _unfit(request: Request, entities: Entities, policy: PolicySnapshot, plan: Plan, now: float) -> Cause | None:
    """Find the first attribute, the resource's apart, that a candidate rule reads and that is not fit to decide."""
    context = policy.context(request.context, int(now)).__dict__
    for name in plan.stated_needs:
        if name not in context:
            stated = getattr(request.context, name, "")
            return Cause(Reason.ATTRIBUTE_INVALID if stated else Reason.ATTRIBUTE_MISSING, f"context.{name}")
    for entity, names, position in plan.stored_needs:
        if entity is not RESOURCE and (cause := problem_with(entity, names, entities[position], now)):
            return cause
    return None


def _unbound(request: Request, entities: Entities, policy: PolicySnapshot, now: float) -> Cause | None:
    """Refuse a session that belongs to another subject or device than the request's."""
    if not request.session:
        return None
    held = view_of(entities, SESSION).__dict__
    for name, entity in policy.schema.bindings.items():
        if cause := problem_with(SESSION, (name,), entities.session, now):
            return cause
        owner = request.subject.id if entity is SUBJECT else request.device
        if held[name] != owner:
            return Cause(Reason.SESSION_MISMATCH, f"session.{name}")
    return None
