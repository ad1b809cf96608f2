"""Requests drawn from the abstraction, for where a search gives up."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from random import Random
from typing import Final

from pdp.workbench.logic.formula import Formula, State
from pdp.workbench.logic.scope import TypeScope

_DRAWS: Final = 2000


def sample_states(types: TypeScope, about: Sequence[Formula]) -> Iterator[State]:
    """Give states in which everything is settled and the formulas hold; the same ones each time."""
    random = Random(0)  # noqa: S311 - not for secrets; the same requests each time
    start = types.space.initial.copy()
    if types.searcher.narrow(start, about) is None:
        return
    for _ in range(_DRAWS):
        state = start.copy()
        for variable in types.space.variables.values():
            if variable.is_list:
                open_ = state[variable.may] & ~state[variable.slot]
                state[variable.slot] = state[variable.may] = state[variable.slot] | (
                    open_ & random.getrandbits(max(1, open_.bit_length()))
                )
            else:
                state[variable.slot] = random.choice([1 << at for at in _positions(state[variable.slot])])
        if types.searcher.narrow(state, about) == []:
            yield state


def _positions(mask: int) -> list[int]:
    return [at for at in range(mask.bit_length()) if mask >> at & 1]
