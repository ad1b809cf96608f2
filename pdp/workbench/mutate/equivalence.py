"""Proving that a mutant changes nothing: no values that the schema permits tell the two conditions apart."""

from __future__ import annotations

from pdp.core.condition.nodes import refs
from pdp.core.policy import WILDCARD, PolicySnapshot, Rule
from pdp.core.turning import turning_points
from pdp.workbench.logic.search import BudgetExceededError, Searcher
from pdp.workbench.logic.space import Space
from pdp.workbench.logic.translate import Translator, either, every
from pdp.workbench.mutate.mutants import Mutant


class Equivalence:
    """Proves mutants of one policy equivalent to it."""

    def __init__(self, policy: PolicySnapshot) -> None:
        self._policy = policy

    def proves(self, mutant: Mutant) -> bool:
        """Whether a mutant is proved to change no decision; False where that is not so, or not provable.

        Only a changed condition can be: it must read the same attributes, turn at the same moments, and say the same
        of every combination of values. That is stricter than needed, so nothing is excused that matters.
        """
        was, now = mutant.rule, mutant.changed
        if now is None or was.effect is not now.effect or was.obligations != now.obligations:
            return False
        if refs(was.condition) != refs(now.condition):
            return False
        if turning_points(was.condition) != turning_points(now.condition):
            return False
        return all(self._same(was, now, kind) for kind in self._types(was))

    def _types(self, rule: Rule) -> list[str]:
        covers = self._policy.hierarchy.resources
        return [
            it for it in self._policy.schema.resources if rule.resource == WILDCARD or rule.resource in covers[it]
        ]

    def _same(self, was: Rule, now: Rule, kind: str) -> bool:
        space = Space(self._policy.schema, kind, [was.condition, now.condition])
        translator = Translator(space)
        one, other = translator.formula(was.condition), translator.formula(now.condition)
        apart = either(every(one, other.negated()), every(one.negated(), other))
        try:
            return Searcher(space.floors).find(space.initial.copy(), [apart]) is None
        except BudgetExceededError:
            return False
