"""Following a worker's log as it grows, across segments; what `tail` and shipping read by."""

from collections.abc import Iterator
from pathlib import Path
from struct import error as struct_error
from zlib import crc32

from pdp.audit.decoding import Decoder
from pdp.audit.framing import DEFINITION, HEAD, HEAD_BYTES, MAX_PAYLOAD, MAX_TEMPLATE
from pdp.audit.reading import open_segment
from pdp.audit.sealing import KeyRing
from pdp.audit.segment import SegmentFile, SegmentReader, list_segments

_CHUNK_BYTES = 1 << 20


class Follower:
    """Reads a worker's records from a seq on, and goes on where it stopped.

    Attributes:
        next: the seq of the next record.
        expired: how many records were asked for and had been removed by retention.
    """

    def __init__(self, folder: Path, ring: KeyRing | None, first: int = 0) -> None:
        self._folder = folder
        self._ring = ring
        self._segment: SegmentFile | None = None
        self._decoder: Decoder | None = None
        self._offset = 0
        self.next = first
        self.expired = 0

    def read(self, limit: int) -> list[tuple[int, bytes]]:
        """Up to `limit` of the records that are there now, as `(seq, JSON text)`.

        Raises:
            FormatError: a segment is unreadable or its key unknown.
            KeyFileError: the key of an encrypted segment is missing.
        """
        found: list[tuple[int, bytes]] = []
        while len(found) < limit and self._enter():
            before = self._offset
            found += self._read_segment(limit - len(found))
            if self._offset == before and not self._has_successor():
                break
        return found

    def _enter(self) -> bool:
        """Make sure that a segment with the next record is open; False if there is none (yet)."""
        if self._segment is not None and not self._finished():
            return True
        segments = list_segments(self._folder) if self._folder.is_dir() else []
        candidates = [segment for segment in segments if segment.base <= self.next]
        if not candidates and segments:
            self.expired += segments[0].base - self.next
            self.next = segments[0].base
            candidates = segments[:1]
        if not candidates or (self._segment is not None and candidates[-1].base == self._segment.base):
            return False
        with open_segment(candidates[-1]) as reader:
            if reader.size == 0:
                return False
            header, self._offset = reader.header()
        self._segment, self._decoder = candidates[-1], header.decoder(self._ring)
        return True

    def _finished(self) -> bool:
        assert self._segment is not None  # noqa: S101  the caller looked
        with open_segment(self._segment) as reader:
            return self._offset >= reader.size

    def _has_successor(self) -> bool:
        assert self._segment is not None  # noqa: S101  the caller looked
        return any(segment.base == self.next > self._segment.base for segment in list_segments(self._folder))

    def _read_segment(self, limit: int) -> list[tuple[int, bytes]]:
        assert self._segment is not None  # noqa: S101  the caller looked
        assert self._decoder is not None  # noqa: S101  set with the segment
        found = []
        with open_segment(self._segment) as reader:
            for tag, seq, payload, end in _frames(reader, self._offset):
                if tag == DEFINITION:
                    self._decoder.define(seq, payload)
                elif tag <= MAX_TEMPLATE and seq >= self.next:
                    found.append((seq, self._decoder.text(tag, seq, payload)))
                    self.next = seq + 1
                self._offset = end
                if len(found) >= limit:
                    break
        return found


def _frames(reader: SegmentReader, offset: int) -> Iterator[tuple[int, int, bytes, int]]:
    """`(tag, seq, payload, end)` of the whole frames from an offset on; one still being written ends it."""
    while offset < reader.size:
        chunk = reader.read(offset, min(offset + _CHUNK_BYTES + MAX_PAYLOAD, reader.size))
        at = 0
        while at < min(len(chunk), _CHUNK_BYTES):
            try:
                crc, length, tag, seq, _ = HEAD.unpack_from(chunk, at)
            except struct_error:
                return
            end = at + HEAD_BYTES + length
            if end > len(chunk) or crc32(chunk[at + 4 : end]) != crc:
                return
            yield tag, seq, chunk[at + HEAD_BYTES : end], offset + end
            at = end
        offset += at
