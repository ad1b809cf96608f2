"""What is known while a test runs: stored records, read as the service reads them, at a pinned time."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from pdp.attributes.errors import AttributesInvalidError
from pdp.attributes.file import read_file
from pdp.attributes.keys import address_of
from pdp.attributes.values import encode_all, parse_relative_time
from pdp.core.decision import Entity
from pdp.core.entities import Entities, refs
from pdp.core.record import ISSUED_FIELD, VERSION_FIELD, Record, parse_record
from pdp.core.request import EntityRef, Request
from pdp.core.schema import Attribute, Kind, Schema

Owner = tuple[Entity, EntityRef]
Stored = Mapping[Owner, Mapping[str, str]]
"""Fields of stored records, by whose they are."""

Changes = Mapping[Owner, Mapping[str, str | None]]
"""Stored text by attribute, by whose it is; None where the attribute is absent."""

_NO_CHANGES: Mapping[str, str | None] = {}


class World:
    """Records as they stand at one moment.

    Attributes:
        now: the time it is, in seconds since the epoch.
        schema: what the records are read by.
        stored: the records.
    """

    def __init__(self, schema: Schema, now: float, stored: Stored) -> None:
        self.schema = schema
        self.now = now
        self.stored = stored
        self._records: dict[Owner, Record | None] = {}

    def entities(self, request: Request, changes: Changes | None = None) -> Entities:
        """Give the records of a request's parties, with changes that hold for this request alone."""
        changed = changes or {}
        found = {
            entity.value: self._changed(entity, ref, changed[entity, ref])
            if (entity, ref) in changed
            else self._record(entity, ref)
            for entity, ref in refs(request)
        }
        return Entities(**found)

    def _record(self, entity: Entity, ref: EntityRef) -> Record | None:
        key = (entity, ref)
        if key not in self._records:
            if key not in self.stored:
                return None
            self._records[key] = self._changed(entity, ref, _NO_CHANGES)
        return self._records[key]

    def _changed(self, entity: Entity, ref: EntityRef, changes: Mapping[str, str | None]) -> Record | None:
        fields = {
            VERSION_FIELD: "1",
            ISSUED_FIELD: str(int(self.now)),
            **self.stored.get((entity, ref), {}),
            **changes,
        }
        present = {name: text for name, text in fields.items() if text is not None}
        return parse_record(ref, self.schema.attributes_of(entity, ref.type), present, self.schema.clock_skew)


class RecordFiles:
    """Files of attributes inside a policy folder, each read once for each moment that relative times count from."""

    def __init__(self, folder: Path, schema: Schema) -> None:
        self._folder = folder
        self._schema = schema
        self._read: dict[tuple[str, float], Stored] = {}

    def read(self, name: str, now: float) -> Stored:
        """Give a file's records.

        Raises:
            AttributesInvalidError: the file has a fault, or leads out of the folder.
        """
        if (name, now) not in self._read:
            path = self._folder / name
            if not path.resolve().is_relative_to(self._folder.resolve()):
                raise AttributesInvalidError(f"{name}: leads out of the policy folder")
            self._read[name, now] = read_records(path, self._schema, now)
        return self._read[name, now]


def read_records(path: Path, schema: Schema, now: float) -> Stored:
    """Read a file of attributes as the service does, and give what it would store.

    Raises:
        AttributesInvalidError: the file has a fault, or says two things of one entity.
    """
    stored: dict[Owner, Mapping[str, str]] = {}
    for it in read_file(path, schema, now):
        if (it.entity, it.ref) in stored:
            raise AttributesInvalidError(f"{path.name}: {address_of(it.entity, it.ref)} stands twice")
        stored[it.entity, it.ref] = encode_all(schema, it.entity, it.ref, it.given, now)
    return stored


def stored_text(attribute: Attribute | None, given: str | Sequence[str], now: float) -> str:
    """Write a value as it would be stored, right or wrong.

    Args:
        attribute: its declaration; None for the record's own fields, of which the time of issue is a time.
        given: its text, or the texts of a list's items.
        now: what relative times count from, in seconds since the epoch.
    """
    if not isinstance(given, str):
        return json.dumps(list(given), ensure_ascii=False, separators=(",", ":"))
    relative = attribute is None or attribute.kind is Kind.TIME
    return parse_relative_time(given, now) if relative else given
