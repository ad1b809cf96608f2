"""The search index of a closed segment: which records bear an identifier, and which follow a template.

    magic | header length u32 | header | arrays

The header is JSON (sealed in an encrypted segment, whose terms are hashed under a key for the same reason): the
facets of each template, the time range, and where each array lies. A term is the 64-bit keyed BLAKE2b hash of a field
and its JSON text; a collision costs one needless read, because every hit is checked against the record itself. The
arrays also hold the tree's nodes over each aligned run of 256 records, from which inclusion proofs are made.
An index is derived data, in this machine's byte order: it can be deleted and built again, and `verify` needs none.
"""

import contextlib
import json
import mmap
import os
import sys
from array import array
from base64 import b64decode, b64encode
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from hashlib import blake2b, sha256
from json.encoder import encode_basestring_ascii as quote
from pathlib import Path
from struct import Struct
from typing import Any, Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from pdp.audit.decoding import Decoder
from pdp.audit.errors import FormatError
from pdp.audit.framing import INLINE
from pdp.audit.merkle import fold
from pdp.audit.reading import parse, walk
from pdp.audit.sealing import KeyRing, Sealer
from pdp.audit.segment import INDEX, SegmentFile, SegmentHeader, SegmentReader, replace_file

IDENTIFIERS = ("decision_id", "subject", "resource", "session", "device")
BLOCK = 64
TILE = 256
_MAGIC = b"PDPIDX\x01\n"
_LENGTH = Struct("<I")
_NONCE_BYTES = 12
_LONG = ("offsets", "earliest", "latest", "terms")
_SHORT = ("starts", "postings")
_FACETS = ("kind", "caller", "action", "purpose", "outcome", "reasons", "rules", "obligations", "revision")


def term(field: str, text: str, key: bytes) -> int:
    """The hash of a field's JSON text."""
    return int.from_bytes(blake2b(f"{field}\0{text}".encode(), digest_size=8, key=key).digest(), "little")


def micros(time: str) -> int:
    """Microseconds since the epoch of an RFC 3339 time; 0 for what is none."""
    try:
        moment = datetime.fromisoformat(time)
    except ValueError:
        return 0
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return max(int(moment.timestamp() * 1_000_000), 0)


