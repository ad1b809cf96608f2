"""Walking a segment frame by frame: the one routine behind recovery and verification.

It checks every CRC, every link of the chain and every seq, grows the tree, and stops at the first thing wrong.
"""

import mmap
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from hashlib import sha256
from zlib import crc32

from pdp.audit.decoding import Decoder
from pdp.audit.errors import FormatError
from pdp.audit.framing import DEFINITION, HEAD, HEAD_BYTES, MAX_PAYLOAD, MAX_TEMPLATE
from pdp.audit.segment import ChainState

_BATCH = 4096
_NO_FRAME = (0, MAX_PAYLOAD + 1, 0, 0, b"")
_LOOK_AHEAD_FRAMES = 100_000
_CRC_BYTES = 4
_HEAD_REST = HEAD_BYTES - _CRC_BYTES


class Kind(StrEnum):
    """What can be wrong with a log. The values are stable codes."""

    CUT = "cut"
    DAMAGED = "damaged"
    EDITED = "edited"
    DROPPED = "dropped"
    INSERTED = "inserted"
    REORDERED = "reordered"
    SWAPPED = "swapped"
    MISSING_SEGMENT = "missing_segment"
    FORGED = "forged"
    TAIL_CUT = "tail_cut"
    BAD_CHECKPOINT = "bad_checkpoint"
    REPLAYED_CHECKPOINT = "replayed_checkpoint"
    MISSING_TREE = "missing_tree"


@dataclass(frozen=True, slots=True)
class Fault:
    """The first thing that is wrong.

    Attributes:
        kind: what it is.
        detail: the same for a person.
        seq: the first record that is not as it was written, if known.
        offset: the byte in the (raw) segment where it starts, if known.
    """

    kind: Kind
    detail: str
    seq: int | None = None
    offset: int | None = None


@dataclass(slots=True)
class Replay:
    """The outcome: how far the segment is good, and the roots at the sizes that were asked for."""

    state: ChainState
    end: int
    fault: Fault | None = None
    roots: dict[int, bytes] = field(default_factory=dict)


def replay(
    data: "bytes | mmap.mmap", offset: int, state: ChainState, decoder: Decoder, sizes: Sequence[int] = ()
) -> Replay:
    """Walk the frames from an offset on.

    Args:
        data: the segment's raw bytes.
        offset: where to begin: after the header, or after any record whose state is known.
        state: the chain's state there; it is advanced in place.
        decoder: the segment's decoder; it must know the templates defined before the offset.
        sizes: tree sizes, ascending, at which to note the root.
    """
    outcome = Replay(state, offset)
    marks = [size for size in sizes if size >= state.seq]
    while outcome.fault is None and outcome.end < len(data):
        while marks and marks[0] == state.seq:
            outcome.roots[marks.pop(0)] = state.frontier.root()
        limit = min(marks[0] - state.seq, _BATCH) if marks else _BATCH
        _replay_batch(data, outcome, decoder, limit)
    if marks and marks[0] == state.seq:
        outcome.roots[marks[0]] = state.frontier.root()
    return outcome


def _replay_batch(data: "bytes | mmap.mmap", outcome: Replay, decoder: Decoder, limit: int) -> None:
    """Walk at most `limit` records; a fault is noted, not raised."""
    leaves: list[bytes] = []
    try:
        _walk(data, outcome, decoder, leaves, limit)
    except _Stop as stop:
        outcome.fault = Fault(stop.kind, str(stop), outcome.state.seq + len(leaves), outcome.end)
    except FormatError as error:
        outcome.fault = Fault(Kind.EDITED, str(error), outcome.state.seq + len(leaves), outcome.end)
    outcome.state.seq += len(leaves)
    outcome.state.frontier.extend(leaves)


def _walk(data: "bytes | mmap.mmap", outcome: Replay, decoder: Decoder, leaves: list[bytes], limit: int) -> None:
    """The loop that is the cost of verification: it calls little and its names are local."""
    unpack, hash_of, leaf_input, add = HEAD.unpack_from, sha256, decoder.leaf_input, leaves.append
    offset, total = outcome.end, len(data)
    seq, link = outcome.state.seq, outcome.state.link
    last = seq + limit
    try:
        while seq < last and offset < total:
            body = offset + HEAD_BYTES
            crc, length, tag, frame_seq, frame_link = unpack(data, offset) if body <= total else _NO_FRAME
            end = body + length
            if end > total or length > MAX_PAYLOAD:
                raise _Stop(Kind.CUT, "the file ends inside a frame")
            rest = data[offset + _CRC_BYTES : end]
            if crc32(rest) != crc:
                raise _Stop(Kind.DAMAGED, "the frame's CRC does not match its bytes")
            if frame_seq != seq:
                raise _sequence_stop(data, offset, seq, frame_seq)
            if tag <= MAX_TEMPLATE:
                leaf = hash_of(leaf_input(tag, seq, rest[_HEAD_REST:])).digest()
                if hash_of(link + leaf).digest() != frame_link:
                    raise _link_stop(data, end, seq)
                add(leaf)
                link = frame_link
                seq += 1
            elif tag == DEFINITION and frame_link == link:
                decoder.define(seq, rest[_HEAD_REST:])
            else:
                raise _Stop(Kind.EDITED, "a frame that is no record is out of place")
            offset = end
    finally:
        outcome.end, outcome.state.link = offset, link


class _Stop(Exception):  # noqa: N818  control flow within this module
    def __init__(self, kind: Kind, detail: str) -> None:
        super().__init__(detail)
        self.kind = kind


def _sequence_stop(data: "bytes | mmap.mmap", offset: int, expected: int, found: int) -> _Stop:
    if found < expected:
        return _Stop(Kind.INSERTED, f"record {found} stands again where {expected} belongs")
    if expected in _sequence_ahead(data, offset):
        return _Stop(Kind.REORDERED, f"record {found} stands where {expected} belongs, and {expected} comes later")
    return _Stop(Kind.DROPPED, f"records {expected} to {found - 1} are gone")


def _link_stop(data: "bytes | mmap.mmap", next_offset: int, seq: int) -> _Stop:
    if seq in _sequence_ahead(data, next_offset, frames=2):
        return _Stop(Kind.INSERTED, f"record {seq} stands twice, and this one is not what the chain continues from")
    return _Stop(Kind.EDITED, f"record {seq} is not what the chain says was written")


def _sequence_ahead(data: "bytes | mmap.mmap", offset: int, frames: int = _LOOK_AHEAD_FRAMES) -> set[int]:
    """The seqs of the records that follow; definitions are passed over."""
    found: set[int] = set()
    while offset + HEAD_BYTES <= len(data) and len(found) < frames:
        _, length, tag, seq, _ = HEAD.unpack_from(data, offset)
        if length > MAX_PAYLOAD:
            break
        if tag <= MAX_TEMPLATE:
            found.add(seq)
        offset += HEAD_BYTES + length
    return found
