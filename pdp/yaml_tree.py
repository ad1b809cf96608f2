"""YAML without its surprises: one document as a tree in which every value knows its place.

Anchors, aliases, tags, directives, duplicate keys, second documents and deep nesting are refused. A plain scalar is a
number, ``true``, ``false`` or null only as YAML 1.2's core schema has it; ``no``, ``on`` and ``1:30`` are texts.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import yaml

_DEPTH_LIMIT: Final = 12
_INT: Final = re.compile(r"-?(0|[1-9][0-9]{0,14})", re.ASCII)
_FLOAT: Final = re.compile(r"-?(0|[1-9][0-9]{0,14})\.[0-9]{1,9}", re.ASCII)
_CONSTANTS: Final[Mapping[str, bool | None]] = {"true": True, "false": False, "null": None, "~": None, "": None}
_FAST: Final[Any] = getattr(yaml, "CSafeLoader", None)
# What libyaml permits in places where the parser in Python does not. The language must not depend on which is there.
_DEBATED: Final = re.compile("[\t\ufeff?]|[|>][0-9+-]*#")


class YamlError(Exception):
    """A document that is refused.

    Attributes:
        offset: 0-based position in the text.
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
    """Any value; ``offset`` is where it starts in the source's text, 0-based."""

    offset: int


@dataclass(frozen=True, slots=True)
class Scalar(Node):
    """A single value, as it was written and as it is meant."""

    text: str
    value: bool | int | float | str | None


@dataclass(frozen=True, slots=True)
class Sequence(Node):
    """A list."""

    items: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Entry:
    """A key of a mapping and its value; ``offset`` is where the key starts."""

    key: str
    offset: int
    value: Node


@dataclass(frozen=True, slots=True)
class Table(Node):
    """A mapping, its entries in the order of the file."""

    entries: tuple[Entry, ...]


def read_tree(text: str) -> Node:
    """Read the one document of a text.

    libyaml reads it in a tenth of the time. Whatever it does not take is read again by the parser in Python, whose
    word is final and whose messages are better.

    Raises:
        YamlError: it is not the YAML described above.
    """
    if _FAST is not None and not _DEBATED.search(text):
        try:
            return _Composer(text, _FAST).document()
        except Exception:  # noqa: BLE001, S110 - whatever it is, it is found again below
            pass
    return _by_the_book(text)


def _by_the_book(text: str) -> Node:
    try:
        return _Composer(text, yaml.SafeLoader).document()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise YamlError(mark.index if mark else 0, f"is not YAML: {error.problem or error.context}") from None
    except yaml.reader.ReaderError as error:
        raise YamlError(error.position, "is not YAML: a character that YAML does not permit") from None


class _Composer:
    def __init__(self, text: str, loader: Any) -> None:
        self._length = len(text)
        self._events: Iterator[Any] = yaml.parse(text, Loader=loader)

    def document(self) -> Node:
        self._next()  # the start of the stream
        start = self._next()
        if not isinstance(start, yaml.DocumentStartEvent):
            raise YamlError(0, "is empty")
        if start.tags or start.version:
            raise YamlError(0, "a YAML directive", "delete the line")
        node = self._node(self._next(), 0)
        self._next()  # the end of the document
        after = self._next()
        if not isinstance(after, yaml.StreamEndEvent):
            raise YamlError(min(after.start_mark.index, self._length), "a second document", "delete the ---")
        return node

    def _next(self) -> Any:
        return next(self._events)

    def _node(self, event: Any, depth: int) -> Node:
        at = event.start_mark.index
        if depth > _DEPTH_LIMIT:
            raise YamlError(at, f"nested more than {_DEPTH_LIMIT} deep")
        if isinstance(event, yaml.AliasEvent):
            raise YamlError(at, "an alias", "write the value out")
        if event.anchor is not None:
            raise YamlError(at, "an anchor", "delete the &name")
        if event.tag is not None:
            raise YamlError(at, "a tag", "delete the !name")
        if isinstance(event, yaml.ScalarEvent):
            # libyaml's parser says of a plain scalar that its style is empty, the other one that it has none.
            plain = not event.style
            return Scalar(at, event.value, _resolve(event.value) if plain else event.value)
        if isinstance(event, yaml.SequenceStartEvent):
            return Sequence(at, tuple(self._items(depth)))
        return Table(at, tuple(self._entries(depth)))

    def _items(self, depth: int) -> Iterator[Node]:
        while not isinstance(event := self._next(), yaml.SequenceEndEvent):
            yield self._node(event, depth + 1)

    def _entries(self, depth: int) -> Iterator[Entry]:
        seen: set[str] = set()
        while not isinstance(event := self._next(), yaml.MappingEndEvent):
            key = self._node(event, depth + 1)
            if not isinstance(key, Scalar):
                raise YamlError(key.offset, "a key that is not a text")
            if key.text in seen:
                raise YamlError(key.offset, f"the key {key.text!r} stands twice in the same mapping")
            seen.add(key.text)
            yield Entry(key.text, key.offset, self._node(self._next(), depth + 1))


def _resolve(text: str) -> bool | int | float | str | None:
    if text in _CONSTANTS:
        return _CONSTANTS[text]
    if _INT.fullmatch(text):
        return int(text)
    return float(text) if _FLOAT.fullmatch(text) else text
