"""Reading what is known while tests run: files of attributes, fixtures of a table, and changes for one case."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from pdp.attributes.errors import AttributesInvalidError
from pdp.attributes.keys import check_ref, parse_address
from pdp.attributes.values import declared_for, encode_all
from pdp.core.decision import Entity
from pdp.core.record import ISSUED_FIELD
from pdp.core.request import EntityRef
from pdp.core.schema import Schema
from pdp.policy.fields import Fields
from pdp.policy.problems import did_you_mean
from pdp.workbench.testing.world import Owner, RecordFiles, Stored, stored_text
from pdp.yaml_tree import Entry, Node, Scalar, Sequence

SECTIONS: Final[Mapping[str, Entity]] = {
    "subjects": Entity.SUBJECT,
    "devices": Entity.DEVICE,
    "sessions": Entity.SESSION,
    "resources": Entity.RESOURCE,
}
_OWN_ISSUE: Final = "@issued_at"


class FixtureReader:
    """Reads one file's records. ``now`` is what relative times count from, in seconds since the epoch."""

    def __init__(self, fields: Fields, files: RecordFiles, schema: Schema, now: float) -> None:
        self._fields = fields
        self._files = files
        self._schema = schema
        self._now = now

    def stored(self, given: Mapping[str, Node]) -> Stored:
        """Read the files named by ``attributes`` and the fixtures beside them; a fixture replaces a file's record."""
        found: dict[Owner, Mapping[str, str]] = {}
        for item in self._fields.items(given["attributes"]) if "attributes" in given else ():
            found.update(self._file(item))
        for section, entity in SECTIONS.items():
            for entry in self._fields.entries(given[section]) if section in given else ():
                found.update(self._fixture(entity, entry))
        return found

    def changes(self, node: Node, stored: Stored) -> dict[Owner, dict[str, str | None]]:
        """Read how records differ for one case, by address such as ``session/s-1``."""
        found = {}
        for entry in self._fields.entries(node):
            try:
                owner = parse_address(entry.key)
            except AttributesInvalidError as error:
                self._fields.refuse(entry, str(error))
                continue
            if owner not in stored:
                self._fields.refuse(entry, f"there is no record of {entry.key}", "add it to the fixtures")
            found[owner] = self._texts(owner, entry.value)
        return found

    def _file(self, node: Node) -> Stored:
        name = self._fields.text(node) or ""
        try:
            return self._files.read(name, self._now)
        except AttributesInvalidError as error:
            self._fields.refuse(node, str(error).splitlines()[0], "name a file of the policy folder without faults")
            return {}

    def _fixture(self, entity: Entity, entry: Entry) -> Stored:
        typed = entity in (Entity.SUBJECT, Entity.RESOURCE)
        kind, colon, identifier = entry.key.partition(":") if typed else (entity.value, ":", entry.key)
        ref = EntityRef(kind, identifier)
        if not colon:
            self._fields.refuse(entry, f"a {entity} is written type:id", "such as user:alice")
            return {}
        given = {
            it.key: value for it in self._fields.entries(entry.value) if (value := self._value(it.value)) is not None
        }
        try:
            check_ref(ref)
            return {(entity, ref): encode_all(self._schema, entity, ref, given, self._now)}
        except AttributesInvalidError as error:
            self._fields.refuse(entry, str(error))
            return {}

    def _texts(self, owner: Owner, node: Node) -> dict[str, str | None]:
        try:
            declared = declared_for(self._schema, *owner)
        except AttributesInvalidError as error:
            self._fields.refuse(node, str(error))
            return {}
        found: dict[str, str | None] = {}
        for entry in self._fields.entries(node):
            name = entry.key.removesuffix(_OWN_ISSUE)
            if name not in declared and entry.key != ISSUED_FIELD:
                self._fields.refuse(entry, f"{owner[1].type} has no attribute {name!r}", did_you_mean(name, declared))
            value = self._value(entry.value, absent=True)
            attribute = None if name != entry.key else declared.get(name)
            found[entry.key] = None if value is None else stored_text(attribute, value, self._now)
        return found

    def _value(self, node: Node, *, absent: bool = False) -> str | list[str] | None:
        """Read a value; what it is, the schema says. None where it is null, which only a change may be."""
        if isinstance(node, Sequence):
            return [item.text if isinstance(item, Scalar) else "" for item in node.items]
        if isinstance(node, Scalar):
            if node.value is not None:
                return node.text
            if absent:
                return None
        self._fields.refuse(
            node, "a single value or a list is expected here", "leave the attribute out if it is absent"
        )
        return None
