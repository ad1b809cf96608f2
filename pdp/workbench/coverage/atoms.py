"""Atomic comparisons of a condition, and which of them made it what it was."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from pdp.core.condition import Node
from pdp.core.condition.nodes import And, Literal, Not, Or

Truth = Callable[[Node], bool]


def atoms(node: Node) -> Iterator[Node]:
    """Give the comparisons, and the attributes that are true or false by themselves, from left to right."""
    match node:
        case And(operands=operands) | Or(operands=operands):
            for operand in operands:
                yield from atoms(operand)
        case Not(operand=operand):
            yield from atoms(operand)
        case Literal():
            return
        case _:
            yield node


def decisive(node: Node, truth: Truth) -> tuple[bool, tuple[Node, ...]]:
    """Give a condition's value and the atoms that mattered: each of which, were it otherwise, would change the value.

    This is masking MC/DC (DOT/FAA/AR-01/18): a comparison beside a false one in an ``&&`` has not been tried.
    """
    match node:
        case Not(operand=operand):
            value, mattered = decisive(operand, truth)
            return not value, mattered
        case And(operands=operands):
            return _joined(operands, truth, absorbing=False)
        case Or(operands=operands):
            return _joined(operands, truth, absorbing=True)
        case Literal(value=value):
            return bool(value), ()
    return truth(node), (node,)


def _joined(operands: tuple[Node, ...], truth: Truth, *, absorbing: bool) -> tuple[bool, tuple[Node, ...]]:
    found = [decisive(operand, truth) for operand in operands]
    absorbed = [mattered for value, mattered in found if value is absorbing]
    if not absorbed:
        return not absorbing, tuple(atom for _, mattered in found for atom in mattered)
    return absorbing, absorbed[0] if len(absorbed) == 1 else ()
