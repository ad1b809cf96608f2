"""What Redis holds for one entity, made a record.

Only declared fields are asked for, so that a hash grown huge by someone else costs this service nothing. A value that
is too long or not text is replaced by one no type accepts: the attribute is then invalid, by name, and the rest of
the record stays usable.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from pdp.core.record import ISSUED_FIELD, VERSION_FIELD, Record, parse_record
from pdp.core.request import EntityRef
from pdp.core.schema import Attribute

DELETED_FIELD: Final = "_deleted"
OWN_ISSUE_SUFFIX: Final = "@issued_at"
_LONGEST: Final = 4096 * 4
_UNREADABLE: Final = "\0" * 4097


@dataclass(frozen=True, slots=True)
class Stored:
    """One read of one entity.

    Attributes:
        record: what may decide; None where the entity is unknown or was deleted.
        version: of the record or of its tombstone; 0 where there is none or it cannot be read.
    """

    record: Record | None
    version: int


def wanted_fields(declared: Mapping[str, Attribute]) -> list[str]:
    """Give the hash fields that a record with these attributes may have, in the order ``read`` takes them."""
    own = [name + OWN_ISSUE_SUFFIX for name in declared]
    return [VERSION_FIELD, ISSUED_FIELD, DELETED_FIELD, *declared, *own]


def read(
    ref: EntityRef, declared: Mapping[str, Attribute], values: Sequence[bytes | None], clock_skew: float
) -> Stored:
    """Make a record of the values of ``wanted_fields``."""
    found = zip(wanted_fields(declared), values, strict=True)
    fields = {name: _text(value) for name, value in found if value is not None}
    if DELETED_FIELD in fields:
        grave = parse_record(ref, {}, fields, clock_skew)
        return Stored(None, grave.version if grave else 0)
    record = parse_record(ref, declared, fields, clock_skew)
    return Stored(record, record.version if record else 0)


def unreadable(ref: EntityRef, declared: Mapping[str, Attribute]) -> Stored:
    """Stand in for a key that holds something other than a hash: a record whose every attribute is invalid."""
    return Stored(parse_record(ref, declared, {VERSION_FIELD: _UNREADABLE}, 0), 0)


def _text(value: bytes) -> str:
    if len(value) > _LONGEST:
        return _UNREADABLE
    try:
        return value.decode()
    except UnicodeDecodeError:
        return _UNREADABLE
