"""As much of JSON Schema (draft 2020-12) as the schemas of the policy files use; anything else is an error."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

Schema = Mapping[str, Any]
_TYPES: Final[Mapping[str, Callable[[Any], bool]]] = {
    "object": lambda it: isinstance(it, dict),
    "array": lambda it: isinstance(it, list),
    "string": lambda it: isinstance(it, str),
    "boolean": lambda it: isinstance(it, bool),
    "integer": lambda it: isinstance(it, int) and not isinstance(it, bool),
    "number": lambda it: isinstance(it, int | float) and not isinstance(it, bool),
    "null": lambda it: it is None,
}
_NOTES: Final = {"$schema", "$defs", "title", "description", "default", "then", "else"}


def fits(schema: Schema, value: Any, root: Schema | None = None) -> bool:
    """Say whether a value is as a schema has it."""
    whole = root or schema
    return all(_KEYWORDS[key](schema, value, whole) for key in schema if key not in _NOTES)


def _type(schema: Schema, value: Any, root: Schema) -> bool:
    del root
    names = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    return any(_TYPES[name](value) for name in names)


def _properties(schema: Schema, value: Any, root: Schema) -> bool:
    return not isinstance(value, dict) or all(
        fits(part, value[name], root) for name, part in schema["properties"].items() if name in value
    )


def _additional(schema: Schema, value: Any, root: Schema) -> bool:
    if not isinstance(value, dict):
        return True
    others = [it for name, it in value.items() if name not in schema.get("properties", {})]
    allowed = schema["additionalProperties"]
    return not others if allowed is False else all(fits(allowed, it, root) for it in others)


def _reference(schema: Schema, value: Any, root: Schema) -> bool:
    return fits(root["$defs"][schema["$ref"].removeprefix("#/$defs/")], value, root)


def _condition(schema: Schema, value: Any, root: Schema) -> bool:
    branch = schema.get("then" if fits(schema["if"], value, root) else "else")
    return branch is None or fits(branch, value, root)


_KEYWORDS: Final[Mapping[str, Callable[[Schema, Any, Schema], bool]]] = {
    "type": _type,
    "$ref": _reference,
    "if": _condition,
    "properties": _properties,
    "additionalProperties": _additional,
    "required": lambda s, v, _: not isinstance(v, dict) or set(s["required"]) <= set(v),
    "propertyNames": lambda s, v, r: not isinstance(v, dict) or all(fits(s["propertyNames"], it, r) for it in v),
    "minProperties": lambda s, v, _: not isinstance(v, dict) or len(v) >= s["minProperties"],
    "maxProperties": lambda s, v, _: not isinstance(v, dict) or len(v) <= s["maxProperties"],
    "items": lambda s, v, r: not isinstance(v, list) or all(fits(s["items"], it, r) for it in v),
    "minItems": lambda s, v, _: not isinstance(v, list) or len(v) >= s["minItems"],
    "uniqueItems": lambda _, v, __: not isinstance(v, list) or len({repr(it) for it in v}) == len(v),
    "enum": lambda s, v, _: v in s["enum"],
    "const": lambda s, v, _: v == s["const"],
    "pattern": lambda s, v, _: not isinstance(v, str) or re.search(s["pattern"], v) is not None,
    "maxLength": lambda s, v, _: not isinstance(v, str) or len(v) <= s["maxLength"],
    "minimum": lambda s, v, _: not isinstance(v, int | float) or v >= s["minimum"],
    "maximum": lambda s, v, _: not isinstance(v, int | float) or v <= s["maximum"],
    "anyOf": lambda s, v, r: any(fits(it, v, r) for it in s["anyOf"]),
    "allOf": lambda s, v, r: all(fits(it, v, r) for it in s["allOf"]),
    "not": lambda s, v, r: not fits(s["not"], v, r),
}
