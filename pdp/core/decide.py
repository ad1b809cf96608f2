"""Where a decision is made: (request, what is known, policy revision, now) -> Decision. Pure and total.

The order of the steps is the argument for their safety. First everything the matching rules may read is proved
present, typed, fresh and bound to the request; only then is any rule evaluated; any deny among the matches wins; no
match is a deny; what an enforcement point cannot carry out is a deny.
"""

from __future__ import annotations

from collections.abc import Iterable
from operator import attrgetter
from typing import Final

from pdp.core.decision import DENY, SESSION, SUBJECT, AttributeUse, Decision
from pdp.core.entities import Entities, problem_with, resource_view, view_of
from pdp.core.policy import MatchError, Offer, Plan, PolicySnapshot, Verdict
from pdp.core.reasons import Cause, Reason
from pdp.core.record import View
from pdp.core.request import Request
from pdp.core.step_up import find_step_up
from pdp.core.validity import reliable_until

_ROLES: Final = ("roles",)
_NOTHING: Final = View({})
_NOTHING_PERMITS: Final = Verdict(DENY, (Cause(Reason.NO_MATCHING_PERMIT),))
# Equal burdens are ranked by id, not by place: the order of rules does not matter.
_BURDEN: Final = attrgetter("burden", "id")


def decide(request: Request, entities: Entities, policy: PolicySnapshot, now: float) -> Decision:
    """Answer a request that passed ``request.validate``.

    Args:
        request: the question.
        entities: the records found for its references.
        policy: the revision to decide by.
        now: seconds since the epoch.

    Returns:
        A decision; on whatever goes wrong, a deny with its reason.
    """
    decision = judge(request, entities, policy, now)
    if decision.allowed or not _steppable(decision):
        return decision
    step_up = find_step_up(lambda possible: judge(request, possible, policy, now).allowed, entities, policy, now)
    if step_up is None:
        return decision
    causes = (Cause(Reason.STEP_UP_REQUIRED), *decision.causes)
    return decision._replace(causes=causes, step_up=step_up)


def judge(request: Request, entities: Entities, policy: PolicySnapshot, now: float) -> Decision:
    """Answer as ``decide`` does, without looking for a step-up."""
    if cause := _unknown_name(request, policy) or problem_with(SUBJECT, _ROLES, entities.subject, now):
        return refuse(policy.revision, now, cause)
    roles = view_of(entities, SUBJECT).__dict__["roles"]
    plan = policy.plan(roles, request.action, request.resource.type)
    context = policy.context(request.context, int(now))
    if cause := _unfit(request, entities, plan, context, now) or _unbound(request, entities, policy, now):
        return Decision(DENY, (cause,), (), (), policy.revision, _uses(entities, plan), now)
    try:
        matches = _matches(roles, request, entities, policy, context)
    except MatchError as error:
        causes = tuple(Cause(Reason.CONDITION_ERROR, policy.rules[index].id) for index in error.rules)
        return refuse(policy.revision, now, *(causes or (Cause(Reason.CONDITION_ERROR),)))
    verdict = _combine(matches, request.context.supported_obligations)
    until = reliable_until(verdict.effect, entities, plan, policy.schema, now)
    return Decision(*verdict, policy.revision, _uses(entities, plan), until)


def refuse(revision: str, now: float, *causes: Cause) -> Decision:
    """Make a deny that no rule determined and that may not be reused."""
    return Decision(DENY, causes, revision=revision, valid_until=now)


def _unknown_name(request: Request, policy: PolicySnapshot) -> Cause | None:
    schema = policy.schema
    if request.subject.type not in schema.subject_types:
        return Cause(Reason.TYPE_UNKNOWN, "subject.type")
    if request.resource.type not in schema.resources:
        return Cause(Reason.TYPE_UNKNOWN, "resource.type")
    return None if request.action in schema.actions else Cause(Reason.ACTION_UNKNOWN)


