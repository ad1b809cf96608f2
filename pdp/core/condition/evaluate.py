"""What a condition says of given values. Used to explain a decision; the policy engine makes it."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from typing import Any, Final

from pdp.core.condition.nodes import And, Choices, Compare, Difference, Literal, Node, Not, Or, Ref
from pdp.core.decision import Entity

Lookup = Callable[[Entity, str], Any]

_OPERATORS: Final[Mapping[str, Callable[[Any, Any], bool]]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "in": lambda item, container: item in container,
}


def evaluate(node: Node, lookup: Lookup) -> Any:
    """Give the value of a node.

    Args:
        node: part of a condition that was checked against the schema.
        lookup: gives an attribute's value; what it raises for a missing one is passed on.
    """
    match node:
        case Literal(value=value):
            return value
        case Ref(entity=entity, name=name):
            return lookup(entity, name)
        case Difference(left=left, right=right):
            return lookup(left.entity, left.name) - lookup(right.entity, right.name)
        case Choices(values=values):
            return tuple(literal.value for literal in values)
        case Compare(operator=symbol, left=left, right=right):
            return _OPERATORS[symbol](evaluate(left, lookup), evaluate(right, lookup))
        case Not(operand=operand):
            return not evaluate(operand, lookup)
        case And(operands=operands):
            return all(evaluate(operand, lookup) for operand in operands)
        case Or(operands=operands):
            return any(evaluate(operand, lookup) for operand in operands)
    raise TypeError(type(node).__name__)
