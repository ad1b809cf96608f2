"""Attribute values as a person or a feed gives them, made the text that is stored, or refused by the schema."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Final

from pdp.attributes.errors import AttributesInvalidError
from pdp.attributes.keys import address_of, check_ref
from pdp.core.decision import Entity
from pdp.core.record import parse_value
from pdp.core.request import EntityRef
from pdp.core.schema import Attribute, Kind, Schema

Given = bool | int | float | str | Sequence[str]
_RELATIVE: Final = re.compile(r"([+-])([0-9]{1,6})([smhd])", re.ASCII)
_SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def declared_for(schema: Schema, entity: Entity, ref: EntityRef) -> Mapping[str, Attribute]:
    """Give the attributes an entity may have.

    Raises:
        AttributesInvalidError: the schema knows no such type, or no request could name the entity.
    """
    types = {Entity.SUBJECT: schema.subject_types, Entity.RESOURCE: schema.resources.keys()}.get(entity)
    if types is not None and ref.type not in types:
        raise AttributesInvalidError(f"{entity} type {ref.type!r}: must be one of {', '.join(sorted(types))}")
    check_ref(ref)
    return schema.attributes_of(entity, ref.type)


def encode_all(
    schema: Schema, entity: Entity, ref: EntityRef, given: Mapping[str, Given], now: float
) -> dict[str, str]:
    """Make values the text that is stored.

    Args:
        schema: what is allowed.
        entity: whose attributes they are.
        ref: the same.
        given: values by attribute name, as Python values or as text; see ``encode``.
        now: what relative times count from, in seconds since the epoch.

    Raises:
        AttributesInvalidError: names the first attribute that is wrong and what is allowed; never shows the value.
    """
    declared = declared_for(schema, entity, ref)
    texts = {}
    for name, value in given.items():
        if name not in declared:
            known = ", ".join(sorted(declared)) or "none"
            raise AttributesInvalidError(f"{address_of(entity, ref)} {name}: no such attribute; there are: {known}")
        try:
            texts[name] = encode(declared[name], value, now)
        except AttributesInvalidError as error:
            raise AttributesInvalidError(f"{address_of(entity, ref)} {error}") from None
    return texts


def encode(attribute: Attribute, given: Given, now: float) -> str:
    """Make one value the text that is stored.

    A time may be relative to ``now``: ``now``, ``+90d``, ``-5m``. A list may be a sequence, a JSON array, or texts
    parted by commas.

    Raises:
        AttributesInvalidError: names the attribute and what is allowed; never shows the value.
    """
    text = _text(attribute, given, now)
    if text is None or parse_value(attribute, text) is None:
        raise AttributesInvalidError(f"{attribute.name}: must be {allowed(attribute)}")
    return text


def allowed(attribute: Attribute) -> str:
    """Say in words what values an attribute takes."""
    some = f" of: {', '.join(sorted(attribute.values))}" if attribute.values else ""
    match attribute.kind:
        case Kind.BOOL:
            return "true or false"
        case Kind.INT:
            return "a whole number" + _range(attribute)
        case Kind.NUMBER:
            return "a number" + _range(attribute)
        case Kind.TIME:
            return "a time: whole seconds since the epoch, now, or relative to now as in -5m or +90d"
        case Kind.STRING:
            return "one" + some if some else "a text of at most 4096 characters"
        case Kind.LIST:
            least = f" at least {attribute.minimum:.0f}" if attribute.minimum else ""
            return f"a list without duplicates, with{least or ' any number'}" + (some or " of texts")


def parse_relative_time(text: str, now: float) -> str:
    """Resolve ``now``, ``+90d`` or ``-5m`` to whole seconds since the epoch; give anything else back as it is."""
    if text == "now":
        return str(int(now))
    found = _RELATIVE.fullmatch(text)
    if not found:
        return text
    seconds = int(found[2]) * _SECONDS[found[3]]
    return str(int(now) + (seconds if found[1] == "+" else -seconds))


def _text(attribute: Attribute, given: Given, now: float) -> str | None:
    """Write a value as text; None where its Python type is not the attribute's."""
    if isinstance(given, bool):
        return str(given).lower() if attribute.kind is Kind.BOOL else None
    if isinstance(given, int | float):
        return repr(given) if attribute.kind in (Kind.INT, Kind.NUMBER, Kind.TIME) else None
    if attribute.kind is Kind.LIST:
        return _list_text(given)
    if not isinstance(given, str):
        return None
    return parse_relative_time(given, now) if attribute.kind is Kind.TIME else given


def _list_text(given: str | Sequence[str]) -> str:
    if isinstance(given, str):
        if given.startswith("["):
            return given
        given = [item.strip() for item in given.split(",")] if given else []
    return json.dumps(list(given), ensure_ascii=False, separators=(",", ":"))


def _range(attribute: Attribute) -> str:
    low, high = attribute.minimum, attribute.maximum
    if low is not None and high is not None:
        return f" from {low:g} to {high:g}"
    if low is not None:
        return f" of at least {low:g}"
    return f" of at most {high:g}" if high is not None else ""
