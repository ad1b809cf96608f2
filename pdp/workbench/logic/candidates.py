"""Finitely many values that stand for all: any condition over a group that some value satisfies, one of these does.

Texts: every constant and every declared value, and as many others as there are open variables that could differ.
Numbers and times: every constant and every end of a range, and between, below and above them as many as there are
variables (conditions know order and equality, no arithmetic beyond constants).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from itertools import pairwise

from pdp.core.schema import Attribute, Kind, Value

_LATEST = 253402300799  # 9999-12-31T23:59:59Z, as pdp.core.record has it
_LARGEST = 10**16 - 1
_WHOLE = frozenset({Kind.INT, Kind.TIME})
_NUMERIC = frozenset({Kind.INT, Kind.NUMBER, Kind.TIME})


def candidates_of(attributes: Sequence[Attribute], constants: Iterable[Value]) -> tuple[Value, ...]:
    """Give the candidates of variables that are compared with each other, in ascending order.

    Args:
        attributes: their declarations.
        constants: everything any of them is compared with.
    """
    kinds = {attribute.kind for attribute in attributes}
    if kinds == {Kind.BOOL}:
        return (False, True)
    if kinds <= _NUMERIC:
        numbers = [it for it in constants if isinstance(it, int | float)]
        return tuple(_numbers(attributes, numbers, whole=kinds <= _WHOLE))
    return tuple(_texts(attributes, {str(it) for it in constants}))


def bounds(attribute: Attribute) -> tuple[float, float]:
    """Give the least and greatest number an attribute takes."""
    if attribute.kind is Kind.TIME:
        return 0, _LATEST
    low = -_LARGEST if attribute.minimum is None else attribute.minimum
    return low, _LARGEST if attribute.maximum is None else attribute.maximum


def _texts(attributes: Sequence[Attribute], constants: set[str]) -> list[str]:
    known = constants.union(*(attribute.values for attribute in attributes))
    others: list[str] = []
    for _ in range(sum(1 for it in attributes if not it.values and it.kind is not Kind.LIST)):
        number = len(others) + 1
        while (name := f"other-{number}") in known:
            number += 1
        others.append(name)
        known = known | {name}
    return sorted(known.difference(others)) + others


def _numbers(attributes: Sequence[Attribute], constants: Iterable[float], *, whole: bool) -> list[Value]:
    ends = {end for attribute in attributes for end in bounds(attribute)}
    marks = {end for constant in {*constants, *ends} for end in (math.floor(constant), math.ceil(constant))}
    count = len(attributes)
    steps = {mark + shift for mark in marks for shift in range(-count, count + 1)}
    if whole:
        return sorted(steps)
    points = sorted({*steps, *constants, *ends})
    parts = [part / (count + 1) for part in range(1, count + 1)]
    return sorted({*points, *(low + (high - low) * part for low, high in pairwise(points) for part in parts)})
