"""Finding choices that satisfy formulas: narrowing, then splitting, each independent part by itself.

The search is complete: where it finds nothing, there is nothing. Formulas that share no variable are solved one after
another and not combined, which is what keeps a policy of many independent rules easy.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from pdp.workbench.logic.formula import Formula, State

Price = Callable[[State], int]
"""The least number of changes that any choice a state leaves still takes; never falls when a state is narrowed."""


class BudgetExceededError(Exception):
    """A search took more steps than it was given: nothing is known."""


class Budget:
    """Steps that a search may still take; one for each split."""

    def __init__(self, steps: int) -> None:
        self._left = steps

    def spend(self) -> None:
        """Take a step.

        Raises:
            BudgetExceededError: there is none left.
        """
        self._left -= 1
        if self._left < 0:
            raise BudgetExceededError("the search took too many steps")


class Searcher:
    """Searches within the bounds that lists set: each of ``floors`` is (slot of possible items, least number)."""

    def __init__(self, floors: Sequence[tuple[int, int]], steps: int = 20_000) -> None:
        self._floors = floors
        self._steps = steps

    def narrow(self, state: State, formulas: Iterable[Formula]) -> list[Formula] | None:
        """Narrow a state, in place, until nothing follows any more.

        Returns:
            The formulas that are still undecided; None where they cannot all hold.
        """
        pending = list(formulas)
        while True:
            before = state.copy()
            undecided = []
            for formula in pending:
                found = formula.require(state)
                if found is False:
                    return None
                if found is None:
                    undecided.append(formula)
            if any(state[slot].bit_count() < least for slot, least in self._floors):
                return None
            if not undecided or state == before:
                return undecided
            pending = undecided

    def find(self, state: State, formulas: Iterable[Formula]) -> State | None:
        """Give a state within the given one, all of whose choices satisfy the formulas; None where there is none.

        Raises:
            BudgetExceededError: the search took too many steps.
        """
        return self._find(state.copy(), formulas, Budget(self._steps))

    def cheapest(self, state: State, formulas: Iterable[Formula], price: Price, limit: int) -> State | None:
        """Give a state as ``find`` does, of the least price; None where none costs less than ``limit``.

        Raises:
            BudgetExceededError: the search took too many steps.
        """
        return self._cheapest(state.copy(), formulas, price, limit, Budget(self._steps))

    def _find(self, state: State, formulas: Iterable[Formula], budget: Budget) -> State | None:
        undecided = self.narrow(state, formulas)
        if undecided is None:
            return None
        for part in _independent(undecided):
            found = self._either(state, part, budget)
            if found is None:
                return None
            state = found
        return state

    def _either(self, state: State, part: list[Formula], budget: Budget) -> State | None:
        budget.spend()
        for choice in part[0].split(state):
            found = self._find(state.copy(), [choice, *part], budget)
            if found is not None:
                return found
        return None

    def _cheapest(
        self, state: State, formulas: Iterable[Formula], price: Price, limit: int, budget: Budget
    ) -> State | None:
        undecided = self.narrow(state, formulas)
        if undecided is None or price(state) >= limit:
            return None
        for part in _independent(undecided):
            found = self._cheaper(state, part, price, limit, budget)
            if found is None:
                return None
            state = found
        return state

    def _cheaper(self, state: State, part: list[Formula], price: Price, limit: int, budget: Budget) -> State | None:
        budget.spend()
        best: State | None = None
        for choice in part[0].split(state):
            found = self._cheapest(state.copy(), [choice, *part], price, limit, budget)
            if found is not None:
                best, limit = found, price(found)
        return best


def _independent(formulas: list[Formula]) -> list[list[Formula]]:
    """Group formulas that share variables, directly or through others."""
    groups: list[tuple[set[int], list[Formula]]] = []
    for formula in formulas:
        slots, members = set(formula.slots), [formula]
        apart = []
        for group in groups:
            if slots.isdisjoint(group[0]):
                apart.append(group)
            else:
                slots |= group[0]
                members = group[1] + members
        groups = [*apart, (slots, members)]
    return [members for _, members in groups]
