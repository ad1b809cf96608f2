"""Attribute files: records as a person writes them, for a first start, for tests and for demonstrations.

::

    version: 1
    records:
      - entity: subject
        id: user:alice
        attributes: {roles: [agent], region: eu, training_valid_until: "+90d"}

Times may be relative to when the file is loaded. What a value is, the schema says, not YAML: ``no`` is a text where
the schema declares a text. Duplicate keys, anchors, aliases and tags are refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pdp.attributes.errors import AttributesInvalidError
from pdp.attributes.keys import parse_address
from pdp.attributes.values import Given, encode_all
from pdp.core.decision import Entity
from pdp.core.request import EntityRef
from pdp.core.schema import Schema
from pdp.yaml_tree import Node, Scalar, Table, YamlError, read_tree
from pdp.yaml_tree import Sequence as Items

_SIZE_LIMIT: Final = 16 * 1024 * 1024
_SHOWN: Final = 20
_VERSION: Final = "1"
_RECORD_KEYS: Final = ("entity", "id", "attributes")


@dataclass(frozen=True, slots=True)
class FileRecord:
    """One record of a file: an entity and what is given of it."""

    entity: Entity
    ref: EntityRef
    given: dict[str, Given]


class _ProblemError(Exception):
    def __init__(self, offset: int, problem: str) -> None:
        super().__init__(problem)
        self.offset = offset


def read_file(path: Path, schema: Schema, now: float) -> tuple[FileRecord, ...]:
    """Read a file and check every record against the schema.

    Args:
        path: the file; UTF-8, at most 16 MiB.
        schema: what is allowed.
        now: what relative times count from, in seconds since the epoch.

    Raises:
        AttributesInvalidError: says ``file:line:column: problem`` for each of the first twenty problems.
    """
    text = _read_text(path)
    problems: list[tuple[int, str]] = []
    records = []
    try:
        for node in _record_nodes(text):
            try:
                records.append(_record(node, schema, now))
            except _ProblemError as error:
                problems.append((error.offset, str(error)))
    except (_ProblemError, YamlError) as error:
        problems.append((error.offset, str(error)))
    if problems:
        shown = problems[:_SHOWN]
        raise AttributesInvalidError("\n".join(f"{_where(path, text, at)}: {problem}" for at, problem in shown))
    return tuple(records)


def _where(path: Path, text: str, offset: int) -> str:
    before = text[:offset]
    return f"{path.name}:{before.count(chr(10)) + 1}:{offset - before.rfind(chr(10))}"


def _read_text(path: Path) -> str:
    try:
        content = path.read_bytes()
        if len(content) > _SIZE_LIMIT:
            raise AttributesInvalidError(f"{path.name}: is larger than {_SIZE_LIMIT} bytes")
        return content.decode()
    except OSError as error:
        raise AttributesInvalidError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise AttributesInvalidError(f"{path.name}: is not UTF-8") from None


def _record_nodes(text: str) -> tuple[Node, ...]:
    keys = _mapping(read_tree(text), ("version", "records"))
    if _scalar(keys["version"]) != _VERSION:
        raise _ProblemError(keys["version"].offset, f"version: must be {_VERSION}")
    return _items(keys["records"])


def _record(node: Node, schema: Schema, now: float) -> FileRecord:
    keys = _mapping(node, _RECORD_KEYS)
    try:
        entity, ref = parse_address(f"{_scalar(keys['entity'])}/{_scalar(keys['id'])}")
    except AttributesInvalidError as error:
        raise _ProblemError(keys["id"].offset, str(error)) from None
    nodes = _mapping(keys["attributes"])
    record = FileRecord(entity, ref, {name: _given(value) for name, value in nodes.items()})
    for name, value in record.given.items():
        try:
            encode_all(schema, entity, ref, {name: value}, now)
        except AttributesInvalidError as error:
            raise _ProblemError(nodes[name].offset, str(error)) from None
    return record


def _given(node: Node) -> Given:
    return [_scalar(item) for item in _items(node)] if isinstance(node, Items) else _scalar(node)


def _mapping(node: Node, expected: Sequence[str] = ()) -> dict[str, Node]:
    """Give a mapping's values by key; with ``expected``, exactly those keys."""
    if not isinstance(node, Table):
        raise _ProblemError(node.offset, "must be a mapping")
    for entry in node.entries:
        if expected and entry.key not in expected:
            raise _ProblemError(entry.offset, f"{entry.key}: unknown; the keys are {', '.join(expected)}")
    found = {entry.key: entry.value for entry in node.entries}
    for name in expected:
        if name not in found:
            raise _ProblemError(node.offset, f"{name}: is missing")
    return found


def _items(node: Node) -> tuple[Node, ...]:
    if not isinstance(node, Items):
        raise _ProblemError(node.offset, "must be a list")
    return node.items


def _scalar(node: Node) -> str:
    if not isinstance(node, Scalar):
        raise _ProblemError(node.offset, "must be a single value")
    return node.text
