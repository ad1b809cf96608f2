"""Walking a segment: roots at any size, from any place, and the first thing wrong where it is."""

from __future__ import annotations

import mmap
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import settings as profile
from hypothesis import strategies as st

from pdp.audit import replay as module
from pdp.audit.decoding import PlainDecoder
from pdp.audit.framing import DEFINITION, FIRST_LINK, HEAD, HEAD_BYTES, HEADER, INLINE, MAX_PAYLOAD, frame, next_link
from pdp.audit.merkle import Frontier, leaf_hash, root_of
from pdp.audit.replay import Kind, Replay, replay
from pdp.audit.segment import ChainState

Frames = list[bytes]


def chained(texts: list[bytes], first: int = 0, link: bytes = FIRST_LINK) -> Frames:
    """The frames of records that are stored whole."""
    frames = []
    for seq, text in enumerate(texts, first):
        link = next_link(link, leaf_hash(text))
        frames.append(frame(INLINE, seq, link, text))
    return frames


def walked(frames: Frames, sizes: tuple[int, ...] = ()) -> Replay:
    return replay(b"".join(frames), 0, ChainState.fresh(), PlainDecoder(), sizes)


TEXTS = [b'{"seq":%d}' % n for n in range(12)]


@given(st.lists(st.binary(max_size=40), max_size=40), st.sets(st.integers(0, 45)), st.integers(1, 9))
def test_the_root_at_every_size_is_that_of_the_definition(texts: list[bytes], sizes: set[int], batch: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_BATCH", batch)
        found = walked(chained(texts), tuple(sorted(sizes)))
    assert (found.fault, found.state.seq) == (None, len(texts))
    assert found.roots == {
        size: root_of([leaf_hash(text) for text in texts[:size]]) for size in sizes if size <= len(texts)
    }


@given(st.integers(0, 12), st.integers(0, 12))
def test_a_walk_can_be_taken_up_anywhere(stop: int, size: int) -> None:
    frames = chained(TEXTS)
    first = walked(frames[:stop])
    state = ChainState(stop, first.state.link, Frontier(stop, first.state.frontier.nodes))
    rest = replay(b"".join(frames), first.end, state, PlainDecoder(), (size,))
    whole = walked(frames)
    assert (rest.fault, rest.end, rest.state.link) == (None, whole.end, whole.state.link)
    assert rest.state.frontier.nodes == whole.state.frontier.nodes
    assert (size in rest.roots) == (size >= stop)


def remade(seq: int, text: bytes, link: bytes) -> bytes:
    """A frame whose CRC is right."""
    return frame(INLINE, seq, link, text)


def link_of(one: bytes) -> bytes:
    return bytes(HEAD.unpack_from(one)[4])


@pytest.mark.parametrize(
    ("change", "kind", "seq"),
    [
        (lambda f: [*f[:5], f[5][:-1] + b"!", *f[6:]], Kind.DAMAGED, 5),
        (lambda f: [*f[:5], remade(5, b"{}", link_of(f[5])), *f[6:]], Kind.EDITED, 5),
        (lambda f: [*f[:5], *f[6:]], Kind.DROPPED, 5),
        (lambda f: [*f[:5], *f[9:]], Kind.DROPPED, 5),
        (lambda f: [*f[:5], f[4], *f[5:]], Kind.INSERTED, 5),
        (lambda f: [*f[:5], remade(5, b"{}", link_of(f[5])), *f[5:]], Kind.INSERTED, 5),
        (lambda f: [*f[:5], f[6], f[5], *f[7:]], Kind.REORDERED, 5),
        (lambda f: [*f[:5], f[11], *f[5:11]], Kind.REORDERED, 5),
        (lambda f: [*f[:-1], f[-1][:-1]], Kind.CUT, 11),
        (lambda f: [*f, b"\0"], Kind.CUT, 12),
        (lambda f: [*f[:5], frame(HEADER, 5, link_of(f[4]), b"{}"), *f[5:]], Kind.EDITED, 5),
        (lambda f: [*f[:5], frame(DEFINITION, 5, FIRST_LINK, b"\1\0{}"), *f[5:]], Kind.EDITED, 5),
        (lambda f: [*f[:5], frame(DEFINITION, 5, link_of(f[4]), b"\7\0{}"), *f[5:]], Kind.EDITED, 5),
        (lambda f: [*f[:5], frame(3, 5, link_of(f[5]), b"1"), *f[6:]], Kind.EDITED, 5),
        (lambda f: chained([b'{"seq":9}'])[:1] + f[1:], Kind.EDITED, 1),
    ],
)
def test_the_first_thing_wrong_is_named_where_it_is(change: Callable[[Frames], Frames], kind: Kind, seq: int) -> None:
    frames = chained(TEXTS)
    found = walked(change(frames))
    assert found.fault is not None
    assert (found.fault.kind, found.fault.seq) == (kind, seq)
    assert found.fault.offset == found.end == sum(map(len, frames[:seq]))
    assert found.state.seq == seq


def test_a_length_beyond_the_limit_is_not_believed() -> None:
    body = HEAD.pack(0, MAX_PAYLOAD + 1, INLINE, 0, FIRST_LINK) + b"x" * 100
    found = walked([body])
    assert found.fault is not None
    assert found.fault.kind is Kind.CUT


@given(st.binary(max_size=300))
@profile(max_examples=300)
def test_any_bytes_end_in_a_fault_and_never_in_a_crash(data: bytes) -> None:
    found = replay(data, 0, ChainState.fresh(), PlainDecoder())
    assert found.end <= len(data)
    assert (found.fault is None) == (found.end == len(data))


@given(st.integers(0, 11), st.integers(0, 1 << 30), st.integers(1, 255))
def test_any_changed_byte_is_found_at_its_record(seq: int, position: int, change: int) -> None:
    frames = chained(TEXTS)
    one = bytearray(frames[seq])
    one[position % len(one)] ^= change
    found = walked([*frames[:seq], bytes(one), *frames[seq + 1 :]])
    assert found.fault is not None
    assert (found.fault.seq, found.fault.offset) == (seq, sum(map(len, frames[:seq])))


def test_the_frame_is_laid_out_as_documented() -> None:
    """crc32 u32 | length u32 | tag u16 | seq u64 | link 32 bytes | payload, little-endian."""
    made = frame(7, 0x0102030405060708, b"L" * 32, b"payload")
    assert made[4:8] == (7).to_bytes(4, "little")
    assert made[8:10] == b"\7\0"
    assert made[10:18] == bytes(range(8, 0, -1))
    assert made[18:50] == b"L" * 32
    assert (made[50:], HEAD_BYTES) == (b"payload", 50)
    assert next_link(b"a" * 32, b"b" * 32) == sha256(b"a" * 32 + b"b" * 32).digest()


def test_the_replayed_file_is_mapped_not_copied(tmp_path: Path) -> None:
    path = tmp_path / "frames"
    path.write_bytes(b"".join(chained(TEXTS)))
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        assert replay(data, 0, ChainState.fresh(), PlainDecoder()).state.seq == len(TEXTS)
