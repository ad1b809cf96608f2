"""The finite abstraction: for one resource type, the variables of conditions and the values they can take."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

from pdp.core.condition import Node
from pdp.core.errors import InvalidRequestError
from pdp.core.request import EntityRef, Request, validate
from pdp.core.schema import Attribute, Kind, Schema, Value
from pdp.workbench.logic.candidates import bounds, candidates_of
from pdp.workbench.logic.formula import State
from pdp.workbench.logic.reading import NOW, PRESENT, ROLES, Declarations, Group, Path, Reading


@dataclass(frozen=True)
class Variable:
    """One attribute.

    Attributes:
        path: whose, and its name.
        attribute: its declaration.
        candidates: its values, or a list's items; ascending. Those compared with each other share one tuple.
        slot: where its values stand in a state; for a list, the items it certainly holds.
        may: for a list, the slot of items it may hold; else -1.
        full: every candidate it can take.
    """

    path: Path
    attribute: Attribute
    candidates: tuple[Value, ...]
    slot: int
    may: int
    full: int

    @property
    def is_list(self) -> bool:
        """Whether it takes several items."""
        return self.attribute.kind is Kind.LIST

    @cached_property
    def positions(self) -> Mapping[Value, int]:
        """Give the position of each candidate."""
        return {value: position for position, value in enumerate(self.candidates)}

    def bit(self, value: Value) -> int:
        """Give the mask of one value; none where it is not a candidate this variable can take."""
        position = self.positions.get(value)
        return 0 if position is None else self.full & (1 << position)

    def below(self, value: float, *, inclusive: bool) -> int:
        """Give the mask of numbers less than a value, or equal to it."""
        end = bisect_left(self.candidates, value)
        if inclusive and end < len(self.candidates) and self.candidates[end] == value:
            end += 1
        return self.full & ((1 << end) - 1)

    def values(self, mask: int) -> tuple[Value, ...]:
        """Give the candidates of a mask."""
        return tuple(self.candidates[position] for position in _positions(mask))


class Space:
    """Every variable that conditions read, and the initial state, in which nothing is known.

    Attributes:
        declarations: the schema, for the resource type.
        now: the present time, in whole seconds since the epoch.
        variables: by path; always with the subject's roles.
        initial: the state in which every variable may take every value.
        floors: for the search: lists that must not be emptier than the schema says.
    """

    def __init__(
        self,
        schema: Schema,
        resource_type: str,
        conditions: Iterable[Node],
        values: Iterable[tuple[Path, Value]] = (),
        now: int = PRESENT,
    ) -> None:
        """Abstract the schema's ranges for conditions.

        Args:
            schema: the declarations.
            resource_type: what the request is about; every condition must be valid for it.
            conditions: all that will be reasoned about.
            values: further values that must be told apart from others.
            now: the present time, in whole seconds since the epoch.
        """
        self.declarations = Declarations(schema, resource_type)
        self.now = now
        self.variables: dict[Path, Variable] = {}
        self.initial: State = []
        self.floors: list[tuple[int, int]] = []
        reading = Reading(self.declarations, now)
        reading.of(ROLES)
        for condition in conditions:
            reading.add(condition)
        reading.add_values(values)
        for group in reading.groups:
            self._add(group)

    def variable(self, path: Path) -> Variable:
        """Give the variable of a path that one of the conditions reads."""
        return self.variables[self.declarations.canonical(path)]

    def _add(self, group: Group) -> None:
        paths = sorted(group.paths)
        attributes = [self.declarations.attribute(path) for path in paths]
        # A time of something past that lies ahead of the clock cannot decide.
        latest = self.now + int(self.declarations.schema.clock_skew)
        borders = {latest} if any(attribute.past for attribute in attributes) else set[int]()
        candidates = candidates_of(attributes, group.constants | borders)
        for path, attribute in zip(paths, attributes, strict=True):
            full = self._full(path, attribute, candidates)
            slot = len(self.initial)
            may = slot + 1 if attribute.kind is Kind.LIST else -1
            self.variables[path] = Variable(path, attribute, candidates, slot, may, full)
            if may < 0:
                self.initial.append(full)
                continue
            self.initial += [0, full]
            if attribute.minimum and attribute.values:
                self.floors.append((may, int(attribute.minimum)))

    def _full(self, path: Path, attribute: Attribute, candidates: tuple[Value, ...]) -> int:
        if path == NOW:
            return 1 << candidates.index(self.now)
        latest = self.now + int(self.declarations.schema.clock_skew) if attribute.past else None
        fits = _fits(path, attribute, latest)
        return sum(1 << position for position, value in enumerate(candidates) if fits(value))


def _fits(path: Path, attribute: Attribute, latest: int | None) -> Callable[[Value], bool]:
    if attribute.kind in (Kind.INT, Kind.NUMBER, Kind.TIME):
        low, high = bounds(attribute)
        high = high if latest is None else min(high, latest)
        whole = attribute.kind is not Kind.NUMBER
        return lambda it: isinstance(it, int | float) and low <= it <= high and not (whole and it != int(it))
    if attribute.values:
        return attribute.values.__contains__
    return _is_id if path[1] == "id" else lambda _: True


def _is_id(value: Value) -> bool:
    try:
        validate(Request(EntityRef("any", str(value)), "any", EntityRef("any", "any")))
    except InvalidRequestError:
        return False
    return True


def _positions(mask: int) -> Iterable[int]:
    while mask:
        low = mask & -mask
        yield low.bit_length() - 1
        mask ^= low
