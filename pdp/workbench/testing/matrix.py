"""Matrix tests: who x action x resource. What is not listed as allowed must be denied."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from pdp.core.decision import Effect
from pdp.policy.fields import Fields
from pdp.policy.problems import did_you_mean
from pdp.workbench.testing.options import EXPECTED, OptionReader
from pdp.yaml_tree import Entry, Node, Scalar, Sequence

REQUIRED: Final = ("name", "who", "actions", "resources")
OPTIONAL: Final = ("request", "each", "given", "allow", "deny")

Cell = tuple[str, str, str]
"""Who, resource and action, by the names the matrix gives them."""


@dataclass(slots=True)
class Matrix:
    """A matrix as read.

    Attributes:
        who: options of the request, by the name given to who asks.
        resources: references, by the name given to each.
        actions: the actions, each with its place in the file.
        expected: for the cells that are listed, where that stands and what is expected there.
    """

    who: dict[str, dict[str, Any]] = field(default_factory=dict)
    resources: dict[str, str] = field(default_factory=dict)
    actions: dict[str, Node] = field(default_factory=dict)
    expected: dict[Cell, tuple[Node | Entry, dict[str, Any]]] = field(default_factory=dict)

    def cells(self) -> Iterator[tuple[Cell, Node | Entry | None, dict[str, Any], dict[str, Any]]]:
        """Give each cell with where it is listed, if it is, the options that make it, and what is expected."""
        for who, options in self.who.items():
            for name, reference in self.resources.items():
                for action in self.actions:
                    cell = (who, name, action)
                    place, expected = self.expected.get(cell, (None, {"effect": Effect.DENY.value}))
                    yield cell, place, {**options, "action": action, "resource": reference}, expected


def read_matrix(fields: Fields, options: OptionReader, given: Mapping[str, Node]) -> Matrix:
    """Read the parts of a matrix that are its own; the others are those of any case."""
    matrix = Matrix()
    for entry in fields.entries(given["who"]):
        matrix.who[entry.key] = options.question(entry.value)
    for entry in fields.entries(given["resources"]):
        matrix.resources[entry.key] = str(options.option("resource", entry.value))
    for item in fields.items(given["actions"]):
        matrix.actions[fields.name(item) or ""] = item
    for effect in Effect:
        if effect.value in given:
            _read_cells(fields, options, matrix, effect, given[effect.value])
    return matrix


def _read_cells(fields: Fields, options: OptionReader, matrix: Matrix, effect: Effect, node: Node) -> None:
    for who in _known(fields, node, matrix.who, "nobody called"):
        for resource in _known(fields, who.value, matrix.resources, "no resource called"):
            for action, place, details in _actions(fields, resource.value, matrix.actions):
                cell = (who.key, resource.key, action)
                if cell in matrix.expected:
                    fields.refuse(place, f"{action} is listed already")
                matrix.expected[cell] = (place, {"effect": effect.value, **options.details(details)})


def _actions(
    fields: Fields, node: Node, actions: Collection[str]
) -> Iterator[tuple[str, Node | Entry, dict[str, Node]]]:
    """Read the actions of a cell: a list of them, or what is expected of each by its name."""
    if isinstance(node, Sequence):
        for item in node.items:
            text = item.text if isinstance(item, Scalar) else ""
            if _is_action(fields, item, text, actions):
                yield text, item, {}
        return
    for entry in fields.entries(node):
        if _is_action(fields, entry, entry.key, actions):
            yield entry.key, entry, fields.record(entry.value, (), EXPECTED)


def _is_action(fields: Fields, place: Node | Entry, text: str, actions: Collection[str]) -> bool:
    if text not in actions:
        fields.refuse(place, f"the matrix has no action {text!r}", did_you_mean(text, actions))
    return text in actions


def _known(fields: Fields, node: Node, names: Collection[str], what: str) -> Iterator[Entry]:
    for entry in fields.entries(node):
        if entry.key in names:
            yield entry
        else:
            fields.refuse(entry, f"the matrix has {what} {entry.key!r}", did_you_mean(entry.key, names))
