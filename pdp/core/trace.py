"""W3C Trace Context: where a decision stands in its caller's trace (https://www.w3.org/TR/trace-context/)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

_TRACEPARENT: Final = re.compile(r"(?!ff)[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(?:-.*)?", re.ASCII)
_SAMPLED: Final = 0x01


@dataclass(frozen=True, slots=True)
class TraceParent:
    """The caller's span.

    Attributes:
        trace_id: 32 lower-case hexadecimal digits, not all zero.
        span_id: 16 lower-case hexadecimal digits, not all zero.
        sampled: whether the caller records its trace.
    """

    trace_id: str
    span_id: str
    sampled: bool


def parse_traceparent(header: str) -> TraceParent | None:
    """Read a ``traceparent`` header; None where it is absent or malformed, which starts a new trace."""
    found = _TRACEPARENT.fullmatch(header)
    if not found or not found[1].strip("0") or not found[2].strip("0"):
        return None
    if header.startswith("00") and len(header) != 55:  # noqa: PLR2004 - version 00 has exactly this length
        return None
    return TraceParent(found[1], found[2], bool(int(found[3], 16) & _SAMPLED))
