"""Small changes of a condition: a comparison flipped, a boundary moved, a constant nudged, a part dropped."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from pdp.core.condition import Node, Ref
from pdp.core.condition.nodes import And, Choices, Compare, Literal, Not, Or
from pdp.core.schema import Attribute, Kind, Schema

_NEGATED: Final = {"==": "!=", "!=": "==", "<": ">=", ">=": "<", ">": "<=", "<=": ">"}
_NEIGHBOUR: Final = {"<": "<=", "<=": "<", ">": ">=", ">=": ">"}

Change = tuple[str, str, Node]
"""What kind of change, the change in words, and the condition after it."""


class Mutator:
    """Changes one rule's condition. ``text`` is what the nodes' places refer to."""

    def __init__(self, text: str, schema: Schema, resource_type: str) -> None:
        self._text = text
        self._schema = schema
        self._resource_type = resource_type

    def changes(self, node: Node) -> Iterator[Change]:
        """Give every condition that differs from one in one place."""
        match node:
            case And(operands=operands) | Or(operands=operands):
                yield from self._joined(node, operands)
            case Not(operand=operand):
                for kind, words, changed in self.changes(operand):
                    yield kind, words, replace(node, operand=changed)
            case Compare():
                yield from self._comparison(node)
            case Ref():
                yield "flip", f"{self._of(node)} -> !{self._of(node)}", Not(node.start, node.end, node)

    def _joined(self, node: And | Or, operands: tuple[Node, ...]) -> Iterator[Change]:
        other = Or if isinstance(node, And) else And
        symbol = "||" if isinstance(node, And) else "&&"
        yield "join", f"{self._of(node)}: joined by {symbol}", other(node.start, node.end, operands)
        for at, operand in enumerate(operands):
            rest = operands[:at] + operands[at + 1 :]
            kept = replace(node, operands=rest) if len(rest) > 1 else rest[0]
            yield "drop", f"without {self._of(operand)}", kept
            for kind, words, changed in self.changes(operand):
                yield kind, words, replace(node, operands=(*operands[:at], changed, *operands[at + 1 :]))

    def _comparison(self, node: Compare) -> Iterator[Change]:
        was = self._of(node)
        if node.operator == "in":
            yield "flip", f"{was} -> !({was})", Not(node.start, node.end, node)
            yield from self._choices(node)
        else:
            symbol = _NEGATED[node.operator]
            yield "flip", f"{was}: {node.operator} -> {symbol}", replace(node, operator=symbol)
        constant = isinstance(node.left, Literal) or isinstance(node.right, Literal)
        if node.operator in _NEIGHBOUR and not constant:
            # Beside a whole number, moving the boundary is the same as nudging the number.
            symbol = _NEIGHBOUR[node.operator]
            yield "boundary", f"{was}: {node.operator} -> {symbol}", replace(node, operator=symbol)
        for value in self._nudged(node.left, node.right):
            yield "constant", f"{was}: {_shown(node.left)} -> {_shown(value)}", replace(node, left=value)
        for value in self._nudged(node.right, node.left):
            yield "constant", f"{was}: {_shown(node.right)} -> {_shown(value)}", replace(node, right=value)

    def _choices(self, node: Compare) -> Iterator[Change]:
        if not isinstance(node.right, Choices):
            return
        for at, value in enumerate(node.right.values):
            rest = node.right.values[:at] + node.right.values[at + 1 :]
            changed = replace(node, right=replace(node.right, values=rest))
            yield "constant", f"{self._of(node)}: without {_shown(value)}", changed

    def _nudged(self, node: Node, other: Node) -> Iterator[Literal]:
        """Give the constants next to one; none for a truth value, whose flip is the comparison's."""
        if not isinstance(node, Literal) or isinstance(node.value, bool):
            return
        if isinstance(node.value, int | float):
            yield replace(node, value=node.value + 1)
            yield replace(node, value=node.value - 1)
            return
        values = sorted(self._values(other) - {node.value})
        if values:
            after = [value for value in values if value > node.value]
            yield replace(node, value=(after or values)[0])

    def _values(self, node: Node) -> frozenset[str]:
        if not isinstance(node, Ref):
            return frozenset()
        declared = self._schema.attributes_of(node.entity, self._resource_type)
        attribute = declared.get(node.name) or Attribute(node.name, Kind.STRING)
        return self._schema.subject_types if node.path == "subject.type" else attribute.values

    def _of(self, node: Node) -> str:
        return self._text[node.start : node.end]


def _shown(node: Node) -> str:
    return repr(node.value) if isinstance(node, Literal) else type(node).__name__
