"""A revision with one rule changed, made without compiling anything anew."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from pdp.core.condition import evaluate
from pdp.core.decision import Entity
from pdp.core.policy import WILDCARD, Hierarchy, Matcher, MatchError, PolicySnapshot, Rule
from pdp.core.record import View
from pdp.workbench.mutate.mutants import Mutant


def apply(mutant: Mutant, policy: PolicySnapshot) -> PolicySnapshot:
    """Give the revision that a mutant makes of a policy. Indexes stay, but for those after a deleted rule."""
    at = mutant.rule.index
    if mutant.changed is None:
        rules = tuple(replace(rule, index=number) for number, rule in enumerate(_without(policy.rules, at)))
    else:
        rules = (*policy.rules[:at], mutant.changed, *policy.rules[at + 1 :])
    # Plans are worked out anew: those of the policy may hold the rule as it was.
    return replace(policy, rules=rules, matcher=_MutantMatcher(policy, rules, mutant))


def _without(rules: Sequence[Rule], at: int) -> tuple[Rule, ...]:
    return (*rules[:at], *rules[at + 1 :])


class _MutantMatcher:
    """Asks the policy's own matcher, and answers for the changed rule itself."""

    def __init__(self, policy: PolicySnapshot, rules: tuple[Rule, ...], mutant: Mutant) -> None:
        self._matcher: Matcher = policy.matcher
        self._hierarchy: Hierarchy = policy.hierarchy
        self._rules = rules
        self._at = mutant.rule.index
        self._changed = mutant.changed

    def __call__(
        self, role: str, action: str, subject: View, device: View, session: View, resource: View, context: View
    ) -> Sequence[int]:
        """Give the indexes of all matching rules; see ``pdp.core.policy.Matcher``."""
        views = {
            Entity.SUBJECT: subject,
            Entity.DEVICE: device,
            Entity.SESSION: session,
            Entity.RESOURCE: resource,
            Entity.CONTEXT: context,
        }
        try:
            matched = self._matcher(role, action, subject, device, session, resource, context)
        except MatchError:
            # The rule as it was read something that is not known, and that nothing else needs: ask each by itself.
            every = (
                number for number, rule in enumerate(self._rules) if self._matches(rule, number, role, action, views)
            )
            return tuple(every)
        at = self._at
        if self._changed is None:
            return [index - (index > at) for index in matched if index != at]
        others = [index for index in matched if index != at]
        if self._matches(self._changed, at, role, action, views):
            others.append(at)
            others.sort()
        return others

    def _matches(self, rule: Rule, index: int, role: str, action: str, views: Mapping[Entity, View]) -> bool:
        known = self._hierarchy
        kind = views[Entity.RESOURCE].__dict__["type"]
        fits = (
            (rule.role == WILDCARD or rule.role in known.roles.get(role, {role}))
            and (rule.action == WILDCARD or rule.action in known.actions.get(action, {action}))
            and (rule.resource == WILDCARD or rule.resource in known.resources.get(kind, {kind}))
        )
        try:
            return fits and bool(evaluate(rule.condition, lambda entity, name: getattr(views[entity], name)))
        except AttributeError as error:
            raise MatchError((index,), type(error).__name__) from None
