"""Where a decision is made: (request, what is known, policy revision, now) -> Decision. Pure and total.

The order of the steps is the argument for their safety. First everything the matching rules may read is proved
present, typed, fresh and bound to the request; only then is any rule evaluated; any deny among the matches wins; no
match is a deny; what an enforcement point cannot carry out is a deny.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from pdp.core.decision import Decision, Effect, Entity, Obligation
from pdp.core.entities import Entities, context_view, problem_with, resource_view, view_of
from pdp.core.policy import MatchError, Plan, PolicySnapshot, Rule
from pdp.core.reasons import Cause, Reason
from pdp.core.record import View
from pdp.core.request import Request
from pdp.core.step_up import find_step_up
from pdp.core.validity import reliable_until

_NO_CONTEXT: Final = View({})


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
    return replace(decision, causes=causes, step_up=step_up)


def judge(request: Request, entities: Entities, policy: PolicySnapshot, now: float) -> Decision:
    """Answer as ``decide`` does, without looking for a step-up."""
    if cause := _unknown_name(request, policy):
        return refuse(policy.revision, now, cause)
    roles, cause = _roles(entities, now)
    if cause:
        return refuse(policy.revision, now, cause)
    plan = policy.plan(roles, request.action, request.resource.type)
    context = context_view(request.context, policy.schema, now)
    if cause := _unfit(request, entities, plan, policy, context, now):
        return _dated(refuse(policy.revision, now, cause), entities, plan, policy, now)
    try:
        matches = _matches(roles, request, entities, policy, context)
    except MatchError as error:
        causes = (Cause(Reason.CONDITION_ERROR, policy.rules[index].id) for index in error.rules)
        return refuse(policy.revision, now, *(tuple(causes) or (Cause(Reason.CONDITION_ERROR),)))
    return _dated(_combine(matches, request, policy), entities, plan, policy, now)


def refuse(revision: str, now: float, *causes: Cause) -> Decision:
    """Make a deny that no rule determined and that may not be reused."""
    return Decision(Effect.DENY, causes, revision=revision, valid_until=now)


def _unknown_name(request: Request, policy: PolicySnapshot) -> Cause | None:
    schema = policy.schema
    if request.subject.type not in schema.subject_types:
        return Cause(Reason.TYPE_UNKNOWN, "subject.type")
    if request.resource.type not in schema.resources:
        return Cause(Reason.TYPE_UNKNOWN, "resource.type")
    return None if request.action in schema.actions else Cause(Reason.ACTION_UNKNOWN)


def _roles(entities: Entities, now: float) -> tuple[tuple[str, ...], Cause | None]:
    if cause := problem_with(Entity.SUBJECT, ("roles",), entities.subject, _NO_CONTEXT, now):
        return (), cause
    return view_of(entities, Entity.SUBJECT).__dict__["roles"], None


def _unfit(
    request: Request, entities: Entities, plan: Plan, policy: PolicySnapshot, context: View, now: float
) -> Cause | None:
    for entity, names in plan.needs:
        if cause := problem_with(entity, names, entities.of(entity), context, now):
            return cause
    return _unbound(request, entities, policy, now)


def _unbound(request: Request, entities: Entities, policy: PolicySnapshot, now: float) -> Cause | None:
    """Refuse a session that belongs to another subject or device than the request's."""
    if not request.session:
        return None
    ids = {Entity.SUBJECT: request.subject.id, Entity.DEVICE: request.device}
    for name, entity in policy.schema.bindings.items():
        if cause := problem_with(Entity.SESSION, (name,), entities.session, _NO_CONTEXT, now):
            return cause
        if getattr(view_of(entities, Entity.SESSION), name) != ids[entity]:
            return Cause(Reason.SESSION_MISMATCH, f"session.{name}")
    return None


def _matches(
    roles: tuple[str, ...], request: Request, entities: Entities, policy: PolicySnapshot, context: View
) -> Iterable[Rule]:
    subject = view_of(entities, Entity.SUBJECT)
    device = view_of(entities, Entity.DEVICE)
    session = view_of(entities, Entity.SESSION)
    resource = resource_view(entities, request.resource)
    indexes: set[int] = set()
    for role in roles:
        indexes.update(policy.matcher(role, request.action, subject, device, session, resource, context))
    return [policy.rules[index] for index in sorted(indexes)]


def _combine(matches: Iterable[Rule], request: Request, policy: PolicySnapshot) -> Decision:
    denies = [rule for rule in matches if rule.effect is not Effect.ALLOW]
    if denies:
        causes = tuple(Cause(Reason.DENIED_BY_RULE, rule.id) for rule in denies)
        return Decision(Effect.DENY, causes, _ids(denies), _obligations(denies, policy), policy.revision)
    permits = [rule for rule in matches if rule.effect is Effect.ALLOW]
    if not permits:
        return Decision(Effect.DENY, (Cause(Reason.NO_MATCHING_PERMIT),), revision=policy.revision)
    return _permit(permits, request, policy)


def _permit(permits: list[Rule], request: Request, policy: PolicySnapshot) -> Decision:
    """Let the permit that obliges least determine the answer.

    Each permit stands alone: it grants the access on its own terms. So an enforcement point's lack of a capability,
    or the loss of a role, can only take permits away, and never turns a deny into an allow.
    """
    supported = request.context.supported_obligations
    offers = [(rule, _obligations([rule], policy)) for rule in permits]
    feasible = [offer for offer in offers if all(not o.mandatory or o.type in supported for o in offer[1])]
    if not feasible:
        missing = sorted({o.type for _, owed in offers for o in owed if o.mandatory and o.type not in supported})
        causes = tuple(Cause(Reason.OBLIGATION_UNSUPPORTED, name) for name in missing)
        return Decision(Effect.DENY, causes, _ids(permits), revision=policy.revision)
    rule, owed = min(feasible, key=lambda offer: (sum(o.mandatory for o in offer[1]), offer[0].index))
    return Decision(Effect.ALLOW, (Cause(Reason.PERMITTED, rule.id),), (rule.id,), owed, policy.revision)


def _obligations(rules: Iterable[Rule], policy: PolicySnapshot) -> tuple[Obligation, ...]:
    names = dict.fromkeys(name for rule in rules for name in rule.obligations)
    return tuple(policy.obligations[name] for name in names)


def _ids(rules: Iterable[Rule]) -> tuple[str, ...]:
    return tuple(rule.id for rule in rules)


def _dated(decision: Decision, entities: Entities, plan: Plan, policy: PolicySnapshot, now: float) -> Decision:
    uses = entities.uses(entity for entity, _ in plan.needs)
    until = reliable_until(decision, entities, plan, policy.schema, now)
    return replace(decision, attributes=uses, valid_until=until)


def _steppable(decision: Decision) -> bool:
    steppable = (Reason.DENIED_BY_RULE, Reason.NO_MATCHING_PERMIT)
    return all(cause.code in steppable for cause in decision.causes)
