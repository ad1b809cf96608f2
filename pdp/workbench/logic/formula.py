"""Formulas over variables with finite domains.

A state is a list of bit masks, one for each slot. The slot of a scalar variable holds the values it may still take,
as bits of positions in its candidates. A list variable has two slots: the items it certainly holds, and those it may.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

State = list[int]


@dataclass(frozen=True, slots=True)
class Formula:
    """Either formula; ``slots`` are those its truth depends on."""

    slots: frozenset[int] = field(default=frozenset(), init=False)

    def value(self, state: State) -> bool | None:
        """Say whether it holds for every choice that a state leaves (True), for none (False), or neither (None)."""
        raise NotImplementedError

    def require(self, state: State) -> bool | None:
        """Take from a state, in place, choices for which it does not hold.

        Returns:
            True where it now holds for all that is left, False where nothing is left, else None.
        """
        raise NotImplementedError

    def negated(self) -> Formula:
        """Give the formula that holds where this one does not."""
        raise NotImplementedError

    def split(self, state: State) -> tuple[Formula, Formula]:
        """Give two formulas that part the choices of a state in which this one is undecided."""
        raise NotImplementedError

    def _depends_on(self, slots: frozenset[int]) -> None:
        object.__setattr__(self, "slots", slots)


@dataclass(frozen=True, slots=True)
class Constant(Formula):
    """True or false."""

    truth: bool

    def value(self, state: State) -> bool | None:
        """Give itself."""
        del state
        return self.truth

    def require(self, state: State) -> bool | None:
        """Give itself."""
        del state
        return self.truth

    def negated(self) -> Formula:
        """Give the other constant."""
        return FALSE if self.truth else TRUE


TRUE: Final = Constant(truth=True)
FALSE: Final = Constant(truth=False)


@dataclass(frozen=True, slots=True)
class Among(Formula):
    """A scalar variable takes one of the values of ``mask``; ``full`` are all it can take."""

    slot: int
    mask: int
    full: int

    def __post_init__(self) -> None:
        self._depends_on(frozenset({self.slot}))

    def value(self, state: State) -> bool | None:
        """Compare the domain with the mask."""
        domain = state[self.slot]
        if not domain & self.mask:
            return False
        return None if domain & ~self.mask else True

    def require(self, state: State) -> bool | None:
        """Narrow the domain."""
        state[self.slot] &= self.mask
        return state[self.slot] != 0

    def negated(self) -> Formula:
        """Give the complement."""
        return Among(self.slot, self.full & ~self.mask, self.full)

    def split(self, state: State) -> tuple[Formula, Formula]:
        """Part the domain at the mask."""
        del state
        return self, self.negated()


@dataclass(frozen=True, slots=True)
class Has(Formula):
    """A list variable holds (or, not ``wanted``, does not hold) the items of ``bit``, exactly one."""

    must: int
    may: int
    bit: int
    wanted: bool = True

    def __post_init__(self) -> None:
        self._depends_on(frozenset({self.must, self.may}))

    def value(self, state: State) -> bool | None:
        """Look the item up."""
        if state[self.must] & self.bit:
            return self.wanted
        return None if state[self.may] & self.bit else not self.wanted

    def require(self, state: State) -> bool | None:
        """Put the item in, or take it out."""
        if self.wanted:
            state[self.must] |= self.bit
        else:
            state[self.may] &= ~self.bit
        return not state[self.must] & ~state[self.may]

    def negated(self) -> Formula:
        """Give the opposite."""
        return Has(self.must, self.may, self.bit, not self.wanted)

    def split(self, state: State) -> tuple[Formula, Formula]:
        """Part by the item."""
        del state
        return self, self.negated()


@dataclass(frozen=True, slots=True)
class Same(Formula):
    """Two scalar variables with the same candidates are equal (or, not ``wanted``, unequal)."""

    left: int
    right: int
    wanted: bool = True

    def __post_init__(self) -> None:
        self._depends_on(frozenset({self.left, self.right}))

    def value(self, state: State) -> bool | None:
        """Compare the domains."""
        left, right = state[self.left], state[self.right]
        if not left & right:
            return not self.wanted
        return self.wanted if left == right and not left & (left - 1) else None

    def require(self, state: State) -> bool | None:
        """Narrow both to what they share, or take the value of one from the other."""
        if self.wanted:
            state[self.left] = state[self.right] = state[self.left] & state[self.right]
        elif not state[self.left] & (state[self.left] - 1):
            state[self.right] &= ~state[self.left]
        elif not state[self.right] & (state[self.right] - 1):
            state[self.left] &= ~state[self.right]
        if not state[self.left] or not state[self.right]:
            return False
        return True if self.value(state) else None

    def negated(self) -> Formula:
        """Give the opposite."""
        return Same(self.left, self.right, not self.wanted)

    def split(self, state: State) -> tuple[Formula, Formula]:
        """Part by one shared value, of which the other variable then has to be or not to be."""
        common = state[self.left] & state[self.right]
        slot = self.left if state[self.left] & (state[self.left] - 1) else self.right
        return _parted(slot, common & -common, state)


@dataclass(frozen=True, slots=True)
class Before(Formula):
    """A scalar variable is less than another with the same ordered candidates; equal too, where not ``strict``."""

    left: int
    right: int
    strict: bool

    def __post_init__(self) -> None:
        self._depends_on(frozenset({self.left, self.right}))

    def value(self, state: State) -> bool | None:
        """Compare the ends of the domains."""
        left, right = state[self.left], state[self.right]
        if _highest(left) + self.strict <= _lowest(right):
            return True
        return None if _lowest(left) + self.strict <= _highest(right) else False

    def require(self, state: State) -> bool | None:
        """Cut the upper end of one and the lower end of the other."""
        state[self.left] &= (1 << (_highest(state[self.right]) + 1 - self.strict)) - 1
        if not state[self.left]:
            return False
        low = _lowest(state[self.left]) + self.strict
        state[self.right] = state[self.right] >> low << low
        if not state[self.right]:
            return False
        return True if self.value(state) else None

    def negated(self) -> Formula:
        """Give the opposite order."""
        return Before(self.right, self.left, not self.strict)

    def split(self, state: State) -> tuple[Formula, Formula]:
        """Part the larger domain in the middle."""
        slot = max((self.left, self.right), key=lambda it: state[it].bit_count())
        middle = (_lowest(state[slot]) + _highest(state[slot])) // 2
        return _parted(slot, state[slot] & ((1 << (middle + 1)) - 1), state)


@dataclass(frozen=True, slots=True)
class Member(Formula):
    """A scalar variable's value is (or, not ``wanted``, is not) an item of a list with the same candidates."""

    item: int
    must: int
    may: int
    wanted: bool = True

    def __post_init__(self) -> None:
        self._depends_on(frozenset({self.item, self.must, self.may}))

    def value(self, state: State) -> bool | None:
        """Compare the domain with the items."""
        domain = state[self.item]
        if not domain & state[self.may]:
            return not self.wanted
        return None if domain & ~state[self.must] else self.wanted

    def require(self, state: State) -> bool | None:
        """Narrow the variable by the items; once its value is known, put that in or take it out."""
        state[self.item] &= state[self.may] if self.wanted else ~state[self.must]
        domain = state[self.item]
        if not domain:
            return False
        if not domain & (domain - 1):
            return Has(self.must, self.may, domain, self.wanted).require(state)
        return True if self.value(state) else None

    def negated(self) -> Formula:
        """Give the opposite."""
        return Member(self.item, self.must, self.may, not self.wanted)

    def split(self, state: State) -> tuple[Formula, Formula]:
        """Part by one value of the variable; where there is one only, by whether the list holds it."""
        domain = state[self.item]
        if not domain & (domain - 1):
            return self, self.negated()
        return _parted(self.item, domain & -domain, state)


