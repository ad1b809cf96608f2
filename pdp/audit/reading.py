"""Reading records: one segment front to back, or one record by its place."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from pdp.audit.decoding import Decoder
from pdp.audit.errors import FormatError
from pdp.audit.framing import DEFINITION, HEAD, HEAD_BYTES, MAX_PAYLOAD, MAX_TEMPLATE
from pdp.audit.sealing import KeyRing
from pdp.audit.segment import COMPRESSED, SegmentFile, SegmentReader, list_segments, list_workers


class Frame(NamedTuple):
    """A record's frame: where it lies, and what is in it."""

    offset: int
    end: int
    tag: int
    seq: int
    payload: bytes


def walk(reader: SegmentReader, decoder: Decoder, offset: int, *, taught: bool = False) -> Iterator[Frame]:
    """The records from an offset on, up to the first incomplete frame; an untaught decoder is shown definitions.

    CRCs, links and roots are not checked here: that is what `verify` is for.
    """
    data = reader.whole()
    unpack, total = HEAD.unpack_from, len(data)
    while offset + HEAD_BYTES <= total:
        _, length, tag, seq, _ = unpack(data, offset)
        end = offset + HEAD_BYTES + length
        if end > total or length > MAX_PAYLOAD:
            return
        if tag <= MAX_TEMPLATE:
            yield Frame(offset, end, tag, seq, data[offset + HEAD_BYTES : end])
        elif tag == DEFINITION and not taught:
            decoder.define(seq, data[offset + HEAD_BYTES : end])
        offset = end


def open_segment(segment: SegmentFile) -> SegmentReader:
    """Open a segment, also if it is being compressed at this moment."""
    try:
        return SegmentReader(segment.path)
    except FileNotFoundError:
        return SegmentReader(segment.beside(COMPRESSED))


def texts(folder: Path, ring: KeyRing | None, first: int = 0) -> Iterator[tuple[int, bytes]]:
    """`(seq, JSON text)` of a worker's records from a seq on.

    Raises:
        FormatError: a segment is unreadable, or encrypted under a key that is not known.
        KeyFileError: the key of an encrypted segment is missing.
    """
    segments = list_segments(folder)
    for number, segment in enumerate(segments):
        if number + 1 < len(segments) and segments[number + 1].base <= first:
            continue
        with open_segment(segment) as reader:
            header, start = reader.header()
            decoder = header.decoder(ring)
            for frame in walk(reader, decoder, start):
                if frame.seq >= first:
                    yield frame.seq, decoder.text(frame.tag, frame.seq, frame.payload)


def parse(text: bytes) -> dict[str, Any]:
    """A record from its JSON text.

    Raises:
        FormatError: it is not a JSON object.
    """
    try:
        record = json.loads(text)
    except ValueError:
        raise FormatError("a record is not JSON") from None
    if not isinstance(record, dict):
        raise FormatError("a record is not a JSON object")
    return record


def records(directory: Path, ring: KeyRing | None) -> Iterator[dict[str, Any]]:
    """Every record of every worker, worker by worker."""
    for folder in list_workers(directory):
        for _, text in texts(folder, ring):
            yield parse(text)
