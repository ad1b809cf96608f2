"""Segment files: headers, both forms, random access, and what lies beside them."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdp.audit.errors import FormatError
from pdp.audit.framing import FIRST_LINK, INLINE, MAGIC, frame
from pdp.audit.merkle import Frontier
from pdp.audit.sealing import KeyRing, WrappedKey
from pdp.audit.segment import (
    BLOCK_BYTES,
    SegmentHeader,
    SegmentReader,
    compress,
    list_segments,
    list_workers,
    replace_file,
    segment_path,
)

hashes = st.binary(min_size=32, max_size=32)


@st.composite
def headers(draw: st.DrawFn) -> SegmentHeader:
    base = draw(st.integers(0, 1 << 40))
    nodes = draw(st.lists(hashes, min_size=base.bit_count(), max_size=base.bit_count()))
    key = draw(st.none() | st.builds(WrappedKey, st.text(min_size=1, max_size=5), st.binary(max_size=60)))
    return SegmentHeader(draw(st.text(max_size=30)), base, draw(hashes), tuple(nodes), draw(st.text()), key)


@given(headers(), st.binary(max_size=20))
def test_a_header_is_read_as_it_was_written(header: SegmentHeader, rest: bytes) -> None:
    data = header.encode()
    assert SegmentHeader.decode(data + rest) == (header, len(data))
    state = header.state()
    assert (state.seq, state.link, state.frontier.nodes) == (header.base, header.link, list(header.frontier))


def sample(base: int = 3) -> SegmentHeader:
    return SegmentHeader("log/w0", base, b"l" * 32, (b"a" * 32, b"b" * 32), "note", None)


def test_every_changed_or_missing_byte_of_a_header_is_found() -> None:
    data = sample().encode()
    for position in range(len(data)):
        changed = bytearray(data)
        changed[position] ^= 1
        for damaged in (bytes(changed), data[:position]):
            with pytest.raises(FormatError):
                SegmentHeader.decode(damaged)


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"[]",
        b"{}",
        b'{"version":2,"origin":"","base":0,"frontier":[],"checkpoint":"","key":null}',
        b'{"version":1,"origin":"","base":1,"frontier":[],"checkpoint":"","key":null}',
        b'{"version":1,"origin":"","base":0,"frontier":["AAAA"],"checkpoint":"","key":null}',
        b'{"version":1,"origin":"","base":0,"frontier":["?"],"checkpoint":"","key":null}',
        b'{"version":1,"origin":"","base":0,"frontier":[],"checkpoint":"","key":{"key":"1"}}',
        b'{"version":1,"origin":"","base":0,"frontier":7,"checkpoint":"","key":null}',
    ],
)
def test_a_header_that_was_not_written_by_us_is_malformed(payload: bytes) -> None:
    with pytest.raises(FormatError):
        SegmentHeader.decode(MAGIC + frame(0xFFFF, 0, FIRST_LINK, payload))


def test_a_decoder_of_an_encrypted_segment_needs_its_own_key() -> None:
    ring = KeyRing("1", {"1": b"k" * 32})
    wrapped, _ = ring.new_segment("log/w0\n3")
    header = SegmentHeader("log/w0", 3, b"l" * 32, (b"a" * 32, b"b" * 32), "", wrapped)
    assert header.context == "log/w0\n3"
    assert header.decoder(ring).text
    with pytest.raises(FormatError, match="key is not known"):
        header.decoder(None).text(INLINE, 3, b"sealed")
    moved = SegmentHeader("log/w1", 3, b"l" * 32, header.frontier, "", wrapped)
    with pytest.raises(FormatError, match="data key was changed"):
        moved.decoder(ring)


def stored(folder: Path, data: bytes) -> Path:
    path = segment_path(folder, 0)
    path.write_bytes(data)
    return path


CONTENT = b"".join(b"%07d\n" % n for n in range(3 * BLOCK_BYTES // 8 + 5))


@given(st.lists(st.tuples(st.integers(0, len(CONTENT) + 9), st.integers(0, 2 * BLOCK_BYTES)), max_size=8))
def test_both_forms_read_alike_from_anywhere(
    tmp_path_factory: pytest.TempPathFactory, ranges: list[tuple[int, int]]
) -> None:
    path = stored(tmp_path_factory.mktemp("segment"), CONTENT)
    with SegmentReader(path) as reader:
        raw = [reader.read(begin, begin + size) for begin, size in ranges]
    packed = compress(path)
    assert not path.exists()
    with SegmentReader(packed) as reader:
        assert (reader.size, reader.whole()) == (len(CONTENT), CONTENT)
        assert [reader.read(begin, begin + size) for begin, size in ranges] == raw
    assert raw == [CONTENT[begin : begin + size] for begin, size in ranges]


@pytest.mark.parametrize("size", [0, 1, BLOCK_BYTES - 1, BLOCK_BYTES, BLOCK_BYTES + 1, 2 * BLOCK_BYTES])
def test_a_segment_of_any_size_is_compressed_whole(tmp_path: Path, size: int) -> None:
    packed = compress(stored(tmp_path, CONTENT[:size]))
    with SegmentReader(packed) as reader:
        assert (reader.size, reader.whole()) == (size, CONTENT[:size])


def test_a_damaged_compressed_segment_says_so(tmp_path: Path) -> None:
    packed = compress(stored(tmp_path, CONTENT[:2000]))
    data = packed.read_bytes()
    for position in range(len(data)):
        changed = bytearray(data)
        changed[position] ^= 0x20
        packed.write_bytes(bytes(changed))
        with pytest.raises(FormatError), SegmentReader(packed) as reader:
            reader.whole()
    for cut in range(0, len(data), 7):
        packed.write_bytes(data[:cut])
        with pytest.raises(FormatError):
            SegmentReader(packed)


def test_a_frame_is_read_by_its_offset_or_refused(tmp_path: Path) -> None:
    frames = [frame(INLINE, seq, b"l" * 32, b"payload %d" % seq) for seq in range(3)]
    with SegmentReader(stored(tmp_path, b"".join(frames))) as reader:
        offset = 0
        for seq in range(3):
            tag, found, link, payload, offset = reader.frame_at(offset)
            assert (tag, found, link, payload) == (INLINE, seq, b"l" * 32, b"payload %d" % seq)
        for wrong in (1, len(frames[0]) - 1, offset, offset + 1000):
            with pytest.raises(FormatError):
                reader.frame_at(wrong)


def test_segments_are_listed_by_number_the_raw_form_first(tmp_path: Path) -> None:
    for name in (
        *("00000000000000000010.log", "00000000000000000002.logz", "00000000000000000002.log"),
        *("00000000000000000005.logz", "00000000000000000005.idx", "00000000000000000010.ckpt", "lock", "checkpoint"),
        *("x.log", "00000000000000000007.logz.partial", "00000000000000000003.torn-77"),
    ):
        (tmp_path / name).touch()
    assert [(segment.base, segment.path.suffix) for segment in list_segments(tmp_path)] == [
        (2, ".log"),
        (5, ".logz"),
        (10, ".log"),
    ]


def test_workers_are_the_folders_that_hold_segments(tmp_path: Path) -> None:
    for name in ("w1", "w0", "empty"):
        (tmp_path / name).mkdir()
    for name in ("w1", "w0"):
        segment_path(tmp_path / name, 0).touch()
    (tmp_path / "index").touch()
    assert [folder.name for folder in list_workers(tmp_path)] == ["w0", "w1"]


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "checkpoint"
    replace_file(target, b"one")
    replace_file(target, b"two")
    assert target.read_bytes() == b"two"

    def fail(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pdp.audit.segment.os.fsync", fail)
    with pytest.raises(OSError, match="No space"):
        replace_file(target, b"three")
    assert target.read_bytes() == b"two"


def test_a_state_is_copied_independently() -> None:
    state = sample().state()
    copy = state.copy()
    copy.frontier.append(b"c" * 32)
    copy.seq += 1
    assert (state.seq, state.frontier.size) == (3, 3)
    assert isinstance(copy.frontier, Frontier)
