"""Segment files: their names, their header, and reading them whether open, closed or compressed.

A worker's folder holds `<first seq, 20 digits>.log` (raw), or `.logz` once compressed; beside it `.idx` (the search
index of a closed segment), `.ckpt` (the checkpoints signed while it was open, one JSON string a line) and, while it
is open, `.resume` (places from which recovery can go on).
A compressed segment is the raw bytes in zlib blocks of 64 KiB, so that one record can be read without the rest.
"""

import json
import mmap
import os
import zlib
from base64 import b64decode, b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from struct import Struct
from struct import error as struct_error
from typing import BinaryIO, Self

from pdp.audit.decoding import Decoder, decoder
from pdp.audit.errors import FormatError, ProofError
from pdp.audit.framing import FIRST_LINK, HEAD, HEAD_BYTES, HEADER, MAGIC, MAX_PAYLOAD, frame
from pdp.audit.merkle import Frontier
from pdp.audit.sealing import KeyRing, WrappedKey

RAW, COMPRESSED, INDEX, CHECKPOINTS, RESUME = ".log", ".logz", ".idx", ".ckpt", ".resume"
BLOCK_BYTES = 1 << 16
_ZMAGIC = b"PDPLOGZ\x01"
_FOOTER = Struct("<QQI8s")
_BLOCK = Struct("<QI")


@dataclass(slots=True)
class ChainState:
    """Where a worker's log stands: the next seq, the last link of the chain, and the tree."""

    seq: int
    link: bytes
    frontier: Frontier

    @classmethod
    def fresh(cls) -> "ChainState":
        """The state of an empty log."""
        return cls(0, FIRST_LINK, Frontier())

    def copy(self) -> "ChainState":
        """An independent copy."""
        return ChainState(self.seq, self.link, self.frontier.copy())


@dataclass(frozen=True, slots=True)
class SegmentHeader:
    """What a segment says about where it begins.

    Attributes:
        origin: the worker's checkpoint origin.
        base: the seq of the segment's first record.
        link: the chain's link before it.
        frontier: the tree of all records before it.
        checkpoint: the signed checkpoint of size `base`; empty when `base` is 0.
        key: the wrapped data key of an encrypted segment.
    """

    origin: str
    base: int
    link: bytes
    frontier: tuple[bytes, ...]
    checkpoint: str
    key: WrappedKey | None

    @property
    def context(self) -> str:
        """What the data key is bound to."""
        return f"{self.origin}\n{self.base}"

    def state(self) -> ChainState:
        """The state at the segment's start."""
        return ChainState(self.base, self.link, Frontier(self.base, self.frontier))

    def encode(self) -> bytes:
        """The first bytes of the file."""
        value = {
            "version": 1,
            "origin": self.origin,
            "base": self.base,
            "frontier": [b64encode(node).decode() for node in self.frontier],
            "checkpoint": self.checkpoint,
            "key": self.key.to_json() if self.key else None,
        }
        payload = json.dumps(value, separators=(",", ":")).encode()
        return MAGIC + frame(HEADER, self.base, self.link, payload)

    @classmethod
    def decode(cls, data: "bytes | mmap.mmap") -> "tuple[SegmentHeader, int]":
        """The header at the start of a segment, and the offset after it.

        Raises:
            FormatError: it is not one.
        """
        try:
            crc, length, tag, base, link = HEAD.unpack_from(data, len(MAGIC))
        except struct_error:
            raise FormatError("the segment's header is cut off") from None
        start = len(MAGIC) + HEAD_BYTES
        payload = data[start : start + length]
        if data[: len(MAGIC)] != MAGIC or tag != HEADER or length > MAX_PAYLOAD or len(payload) != length:
            raise FormatError("the segment has no header")
        if zlib.crc32(data[len(MAGIC) + 4 : start + length]) != crc:
            raise FormatError("the segment's header is damaged")
        try:
            header = cls._from_json(json.loads(payload), base, link)
            header.state()
        except (ValueError, KeyError, TypeError, AttributeError, ProofError):
            raise FormatError("the segment's header is malformed") from None
        return header, start + length

    @classmethod
    def _from_json(cls, value: dict[str, object], base: int, link: bytes) -> "SegmentHeader":
        if value["version"] != 1 or value["base"] != base:
            raise FormatError("the segment's header is of another version or place")
        frontier, key = value["frontier"], value["key"]
        nodes = tuple(b64decode(node, validate=True) for node in frontier)  # type: ignore[attr-defined]
        wrapped = WrappedKey.from_json(key) if key else None  # type: ignore[arg-type]
        return cls(str(value["origin"]), base, link, nodes, str(value["checkpoint"]), wrapped)

    def decoder(self, keys: KeyRing | None) -> Decoder:
        """A decoder for the segment's frames; without the key it still yields leaf inputs.

        Raises:
            KeyFileError: there are keys, but not the one this segment needs.
            FormatError: the segment's data key was changed.
        """
        sealer = keys.open_segment(self.key, self.context) if keys and self.key else None
        return decoder(sealed=self.key is not None, sealer=sealer)


@dataclass(frozen=True, slots=True)
class SegmentFile:
    """A segment on disk."""

    base: int
    path: Path

    @property
    def compressed(self) -> bool:
        """Whether it is in its compressed form."""
        return self.path.suffix == COMPRESSED

    def beside(self, suffix: str) -> Path:
        """The path of a companion file."""
        return self.path.with_suffix(suffix)


def segment_path(folder: Path, base: int) -> Path:
    """Where the raw segment with this first seq lives."""
    return folder / f"{base:020d}{RAW}"