@dataclass(frozen=True, slots=True)
class Every(Formula):
    """All parts hold."""

    parts: tuple[Formula, ...]

    def __post_init__(self) -> None:
        self._depends_on(frozenset().union(*(part.slots for part in self.parts)))

    def value(self, state: State) -> bool | None:
        """Combine the parts'."""
        known: bool | None = True
        for part in self.parts:
            found = part.value(state)
            if found is False:
                return False
            if found is None:
                known = None
        return known

    def require(self, state: State) -> bool | None:
        """Require each part."""
        known: bool | None = True
        for part in self.parts:
            found = part.require(state)
            if found is False:
                return False
            if found is None:
                known = None
        return known

    def negated(self) -> Formula:
        """Give the disjunction of the opposites."""
        return Either(tuple(part.negated() for part in self.parts))

    def split(self, state: State) -> tuple[Formula, Formula]:
        """Part by the first undecided part."""
        return _undecided(self.parts, state).split(state)


@dataclass(frozen=True, slots=True)
class Either(Formula):
    """At least one part holds."""

    parts: tuple[Formula, ...]

    def __post_init__(self) -> None:
        self._depends_on(frozenset().union(*(part.slots for part in self.parts)))

    def value(self, state: State) -> bool | None:
        """Combine the parts'."""
        known: bool | None = False
        for part in self.parts:
            found = part.value(state)
            if found is True:
                return True
            if found is None:
                known = None
        return known

    def require(self, state: State) -> bool | None:
        """Require the last part that may hold, where there is one only."""
        last: Formula | None = None
        for part in self.parts:
            found = part.value(state)
            if found is True:
                return True
            if found is None:
                if last is not None:
                    return None if self.value(state) is None else True
                last = part
        return last.require(state) if last is not None else False

    def negated(self) -> Formula:
        """Give the conjunction of the opposites."""
        return Every(tuple(part.negated() for part in self.parts))

    def split(self, state: State) -> tuple[Formula, Formula]:
        """Part by the first undecided part."""
        return _undecided(self.parts, state).split(state)


def _parted(slot: int, mask: int, state: State) -> tuple[Formula, Formula]:
    return Among(slot, mask, state[slot]), Among(slot, state[slot] & ~mask, state[slot])


def _undecided(parts: Sequence[Formula], state: State) -> Formula:
    return next(part for part in parts if part.value(state) is None)


def _lowest(mask: int) -> int:
    return (mask & -mask).bit_length() - 1


def _highest(mask: int) -> int:
    return mask.bit_length() - 1
