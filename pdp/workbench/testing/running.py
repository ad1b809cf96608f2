"""Running suites against a policy revision."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from pdp.core.decide import decide, judge
from pdp.core.decision import Decision
from pdp.core.explain import Explanation, explain
from pdp.core.policy import PolicySnapshot
from pdp.workbench.testing.cases import Case, Suite
from pdp.workbench.testing.checking import Mismatch, check
from pdp.workbench.testing.world import World

_STEPPED: Final = frozenset({"reasons", "step_up"})


@dataclass(frozen=True, slots=True)
class Result:
    """What became of a case.

    Attributes:
        case: which.
        world: what was known.
        decision: the answer.
        mismatches: what is not as stated; empty where the case passed.
    """

    case: Case
    world: World
    decision: Decision
    mismatches: tuple[Mismatch, ...]

    @property
    def passed(self) -> bool:
        """Whether everything is as stated."""
        return not self.mismatches

    def explain(self, policy: PolicySnapshot) -> Explanation:
        """Say how each rule fared."""
        entities = self.world.entities(self.case.request, self.case.changes)
        return explain(self.case.request, entities, policy, self.world.now)


def run(suites: Iterable[Suite], policy: PolicySnapshot) -> Iterator[Result]:
    """Ask every question of the suites, in their order."""
    for suite in suites:
        for case in suite.cases:
            yield run_case(case, suite.world, policy)


def run_case(case: Case, world: World, policy: PolicySnapshot) -> Result:
    """Ask one question. A step-up is looked for only where something is stated that it could change."""
    answer = judge if _STEPPED.isdisjoint(case.expected) else decide
    decision = answer(case.request, world.entities(case.request, case.changes), policy, world.now)
    return Result(case, world, decision, check(case.expected, decision, world.now))
