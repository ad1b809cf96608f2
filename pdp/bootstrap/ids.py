"""Identifiers nobody can guess or repeat, drawn from the system's randomness many at a time."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Final

_BYTES: Final = 16
_DRAWN: Final = 256


def id_source() -> Callable[[], str]:
    """Give a function that gives a new identifier of 32 hexadecimal digits (128 random bits) at each call."""
    return _ids().__next__


def _ids() -> Iterator[str]:
    while True:
        drawn = os.urandom(_BYTES * _DRAWN).hex()
        for start in range(0, len(drawn), 2 * _BYTES):
            yield drawn[start : start + 2 * _BYTES]
