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
_UNSIGNED: Final = (1 << 64) - 1
# The bounds of google.protobuf.Timestamp: years 1 to 9999.
FIRST_SECOND: Final = -62135596800
LAST_SECOND: Final = 253402300799
_SECONDS_TAG: Final = b"\x08"
_NANOS_TAG: Final = 0x10
_FIVE_BYTES: Final = 1 << 28
# Decisions of one batch are of one moment.
_STAMPS: Final[dict[float, bytes]] = {}
_STAMPS_KEPT: Final = 64


def tag(message_type: type[Message], field: str) -> bytes:
    """Give the tag of a field that holds a message or a text."""
    return _varint(message_type.DESCRIPTOR.fields_by_name[field].number << 3 | _LENGTH_DELIMITED)


def with_length(payload: bytes) -> bytes:
    """Give a message as it stands after its tag."""
    return _length(len(payload)) + payload


def text(value: str) -> bytes:
    """Give a text as it stands after its tag."""
    return with_length(value.encode())


def timestamp(seconds: float) -> bytes:
    """Give a ``google.protobuf.Timestamp`` as it stands after its tag; a time beyond its range is the range's end.

    Written out because every decision has two of its own, and message objects cost three times as much.
    """
    return _STAMPS.get(seconds) or _stamp(seconds)


def _stamp(seconds: float) -> bytes:
    # Microseconds are all that a float holds of the present time.
    whole, micros = divmod(round(min(max(seconds, FIRST_SECOND), LAST_SECOND) * 1e6), 1_000_000)
    stamp = with_length(_whole_seconds(whole) + _nanos(micros * 1000))
    if len(_STAMPS) >= _STAMPS_KEPT:
        _STAMPS.clear()
    _STAMPS[seconds] = stamp
    return stamp


def _nanos(nanos: int) -> bytes:
    if nanos >= _FIVE_BYTES:  # as nearly three quarters of all are
        low, middle, high = nanos & 127 | 128, nanos >> 7 & 127 | 128, nanos >> 14 & 127 | 128
        return bytes((_NANOS_TAG, low, middle, high, nanos >> 21 & 127 | 128, nanos >> 28))
    return bytes((_NANOS_TAG,)) + _varint(nanos) if nanos else b""


@lru_cache(maxsize=64)
def _whole_seconds(seconds: int) -> bytes:
    return _SECONDS_TAG + _varint(seconds & _UNSIGNED) if seconds else b""


@lru_cache(maxsize=4096)
def _length(value: int) -> bytes:
    return _varint(value)


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:  # noqa: PLR2004 - seven bits a byte, the eighth says that more follow
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])