def _unfit(request: Request, entities: Entities, plan: Plan, context: View, now: float) -> Cause | None:
    """Find the first attribute that a candidate rule reads and that is not fit to decide."""
    for name in plan.stated_needs:
        if name not in context.__dict__:
            stated = getattr(request.context, name, "")
            return Cause(Reason.ATTRIBUTE_INVALID if stated else Reason.ATTRIBUTE_MISSING, f"context.{name}")
    for entity, names, position in plan.stored_needs:
        record = entities[position]
        # A sound record has every attribute of its schema, and the attribute source reads by the revision's own.
        if record is not None and record.sound_from <= now < record.sound_until:
            continue
        if cause := problem_with(entity, names, record, now):
            return cause
    return None


def _unbound(request: Request, entities: Entities, policy: PolicySnapshot, now: float) -> Cause | None:
    """Refuse a session that belongs to another subject or device than the request's."""
    if not request.session:
        return None
    session, held = entities.session, view_of(entities, SESSION).__dict__
    sound = session is not None and session.sound_from <= now < session.sound_until
    for name, entity in policy.schema.bindings.items():
        if not sound and (cause := problem_with(SESSION, (name,), session, now)):
            return cause
        owner = request.subject.id if entity is SUBJECT else request.device
        if held[name] != owner:
            return Cause(Reason.SESSION_MISMATCH, f"session.{name}")
    return None


def _matches(
    roles: tuple[str, ...], request: Request, entities: Entities, policy: PolicySnapshot, context: View
) -> list[Offer]:
    subject, device, session, resource = entities
    views = (
        subject.view if subject else _NOTHING,
        device.view if device else _NOTHING,
        session.view if session else _NOTHING,
        resource.view if resource else resource_view(entities, request.resource),
        context,
    )
    found = [policy.matcher(role, request.action, *views) for role in roles]
    indexes: Iterable[int] = found[0] if len(found) == 1 else sorted(set().union(*found))
    offers = policy.offers
    return [offers[index] for index in indexes]


def _combine(matches: list[Offer], supported: frozenset[str]) -> Verdict:
    denies = [offer for offer in matches if not offer.permits]
    if denies:
        return denies[0].verdict if len(denies) == 1 else _denied(denies)
    return _permit(matches, supported) if matches else _NOTHING_PERMITS


def _denied(denies: list[Offer]) -> Verdict:
    causes = tuple(cause for offer in denies for cause in offer.verdict.causes)
    owed = {obligation.id: obligation for offer in denies for obligation in offer.verdict.obligations}
    return Verdict(DENY, causes, _ids(denies), tuple(owed.values()))


def _permit(permits: list[Offer], supported: frozenset[str]) -> Verdict:
    """Let the permit that obliges least determine the answer.

    Each permit stands alone: it grants the access on its own terms. So an enforcement point's lack of a capability,
    or the loss of a role, can only take permits away, and never turns a deny into an allow.
    """
    feasible = [offer for offer in permits if offer.needed <= supported]
    if not feasible:
        missing = sorted(frozenset().union(*(offer.needed for offer in permits)) - supported)
        causes = tuple(Cause(Reason.OBLIGATION_UNSUPPORTED, name) for name in missing)
        return Verdict(DENY, causes, _ids(permits))
    return min(feasible, key=_BURDEN).verdict if len(feasible) > 1 else feasible[0].verdict


def _ids(offers: list[Offer]) -> tuple[str, ...]:
    return tuple(offer.verdict.rules[0] for offer in offers)


def _uses(entities: Entities, plan: Plan) -> tuple[AttributeUse, ...]:
    needs = plan.stored_needs
    return tuple([record.used_as(entity) for entity, _, at in needs if (record := entities[at]) is not None])


def _steppable(decision: Decision) -> bool:
    steppable = (Reason.DENIED_BY_RULE, Reason.NO_MATCHING_PERMIT)
    return all(cause.code in steppable for cause in decision.causes)
