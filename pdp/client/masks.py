"""Masking of JSON-like data and of protobuf messages, by field name, wherever the field is.

A mask never shows a value that it does not understand: what has not the form it expects is left out as a whole.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Callable, Mapping, MutableSequence
from typing import Any, Final, cast

from google.protobuf import any_pb2, struct_pb2
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

from pdp.client.decision import Decision, Obligation
from pdp.client.question import Question

_HIDDEN: Final = "*"
_SHOWN: Final = 4
_YEAR: Final = re.compile(r"(\d{4})-\d{2}-\d{2}(?:$|[T ])", re.ASCII)
# ISO/IEC 7812: 13 to 19 digits; people and programs put blanks or dashes between them.
_CARD: Final = re.compile(r"(?<![0-9])[0-9](?:[ -]?[0-9]){12,18}(?![0-9])", re.ASCII)
_BIN: Final = 6


class _LeftOut:
    """In place of a value that is not shown at all."""


LEFT_OUT: Final = _LeftOut()
_Mask = Callable[[Any], Any]


class Mask:
    """Shows part of a field: ``last4``, ``year``, ``city``, ``bin6_last4``, ``initials``, ``redact``, ``pseudonym``.

    Data is a mapping, a list of such, or a protobuf message; a copy is made of JSON-like data, a message is changed
    in place. A message that carries a ``google.protobuf.Any`` is refused, for nobody can see what is in it.

    Args:
        pseudonym_key: secret for ``pseudonym``, at least 32 bytes; without it that mask is not understood.

    Raises:
        ValueError: the key is too short.
    """

    type: Final = "mask"

    def __init__(self, pseudonym_key: bytes = b"") -> None:
        if pseudonym_key and len(pseudonym_key) < hashlib.sha256().digest_size:
            raise ValueError("pseudonym_key: must have at least 32 bytes")
        self._masks: dict[str, _Mask] = {
            "last4": last4,
            "year": year,
            "city": city,
            "bin6_last4": bin6_last4,
            "initials": initials,
            "redact": redact,
        }
        if pseudonym_key:
            self._masks["pseudonym"] = lambda value: pseudonym(pseudonym_key, value)

    def understands(self, obligation: Obligation) -> bool:
        """Understand a named field and a known mask, and nothing besides."""
        properties = obligation.properties
        return (
            set(properties) == {"field", "mask"} and bool(properties["field"]) and properties["mask"] in self._masks
        )

    async def before(self, obligation: Obligation, question: Question, decision: Decision) -> None:
        """Do nothing before."""

    def transform(self, obligation: Obligation, question: Question, data: Any) -> Any:  # noqa: ARG002 - see Handler
        """Give the data with the field masked."""
        name, mask = obligation.properties["field"], obligation.properties["mask"]
        masked = _Masked(name, self._masks[mask], cards_in_text if mask == "bin6_last4" else None)
        if isinstance(data, Message):
            masked.message(data)
            return data
        return masked.value(data)


class _Masked:
    """Goes through data once."""

    def __init__(self, field: str, mask: _Mask, text: Callable[[str], str] | None) -> None:
        self._field = field
        self._mask = mask
        self._text = text

    def value(self, data: Any) -> Any:
        """Give JSON-like data, masked."""
        if isinstance(data, Mapping):
            pairs = (
                (key, self._mask_all(item) if key == self._field else self.value(item)) for key, item in data.items()
            )
            return {key: item for key, item in pairs if item is not LEFT_OUT}
        if isinstance(data, list | tuple):
            return [self.value(item) for item in data]
        if isinstance(data, str):
            return self._text(data) if self._text else data
        if data is None or isinstance(data, bool | int | float):
            return data
        raise TypeError(f"{type(data).__name__} is not JSON-like data")

    def message(self, message: Message) -> None:
        """Mask a message in place."""
        if isinstance(message, any_pb2.Any):
            raise TypeError("a message of any type cannot be looked into")
        if isinstance(message, struct_pb2.Struct | struct_pb2.ListValue | struct_pb2.Value):
            self._struct(message)
            return
        for field, held in message.ListFields():
            if field.name == self._field:
                self._mask_field(message, field, held)
            else:
                self._look_into(message, field, held)

    def _mask_all(self, value: Any) -> Any:
        """Mask a value; of a list, each that can be shown in part."""
        if isinstance(value, list | tuple):
            return [item for item in map(self._mask, value) if item is not LEFT_OUT]
        return None if value is None else self._mask(value)

    def _mask_field(self, message: Message, field: FieldDescriptor, held: Any) -> None:
        if field.type == FieldDescriptor.TYPE_STRING and not _is_map(field):
            texts = self._mask_all(list(held) if _is_repeated(field) else held)
            message.ClearField(field.name)
            if texts is not LEFT_OUT:
                _assign(message, field, texts)
        elif field.message_type and not _is_repeated(field) and self._mask is city:
            _keep_only(held, "city")
        else:
            message.ClearField(field.name)

    def _look_into(self, message: Message, field: FieldDescriptor, held: Any) -> None:
        if _is_map(field):
            self._look_into_map(message, field, held)
        elif field.message_type:
            for item in held if _is_repeated(field) else (held,):
                self.message(item)
        elif field.type == FieldDescriptor.TYPE_STRING and self._text:
            _assign(message, field, [self._text(it) for it in held] if _is_repeated(field) else self._text(held))

    def _look_into_map(self, message: Message, field: FieldDescriptor, held: Any) -> None:
        value = cast("Descriptor", field.message_type).fields_by_name["value"]
        if value.message_type:
            for item in held.values():
                self.message(item)
        elif value.type == FieldDescriptor.TYPE_STRING:
            masked = self.value(dict(held))
            message.ClearField(field.name)
            getattr(message, field.name).update(masked)
        else:
            held.pop(self._field, None)

    def _struct(self, message: struct_pb2.Struct | struct_pb2.ListValue | struct_pb2.Value) -> None:
        masked = struct_pb2.Value()
        _fill(masked, self.value(_plain(message)))
        message.Clear()
        if isinstance(message, struct_pb2.Value):
            message.CopyFrom(masked)
        elif isinstance(message, struct_pb2.Struct):
            message.CopyFrom(masked.struct_value)
        else:
            message.CopyFrom(masked.list_value)


def last4(value: Any) -> Any:
    """Show the last four characters of a longer text."""
    if not isinstance(value, str):
        return LEFT_OUT
    shown = value[-_SHOWN:] if len(value) > _SHOWN else ""
    return _HIDDEN * (len(value) - len(shown)) + shown


def year(value: Any) -> Any:
    """Show the year of an ISO 8601 date or time."""
    match = _YEAR.match(value) if isinstance(value, str) else None
    return match[1] if match else LEFT_OUT


def city(value: Any) -> Any:
    """Show the city of a structured address."""
    shown = value.get("city") if isinstance(value, Mapping) else None
    return {"city": shown} if isinstance(shown, str) else LEFT_OUT


def bin6_last4(value: Any) -> Any:
    """Show the first six and last four digits of a card number (PCI DSS 4.0, requirement 3.4.1)."""
    return _card(value) if isinstance(value, str) and _CARD.fullmatch(value) else LEFT_OUT


def initials(value: Any) -> Any:
    """Show the first letter of each name."""
    return " ".join(f"{name[0]}." for name in value.split()) if isinstance(value, str) else LEFT_OUT


def redact(value: Any) -> Any:  # noqa: ARG001 - nothing is shown, whatever it is
    """Leave it out."""
    return LEFT_OUT


def pseudonym(key: bytes, value: Any) -> Any:
    """Show a stable stand-in: the first 16 hexadecimal digits of HMAC-SHA-256 (RFC 2104)."""
    if not isinstance(value, str):
        return LEFT_OUT
    return hmac.new(key, value.encode(), hashlib.sha256).hexdigest()[:16]


def cards_in_text(text: str) -> str:
    """Mask every card number in running text: what has 13 to 19 digits and a right check digit (Luhn)."""
    return _CARD.sub(lambda match: _card(match[0]) if _luhn(match[0]) else match[0], text)


def _card(text: str) -> str:
    total, seen, out = sum(map(str.isdigit, text)), 0, []
    for character in text:
        seen += character.isdigit()
        hidden = character.isdigit() and _BIN < seen <= total - _SHOWN
        out.append(_HIDDEN if hidden else character)
    return "".join(out)


def _luhn(text: str) -> bool:
    digits = [int(character) for character in reversed(text) if character.isdigit()]
    return (sum(digits[::2]) + sum(sum(divmod(2 * digit, 10)) for digit in digits[1::2])) % 10 == 0


def _is_repeated(field: FieldDescriptor) -> bool:
    return bool(field.is_repeated)


def _is_map(field: FieldDescriptor) -> bool:
    return bool(field.message_type and field.message_type.GetOptions().map_entry)


def _assign(message: Message, field: FieldDescriptor, value: Any) -> None:
    if _is_repeated(field):
        items: MutableSequence[Any] = getattr(message, field.name)
        items[:] = value
    else:
        setattr(message, field.name, value)


def _keep_only(message: Message, name: str) -> None:
    for field, _ in message.ListFields():
        if field.name != name:
            message.ClearField(field.name)


def _plain(message: struct_pb2.Struct | struct_pb2.ListValue | struct_pb2.Value) -> Any:
    if isinstance(message, struct_pb2.Struct):
        return {key: _plain(value) for key, value in message.fields.items()}
    if isinstance(message, struct_pb2.ListValue):
        return [_plain(value) for value in message.values]
    kind = message.WhichOneof("kind")
    if kind in ("struct_value", "list_value"):
        return _plain(getattr(message, kind))
    return None if kind in (None, "null_value") else getattr(message, kind)


def _fill(message: struct_pb2.Value, value: Any) -> None:
    match value:
        case None:
            message.null_value = struct_pb2.NULL_VALUE
        case bool():
            message.bool_value = value
        case int() | float():
            message.number_value = value
        case str():
            message.string_value = value
        case dict():
            message.struct_value.SetInParent()
            for key, item in value.items():
                _fill(message.struct_value.fields[key], item)
        case _:
            message.list_value.SetInParent()
            for item in value:
                _fill(message.list_value.values.add(), item)
