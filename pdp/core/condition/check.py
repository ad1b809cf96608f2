"""Type checking of a condition against the schema, so that evaluation cannot fail on a valid record."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Final

from pdp.core.condition.nodes import And, Choices, Compare, ConditionError, Difference, Literal, Node, Not, Or, Ref
from pdp.core.decision import Entity
from pdp.core.schema import Attribute, Kind, Schema

_NUMERIC: Final = frozenset({Kind.INT, Kind.NUMBER})
_ORDERED: Final = frozenset({"<", "<=", ">", ">="})
_NOW: Final = "context.time"
_IDENTITY: Final = {name: Attribute(name, Kind.STRING) for name in ("id", "type")}


def check(node: Node, schema: Schema, resource_types: Iterable[str]) -> None:
    """Refuse a condition that could be wrong about types, or that names what the schema does not declare.

    Args:
        node: the condition.
        schema: the declarations.
        resource_types: types the rule applies to; an attribute of the resource must be declared for each.

    Raises:
        ConditionError: with the place of the first fault.
    """
    _Checker(schema, tuple(sorted(resource_types))).boolean(node)


class _Checker:
    def __init__(self, schema: Schema, resource_types: tuple[str, ...]) -> None:
        self._schema = schema
        self._resource_types = resource_types

    def boolean(self, node: Node) -> None:
        match node:
            case And(operands=operands) | Or(operands=operands):
                for operand in operands:
                    self.boolean(operand)
            case Not(operand=operand):
                self.boolean(operand)
            case Compare():
                self._compare(node)
            case _ if self._kind(node) is not Kind.BOOL:
                raise ConditionError(node.start, "neither true nor false", "compare it with something")

    def _compare(self, node: Compare) -> None:
        if node.operator == "in":
            self._membership(node.left, node.right)
            return
        for side, other in ((node.left, node.right), (node.right, node.left)):
            if isinstance(side, And | Or | Not | Compare):
                raise ConditionError(side.start, "a comparison cannot be compared again", "use && and ||")
            if isinstance(side, Literal):
                self._permitted(side, other)
        left, right = self._kind(node.left), self._kind(node.right)
        if not (left is right or {left, right} <= _NUMERIC):
            raise ConditionError(node.start, f"a {left} is never equal to a {right}")
        if left is Kind.LIST:
            raise ConditionError(node.start, "lists cannot be compared", "write 'item' in r.entity.list")
        if node.operator in _ORDERED and left not in {*_NUMERIC, Kind.TIME}:
            raise ConditionError(node.start, f"a {left} has no order", "use == or !=")
        self._single_clock(node)

    def _single_clock(self, node: Compare) -> None:
        """Hold comparisons with the present time to the forms whose turning point can be foreseen."""
        for side, other in ((node.left, node.right), (node.right, node.left)):
            if not _tells_time(side):
                continue
            if node.operator not in _ORDERED:
                raise ConditionError(node.start, "equality with the present time is a matter of luck", "use < or >=")
            if isinstance(side, Difference) and not isinstance(other, Literal):
                raise ConditionError(other.start, "an age is compared with a number of seconds", "write a constant")
            if _tells_time(other):
                raise ConditionError(other.start, "the present time compared with itself")

    def _membership(self, item: Node, container: Node) -> None:
        if not isinstance(item, Literal | Ref):
            raise ConditionError(item.start, "only an attribute or a constant can be in something")
        kind = self._kind(item)
        if isinstance(container, Choices):
            for choice in container.values:
                if _literal_kind(choice) is not kind and not {_literal_kind(choice), kind} <= _NUMERIC:
                    raise ConditionError(choice.start, f"a {_literal_kind(choice)} among {kind} values")
                self._permitted(choice, item)
            return
        if self._kind(container) is not Kind.LIST:
            raise ConditionError(container.start, "in needs a list; on a text it would be a substring test")
        if kind is not Kind.STRING:
            raise ConditionError(item.start, "lists hold texts")
        if isinstance(item, Literal):
            self._permitted(item, container)

    def _permitted(self, literal: Literal, of: Node) -> None:
        """Catch a misspelt constant: one that the other side can never take."""
        if not isinstance(of, Ref):
            return
        for attribute in self._attributes(of):
            if isinstance(literal.value, str) and attribute.values and literal.value not in attribute.values:
                close = get_close_matches(literal.value, attribute.values, 1)
                hint = f"did you mean {close[0]!r}?" if close else "one of " + ", ".join(sorted(attribute.values))
                raise ConditionError(literal.start, f"{of.path} is never {literal.value!r}", hint)

    def _kind(self, node: Node) -> Kind:
        match node:
            case Literal():
                return _literal_kind(node)
            case Ref():
                kinds = {attribute.kind for attribute in self._attributes(node)}
                if len(kinds) != 1:
                    raise ConditionError(node.start, f"{node.path} has different types in different resource types")
                return kinds.pop()
            case Difference(left=left, right=right):
                if (self._kind(left), self._kind(right)) != (Kind.TIME, Kind.TIME):
                    raise ConditionError(node.start, "only times may be subtracted")
                if left.path != _NOW or right.path == _NOW:
                    raise ConditionError(
                        node.start, "an age is the present time less another", "r.context.time - ..."
                    )
                return Kind.INT
            case _:
                return Kind.BOOL

    def _attributes(self, ref: Ref) -> list[Attribute]:
        if ref.name in _IDENTITY and ref.entity is not Entity.CONTEXT:
            return [_IDENTITY[ref.name]]
        if ref.entity is not Entity.RESOURCE:
            return [self._declared(ref, "")]
        if not self._resource_types:
            raise ConditionError(ref.start, "the rule applies to no resource type")
        return [self._declared(ref, resource_type) for resource_type in self._resource_types]

    def _declared(self, ref: Ref, resource_type: str) -> Attribute:
        declared = self._schema.attributes_of(ref.entity, resource_type)
        if ref.name not in declared:
            close = get_close_matches(ref.name, declared, 1)
            owner = f"resource type {resource_type}" if resource_type else str(ref.entity)
            hint = f"did you mean r.{ref.entity}.{close[0]}?" if close else "declare it in schema.yaml"
            raise ConditionError(ref.start, f"{owner} has no attribute {ref.name!r}", hint)
        return declared[ref.name]


def _tells_time(node: Node) -> bool:
    return isinstance(node, Difference) or (isinstance(node, Ref) and node.path == _NOW)


def _literal_kind(literal: Literal) -> Kind:
    match literal.value:
        case bool():
            return Kind.BOOL
        case int():
            return Kind.INT
        case float():
            return Kind.NUMBER
        case _:
            return Kind.STRING
