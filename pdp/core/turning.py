"""When time alone changes a condition: the moments after which the same attributes would say something else."""

from __future__ import annotations

from typing import NamedTuple

from pdp.core.condition.nodes import Compare, Difference, Literal, Node, Ref, walk
from pdp.core.decision import POSITION


class TurningPoint(NamedTuple):
    """The moment ``offset`` seconds past an attribute's time; ``position`` is its entity's in ``Entities``."""

    position: int
    name: str
    offset: float


def turning_points(condition: Node) -> frozenset[TurningPoint]:
    """Give every moment at which a comparison with the present time changes.

    Comparisons with the present time come in two forms, which ``condition.check`` holds them to: a time against
    ``r.context.time``, and an age (``r.context.time - r.session.auth_time``) against a number of seconds.
    """
    points = set()
    for node in walk(condition):
        if isinstance(node, Compare):
            points.update(_of_comparison(node.left, node.right))
            points.update(_of_comparison(node.right, node.left))
    return frozenset(points)


def _of_comparison(side: Node, other: Node) -> list[TurningPoint]:
    if isinstance(side, Ref) and side.path == "context.time" and isinstance(other, Ref) and other.entity in POSITION:
        return [TurningPoint(POSITION[other.entity], other.name, 0)]
    if isinstance(side, Difference) and isinstance(other, Literal) and isinstance(other.value, int | float):
        return [TurningPoint(POSITION[side.right.entity], side.right.name, other.value)]
    return []
