"""Conditions made into formulas over a space."""

from __future__ import annotations

from typing import Final

from pdp.core.condition import Node, Ref, evaluate
from pdp.core.condition.nodes import And, Choices, Compare, Difference, Literal, Not, Or
from pdp.core.schema import Value
from pdp.workbench.logic.formula import FALSE, TRUE, Among, Before, Either, Every, Formula, Has, Member, Same
from pdp.workbench.logic.space import Space, Variable

_MIRRORED: Final = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "==": "==", "!=": "!="}


class Translator:
    """Translates conditions that the space was made for."""

    def __init__(self, space: Space) -> None:
        self._space = space
        # Nodes are kept, so that an id names one node for as long as the translator lives.
        self._known: dict[int, tuple[Node, Formula]] = {}

    def formula(self, node: Node) -> Formula:
        """Give the formula of a condition, or of a part of one that is true or false."""
        found = self._known.get(id(node))
        if found is None:
            found = self._known[id(node)] = (node, self._translate(node))
        return found[1]

    def _translate(self, node: Node) -> Formula:
        match node:
            case And(operands=operands):
                return every(*map(self._translate, operands))
            case Or(operands=operands):
                return either(*map(self._translate, operands))
            case Not(operand=operand):
                return self._translate(operand).negated()
            case Literal(value=value):
                return TRUE if value else FALSE
            case Ref():
                variable = self._variable(node)
                return _among(variable, variable.bit(value=True))
            case Compare(operator="in", left=left, right=right):
                return self._membership(left, right)
            case Compare():
                return self._comparison(node)
        raise TypeError(type(node).__name__)

    def _variable(self, ref: Ref) -> Variable:
        return self._space.variable((ref.entity, ref.name))

    def _membership(self, item: Node, container: Node) -> Formula:
        if isinstance(container, Choices):
            values = [literal.value for literal in container.values]
            if isinstance(item, Literal):
                return TRUE if item.value in values else FALSE
            variable = self._variable(_as_ref(item))
            mask = 0
            for value in values:
                mask |= variable.bit(value)
            return _among(variable, mask)
        holder = self._variable(_as_ref(container))
        if isinstance(item, Literal):
            bit = holder.bit(item.value)
            return Has(holder.slot, holder.may, bit) if bit else FALSE
        return Member(self._variable(_as_ref(item)).slot, holder.slot, holder.may)

    def _comparison(self, node: Compare) -> Formula:
        left, right, operator = node.left, node.right, node.operator
        if isinstance(right, Difference) or (isinstance(left, Literal) and not isinstance(right, Literal)):
            left, right, operator = right, left, _MIRRORED[operator]
        if isinstance(left, Difference) and isinstance(right, Literal):
            # now - t < c is t > now - c.
            return self._with_constant(left.right, _MIRRORED[operator], self._space.now - float_or_int(right.value))
        if isinstance(left, Ref) and isinstance(right, Literal):
            return self._with_constant(left, operator, right.value)
        if isinstance(left, Ref) and isinstance(right, Ref):
            return _between(self._variable(left), operator, self._variable(right))
        return TRUE if evaluate(node, _no_lookup) else FALSE

    def _with_constant(self, ref: Ref, operator: str, value: Value) -> Formula:
        variable = self._variable(ref)
        if operator in ("==", "!="):
            same = variable.bit(value)
            return _among(variable, same if operator == "==" else variable.full & ~same)
        below = variable.below(float_or_int(value), inclusive=operator in ("<=", ">"))
        return _among(variable, below if operator in ("<", "<=") else variable.full & ~below)


def every(*parts: Formula) -> Formula:
    """Give the conjunction of formulas, as simple as it can be."""
    kept = [part for part in parts if part is not TRUE]
    if FALSE in kept:
        return FALSE
    return kept[0] if len(kept) == 1 else Every(tuple(kept)) if kept else TRUE


def either(*parts: Formula) -> Formula:
    """Give the disjunction of formulas, as simple as it can be."""
    kept = [part for part in parts if part is not FALSE]
    if TRUE in kept:
        return TRUE
    return kept[0] if len(kept) == 1 else Either(tuple(kept)) if kept else FALSE


def float_or_int(value: Value) -> float:
    """Give a number, which the type check has made sure of."""
    if not isinstance(value, int | float):
        raise TypeError(type(value).__name__)
    return value


def _between(left: Variable, operator: str, right: Variable) -> Formula:
    same = left.slot == right.slot
    match operator:
        case "==" | "!=":
            wanted = operator == "=="
            return (TRUE if wanted else FALSE) if same else Same(left.slot, right.slot, wanted)
        case "<" | ">":
            one, other = (left, right) if operator == "<" else (right, left)
            return FALSE if same else Before(one.slot, other.slot, strict=True)
        case _:
            one, other = (left, right) if operator == "<=" else (right, left)
            return TRUE if same else Before(one.slot, other.slot, strict=False)


def _among(variable: Variable, mask: int) -> Formula:
    return Among(variable.slot, mask, variable.full) if mask else FALSE


def _as_ref(node: Node) -> Ref:
    if not isinstance(node, Ref):
        raise TypeError(type(node).__name__)
    return node


def _no_lookup(*_: object) -> Value:
    raise TypeError("a comparison of constants reads nothing")
