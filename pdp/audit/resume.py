"""Places in the open segment from which recovery can go on: one a line in `<first seq>.resume`, the newest last.

    line = CRC-32 of the rest, 8 hexadecimal digits | space | JSON

Nothing in a line is trusted. Its checkpoint must be signed, its frontier must add up to the signed root, its frames
must be where it says; the link is read from the last of them. The CRC tells a damaged line from a forged one, so that
damage costs time alone: an older line is taken, or the segment is replayed from its begin. The file is derived and
may be deleted. A line is durable once written and never changes, so a crash takes no more than the newest.
"""

import json
import os
from base64 import b64decode, b64encode
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from zlib import crc32

from pdp.audit.checkpoint import Checkpoint
from pdp.audit.decoding import Decoder
from pdp.audit.errors import FormatError, ProofError
from pdp.audit.framing import DEFINITION, MAX_TEMPLATE
from pdp.audit.merkle import Frontier
from pdp.audit.segment import RESUME, ChainState, SegmentFile, SegmentReader, sync_folder
from pdp.signing.errors import NoteError
from pdp.signing.note import Verifier

RECORDS_BETWEEN = 16_384
"""Fewer records than this since the last line are not worth one: replaying them takes a tenth of a second."""


@dataclass(frozen=True, slots=True)
class ResumePoint:
    """A place in a segment whose state is known: just after record `seq - 1` of a signed checkpoint.

    Attributes:
        note: the checkpoint.
        last: the offset of the last record's frame.
        offset: the end of that frame.
        frontier: the tree's.
        templates: the offsets of the DEFINITION frames before it.
    """

    note: str
    last: int
    offset: int
    frontier: tuple[bytes, ...]
    templates: tuple[int, ...]

    def append(self, segment: Path) -> None:
        """Add it to a segment's resume points, durably."""
        path = segment.with_suffix(RESUME)
        value = {
            "note": self.note,
            "last": self.last,
            "offset": self.offset,
            "frontier": [b64encode(node).decode() for node in self.frontier],
            "templates": self.templates,
        }
        text = json.dumps(value, separators=(",", ":")).encode("ascii")
        is_new = not path.exists()
        with path.open("ab") as file:
            # A line that a crash cut short must not swallow this one.
            file.write(b"\n%08x %b\n" % (crc32(text), text))
            file.flush()
            os.fsync(file.fileno())
        if is_new:
            sync_folder(path.parent)

    @classmethod
    def parse(cls, line: bytes) -> "ResumePoint | None":
        """A line; None if it is damaged."""
        crc, _, text = line.partition(b" ")
        if crc != b"%08x" % crc32(text):
            return None
        try:
            value = json.loads(text)
            frontier = tuple(b64decode(node, validate=True) for node in value["frontier"])
            templates = tuple(map(int, value["templates"]))
            return cls(str(value["note"]), int(value["last"]), int(value["offset"]), frontier, templates)
        except (ValueError, KeyError, TypeError):
            return None

    def signed(self, origin: str, verifier: Verifier) -> Checkpoint | None:
        """The checkpoint, if it is of this log and the frontier adds up to it."""
        try:
            checkpoint = Checkpoint.open(self.note, [verifier])
            frontier = Frontier(checkpoint.size, self.frontier)
        except (NoteError, ProofError):
            return None
        return checkpoint if checkpoint.origin == origin and frontier.root() == checkpoint.root else None

    def state(self, checkpoint: Checkpoint, reader: SegmentReader, decoder: Decoder) -> ChainState | None:
        """The state it stands for, or None if the segment is not as it says.

        Args:
            checkpoint: what `signed` answered.
            reader: the segment.
            decoder: a new decoder of the segment; it is shown the templates.
        """
        try:
            tag, seq, link, _, end = reader.frame_at(self.last)
            if tag > MAX_TEMPLATE or seq != checkpoint.size - 1 or end != self.offset:
                return None
            for place in self.templates:
                tag, seq, _, payload, end = reader.frame_at(place)
                if tag != DEFINITION or end > self.last:
                    return None
                decoder.define(seq, payload)
        except FormatError:
            return None
        return ChainState(checkpoint.size, link, Frontier(checkpoint.size, self.frontier))


def resume_points(segment: SegmentFile) -> Iterator[ResumePoint]:
    """A segment's readable resume points, the newest first."""
    try:
        lines: Sequence[bytes] = segment.beside(RESUME).read_bytes().splitlines()
    except OSError:
        return
    for line in reversed(lines):
        point = ResumePoint.parse(line)
        if point is not None:
            yield point
