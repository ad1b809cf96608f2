"""Proving invariants over the schema's whole finite abstraction, or refuting them by a request.

Roles are part of what is searched, so a proof holds for every set of roles a subject may hold. Time is a matter of
differences to the present, so it holds at any moment. What is refuted is confirmed by the service's own decision.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator
from dataclasses import dataclass

from pdp.core.decide import decide
from pdp.core.decision import Decision, Effect
from pdp.core.policy import PolicySnapshot, Rule
from pdp.workbench.logic.formula import Formula, State
from pdp.workbench.logic.reading import Path
from pdp.workbench.logic.scope import Scope, TypeScope
from pdp.workbench.logic.search import BudgetExceededError
from pdp.workbench.logic.translate import either, every
from pdp.workbench.logic.witness import Witness, make_witness
from pdp.workbench.verify.invariants import Invariant
from pdp.workbench.verify.sample import sample_states


class Status(enum.StrEnum):
    """``TESTED``: no violation was found, and there may be one all the same."""

    PROVED = "proved"
    REFUTED = "refuted"
    TESTED = "tested"


@dataclass(frozen=True)
class Counterexample:
    """A request that the service decides as the invariant says it never does.

    Attributes:
        witness: the request and what is known of its parties.
        decision: the service's decision.
        mattering: the attributes whose values make it one; any other value of the others would do.
    """

    witness: Witness
    decision: Decision
    mattering: tuple[Path, ...]


@dataclass(frozen=True)
class Result:
    """What became of an invariant.

    Attributes:
        invariant: which.
        status: what is known of it.
        combinations: how many pairs of an action and a resource type were looked at.
        counterexample: for a refuted one.
        note: why an invariant was only tested, and on how many requests; else empty.
    """

    invariant: Invariant
    status: Status
    combinations: int
    counterexample: Counterexample | None = None
    note: str = ""


class _UnconfirmedError(Exception):
    """What the search found is not what the service decides."""


class Prover:
    """Proves invariants of one policy."""

    def __init__(self, policy: PolicySnapshot, invariants: tuple[Invariant, ...]) -> None:
        """Take note of what is to be proved.

        Args:
            policy: the revision, with an engine.
            invariants: read against its schema.
        """
        self._policy = policy
        self._invariants = invariants
        self._types: dict[str, TypeScope] = {}

    def results(self) -> Iterator[Result]:
        """Give what becomes of each invariant, one after another."""
        for invariant in self._invariants:
            yield self._result(invariant)

    def _result(self, invariant: Invariant) -> Result:
        scopes = [
            self._type_scope(type_).scope(action)
            for type_ in sorted(invariant.types)
            for action in sorted(invariant.actions)
        ]
        notes = []
        for scope in scopes:
            try:
                counterexample = self._refutation(scope, invariant)
            except (BudgetExceededError, _UnconfirmedError) as error:
                counterexample, note = self._test(scope, invariant, str(error))
                notes.append(note)
            if counterexample is not None:
                return Result(invariant, Status.REFUTED, len(scopes), counterexample)
        status = Status.TESTED if notes else Status.PROVED
        return Result(invariant, status, len(scopes), None, "; ".join(notes))

    def _type_scope(self, resource_type: str) -> TypeScope:
        found = self._types.get(resource_type)
        if found is None:
            conditions = [it.when for it in self._invariants if resource_type in it.types]
            found = self._types[resource_type] = TypeScope(self._policy, resource_type, conditions)
        return found

    def _refutation(self, scope: Scope, invariant: Invariant) -> Counterexample | None:
        about = _about(scope.types, invariant)
        if invariant.effect is Effect.DENY:
            state = scope.types.searcher.find(scope.types.space.initial, [*about, _denied(scope)])
            every_type = frozenset(it.type for it in self._policy.obligations.values())
            return self._confirmed(scope, invariant, state, every_type) if state else None
        for rule in scope.permits:
            if invariant.without and invariant.without <= set(rule.obligations):
                continue
            outranking = self._outranking(scope, rule) if invariant.without else []
            state = scope.find_undenied(scope.types.applies(rule), *about, *outranking)
            if state is not None:
                return self._confirmed(scope, invariant, state, self._policy.offers[rule.index].needed)
        return None

    def _outranking(self, scope: Scope, rule: Rule) -> list[Formula]:
        """Give the formulas that no permit matches which would determine the answer instead of this one."""
        offers = self._policy.offers
        own = offers[rule.index]
        others = [offers[it.index] for it in scope.permits]
        better = [it for it in others if it.needed <= own.needed and (it.burden, it.id) < (own.burden, own.id)]
        ids = {it.id for it in better}
        return [scope.types.applies(it).negated() for it in scope.permits if it.id in ids]

    def _confirmed(
        self, scope: Scope, invariant: Invariant, state: State, supported: frozenset[str]
    ) -> Counterexample:
        """Ask the service about what the search found.

        Raises:
            _UnconfirmedError: the service decides otherwise.
        """
        space = scope.types.space
        witness = make_witness(space, state, scope.action, supported)
        decision = decide(witness.request, witness.entities, self._policy, witness.now)
        if not _violates(decision, invariant):
            raise _UnconfirmedError("the search found what the service decides otherwise")
        mattering = [path for path, it in space.variables.items() if state[it.slot] != space.initial[it.slot]]
        return Counterexample(witness, decision, tuple(sorted(mattering)))

    def _test(self, scope: Scope, invariant: Invariant, why: str) -> tuple[Counterexample | None, str]:
        about = _about(scope.types, invariant)
        supported = frozenset(it.type for it in self._policy.obligations.values())
        count = 0
        for state in sample_states(scope.types, about):
            count += 1
            witness = make_witness(scope.types.space, state, scope.action, supported)
            decision = decide(witness.request, witness.entities, self._policy, witness.now)
            if _violates(decision, invariant):
                return Counterexample(witness, decision, tuple(sorted(witness.values))), ""
        what = f"{scope.action} {scope.types.resource_type}"
        return None, f"{what}: {why}; {count} requests were tried instead"


def _about(types: TypeScope, invariant: Invariant) -> list[Formula]:
    """Give the formulas of the requests that an invariant is about."""
    found = [types.condition(invariant.when), *(types.guard(role).negated() for role in sorted(invariant.lacks))]
    if invariant.holds:
        found.append(either(*(types.guard(role) for role in sorted(invariant.holds))))
    return found


def _denied(scope: Scope) -> Formula:
    applies = scope.types.applies
    nothing_permits = every(*(applies(rule).negated() for rule in scope.permits))
    return either(*(applies(rule) for rule in scope.denies), nothing_permits)


def _violates(decision: Decision, invariant: Invariant) -> bool:
    if decision.effect is not invariant.effect:
        return False
    return not invariant.without or not invariant.without <= {it.id for it in decision.obligations}
