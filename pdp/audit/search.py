"""Finding records: by index where a segment is closed, by reading where it is still open."""

import heapq
import mmap
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from json.encoder import encode_basestring_ascii as quote
from pathlib import Path
from typing import Any

from pdp.audit.decoding import Decoder
from pdp.audit.framing import DEFINITION, INLINE
from pdp.audit.reading import Frame, open_segment, parse, walk
from pdp.audit.sealing import KeyRing
from pdp.audit.searchindex import SegmentIndex, identifiers_of, is_current, micros
from pdp.audit.segment import INDEX, SegmentFile, SegmentHeader, SegmentReader, list_segments, list_workers
from pdp.signing.pseudonyms import PseudonymKey

_FACETS = ("kind", "caller", "action", "purpose", "outcome", "revision", "type")
_FEW = 1000
_LISTS = ("reasons", "rules", "obligations")


@dataclass(frozen=True, slots=True)
class Query:
    """What to look for; every condition that is given must hold.

    Attributes:
        identifiers: field (`subject`, `resource`, `session`, `device`, `decision_id`) to the values it may have in
            the log: the clear identifier and its pseudonyms; see `known_as`.
        facets: `kind`, `caller`, `action`, `purpose`, `outcome`, `revision`, `type` (of the resource) to a value, or
            `reasons`, `rules`, `obligations` to one that is among them. A reason also matches by what stands before
            its first colon or space.
        since: RFC 3339; records at or after it.
        until: RFC 3339; records before it.
    """

    identifiers: Mapping[str, Sequence[str]] = field(default_factory=dict)
    facets: Mapping[str, str] = field(default_factory=dict)
    since: str = ""
    until: str = ""

    def __post_init__(self) -> None:
        for name, time in (("since", self.since), ("until", self.until)):
            if time and not micros(time):
                raise ValueError(f"{name} is no RFC 3339 time: {time}")

    @property
    def span(self) -> tuple[int, int]:
        """The half-open time range, in microseconds since the epoch."""
        return micros(self.since) if self.since else 0, micros(self.until) if self.until else 1 << 62

    def accepts(self, record: Mapping[str, Any]) -> bool:
        """Whether a record is one of those looked for."""
        earliest, end = self.span
        if (self.since or self.until) and not earliest <= micros(str(record.get("time", ""))) < end:
            return False
        if not self.accepts_facets(_facets_of(record)):
            return False
        borne = dict(identifiers_of(dict(record)))
        return all(borne.get(name) in {quote(value) for value in values} for name, values in self.identifiers.items())

    def accepts_facets(self, facets: Mapping[str, Any]) -> bool:
        """Whether records with these facets can be among those looked for."""
        for name, wanted in self.facets.items():
            value = facets.get(name)
            if name in _LISTS:
                if not any(wanted in (part, _code(part)) for part in value or ()):
                    return False
            elif value != wanted:
                return False
        return True


def _code(reason: object) -> str:
    return str(reason).replace(":", " ").partition(" ")[0]


def _facets_of(record: Mapping[str, Any]) -> dict[str, Any]:
    resource = record.get("resource")
    kind = resource.get("type") if isinstance(resource, dict) else None
    return {**record, "type": kind}


def known_as(name: str, identifier: str, keys: Mapping[str, PseudonymKey]) -> list[str]:
    """The forms an identifier can have in the log: itself, and its pseudonym under each key."""
    return [identifier, *(key.pseudonym(name, identifier) for key in keys.values())]


def search(directory: Path, query: Query, ring: KeyRing | None, limit: int = 100) -> Iterator[dict[str, Any]]:
    """The newest matching records of all workers, newest first.

    Args:
        directory: the log directory.
        query: what to look for.
        ring: the encryption keys, if the log is encrypted.
        limit: how many at most.

    Raises:
        FormatError: a segment or index is unreadable or its key is unknown.
        KeyFileError: the key of an encrypted segment is missing.
    """
    workers = [_search_worker(folder, query, ring) for folder in list_workers(directory)]
    newest_first = heapq.merge(*workers, key=lambda record: str(record.get("time", "")), reverse=True)
    return islice(newest_first, limit)


def find(directory: Path, decision_id: str, ring: KeyRing | None) -> dict[str, Any] | None:
    """The record of a decision, or None."""
    return next(search(directory, Query({"decision_id": [decision_id]}), ring, 1), None)


