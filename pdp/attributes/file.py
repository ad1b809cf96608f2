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
from typing import Any, Final

import yaml

from pdp.attributes.errors import AttributesInvalidError
from pdp.attributes.keys import parse_address
from pdp.attributes.values import Given, encode_all
from pdp.attributes.writer import AttributeWriter
from pdp.core.decision import Entity
from pdp.core.request import EntityRef
from pdp.core.schema import Schema

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
    def __init__(self, node: yaml.Node | yaml.NodeEvent, problem: str) -> None:
        super().__init__(problem)
        self.mark = node.start_mark


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
    problems: list[str] = []
    records = []
    try:
        for node in _record_nodes(text):
            try:
                records.append(_record(node, schema, now))
            except _ProblemError as error:
                problems.append(f"{_where(path, error.mark)}: {error}")
    except _ProblemError as error:
        problems.append(f"{_where(path, error.mark)}: {error}")
    except yaml.MarkedYAMLError as error:
        problems.append(f"{_where(path, error.problem_mark)}: is not YAML: {error.problem or error.context}")
    except yaml.YAMLError:
        problems.append(f"{_where(path, None)}: is not YAML")
    if problems:
        raise AttributesInvalidError("\n".join(problems[:_SHOWN]))
    return tuple(records)


async def load_file(path: Path, schema: Schema, writer: AttributeWriter, now: float) -> int:
    """Put every record of a file; nothing is written unless the whole file is right.

    Args:
        path: as for ``read_file``.
        schema: as for ``read_file``.
        writer: takes the records.
        now: as for ``read_file``; also the records' time of issue.

    Returns:
        How many records were put.

    Raises:
        AttributesInvalidError: as ``read_file``.
        AttributesUnavailableError: the store did not take one; those before it were put.
    """
    records = read_file(path, schema, now)
    for record in records:
        await writer.put(record.entity, record.ref, record.given, now)
    return len(records)


def _where(path: Path, mark: Any) -> str:
    return f"{path.name}:{mark.line + 1}:{mark.column + 1}" if mark else f"{path.name}:1:1"


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


def _record_nodes(text: str) -> list[yaml.Node]:
    """Give the records of a document, once nothing in it is refused as such."""
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        if isinstance(event, yaml.NodeEvent) and (event.anchor or getattr(event, "tag", None)):
            raise _ProblemError(event, "anchors, aliases and tags are not allowed")
    root = yaml.compose(text, Loader=yaml.SafeLoader) or yaml.ScalarNode("", "")
    keys = _mapping(root, ("version", "records"))
    if _scalar(keys["version"]) != _VERSION:
        raise _ProblemError(keys["version"], f"version: must be {_VERSION}")
    return _items(keys["records"])


def _record(node: yaml.Node, schema: Schema, now: float) -> FileRecord:
    keys = _mapping(node, _RECORD_KEYS)
    try:
        entity, ref = parse_address(f"{_scalar(keys['entity'])}/{_scalar(keys['id'])}")
    except AttributesInvalidError as error:
        raise _ProblemError(keys["id"], str(error)) from None
    nodes = _mapping(keys["attributes"])
    record = FileRecord(entity, ref, {name: _given(value) for name, value in nodes.items()})
    for name, value in record.given.items():
        try:
            encode_all(schema, entity, ref, {name: value}, now)
        except AttributesInvalidError as error:
            raise _ProblemError(nodes[name], str(error)) from None
    return record


def _given(node: yaml.Node) -> Given:
    return [_scalar(item) for item in _items(node)] if isinstance(node, yaml.SequenceNode) else _scalar(node)


def _mapping(node: yaml.Node, expected: Sequence[str] = ()) -> dict[str, yaml.Node]:
    """Give a mapping's values by key; with ``expected``, exactly those keys."""
    if not isinstance(node, yaml.MappingNode):
        raise _ProblemError(node, "must be a mapping")
    found: dict[str, yaml.Node] = {}
    for key, value in node.value:
        name = _scalar(key)
        if name in found:
            raise _ProblemError(key, f"{name}: stands twice in the same mapping")
        if expected and name not in expected:
            raise _ProblemError(key, f"{name}: unknown; the keys are {', '.join(expected)}")
        found[name] = value
    for name in expected:
        if name not in found:
            raise _ProblemError(node, f"{name}: is missing")
    return found


def _items(node: yaml.Node) -> list[yaml.Node]:
    if not isinstance(node, yaml.SequenceNode):
        raise _ProblemError(node, "must be a list")
    return list(node.value)


def _scalar(node: yaml.Node) -> str:
    if not isinstance(node, yaml.ScalarNode):
        raise _ProblemError(node, "must be a single value")
    return str(node.value)
