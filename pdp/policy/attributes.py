"""Attribute declarations of schema.yaml."""

from __future__ import annotations

import keyword
import re
from collections.abc import Collection, Mapping
from types import MappingProxyType
from typing import Any, Final

from pdp.core.record import View
from pdp.core.schema import Attribute, Kind, Sensitivity, Value
from pdp.policy.fields import Fields
from pdp.yaml_tree import Entry, Node, Scalar, Sequence

_KEYS: Final = (
    "values", "minimum", "maximum", "min_items", "required", "default", "max_age", "sensitivity", "past", "latch",
)  # fmt: skip
_VALUE: Final = re.compile(r"(?![rp][0-9]*\.)[A-Za-z0-9][A-Za-z0-9_:@/+=.-]{0,127}", re.ASCII)
_VALUE_HELP: Final = "letters, digits and _:@/+=.-, starting with a letter or digit"
_LONGEST_AGE: Final = 10 * 365 * 86400.0
# Names that mean something else to whatever evaluates a condition: every entity has an id and a type; Casbin's
# evaluator (simpleeval) refuses some method names, and the rest are Python's own.
_RESERVED: Final = frozenset({"id", "type", "format", "format_map", "mro"})
_APPLIES: Final[Mapping[str, frozenset[Kind]]] = {
    "values": frozenset({Kind.STRING, Kind.LIST}),
    "minimum": frozenset({Kind.INT, Kind.NUMBER}),
    "maximum": frozenset({Kind.INT, Kind.NUMBER}),
    "min_items": frozenset({Kind.LIST}),
    "past": frozenset({Kind.TIME}),
    "latch": frozenset({Kind.BOOL, Kind.INT, Kind.NUMBER, Kind.TIME}),
}


def read_attributes(fields: Fields, node: Node, reserved: Collection[str] = ()) -> Mapping[str, Attribute]:
    """Read the attributes of one entity.

    Args:
        fields: the document.
        node: a mapping of attribute names to declarations.
        reserved: names that are taken, besides those that always are.
    """
    found = {}
    for name, entry in fields.named(node).items():
        if name in reserved or is_reserved(name):
            fields.refuse(entry, f"{name!r} is a name with a meaning of its own", "choose another")
            continue
        attribute = _attribute(fields, name, entry)
        if attribute is not None:
            found[name] = attribute
    return MappingProxyType(found)


def is_reserved(name: str) -> bool:
    """Say whether a condition that reads this attribute could read something else."""
    taken = name in _RESERVED or keyword.iskeyword(name) or name in ("true", "false")
    return taken or name.startswith("func_") or hasattr(View, name)


def _attribute(fields: Fields, name: str, entry: Entry) -> Attribute | None:
    given = fields.record(entry.value, ("type",), (*_KEYS, "description"))
    if "description" in given:
        fields.prose(given["description"])
    word = fields.choice(given["type"], tuple(Kind), "a type") if "type" in given else None
    if word is None:
        return None
    kind = Kind(word)
    for key, kinds in _APPLIES.items():
        if key in given and kind not in kinds:
            fields.refuse(given[key], f"{key} has no meaning for a {kind}")
            del given[key]
    attribute = Attribute(name, kind, **_options(fields, kind, given))
    _check_range(fields, entry, attribute)
    return _with_default(fields, entry, attribute, given.get("default"))


def _options(fields: Fields, kind: Kind, given: Mapping[str, Node]) -> dict[str, Any]:
    options: dict[str, Any] = {}
    if "values" in given:
        options["values"] = frozenset(fields.names(given["values"], _VALUE, _VALUE_HELP))
    for key in ("minimum", "maximum"):
        if key in given:
            options[key] = fields.number(given[key], whole=kind is Kind.INT)
    if "min_items" in given:
        options["minimum"] = fields.whole(given["min_items"])
    for key, if_unreadable in (("required", True), ("past", False), ("latch", False)):
        if key in given:
            value = fields.boolean(given[key])
            options[key] = if_unreadable if value is None else value
    if "max_age" in given:
        options["max_age"] = fields.duration(given["max_age"], _LONGEST_AGE)
        if options["max_age"] == 0:
            fields.refuse(given["max_age"], "an attribute of no age can never decide")
    if "sensitivity" in given and (word := fields.choice(given["sensitivity"], tuple(Sensitivity), "a sensitivity")):
        options["sensitivity"] = Sensitivity(word)
    return options


def _check_range(fields: Fields, entry: Entry, attribute: Attribute) -> None:
    if attribute.minimum is not None and attribute.maximum is not None and attribute.minimum > attribute.maximum:
        fields.refuse(entry, f"the minimum of {attribute.name!r} is above its maximum")
    if attribute.kind is not Kind.LIST or attribute.minimum is None:
        return
    if attribute.minimum < 0 or (attribute.values and attribute.minimum > len(attribute.values)):
        fields.refuse(entry, f"no list has min_items {attribute.minimum:.0f}")


def _with_default(fields: Fields, entry: Entry, attribute: Attribute, node: Node | None) -> Attribute:
    if attribute.required:
        if node is not None:
            fields.refuse(node, "a required attribute needs no default", "add required: false, or delete the default")
        return attribute
    if node is None:
        fields.refuse(
            entry, f"{attribute.name!r} may be absent but has no default", "add one, or delete required: false"
        )
        return attribute
    value = _default(attribute, node)
    if value is None:
        fields.refuse(node, f"not a value that {attribute.name!r} can take")
        return attribute
    return Attribute(**{name: getattr(attribute, name) for name in Attribute.__slots__} | {"default": value})


def _default(attribute: Attribute, node: Node) -> Value | None:
    """Give a default as the attribute's type; None where it is not of that type or outside its range."""
    if isinstance(node, Sequence):
        return _default_list(attribute, node)
    value = node.value if isinstance(node, Scalar) else None
    match attribute.kind:
        case Kind.BOOL:
            return value if isinstance(value, bool) else None
        case Kind.STRING:
            permitted = isinstance(value, str) and (
                value in attribute.values if attribute.values else _VALUE.fullmatch(value)
            )
            return str(value) if permitted else None
        case Kind.LIST:
            return None
    if isinstance(value, bool) or not isinstance(value, int if attribute.kind is not Kind.NUMBER else int | float):
        return None
    low, high = attribute.minimum, attribute.maximum
    if attribute.kind is Kind.TIME:
        low = 0
    return None if (low is not None and value < low) or (high is not None and value > high) else value


def _default_list(attribute: Attribute, node: Sequence) -> tuple[str, ...] | None:
    items = [item.value if isinstance(item, Scalar) else None for item in node.items]
    texts = tuple(item for item in items if isinstance(item, str))
    proper = len(texts) == len(items) == len(set(texts)) >= (attribute.minimum or 0)
    permitted = attribute.values.issuperset(texts) if attribute.values else all(map(_VALUE.fullmatch, texts))
    return texts if attribute.kind is Kind.LIST and proper and permitted else None
