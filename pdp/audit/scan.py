"""Reading the records of a period front to back: what exports and reports are made of."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from pdp.audit.reading import open_segment, parse, walk
from pdp.audit.sealing import KeyRing
from pdp.audit.search import Query
from pdp.audit.searchindex import SegmentIndex, is_current
from pdp.audit.segment import INDEX, SegmentFile, SegmentHeader, list_segments, list_workers

Progress = Callable[[int, int], None]


def scan(
    directory: Path, query: Query, ring: KeyRing | None, progress: Progress | None = None
) -> Iterator[tuple[bytes, dict[str, Any]]]:
    """`(JSON text, record)` of the matching records, worker by worker, oldest first.

    Args:
        directory: the log directory.
        query: what to look for; segments outside its time range are passed over unread.
        ring: the encryption keys, if the log is encrypted.
        progress: told `(bytes read, bytes in all)` after each segment.

    Raises:
        FormatError: a segment is unreadable or its key is unknown.
        KeyFileError: the key of an encrypted segment is missing.
    """
    segments = [segment for folder in list_workers(directory) for segment in list_segments(folder)]
    sizes = [segment.path.stat().st_size if segment.path.exists() else 0 for segment in segments]
    done = 0
    for segment, size in zip(segments, sizes, strict=True):
        yield from _scan_segment(segment, query, ring)
        done += size
        if progress:
            progress(done, sum(sizes))


def _scan_segment(segment: SegmentFile, query: Query, ring: KeyRing | None) -> Iterator[tuple[bytes, dict[str, Any]]]:
    with open_segment(segment) as reader:
        header, start = reader.header()
        if _outside(segment, header, query, ring):
            return
        decoder = header.decoder(ring)
        for frame in walk(reader, decoder, start):
            text = decoder.text(frame.tag, frame.seq, frame.payload)
            record = parse(text)
            if query.accepts(record):
                yield text, record


def _outside(segment: SegmentFile, header: SegmentHeader, query: Query, ring: KeyRing | None) -> bool:
    if not (query.since or query.until) or not is_current(segment):
        return False
    with SegmentIndex(segment.beside(INDEX), header, ring) as index:
        first, last = index.whole_span()
    earliest, end = query.span
    return first >= end or last < earliest
