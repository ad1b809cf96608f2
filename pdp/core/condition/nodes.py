"""The syntax tree of a condition. Every node knows where it stands in the text."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pdp.core.decision import Entity

Scalar = bool | int | float | str


class ConditionError(Exception):
    """A condition that is refused.

    Attributes:
        offset: 0-based position in the condition's text.
        problem: what is wrong there.
        help: how to mend it, or empty.
    """

    def __init__(self, offset: int, problem: str, help_: str = "") -> None:
        super().__init__(problem)
        self.offset = offset
        self.problem = problem
        self.help = help_


@dataclass(frozen=True, slots=True)
class Node:
    """Any part of a condition: the half-open span ``start:end`` of its text."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Literal(Node):
    """A constant."""

    value: Scalar


@dataclass(frozen=True, slots=True)
class Ref(Node):
    """An attribute, ``r.<entity>.<name>``."""

    entity: Entity
    name: str

    @property
    def path(self) -> str:
        """Give ``<entity>.<name>``, the form used in reasons."""
        return f"{self.entity}.{self.name}"


@dataclass(frozen=True, slots=True)
class Difference(Node):
    """One time less another, in seconds."""

    left: Ref
    right: Ref


@dataclass(frozen=True, slots=True)
class Choices(Node):
    """The right side of ``in`` when it is written out; two values at least."""

    values: tuple[Literal, ...]


@dataclass(frozen=True, slots=True)
class Compare(Node):
    """``left operator right``; the operator is one of == != < <= > >= in."""

    operator: str
    left: Node
    right: Node


@dataclass(frozen=True, slots=True)
class Not(Node):
    """Negation."""

    operand: Node


@dataclass(frozen=True, slots=True)
class And(Node):
    """All of the operands, from left to right, up to the first that is false."""

    operands: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Or(Node):
    """Any of the operands, from left to right, up to the first that is true."""

    operands: tuple[Node, ...]


def children(node: Node) -> tuple[Node, ...]:
    """Give a node's direct parts."""
    match node:
        case And(operands=operands) | Or(operands=operands):
            return operands
        case Not(operand=operand):
            return (operand,)
        case Compare(left=left, right=right) | Difference(left=left, right=right):
            return (left, right)
        case Choices(values=values):
            return values
    return ()


def walk(node: Node) -> Iterator[Node]:
    """Give the node and all below it, parents first."""
    yield node
    for child in children(node):
        yield from walk(child)


def refs(node: Node) -> frozenset[tuple[Entity, str]]:
    """Give every attribute the condition may read."""
    return frozenset((part.entity, part.name) for part in walk(node) if isinstance(part, Ref))


def conjuncts(node: Node) -> tuple[Node, ...]:
    """Split a condition at its outermost ``&&``."""
    return node.operands if isinstance(node, And) else (node,)