def identifiers_of(record: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """`(field, JSON text)` of the identifiers a record bears."""
    for field in IDENTIFIERS:
        value = record.get(field)
        if field == "resource":
            value = value.get("id") if isinstance(value, dict) else None
        if isinstance(value, str):
            yield field, quote(value)


def _side_key(sealer: Sealer | None) -> bytes:
    return sealer.side_key(b"index") if sealer else b""


def _sealer(header: SegmentHeader, ring: KeyRing | None) -> Sealer | None:
    if header.key is None:
        return None
    if ring is None:
        raise FormatError("this segment is encrypted and its key is not known")
    return ring.open_segment(header.key, header.context)


class _Builder:
    """Gathers what the index holds, record by record."""

    def __init__(self, base: int, key: bytes) -> None:
        self.base = base
        self.key = key
        self.count = 0
        self.offsets = array("Q")
        self.earliest, self.latest = array("Q"), array("Q")
        self.terms: defaultdict[int, array[int]] = defaultdict(lambda: array("I"))
        self.templates: defaultdict[int, array[int]] = defaultdict(lambda: array("I"))
        self.leaves: list[bytes] = []
        self.tiles: list[bytes] = []
        self._times: list[str] = []

    def add(self, offset: int, tag: int, leaf: bytes, record: dict[str, Any]) -> None:
        if self.count % BLOCK == 0:
            self.close_block()
            self.offsets.append(offset)
        self._times.append(str(record.get("time", "")))
        for field, text in identifiers_of(record):
            self.terms[term(field, text, self.key)].append(self.count)
        self.templates[tag].append(self.count)
        self._add_leaf(leaf)
        self.count += 1

    def _add_leaf(self, leaf: bytes) -> None:
        seq = self.base + self.count
        if seq % TILE == 0:
            self.leaves = []
        self.leaves.append(leaf)
        if seq % TILE == TILE - 1 and len(self.leaves) == TILE:
            level: Sequence[bytes] = self.leaves
            while len(level) > 1:
                level = fold(level)
            self.tiles.append(level[0])

    def close_block(self) -> None:
        if self._times:
            self.earliest.append(micros(min(self._times)))
            self.latest.append(micros(max(self._times)))
            self._times = []

    def arrays(self) -> tuple[dict[str, "array[int]"], dict[str, list[int]]]:
        """The arrays, and for each template where its records lie in `postings`."""
        terms = array("Q", sorted(self.terms))
        postings, starts = array("I"), array("I")
        for value in terms:
            starts.append(len(postings))
            postings.extend(self.terms[value])
        starts.append(len(postings))
        places = {}
        for tag, ordinals in self.templates.items():
            places[str(tag)] = [len(postings), len(ordinals)]
            postings.extend(ordinals)
        found = {"offsets": self.offsets, "earliest": self.earliest, "latest": self.latest}
        return found | {"terms": terms, "starts": starts, "postings": postings}, places


def build(segment: SegmentFile, ring: KeyRing | None) -> Path:
    """Write the index of a closed segment beside it.

    Raises:
        FormatError: the segment is unreadable or encrypted under an unknown key.
        KeyFileError: the key of an encrypted segment is missing.
    """
    with SegmentReader(segment.path) as reader:
        header, start = reader.header()
        sealer = _sealer(header, ring)
        decoder = header.decoder(ring)
        builder = _Builder(segment.base, _side_key(sealer))
        for frame in walk(reader, decoder, start):
            leaf = sha256(decoder.leaf_input(frame.tag, frame.seq, frame.payload)).digest()
            record = parse(decoder.text(frame.tag, frame.seq, frame.payload))
            builder.add(frame.offset, frame.tag, leaf, record)
        builder.close_block()
        data = _encode(builder, decoder, sealer)
    replace_file(segment.beside(INDEX), data)
    return segment.beside(INDEX)


def _encode(builder: _Builder, decoder: Decoder, sealer: Sealer | None) -> bytes:
    arrays, places = builder.arrays()
    layout, body = {}, bytearray()
    for name, values in arrays.items():
        body += bytes(-len(body) % 8)
        layout[name] = [len(body), len(values)]
        body += values.tobytes()
    body += bytes(-len(body) % 8)
    layout["tiles"] = [len(body), len(builder.tiles) * 32]
    body += b"".join(builder.tiles)
    facets = {tag: _facets(parse(decoder.template(int(tag)))) for tag in places if int(tag) != INLINE}
    value = {"base": builder.base, "count": builder.count, "arrays": layout, "places": places, "facets": facets}
    value["definitions"] = [[seq, b64encode(payload).decode()] for seq, payload in decoder.definitions]
    payload = json.dumps(value | {"order": sys.byteorder}).encode()
    if sealer is not None:
        nonce = os.urandom(_NONCE_BYTES)
        payload = nonce + AESGCM(_side_key(sealer)).encrypt(nonce, payload, body_digest(body))
    head = _MAGIC + _LENGTH.pack(len(payload)) + payload
    return head + bytes(-len(head) % 8) + bytes(body)


def body_digest(body: bytes | bytearray | memoryview) -> bytes:
    """What ties a sealed header to its arrays."""
    return blake2b(body, digest_size=16).digest()


def _facets(template: dict[str, Any]) -> dict[str, Any]:
    resource = template.get("resource") or {}
    return {name: template.get(name) for name in _FACETS} | {"type": resource.get("type")}


class SegmentIndex:
    """An open index. Use as a context manager.

    Attributes:
        base: the seq of the segment's first record.
        count: how many records it has.
        facets: what the records of each template have in common, by tag.
    """

    def __init__(self, path: Path, header: SegmentHeader, ring: KeyRing | None) -> None:
        """Map the index.

        Raises:
            FormatError: it is damaged, of another segment, or its key is unknown.
            FileNotFoundError: there is none.
        """
        sealer = _sealer(header, ring)
        self._key = _side_key(sealer)
        self._views: dict[str, memoryview[int]] = {}
        with path.open("rb") as file:
            if os.fstat(file.fileno()).st_size < len(_MAGIC) + _LENGTH.size:
                raise FormatError(f"{path}: the index is damaged")
            self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        try:
            self._open(path, header, sealed=sealer is not None)
        except (ValueError, KeyError, TypeError, InvalidTag):
            self.close()
            raise FormatError(f"{path}: the index is damaged") from None

    def _open(self, path: Path, header: SegmentHeader, *, sealed: bool) -> None:
        length = _LENGTH.unpack_from(self._map, len(_MAGIC))[0]
        begin = len(_MAGIC) + _LENGTH.size
        body = begin + length + (-(begin + length) % 8)
        payload = self._map[begin : begin + length]
        if sealed:
            with memoryview(self._map) as view, view[body:] as arrays:
                nonce, payload = payload[:_NONCE_BYTES], payload[_NONCE_BYTES:]
                payload = AESGCM(self._key).decrypt(nonce, payload, body_digest(arrays))
        value = json.loads(payload)
        if self._map[: len(_MAGIC)] != _MAGIC or (value["base"], value["order"]) != (header.base, sys.byteorder):
            raise FormatError(f"{path}: not the index of this segment")
        self.base, self.count = int(value["base"]), int(value["count"])
        self._definitions: list[tuple[int, str]] = value["definitions"]
        self.facets: dict[int, dict[str, Any]] = {int(tag): facets for tag, facets in value["facets"].items()}
        self._places: dict[int, list[int]] = {int(tag): place for tag, place in value["places"].items()}
        for name, (offset, count) in value["arrays"].items():
            size = 8 if name in _LONG else 4 if name in _SHORT else 1
            view = memoryview(self._map)[body + offset : body + offset + count * size]
            self._views[name] = view.cast("Q") if name in _LONG else view.cast("I") if name in _SHORT else view

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Unmap the index."""
        for view in self._views.values():
            view.release()
        self._views = {}
        with contextlib.suppress(BufferError):  # a search that was left early still holds a part; it goes with that
            self._map.close()

    def teach(self, decoder: Decoder) -> None:
        """Show a decoder every template of the segment."""
        for seq, payload in self._definitions:
            decoder.define(seq, b64decode(payload))

    def bearing(self, field: str, text: str) -> Sequence[int]:
        """The ordinals of the records that (very probably) bear an identifier, ascending."""
        wanted = term(field, text, self._key)
        terms = self._views["terms"]
        at = bisect_left(terms, wanted)
        if at == len(terms) or terms[at] != wanted:
            return ()
        starts = self._views["starts"]
        return self._views["postings"][starts[at] : starts[at + 1]].tolist()

    def following(self, tag: int) -> Sequence[int]:
        """The ordinals of the records of a template, or of those stored whole (INLINE), ascending."""
        begin, count = self._places.get(tag, (0, 0))
        return self._views["postings"][begin : begin + count]

    def span(self, ordinal: int) -> tuple[int, int]:
        """The earliest and latest time around a record, in microseconds since the epoch."""
        return self._views["earliest"][ordinal // BLOCK], self._views["latest"][ordinal // BLOCK]

    def whole_span(self) -> tuple[int, int]:
        """The earliest and latest time of the segment."""
        return min(self._views["earliest"], default=0), max(self._views["latest"], default=0)

    def near(self, ordinal: int) -> tuple[int, int]:
        """`(offset, ordinal)` of a frame at or shortly before a record's."""
        return self._views["offsets"][ordinal // BLOCK], ordinal - ordinal % BLOCK

    def tile(self, number: int) -> bytes | None:
        """The tree's node over records `[256 * number, 256 * number + 256)`, if they all lie in this segment."""
        first = -(-self.base // TILE)
        tiles = self._views["tiles"]
        begin = (number - first) * 32
        return bytes(tiles[begin : begin + 32]) if 0 <= begin < len(tiles) else None


def latest_time(path: Path, header: SegmentHeader, ring: KeyRing | None) -> int:
    """The newest time in an indexed segment, in microseconds since the epoch."""
    with SegmentIndex(path, header, ring) as index:
        return index.whole_span()[1]


def is_current(segment: SegmentFile) -> bool:
    """Whether the segment has an index."""
    return os.path.exists(segment.beside(INDEX))  # noqa: PTH110  called for every segment of a long log