def list_segments(folder: Path) -> list[SegmentFile]:
    """The segments of a worker's folder by first seq. Where both forms exist, the raw one counts."""
    found: dict[int, SegmentFile] = {}
    for path in folder.iterdir():
        if path.suffix in (RAW, COMPRESSED) and path.stem.isdigit():
            base = int(path.stem)
            if base not in found or path.suffix == RAW:
                found[base] = SegmentFile(base, path)
    return [found[base] for base in sorted(found)]


def list_workers(directory: Path) -> list[Path]:
    """The workers' folders of a log directory, by name."""
    return sorted(path for path in directory.iterdir() if path.is_dir() and list_segments(path))


class SegmentReader:
    """Random access to the raw bytes of a segment in either form. Use as a context manager."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("rb")
        self._map: mmap.mmap | bytes = _map(self._file.fileno())
        self._table: list[tuple[int, int]] | None = None
        self.size = len(self._map)
        if path.suffix == COMPRESSED:
            try:
                self._read_table()
            except FormatError:
                self.close()
                raise
        self._block = lru_cache(maxsize=16)(self._inflate)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Unmap and close the file."""
        if isinstance(self._map, mmap.mmap):
            self._map.close()
        self._file.close()

    def _read_table(self) -> None:
        data = self._map
        if len(data) < len(_ZMAGIC) + _FOOTER.size or data[: len(_ZMAGIC)] != _ZMAGIC:
            raise FormatError("not a compressed segment")
        table_at, size, crc, magic = _FOOTER.unpack_from(data, len(data) - _FOOTER.size)
        table = data[table_at : len(data) - _FOOTER.size]
        if magic != _ZMAGIC or zlib.crc32(table + size.to_bytes(8, "little")) != crc or len(table) % _BLOCK.size:
            raise FormatError("the compressed segment's table is damaged")
        starts = [*_BLOCK.iter_unpack(table), (table_at, 0)]
        self._table, self.size = starts, size

    def _inflate(self, number: int) -> bytes:
        assert self._table is not None  # noqa: S101  only called for compressed segments
        (begin, crc), (end, _) = self._table[number], self._table[number + 1]
        packed = self._map[begin:end]
        if zlib.crc32(packed) != crc:
            raise FormatError(f"a compressed block is damaged (raw bytes from {number * BLOCK_BYTES})")
        return zlib.decompress(packed)

    def read(self, begin: int, end: int) -> bytes:
        """The raw bytes `[begin, end)`, fewer at the end of the segment.

        Raises:
            FormatError: a compressed block is damaged.
        """
        if self._table is None:
            return self._map[begin:end]
        first, last = begin // BLOCK_BYTES, max(begin, min(end, self.size) - 1) // BLOCK_BYTES
        blocks = b"".join(self._block(number) for number in range(first, min(last + 1, len(self._table) - 1)))
        return blocks[begin - first * BLOCK_BYTES : end - first * BLOCK_BYTES]

    def whole(self) -> "bytes | mmap.mmap":
        """All raw bytes; of a raw segment without copying them.

        Raises:
            FormatError: a compressed block is damaged.
        """
        return self._map if self._table is None else self.read(0, self.size)

    def frame_at(self, offset: int) -> tuple[int, int, bytes, bytes, int]:
        """`(tag, seq, link, payload, end offset)` of the frame at an offset.

        Raises:
            FormatError: there is none, or it is damaged.
        """
        head = self.read(offset, offset + HEAD_BYTES)
        if len(head) < HEAD_BYTES:
            raise FormatError(f"no frame at byte {offset}")
        crc, length, tag, seq, link = HEAD.unpack(head)
        end = offset + HEAD_BYTES + length
        payload = self.read(offset + HEAD_BYTES, end) if length <= MAX_PAYLOAD else b""
        if len(payload) != length or zlib.crc32(payload, zlib.crc32(head[4:])) != crc:
            raise FormatError(f"the frame at byte {offset} is damaged")
        return tag, seq, link, payload, end

    def header(self) -> tuple[SegmentHeader, int]:
        """The header and the offset of the first frame after it."""
        return SegmentHeader.decode(self.read(0, len(MAGIC) + HEAD_BYTES + BLOCK_BYTES))


def _map(fd: int) -> "mmap.mmap | bytes":
    return mmap.mmap(fd, 0, access=mmap.ACCESS_READ) if os.fstat(fd).st_size else b""


def compress(source: Path) -> Path:
    """Write the compressed form beside a raw segment, durably, and remove the raw one."""
    target = source.with_suffix(COMPRESSED)
    with SegmentReader(source) as reader, _replacing(target) as out:
        raw = reader.whole()
        table = []
        out.write(_ZMAGIC)
        for begin in range(0, len(raw), BLOCK_BYTES):
            packed = zlib.compress(raw[begin : begin + BLOCK_BYTES], 6)
            table.append(_BLOCK.pack(out.tell(), zlib.crc32(packed)))
            out.write(packed)
        rows = b"".join(table)
        crc = zlib.crc32(rows + len(raw).to_bytes(8, "little"))
        out.write(rows + _FOOTER.pack(out.tell(), len(raw), crc, _ZMAGIC))
    source.unlink()
    return target


@contextmanager
def _replacing(target: Path) -> "Iterator[BinaryIO]":
    """A file that appears under its name whole and durable, or not at all."""
    partial = target.with_name(target.name + ".partial")
    with partial.open("wb") as out:
        yield out
        out.flush()
        os.fsync(out.fileno())
    partial.replace(target)
    sync_folder(target.parent)


def replace_file(target: Path, data: bytes) -> None:
    """Replace a file's content durably and at once."""
    with _replacing(target) as out:
        out.write(data)


def sync_folder(folder: Path) -> None:
    """Make the folder's entries durable."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
