"""Where work stands in a trace: W3C Trace Context (https://www.w3.org/TR/trace-context/), and what is not a decision.

A change of an attribute record is one story over several processes: whoever writes it, the store, and every worker
that hears of it and decides anew. None of them passes a context to the next, for the store tells but the name of what
changed. All of them come to know the record's version, though, which no other write of the store has: the trace and
the spans that others hang theirs on are named by it.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from pdp.core.decision import Entity

_TRACEPARENT: Final = re.compile(r"(?!ff)[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(?:-.*)?", re.ASCII)
_SAMPLED: Final = 0x01
Fact = str | bool | int | float | tuple[str, ...]


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


class ChangeTrace(NamedTuple):
    """The trace of one write of a record.

    Attributes:
        trace_id: as in ``TraceParent``.
        cause: the id of the span of what led to the write.
        write: the id of the span of the write itself.
    """

    trace_id: str
    cause: str
    write: str


def change_trace(entity: Entity, version: int) -> ChangeTrace:
    """Name the trace of the write that gave a record this version; says nothing of whose record it is."""
    digits = hashlib.sha256(f"{entity.value}@{version}".encode()).hexdigest()
    return ChangeTrace(digits[:32], digits[32:48], digits[48:])


@dataclass(frozen=True, slots=True)
class Step:
    """A step of work that is done, to be a span.

    Attributes:
        name: the span's.
        trace_id: as in ``TraceParent``.
        span_id: the same.
        parent: the id of the span that it is a part of; empty for the first of its trace.
        started: seconds since the epoch.
        time: when it ended; the same.
        remote: whether the parent is another process's.
        facts: what there is to say of it; no identifier of a person, device, session or resource.
    """

    name: str
    trace_id: str
    span_id: str
    parent: str
    started: float
    time: float
    remote: bool = False
    facts: Mapping[str, Fact] = field(default_factory=dict)
