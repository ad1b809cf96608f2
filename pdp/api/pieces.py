"""Writes protobuf messages piece by piece.

The concatenation of serialised pieces of one message is that message: fields may come in any order, repeated fields
go on, and a field that is in one piece only is as it is there. So a piece that many messages share is serialised
once. A message within a message is its tag, its length and its pieces.

Source: https://protobuf.dev/programming-guides/encoding/#order
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from google.protobuf.message import Message

_LENGTH_DELIMITED: Final = 2


def tag(message_type: type[Message], field: str) -> bytes:
    """Give the tag of a field that holds a message."""
    return _varint(message_type.DESCRIPTOR.fields_by_name[field].number << 3 | _LENGTH_DELIMITED)


def with_length(payload: bytes) -> bytes:
    """Give a message as it stands after its tag."""
    return _varint(len(payload)) + payload


@lru_cache(maxsize=4096)
def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:  # noqa: PLR2004 - seven bits a byte, the eighth says that more follow
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])
