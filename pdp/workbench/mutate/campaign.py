"""Running a policy's tests against its mutants."""

from __future__ import annotations

import enum
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial

from pdp.core.decision import Entity
from pdp.core.entities import view_of
from pdp.core.policy import PolicySnapshot, Rule
from pdp.core.record import View
from pdp.workbench.mutate.applying import apply
from pdp.workbench.mutate.equivalence import Equivalence
from pdp.workbench.mutate.mutants import Mutant
from pdp.workbench.testing.cases import Case, Suite
from pdp.workbench.testing.running import Result, run, run_case
from pdp.workbench.testing.world import World


class Verdict(enum.StrEnum):
    """What became of a mutant. ``EQUIVALENT``: proved to change no decision."""

    CAUGHT = "caught"
    SURVIVED = "survived"
    EQUIVALENT = "equivalent"


@dataclass(frozen=True, slots=True)
class _Trial:
    """A case that passes, and the rules that it could tell of."""

    case: Case
    world: World
    determining: frozenset[str]
    candidates: frozenset[int]


class Campaign:
    """Tries mutants of one policy with its tests."""

    def __init__(self, suites: Iterable[Suite], policy: PolicySnapshot) -> None:
        """Run the tests once as they are.

        Args:
            suites: the tests.
            policy: the policy they pass on; cases that fail are left out.
        """
        self._policy = policy
        self._equivalence = Equivalence(policy)
        plans: dict[int, frozenset[int]] = {}
        trials = [self._trial(result, plans) for result in run(suites, policy) if result.passed]
        self._by_rule: dict[int, list[_Trial]] = {rule.index: [] for rule in policy.rules}
        for trial in trials:
            for index in trial.candidates:
                self._by_rule[index].append(trial)
        for rule in policy.rules:
            self._by_rule[rule.index].sort(key=partial(_tells_little, rule.id))

    def verdict(self, mutant: Mutant) -> Verdict:
        """Try one mutant, with the most telling cases first."""
        changed = apply(mutant, self._policy)
        if any(not run_case(it.case, it.world, changed).passed for it in self._by_rule[mutant.rule.index]):
            return Verdict.CAUGHT
        return Verdict.EQUIVALENT if self._equivalence.proves(mutant) else Verdict.SURVIVED

    def _trial(self, result: Result, known: dict[int, frozenset[int]]) -> _Trial:
        request = result.case.request
        subject = view_of(result.world.entities(request, result.case.changes), Entity.SUBJECT)
        rules = self._candidates(subject, request.action, request.resource.type)
        if id(rules) not in known:
            known[id(rules)] = frozenset(rule.index for rule in rules)
        return _Trial(result.case, result.world, frozenset(result.decision.rules), known[id(rules)])

    def _candidates(self, subject: View, action: str, kind: str) -> tuple[Rule, ...]:
        schema = self._policy.schema
        if action not in schema.actions or kind not in schema.resources:
            return ()
        return self._policy.plan(subject.__dict__.get("roles", ()), action, kind).rules


def _tells_little(rule_id: str, trial: _Trial) -> tuple[bool, bool]:
    """Rank a trial for a rule: first those it determines, and of equals those that state more than the effect."""
    return rule_id not in trial.determining, "reasons" not in trial.case.expected
