"""Attribute records: stored text made into typed, immutable values, once, when a record is read.

Rule: a value that is absent, of the wrong type or out of range is never repaired. It becomes a problem, and a
decision that needs the attribute is a deny that names it.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, TypeVar

from pdp.core.decision import AttributeUse, Entity
from pdp.core.reasons import Reason
from pdp.core.request import EntityRef
from pdp.core.schema import Attribute, Kind, Value

VERSION_FIELD: Final = "_version"
ISSUED_FIELD: Final = "_issued_at"
_OWN_ISSUE_SUFFIX: Final = "@issued_at"
_TEXT_LIMIT: Final = 4096
_LIST_LIMIT: Final = 256
_INT: Final = re.compile(r"-?(0|[1-9][0-9]{0,15})", re.ASCII)
_NUMBER: Final = re.compile(r"-?(0|[1-9][0-9]{0,15})(\.[0-9]{1,9})?", re.ASCII)
_Number = TypeVar("_Number", int, float)
_LATEST: Final = 253402300799  # 9999-12-31T23:59:59Z


class View:
    """The values of one record as attributes, which is how a condition reads them. Immutable.

    It has ``id`` and ``type`` beside the declared attributes. A name whose value is a problem is not set.
    """

    __slots__ = ("__dict__",)

    def __init__(self, values: Mapping[str, object]) -> None:
        self.__dict__.update(values)

    def __setattr__(self, name: str, value: object) -> None:
        """Refuse: a view is shared by every decision that reads the record."""
        raise AttributeError(f"cannot set {name}: a view is immutable")

    def replaced(self, values: Mapping[str, object]) -> View:
        """Give a copy with some values changed."""
        return View({**self.__dict__, **values})


@dataclass(frozen=True, slots=True)
class Record:
    """One entity's attributes as a decision uses them.

    Attributes:
        ref: whose they are.
        version: rises by at least one with every write.
        issued_at: seconds since the epoch.
        view: the usable values.
        problems: names of unusable attributes, each with the reason.
        usable_from: for usable attributes, the earliest time they may decide.
        usable_until: for those with an age limit, the latest; both in seconds since the epoch.
        sound_from: with ``sound_until``, the half-open span of time in which every declared attribute is usable;
            empty where there is a problem.
        sound_until: see ``sound_from``.
    """

    ref: EntityRef
    version: int
    issued_at: float
    view: View
    problems: Mapping[str, Reason]
    usable_from: Mapping[str, float]
    usable_until: Mapping[str, float]
    sound_from: float = field(init=False)
    sound_until: float = field(init=False)
    # Memos of what many decisions ask of the same record; they go with it.
    horizons: dict[object, float] = field(init=False, repr=False, compare=False)
    uses: dict[Entity, AttributeUse] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Work out the sound span once, so that a decision compares two numbers and not every attribute."""
        object.__setattr__(self, "sound_from", max(self.usable_from.values(), default=-math.inf))
        last = -math.inf if self.problems else min(self.usable_until.values(), default=math.inf)
        object.__setattr__(self, "sound_until", last)
        object.__setattr__(self, "horizons", {})
        object.__setattr__(self, "uses", {})

    def used_as(self, entity: Entity) -> AttributeUse:
        """Say of which record a decision makes use, and of which party it is."""
        use = self.uses.get(entity)
        if use is None:
            use = self.uses[entity] = AttributeUse(entity, self.version, self.issued_at)
        return use


def parse_record(
    ref: EntityRef, declared: Mapping[str, Attribute], fields: Mapping[str, str], clock_skew: float
) -> Record | None:
    """Make a record of stored fields.

    Args:
        ref: whose record it is.
        declared: the schema's attributes for it. Fields that are not declared are left out.
        fields: stored text by name; ``_version`` and ``_issued_at`` are required, ``<name>@issued_at`` gives one
            attribute a time of issue of its own.
        clock_skew: seconds by which a time of issue may lie ahead.

    Returns:
        The record, or None if there are no fields at all: the entity is unknown.
    """
    if not fields:
        return None
    version, issued_at = _int(fields.get(VERSION_FIELD)), _seconds(fields.get(ISSUED_FIELD))
    if version is None or version < 1 or issued_at is None:
        return Record(ref, 0, 0.0, _view(ref, {}), dict.fromkeys(declared, Reason.ATTRIBUTE_INVALID), {}, {})
    values: dict[str, Value] = {}
    problems: dict[str, Reason] = {}
    usable_from: dict[str, float] = {}
    usable_until: dict[str, float] = {}
    for name, attribute in declared.items():
        value, problem = _read(attribute, fields.get(name))
        own = fields.get(name + _OWN_ISSUE_SUFFIX)
        issued = issued_at if own is None else _seconds(own)
        if problem is not None or value is None or issued is None:
            problems[name] = problem or Reason.ATTRIBUTE_INVALID
            continue
        values[name] = value
        known_at = max(issued, float(value)) if attribute.past and isinstance(value, int) else issued
        usable_from[name] = known_at - clock_skew
        if attribute.max_age is not None:
            usable_until[name] = issued + attribute.max_age
    return Record(ref, version, issued_at, _view(ref, values), problems, usable_from, usable_until)


def parse_value(attribute: Attribute, text: str) -> Value | None:
    """Read stored text as the attribute's type; None if it is not of that type or outside its range."""
    if len(text) > _TEXT_LIMIT:
        return None
    match attribute.kind:
        case Kind.BOOL:
            return {"true": True, "false": False}.get(text)
        case Kind.INT:
            return _in_range(attribute, _int(text))
        case Kind.NUMBER:
            return _in_range(attribute, float(text) if _NUMBER.fullmatch(text) else None)
        case Kind.TIME:
            seconds = _int(text)
            return seconds if seconds is not None and 0 <= seconds <= _LATEST else None
        case Kind.STRING:
            return text if not attribute.values or text in attribute.values else None
        case Kind.LIST:
            return _list(attribute, text)


def _read(attribute: Attribute, text: str | None) -> tuple[Value | None, Reason | None]:
    if text is None:
        if attribute.required or attribute.default is None:
            return None, Reason.ATTRIBUTE_MISSING
        return attribute.default, None
    value = parse_value(attribute, text)
    return value, None if value is not None else Reason.ATTRIBUTE_INVALID


def _list(attribute: Attribute, text: str) -> tuple[str, ...] | None:
    try:
        items = json.loads(text)
        # An escaped half of a surrogate pair is a text that no log or wire can carry.
        json.dumps(items, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        return None
    if not isinstance(items, list) or not all(type(item) is str for item in items):
        return None
    if len(items) > _LIST_LIMIT or len(items) < (attribute.minimum or 0) or len(set(items)) != len(items):
        return None
    if attribute.values and not attribute.values.issuperset(items):
        return None
    return tuple(items)


def _in_range(attribute: Attribute, number: _Number | None) -> _Number | None:
    if number is None or not math.isfinite(number):
        return None
    if attribute.minimum is not None and number < attribute.minimum:
        return None
    if attribute.maximum is not None and number > attribute.maximum:
        return None
    return number


def _int(text: str | None) -> int | None:
    return int(text) if text is not None and _INT.fullmatch(text) else None


def _seconds(text: str | None) -> float | None:
    return float(text) if text is not None and _NUMBER.fullmatch(text) else None


def _view(ref: EntityRef, values: Mapping[str, Value]) -> View:
    return View({**values, "type": ref.type, "id": ref.id})
