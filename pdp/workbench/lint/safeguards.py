"""Findings on what an allow should ask for: proof of who it is, a purpose, a device in order.

An allow may leave these to denies that hold for everybody; what counts is whether a request without them is allowed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from pdp.core.decision import Effect
from pdp.core.policy import WILDCARD, Rule
from pdp.workbench.lint.findings import (
    IGNORES_POSTURE,
    SENSITIVE_WITHOUT_ASSURANCE,
    SENSITIVE_WITHOUT_PURPOSE,
    Finding,
    Kind,
    found,
)
from pdp.workbench.lint.subject import Subject
from pdp.workbench.logic.formula import Among, Formula, State
from pdp.workbench.logic.reading import Path
from pdp.workbench.logic.scope import Scope
from pdp.workbench.logic.space import Variable


def check_safeguards(subject: Subject, passed_over: frozenset[str]) -> Iterator[Finding]:
    """Look at each rule that allows.

    Args:
        subject: the policy.
        passed_over: ids of rules that never decide, which is said elsewhere.
    """
    for rule in subject.policy.rules:
        if rule.effect is Effect.ALLOW and rule.id not in passed_over:
            yield from _check(subject, rule)


def _check(subject: Subject, rule: Rule) -> Iterator[Finding]:
    settings = subject.settings
    ways = list(_ways(subject, rule))
    sensitive = [way for way in ways if way.type in settings.sensitive]
    if settings.posture and (way := _first(it for it in ways if not it.tests(settings.posture))):
        yield _missing(subject, rule, IGNORES_POSTURE, way, "no matter what state the device is in", settings.posture)
    if settings.assurance and (way := _first(it for it in sensitive if it.weakest(settings.assurance))):
        problem = "at the weakest level of authentication"
        yield _missing(subject, rule, SENSITIVE_WITHOUT_ASSURANCE, way, problem, settings.assurance)
    if settings.purpose and (way := _first(it for it in sensitive if not it.tests(settings.purpose))):
        yield _missing(subject, rule, SENSITIVE_WITHOUT_PURPOSE, way, "for any purpose", settings.purpose)


class _Way:
    """One action on one type that a rule can allow."""

    def __init__(self, scope: Scope, state: State, undecided: list[Formula]) -> None:
        self.type = scope.types.resource_type
        self.action = scope.action
        self._space = scope.types.space
        self._searcher = scope.types.searcher
        self._state = state
        self._undecided = undecided

    def tests(self, paths: Iterable[Path]) -> bool:
        """Say whether any value of any of the attributes makes the difference."""
        return any(self._decides(variable) for variable in self._read(paths))

    def weakest(self, paths: Iterable[Path]) -> bool:
        """Say whether the least value of each attribute is good enough."""
        least = [Among(it.slot, it.full & -it.full, it.full) for it in self._read(paths)]
        return self._searcher.find(self._state, [*self._undecided, *least]) is not None

    def _read(self, paths: Iterable[Path]) -> list[Variable]:
        known = self._space.variables
        return [known[path] for path in paths if path in known]

    def _decides(self, variable: Variable) -> bool:
        if variable.is_list:
            narrowed = self._state[variable.slot] or self._state[variable.may] != variable.full
            return bool(narrowed) or any(variable.slot in it.slots for it in self._undecided)
        if self._state[variable.slot] != variable.full:
            return True
        if not any(variable.slot in it.slots for it in self._undecided):
            return False
        bits = [variable.bit(value) for value in variable.values(variable.full)]
        return any(not self._possible(Among(variable.slot, bit, variable.full)) for bit in bits)

    def _possible(self, formula: Formula) -> bool:
        return self._searcher.find(self._state, [*self._undecided, formula]) is not None


def _ways(subject: Subject, rule: Rule) -> Iterator[_Way]:
    """Give the ways in which a rule can allow, for subjects who hold its role alone."""
    for type_ in subject.types_of(rule):
        types = subject.scope(type_)
        for action in subject.actions_of(rule):
            scope = types.scope(action)
            scope = scope if rule.role == WILDCARD else scope.of_role(rule.role)
            if scope.undenied is None:
                continue
            state = scope.undenied[0].copy()
            formulas = [types.condition(rule.condition), *scope.undenied[1]]
            undecided = types.searcher.narrow(state, formulas)
            if undecided is not None:
                yield _Way(scope, state, undecided)


def _first(ways: Iterator[_Way]) -> _Way | None:
    return next(ways, None)


def _missing(subject: Subject, rule: Rule, kind: Kind, way: _Way, however: str, paths: tuple[Path, ...]) -> Finding:
    names = " or ".join(f"r.{entity}.{name}" for entity, name in paths[:3])
    problem = f"{rule.id} allows to {way.action} a {way.type} {however}"
    help_ = f"test {names} here, or in a deny for everybody"
    return found(kind, subject.files.field(rule, "condition"), problem, help_)