def _search_worker(folder: Path, query: Query, ring: KeyRing | None) -> Iterator[dict[str, Any]]:
    for segment in reversed(list_segments(folder)):
        with open_segment(segment) as reader:
            header, start = reader.header()
            if is_current(segment):
                yield from _search_indexed(segment, reader, header, query, ring)
            else:
                yield from _scan(reader, header.decoder(ring), start, query, sealed=header.key is not None)


def _search_indexed(
    segment: SegmentFile, reader: SegmentReader, header: SegmentHeader, query: Query, ring: KeyRing | None
) -> Iterator[dict[str, Any]]:
    earliest, end = query.span
    with SegmentIndex(segment.beside(INDEX), header, ring) as index:
        first, last = index.whole_span()
        if first >= end or last < earliest:
            return
        decoder: Decoder | None = None
        for ordinal in _candidates(index, query):
            low, high = index.span(ordinal)
            if low >= end or high < earliest:
                continue
            if decoder is None:
                decoder = header.decoder(ring)
                index.teach(decoder)
            record = parse(read_at(reader, decoder, index, ordinal))
            if query.accepts(record):
                yield record


def _candidates(index: SegmentIndex, query: Query) -> Iterator[int]:
    """The ordinals that the index cannot rule out, newest first."""
    found: set[int] | None = None
    for name, values in query.identifiers.items():
        bearing = {ordinal for value in values for ordinal in index.bearing(name, quote(value))}
        found = bearing if found is None else found & bearing
        if not found:
            return iter(())
    if found is not None and (not query.facets or len(found) <= _FEW):  # reading a few is cheaper than merging many
        return iter(sorted(found, reverse=True))
    if not query.facets:
        return iter(range(index.count - 1, -1, -1))
    tags = [tag for tag, facets in index.facets.items() if query.accepts_facets(facets)]
    newest_first = heapq.merge(*[reversed(index.following(tag)) for tag in (INLINE, *tags)], reverse=True)
    return newest_first if found is None else (ordinal for ordinal in newest_first if ordinal in found)


def read_at(reader: SegmentReader, decoder: Decoder, index: SegmentIndex, ordinal: int) -> bytes:
    """A record's JSON text by its ordinal; the decoder must know the segment's templates.

    Raises:
        FormatError: there is no such record, or it is damaged.
    """
    offset, at = index.near(ordinal)
    while True:
        tag, seq, _, payload, offset = reader.frame_at(offset)
        if tag == DEFINITION:
            continue
        if at == ordinal:
            return decoder.text(tag, seq, payload)
        at += 1


def _scan(
    reader: SegmentReader, decoder: Decoder, start: int, query: Query, *, sealed: bool
) -> Iterator[dict[str, Any]]:
    """The matching records of a segment without an index, newest first."""
    places = None if sealed or not query.identifiers else _places(reader.whole(), query)
    if places is not None and not places:
        return
    frames, wanted = [], {INLINE: True}
    for frame in walk(reader, decoder, start):
        if frame.tag not in wanted:
            wanted[frame.tag] = query.accepts_facets(_facets_of(parse(decoder.template(frame.tag))))
        if wanted[frame.tag] and (places is None or _lies_in(frame, places)):
            frames.append(frame)
    for frame in reversed(frames):
        record = parse(decoder.text(frame.tag, frame.seq, frame.payload))
        if query.accepts(record):
            yield record


def _places(data: "bytes | mmap.mmap", query: Query) -> list[int]:
    """Where the rarest identifier looked for stands in the raw bytes; a record without it cannot match."""
    rarest: list[int] | None = None
    for values in query.identifiers.values():
        places = sorted(place for value in values for place in _find_all(data, quote(value).encode("ascii")))
        rarest = places if rarest is None or len(places) < len(rarest) else rarest
    return rarest or []


def _find_all(data: "bytes | mmap.mmap", needle: bytes) -> Iterator[int]:
    at = data.find(needle)
    while at >= 0:
        yield at
        at = data.find(needle, at + 1)


def _lies_in(frame: Frame, places: Sequence[int]) -> bool:
    at = bisect_left(places, frame.offset)
    return at < len(places) and places[at] < frame.end
