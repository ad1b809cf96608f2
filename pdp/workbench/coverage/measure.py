"""Measuring what a run of the tests reached. Only cases that pass, and that the rules decided, count."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from pdp.core.condition import Node, evaluate
from pdp.core.decision import ALLOW, Entity
from pdp.core.entities import context_view, resource_view, view_of
from pdp.core.policy import PolicySnapshot, Rule
from pdp.core.record import View
from pdp.workbench.coverage.atoms import atoms, decisive
from pdp.workbench.testing.checking import by_rules
from pdp.workbench.testing.running import Result

Combination = tuple[str, str, str]
"""Role, action and resource type."""


@dataclass(frozen=True, slots=True)
class Side:
    """One side of a comparison: that it is true, or false, while it matters. ``tests`` counts the cases."""

    atom: Node
    text: str
    truth: bool
    tests: int


@dataclass(frozen=True, slots=True)
class RuleCoverage:
    """What the tests reach of a rule.

    Attributes:
        rule: which.
        determined: cases whose answer it determined.
        sides: both of each comparison.
    """

    rule: Rule
    determined: int
    sides: tuple[Side, ...]


@dataclass(frozen=True, slots=True)
class Coverage:
    """What the tests reach of a policy.

    Attributes:
        rules: each rule.
        combinations: how many cases there are of each role, action and resource type, none included.
        permitted: those combinations for which some rule allows something.
    """

    rules: tuple[RuleCoverage, ...]
    combinations: Mapping[Combination, int]
    permitted: frozenset[Combination]

    @property
    def percentages(self) -> Mapping[str, float]:
        """Give the percentages that ``review.yaml`` sets thresholds for."""
        sides = [side.tests > 0 for rule in self.rules for side in rule.sides]
        return {
            "rules": _percentage([it.determined > 0 for it in self.rules]),
            "sides": _percentage(sides),
            "combinations": _percentage([count > 0 for count in self.combinations.values()]),
        }

    def untested(self) -> tuple[Combination, ...]:
        """Give the combinations no test reaches, those that some rule allows first."""
        missing = (it for it, count in self.combinations.items() if not count)
        return tuple(sorted(missing, key=lambda it: (it not in self.permitted, it)))


def measure(results: Iterable[Result], policy: PolicySnapshot) -> Coverage:
    """Measure a run of the tests."""
    meter = _Meter(policy)
    for result in results:
        if result.passed and by_rules(result.decision):
            meter.add(result)
    return meter.coverage()


class _Meter:
    def __init__(self, policy: PolicySnapshot) -> None:
        self._policy = policy
        self._determined = dict.fromkeys((rule.id for rule in policy.rules), 0)
        self._sides: dict[tuple[int, bool], int] = {}
        roles = sorted(policy.schema.attributes_of(Entity.SUBJECT)["roles"].values)
        names = (sorted(policy.schema.actions), sorted(policy.schema.resources))
        self._combinations = {(role, action, kind): 0 for role in roles for action in names[0] for kind in names[1]}

    def add(self, result: Result) -> None:
        """Count one case."""
        request = result.case.request
        entities = result.world.entities(request, result.case.changes)
        views = {entity: view_of(entities, entity) for entity in Entity}
        views[Entity.RESOURCE] = resource_view(entities, request.resource)
        views[Entity.CONTEXT] = context_view(request.context, self._policy.schema, result.world.now)
        roles = views[Entity.SUBJECT].__dict__["roles"]
        for role in roles:
            self._combinations[role, request.action, request.resource.type] += 1
        for rule_id in result.decision.rules:
            self._determined[rule_id] += 1
        truths = _Truths(views)
        for rule in self._policy.plan(roles, request.action, request.resource.type).rules:
            for atom in decisive(rule.condition, truths.of)[1]:
                key = (id(atom), truths.of(atom))
                self._sides[key] = self._sides.get(key, 0) + 1

    def coverage(self) -> Coverage:
        """Give what was counted."""
        rules = tuple(
            RuleCoverage(rule, self._determined[rule.id], self._sides_of(rule)) for rule in self._policy.rules
        )
        permitted = frozenset(it for it in self._combinations if self._permits(*it))
        return Coverage(rules, self._combinations, permitted)

    def _sides_of(self, rule: Rule) -> tuple[Side, ...]:
        found = [(atom, truth) for atom in atoms(rule.condition) for truth in (True, False)]
        return tuple(
            Side(atom, rule.text[atom.start : atom.end], truth, self._sides.get((id(atom), truth), 0))
            for atom, truth in found
        )

    def _permits(self, role: str, action: str, kind: str) -> bool:
        plan = self._policy.plan((role,), action, kind)
        return any(rule.effect is ALLOW for rule in plan.rules)


class _Truths:
    """What comparisons say of one request's values; each is asked once."""

    def __init__(self, views: Mapping[Entity, View]) -> None:
        self._views = views
        self._known: dict[int, bool] = {}

    def of(self, atom: Node) -> bool:
        found = self._known.get(id(atom))
        if found is None:
            found = self._known[id(atom)] = bool(evaluate(atom, self._value))
        return found

    def _value(self, entity: Entity, name: str) -> object:
        return self._views[entity].__dict__[name]


def _percentage(reached: list[bool]) -> float:
    return 100.0 * sum(reached) / len(reached) if reached else 100.0
