"""Findings between rules: what can never decide, because others always do."""

from __future__ import annotations

from collections.abc import Iterator

from pdp.core.decision import Effect
from pdp.core.policy import WILDCARD, Rule
from pdp.workbench.lint.findings import CONTRADICTED, SHADOWED, UNREACHABLE, Finding, found
from pdp.workbench.lint.subject import Subject
from pdp.workbench.logic.formula import Formula, State
from pdp.workbench.logic.scope import Scope, TypeScope


def check_reach(subject: Subject, passed_over: frozenset[str]) -> Iterator[Finding]:
    """Look at each rule beside the others.

    Args:
        subject: the policy.
        passed_over: ids of rules that never match, which is said elsewhere.
    """
    rules = _ByColumns(subject)
    for rule in subject.policy.rules:
        if rule.id in passed_over:
            continue
        if rule.effect is Effect.ALLOW and not _reachable(subject, rule):
            yield _unreachable(subject, rule, rules)
        elif broader := rules.broader(rule):
            yield _shadowed(subject, rule, broader)


class _ByColumns:
    """Finds the rules of the same effect whose columns cover another's."""

    def __init__(self, subject: Subject) -> None:
        self._subject = subject
        self._policy = subject.policy
        self._rules: dict[tuple[str, str, str], list[Rule]] = {}
        for rule in subject.policy.rules:
            self._rules.setdefault((rule.role, rule.action, rule.resource), []).append(rule)

    def covering(self, rule: Rule, effect: Effect) -> Iterator[Rule]:
        """Give the other rules of an effect that apply to whatever the columns of a rule name."""
        hierarchy = self._policy.hierarchy
        for role in _above(hierarchy.roles.get(rule.role), rule.role):
            for action in _above(hierarchy.actions.get(rule.action), rule.action):
                for resource in _above(hierarchy.resources.get(rule.resource), rule.resource):
                    for other in self._rules.get((role, action, resource), ()):
                        if other is not rule and other.effect is effect:
                            yield other

    def broader(self, rule: Rule) -> Rule | None:
        """Give a rule that decides wherever this one would; None if there is none."""
        matching: list[tuple[TypeScope, State, list[Formula]]] = []
        for other in self.covering(rule, rule.effect):
            if not self._outranks(other, rule):
                continue
            matching = matching or _matching(self._subject, rule)
            if all(_implies(*each, other) for each in matching):
                return other
        return None

    def contradicting(self, rule: Rule) -> Rule | None:
        """Give a deny that matches wherever this permit does; None if none does by itself."""
        matching = _matching(self._subject, rule)
        denies = self.covering(rule, Effect.DENY)
        return next((it for it in denies if all(_implies(*each, it) for each in matching)), None)

    def _outranks(self, other: Rule, rule: Rule) -> bool:
        offers = self._policy.offers
        theirs, ours = offers[other.index], offers[rule.index]
        if rule.effect is Effect.DENY:
            equal = other.obligations == rule.obligations and self._same_columns(other, rule)
            return set(rule.obligations) <= set(other.obligations) and not (equal and other.index > rule.index)
        return theirs.needed <= ours.needed and (theirs.burden, theirs.id) < (ours.burden, ours.id)

    def _same_columns(self, one: Rule, other: Rule) -> bool:
        return (one.role, one.action, one.resource) == (other.role, other.action, other.resource)


def _above(closure: frozenset[str] | None, name: str) -> list[str]:
    return sorted({name, WILDCARD} | (closure or frozenset()))


def _matching(subject: Subject, rule: Rule) -> list[tuple[TypeScope, State, list[Formula]]]:
    """Give for each type the state in which a rule's condition holds, and what is undecided in it."""
    found_: list[tuple[TypeScope, State, list[Formula]]] = []
    for scope in map(subject.scope, subject.types_of(rule)):
        state = scope.space.initial.copy()
        undecided = scope.searcher.narrow(state, [scope.condition(rule.condition)])
        if undecided is not None:
            found_.append((scope, state, undecided))
    return found_


def _implies(scope: TypeScope, state: State, undecided: list[Formula], other: Rule) -> bool:
    formula = scope.condition(other.condition)
    known = formula.value(state)
    if known is not None:
        return known
    read = frozenset().union(*(it.slots for it in undecided))
    narrowed = {at for at in formula.slots if state[at] != scope.space.initial[at]}
    if not formula.slots <= read | narrowed:
        # It tests something that this rule leaves open.
        return False
    return scope.searcher.find(state, [*undecided, formula.negated()]) is None


def _reachable(subject: Subject, rule: Rule) -> bool:
    return any(_allows(scope, rule) for scope in _scopes(subject, rule))


def _allows(scope: Scope, rule: Rule) -> bool:
    alone = scope.of_role(rule.role)
    applies = scope.types.condition(rule.condition)
    if rule.role != WILDCARD and alone.find_undenied(applies) is not None:
        return True
    return scope.find_undenied(scope.types.applies(rule)) is not None


def _scopes(subject: Subject, rule: Rule) -> Iterator[Scope]:
    for type_ in subject.types_of(rule):
        for action in subject.actions_of(rule):
            yield subject.scope(type_).scope(action)


def _unreachable(subject: Subject, rule: Rule, rules: _ByColumns) -> Finding:
    span = subject.files.field(rule, "id")
    if deny := rules.contradicting(rule):
        problem = f"{rule.id} allows only what {deny.id} ({deny.file}:{deny.line}) denies"
        return found(CONTRADICTED, span, problem, f"narrow {deny.id}, or delete {rule.id}")
    problem = f"{rule.id} can never allow: denies cover every request it matches"
    return found(UNREACHABLE, span, problem, "see which with pdp policy explain; correct its condition, or delete it")


def _shadowed(subject: Subject, rule: Rule, broader: Rule) -> Finding:
    problem = f"{rule.id} adds nothing: {broader.id} ({broader.file}:{broader.line}) decides wherever it matches"
    help_ = f"delete it, or narrow {broader.id}"
    return found(SHADOWED, subject.files.field(rule, "id"), problem, help_)
