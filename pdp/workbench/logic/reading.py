"""What a set of conditions reads: each variable, what it is compared with, and which are compared with each other."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from pdp.core.condition import Node, Ref
from pdp.core.condition.nodes import Choices, Compare, Difference, Literal, walk
from pdp.core.decision import Entity
from pdp.core.schema import Attribute, Kind, Schema, Value

Path = tuple[Entity, str]
NOW: Final[Path] = (Entity.CONTEXT, "time")
ROLES: Final[Path] = (Entity.SUBJECT, "roles")
# Any moment does, as every comparison with the present time is relative: late enough that no age in use starts
# before the epoch.
PRESENT: Final = 1_800_000_000


@dataclass(slots=True)
class Group:
    """Variables that are compared with each other, and all constants any of them is compared with."""

    paths: set[Path] = field(default_factory=set)
    constants: set[Value] = field(default_factory=set)


class Declarations:
    """Looks variables up in a schema, for requests on one resource type."""

    def __init__(self, schema: Schema, resource_type: str) -> None:
        self.schema = schema
        self.resource_type = resource_type
        types = {
            Entity.SUBJECT: schema.subject_types,
            Entity.DEVICE: frozenset({"device"}),
            Entity.SESSION: frozenset({"session"}),
            Entity.RESOURCE: frozenset({resource_type}),
        }
        self._types = {entity: Attribute("type", Kind.STRING, values) for entity, values in types.items()}

    def canonical(self, path: Path) -> Path:
        """Give the variable that stands for a path: a session's bound attribute is the id it is bound to."""
        if path[0] is Entity.SESSION and (owner := self.schema.bindings.get(path[1])):
            return owner, "id"
        return path

    def attribute(self, path: Path) -> Attribute:
        """Give a variable's declaration; every entity but the context has an ``id`` and a ``type`` beside those."""
        entity, name = path
        if entity is not Entity.CONTEXT and name == "id":
            return Attribute("id", Kind.STRING)
        if entity is not Entity.CONTEXT and name == "type":
            return self._types[entity]
        return self.schema.attributes_of(entity, self.resource_type)[name]


class Reading:
    """Groups of what conditions read. Add every condition before asking."""

    def __init__(self, declarations: Declarations, now: int) -> None:
        self._declarations = declarations
        self._now = now
        self._groups: dict[Path, Group] = {}
        self._seen: set[int] = set()

    @property
    def groups(self) -> Iterable[Group]:
        """Give the groups, each once."""
        return {id(group): group for group in self._groups.values()}.values()

    def add(self, condition: Node) -> None:
        """Take note of a condition."""
        if id(condition) in self._seen:
            return
        self._seen.add(id(condition))
        for node in walk(condition):
            if isinstance(node, Compare):
                self._compare(node)
            elif isinstance(node, Ref):
                self.of(self._path(node))

    def add_values(self, values: Iterable[tuple[Path, Value]]) -> None:
        """Take note of values that must be told apart from others, such as present ones."""
        for path, value in values:
            self.of(self._declarations.canonical(path)).constants.update(
                value if isinstance(value, tuple) else (value,)
            )

    def of(self, path: Path) -> Group:
        """Give the group of a variable, a new one if need be."""
        group = self._groups.get(path)
        if group is None:
            group = self._groups[path] = Group({path}, {self._now} if path == NOW else set())
        return group

    def _compare(self, node: Compare) -> None:
        for side, other in ((node.left, node.right), (node.right, node.left)):
            if isinstance(side, Ref):
                self.of(self._path(side)).constants.update(_constants(other))
            elif isinstance(side, Difference):
                moments = {self._now - age for age in _constants(other) if isinstance(age, int | float)}
                self.of(self._path(side.right)).constants.update(moments)
        if isinstance(node.left, Ref) and isinstance(node.right, Ref):
            self._join(self._path(node.left), self._path(node.right))

    def _path(self, ref: Ref) -> Path:
        return self._declarations.canonical((ref.entity, ref.name))

    def _join(self, one: Path, other: Path) -> None:
        kept, merged = self.of(one), self.of(other)
        if kept is merged:
            return
        kept.paths |= merged.paths
        kept.constants |= merged.constants
        for path in merged.paths:
            self._groups[path] = kept


def _constants(node: Node) -> tuple[Value, ...]:
    match node:
        case Literal(value=value):
            return (value,)
        case Choices(values=values):
            return tuple(literal.value for literal in values)
    return ()
