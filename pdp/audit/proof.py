"""Self-contained proofs: that a record is in the log, and that one checkpoint's tree continues another's.

A proof file is JSON and needs nothing else to be checked but the log's public key. For a record of an encrypted
segment it discloses the keys of this one record and its template, which open no other.
"""

import json
from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from pdp.audit.checkpoint import Checkpoint
from pdp.audit.decoding import PlainDecoder, SealedDecoder
from pdp.audit.encoding import SEALED_INLINE, definition_payload, sealed_prefix
from pdp.audit.errors import FormatError, ProofError
from pdp.audit.framing import INLINE
from pdp.audit.merkle import (
    Frontier,
    consistency_path,
    inclusion_path,
    leaf_hash,
    node_hash,
    root_of,
    split,
    verify_consistency,
    verify_inclusion,
)
from pdp.audit.reading import Frame, open_segment, parse, walk
from pdp.audit.recovery import CHECKPOINT_FILE
from pdp.audit.sealing import RECORD, TEMPLATE, KeyRing, unseal_with
from pdp.audit.searchindex import TILE, SegmentIndex, is_current
from pdp.audit.segment import INDEX, SegmentFile, list_segments, list_workers
from pdp.core.errors import PdpError
from pdp.signing.errors import NoteError
from pdp.signing.note import Verifier

INCLUSION = "pdp-audit-inclusion/v1"


@dataclass(frozen=True, slots=True)
class ProvedRecord:
    """What an inclusion proof shows: this record, at this place, under this signed checkpoint."""

    record: dict[str, Any]
    index: int
    checkpoint: Checkpoint


