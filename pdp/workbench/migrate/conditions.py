"""Conditions of Casbin matchers made into ours, and what they tell of the attributes they read."""

from __future__ import annotations

import re
from typing import Final

from pdp.core.condition import ConditionError, Node, Ref
from pdp.core.condition.nodes import Choices, Compare, Literal, walk
from pdp.core.decision import Entity
from pdp.core.schema import Kind

_WORDS: Final = (("and", "&&"), ("or", "||"), ("not", "!"), ("true", "True"), ("false", "False"))
_LITERAL: Final = re.compile(r"'[^']*'|\"[^\"]*\"")
_PATH: Final = re.compile(r"\br\.(\w+)((?:\.\w+)*)(\s*\()?")
_CAMEL: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
Variable = tuple[Entity, str]


def translate(text: str, request: tuple[str, str, str]) -> str:
    """Write a condition with our names; what is no part of our language is refused when it is parsed.

    Raises:
        ConditionError: it reads something that a request here does not have.
    """
    parts: list[str] = []
    at = 0
    for literal in _LITERAL.finditer(text):
        parts += [_outside(text[at : literal.start()], request), literal.group()]
        at = literal.end()
    return "".join([*parts, _outside(text[at:], request)]).strip()


def _outside(text: str, request: tuple[str, str, str]) -> str:
    for word, symbol in _WORDS:
        text = re.sub(rf"\b{word}\b", symbol, text)
    return _PATH.sub(lambda found: _renamed(found, request), text)


def _renamed(found: re.Match[str], request: tuple[str, str, str]) -> str:
    entities = {request[0]: Entity.SUBJECT, request[1]: Entity.RESOURCE}
    entity = entities.get(found[1])
    if entity is None:
        raise ConditionError(found.start(), f"r.{found[1]} is neither the subject nor the object")
    name = _CAMEL.sub("_", found[2].removeprefix(".")).lower() or "id"
    return f"r.{entity}.{name}{found[3] or ''}"


class AttributeKinds:
    """Types of attributes, as far as what they are compared with tells them. What is not told is a text."""

    def __init__(self) -> None:
        self._kinds: dict[Variable, Kind] = {}
        self._alike: list[tuple[Variable, Variable]] = []

    def learn(self, node: Node) -> None:
        """Take note of a condition."""
        compared: set[int] = set()
        for part in walk(node):
            if isinstance(part, Compare):
                compared |= {id(part.left), id(part.right)}
                self._compare(part)
            elif isinstance(part, Ref):
                self._kinds.setdefault(_variable(part), Kind.STRING)
                if id(part) not in compared:
                    self._kinds[_variable(part)] = Kind.BOOL

    def of(self, entity: Entity) -> dict[str, Kind]:
        """Give the attributes of an entity, its id and type aside."""
        for _ in range(len(self._alike)):
            for one, other in self._alike:
                kind = next(
                    (it for it in (self._kinds[one], self._kinds[other]) if it is not Kind.STRING), Kind.STRING
                )
                self._kinds[one] = self._kinds[other] = kind
        own = {name: kind for (owner, name), kind in self._kinds.items() if owner is entity}
        return {name: own[name] for name in sorted(own) if name not in ("id", "type")}

    def _compare(self, part: Compare) -> None:
        for side, other in ((part.left, part.right), (part.right, part.left)):
            if not isinstance(side, Ref):
                continue
            known = self._kinds.get(_variable(side), Kind.STRING)
            if part.operator == "in" and side is part.right:
                self._kinds[_variable(side)] = Kind.LIST
            elif isinstance(other, Literal | Choices):
                self._kinds[_variable(side)] = _kind_of(other) if known is Kind.STRING else known
            else:
                self._kinds.setdefault(_variable(side), Kind.STRING)
        if isinstance(part.left, Ref) and isinstance(part.right, Ref) and part.operator != "in":
            self._alike.append((_variable(part.left), _variable(part.right)))


def _variable(ref: Ref) -> Variable:
    return ref.entity, ref.name


def _kind_of(node: Literal | Choices) -> Kind:
    value = node.values[0].value if isinstance(node, Choices) else node.value
    if isinstance(value, bool):
        return Kind.BOOL
    return Kind.STRING if isinstance(value, str) else Kind.NUMBER
