"""Where a decision is made: (request, what is known, policy revision, now) -> Decision. Pure and total.

The order of the steps is the argument for their safety. First everything the matching rules may read is proved
present, typed, fresh and bound to the request; only then is any rule evaluated; any deny among the matches wins; no
match is a deny; what an enforcement point cannot carry out is a deny.
"""

from __future__ import annotations

from operator import attrgetter
from typing import Final

from pdp.core.decision import DENY, POSITION, RESOURCE, Decision
from pdp.core.entities import Entities, problem_with, resource_view
from pdp.core.policy import MatchError, Offer, Plan, PolicySnapshot, Verdict
from pdp.core.reasons import Cause, Reason
from pdp.core.record import Record, View
from pdp.core.request import Request
from pdp.core.standing import Standing, standing_of
from pdp.core.step_up import find_step_up
from pdp.core.validity import change_of, reliable_until

_RESOURCE_AT: Final = POSITION[RESOURCE]
# Few sets of rules match together. Emptied when there are more, rather than left to grow.
_VERDICTS_KEPT: Final = 4096
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
    standing = standing_of(request, entities, policy, now)
    if isinstance(standing, Cause):
        return refuse(policy.revision, now, standing)
    resource, plan, uses = entities.resource, standing.plan, standing.uses
    obstacle, until = standing.obstacle, standing.until
    if standing.reads_resource:
        obstacle = obstacle or _unfit(resource, plan, now)
        if resource is not None:
            uses = (*uses, resource.used_as(RESOURCE))
            until = min(until, change_of(resource, plan.horizons[_RESOURCE_AT], plan, now))
    if obstacle:
        return Decision(DENY, (obstacle,), (), (), policy.revision, uses, now)
    try:
        matches = _matches(standing, request, entities, policy, now)
    except MatchError as error:
        causes = tuple(Cause(Reason.CONDITION_ERROR, policy.rules[index].id) for index in error.rules)
        return refuse(policy.revision, now, *(causes or (Cause(Reason.CONDITION_ERROR),)))
    supported = request.context.supported_obligations
    verdict = policy.verdicts.get((matches, supported)) or _keep(policy, matches, supported)
    until = reliable_until(verdict.effect, until, policy.schema, now)
    return Decision(*verdict, policy.revision, uses, until)


def refuse(revision: str, now: float, *causes: Cause) -> Decision:
    """Make a deny that no rule determined and that may not be reused."""
    return Decision(DENY, causes, revision=revision, valid_until=now)


def _unfit(resource: Record | None, plan: Plan, now: float) -> Cause | None:
    # A sound record has every attribute of its schema, and the attribute source reads by the revision's own.
    if resource is not None and resource.sound_from <= now < resource.sound_until:
        return None
    return problem_with(RESOURCE, plan.stored_needs[-1].names, resource, now)


def _matches(
    standing: Standing, request: Request, entities: Entities, policy: PolicySnapshot, now: float
) -> tuple[int, ...]:
    """Give the indexes of the rules that match for any of the subject's roles, ascending."""
    subject, device, session, resource = entities
    views = (
        subject.view if subject else _NOTHING,
        device.view if device else _NOTHING,
        session.view if session else _NOTHING,
        resource.view if resource else resource_view(entities, request.resource),
        policy.context(request.context, int(now)),
    )
    found = [policy.matcher(role, request.action, *views) for role in standing.roles]
    return tuple(found[0] if len(found) == 1 else sorted(set().union(*found)))


def _keep(policy: PolicySnapshot, matches: tuple[int, ...], supported: frozenset[str]) -> Verdict:
    if len(policy.verdicts) >= _VERDICTS_KEPT:
        policy.verdicts.clear()
    offers = [policy.offers[index] for index in matches]
    verdict = policy.verdicts[matches, supported] = _combine(offers, supported)
    return verdict


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


def _steppable(decision: Decision) -> bool:
    steppable = (Reason.DENIED_BY_RULE, Reason.NO_MATCHING_PERMIT)
    return all(cause.code in steppable for cause in decision.causes)