class Tree:
    """The hashes of a worker's tree, from its segments and their indexes.

    Nobody trusts what it answers: a proof made from it either leads to the signed root or does not.
    """

    def __init__(self, folder: Path) -> None:
        self._segments = list_segments(folder)
        if not self._segments:
            raise FormatError(f"{folder}: no segments")
        with open_segment(self._segments[0]) as reader:
            header, _ = reader.header()
        self._base = header.base
        self._kept: dict[tuple[int, int], bytes] = _perfect_ranges(header.state().frontier)
        self._tiles: dict[int, bytes] = {}
        for segment in self._segments:
            if is_current(segment):
                self._read_tiles(segment)

    def _read_tiles(self, segment: SegmentFile) -> None:
        with open_segment(segment) as reader:
            header, _ = reader.header()
        if header.key is not None:
            return  # the index of an encrypted segment needs its key; the leaves are read instead
        with SegmentIndex(segment.beside(INDEX), header, None) as index:
            for number in range(-(-index.base // TILE), (index.base + index.count) // TILE):
                tile = index.tile(number)
                if tile is not None:
                    self._tiles[number] = tile

    def range_hash(self, begin: int, end: int) -> bytes:
        """The hash over leaves `[begin, end)`, as RFC 6962 splits them.

        Raises:
            ProofError: retention has removed leaves that would be needed.
        """
        kept = self._kept.get((begin, end))
        if kept is not None:
            return kept
        size = end - begin
        if size == TILE and begin % TILE == 0 and begin // TILE in self._tiles:
            return self._tiles[begin // TILE]
        if size <= TILE and begin >= self._base:
            return root_of(self._leaves_of(begin, end))
        if size <= 1:
            raise ProofError(f"record {begin} is past its retention")
        middle = begin + split(size)
        return node_hash(self.range_hash(begin, middle), self.range_hash(middle, end))

    def _leaves_of(self, begin: int, end: int) -> list[bytes]:
        found: list[bytes] = []
        for number, segment in enumerate(self._segments):
            last = number + 1 == len(self._segments)
            if segment.base < end and (last or self._segments[number + 1].base > begin):
                found += _read_leaves(segment, max(begin, segment.base), end)
        if len(found) != end - begin:
            raise ProofError(f"records {begin} to {end - 1} are not all in the log")
        return found


def _read_leaves(segment: SegmentFile, begin: int, end: int) -> list[bytes]:
    """The leaf hashes of a segment's records `[begin, end)`, fewer if it ends before; by index where there is one."""
    with open_segment(segment) as reader:
        header, start = reader.header()
        decoder, taught = header.decoder(None), header.key is None and is_current(segment)
        if taught:
            with SegmentIndex(segment.beside(INDEX), header, None) as index:
                if begin - segment.base >= index.count:
                    return []
                start, _ = index.near(begin - segment.base)
                index.teach(decoder)
        leaves = []
        for frame in walk(reader, decoder, start, taught=taught):
            if frame.seq >= end:
                break
            if frame.seq >= begin:
                leaves.append(sha256(decoder.leaf_input(frame.tag, frame.seq, frame.payload)).digest())
        return leaves


def _perfect_ranges(frontier: Frontier) -> dict[tuple[int, int], bytes]:
    """The ranges of leaves that each node of a frontier stands for."""
    ranges, begin = {}, 0
    bits = [1 << bit for bit in range(frontier.size.bit_length() - 1, -1, -1) if frontier.size >> bit & 1]
    for width, node in zip(bits, frontier.nodes, strict=True):
        ranges[begin, begin + width] = node
        begin += width
    return ranges


def prove(directory: Path, record: Mapping[str, Any], verifier: Verifier, ring: KeyRing | None) -> dict[str, Any]:
    """The inclusion proof of a record under the newest checkpoint of its worker.

    Args:
        directory: the log directory.
        record: a record as `search` answers it.
        verifier: the log's public key.
        ring: the encryption keys, if the log is encrypted.

    Raises:
        ProofError: no checkpoint covers the record yet, or the log is not what its checkpoint signs.
        FormatError: the log cannot be read.
    """
    folder, seq = directory / str(record["worker"]), int(record["seq"])
    note, checkpoint = _newest(folder, verifier)
    if seq >= checkpoint.size:
        raise ProofError(f"no checkpoint covers record {seq} yet; the newest is of size {checkpoint.size}")
    path = inclusion_path(seq, checkpoint.size, Tree(folder).range_hash)
    proof = {
        "type": INCLUSION,
        "index": seq,
        "path": [b64encode(node).decode() for node in path],
        "checkpoint": note,
        "leaf": _leaf(folder, seq, ring),
    }
    check_inclusion(proof, verifier)
    return proof


def _newest(folder: Path, verifier: Verifier) -> tuple[str, Checkpoint]:
    try:
        note = (folder / CHECKPOINT_FILE).read_text("utf-8")
    except OSError:
        raise ProofError(f"{folder}: nothing has been signed yet") from None
    return note, Checkpoint.open(note, [verifier])


def _leaf(folder: Path, seq: int, ring: KeyRing | None) -> dict[str, Any]:
    """What the leaf hash is over: the record's text, or the sealed bytes and the keys that open them."""
    segment = [segment for segment in list_segments(folder) if segment.base <= seq][-1]
    with open_segment(segment) as reader:
        header, start = reader.header()
        decoder = header.decoder(ring)
        frame = next(frame for frame in walk(reader, decoder, start) if frame.seq == seq)
        if not isinstance(decoder, SealedDecoder) or header.key is None:
            return {"text": decoder.text(frame.tag, seq, frame.payload).decode()}
        if ring is None:
            raise FormatError("this record is encrypted and its key is not known")
        return _sealed_leaf(decoder, frame, ring.open_segment(header.key, header.context).key)


def _sealed_leaf(decoder: SealedDecoder, frame: Frame, key: Callable[[int, int], bytes]) -> dict[str, Any]:
    leaf: dict[str, Any] = {
        "sealed": b64encode(frame.payload).decode(),
        "key": b64encode(key(frame.seq, RECORD)).decode(),
    }
    if frame.tag != INLINE:
        defined_at, payload = decoder.definitions[frame.tag - 1]
        leaf["template"] = {
            "seq": defined_at,
            "sealed": b64encode(payload[2:]).decode(),
            "key": b64encode(key(defined_at, TEMPLATE)).decode(),
        }
    return leaf


def check_inclusion(proof: Mapping[str, Any], verifier: Verifier) -> ProvedRecord:
    """Check an inclusion proof; no log is needed.

    Raises:
        ProofError: it is malformed or does not hold.
    """
    try:
        if proof["type"] != INCLUSION:
            raise ProofError("not an inclusion proof")
        index = int(proof["index"])
        checkpoint = Checkpoint.open(proof["checkpoint"], [verifier])
        leaf_input, text = _open_leaf(proof["leaf"], index)
        path = [b64decode(node, validate=True) for node in proof["path"]]
        verify_inclusion(leaf_hash(leaf_input), index, checkpoint.size, path, checkpoint.root)
        return ProvedRecord(parse(text), index, checkpoint)
    except (KeyError, TypeError, ValueError, AttributeError, NoteError, FormatError) as error:
        detail = str(error) if isinstance(error, PdpError) else "a part is missing or malformed"
        raise ProofError(f"the proof cannot be used: {detail}") from None


def _open_leaf(leaf: Mapping[str, Any], seq: int) -> tuple[bytes, bytes]:
    """`(leaf input without its 0x00, JSON text)`."""
    if "text" in leaf:
        text = leaf["text"].encode()
        return text, text
    sealed = b64decode(leaf["sealed"], validate=True)
    values = unseal_with(b64decode(leaf["key"], validate=True), seq, RECORD, sealed)
    if "template" not in leaf:
        return SEALED_INLINE[1:] + sealed, values
    template = leaf["template"]
    body = b64decode(template["sealed"], validate=True)
    pattern = unseal_with(b64decode(template["key"], validate=True), int(template["seq"]), TEMPLATE, body)
    decoder = PlainDecoder()
    decoder.define(seq, definition_payload(1, pattern))
    return sealed_prefix(body)[1:] + sealed, decoder.text(1, seq, values)


def prove_consistency(directory: Path, old: Checkpoint, new: Checkpoint, verifier: Verifier) -> list[bytes]:
    """The proof (RFC 6962 section 2.1.2) that one checkpoint's tree continues another's.

    Raises:
        ProofError: the checkpoints are of different trees, the log does not contain what they sign, or retention has
            removed what is needed.
    """
    name = old.origin.removeprefix(f"{verifier.name}/")
    folders = {folder.name: folder for folder in list_workers(directory)}
    if name not in folders:
        raise ProofError(f"there is no tree {old.origin} in this log")
    if new.origin != old.origin:
        raise ProofError(f"the checkpoints are of different trees: {old.origin} and {new.origin}")
    path = consistency_path(old.size, new.size, Tree(folders[name]).range_hash)
    verify_consistency(old.size, new.size, old.root, new.root, path)
    return path


def save_proof(proof: Mapping[str, Any], path: Path) -> None:
    """Write a proof file."""
    path.write_text(json.dumps(proof, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def load_proof(path: Path) -> dict[str, Any]:
    """Read a proof file.

    Raises:
        ProofError: it is no JSON object.
    """
    try:
        return parse(path.read_bytes())
    except (OSError, FormatError) as error:
        raise ProofError(f"{path}: {error}") from None
