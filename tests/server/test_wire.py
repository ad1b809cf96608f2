"""Frames, timeouts, compression and status trailers."""

from __future__ import annotations

import base64
import re
import tracemalloc
import zlib
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdp.server import wire
from pdp.server.rpc import Code, RpcError

MESSAGES = st.lists(st.binary(max_size=40), max_size=8)


def cut(data: bytes, places: list[int]) -> list[bytes]:
    """The data in pieces, cut at these places modulo its length."""
    ends = sorted({place % (len(data) + 1) for place in places} | {len(data)})
    starts = [0, *ends]
    return [data[start:end] for start, end in zip(starts, ends, strict=False)]


@given(messages=MESSAGES, places=st.lists(st.integers(0, 500), max_size=10), gzip=st.booleans())
def test_messages_survive_any_cut_of_the_bytes(messages: list[bytes], places: list[int], gzip: bool) -> None:  # noqa: FBT001
    data = b"".join(wire.frame_gzip(each) if gzip else wire.frame(each) for each in messages)
    deframer = wire.Deframer(limit=100, encoding="gzip")
    for piece in cut(data, places):
        deframer.feed(piece)
    deframer.close()
    assert list(deframer.messages) == messages


@given(data=st.binary(max_size=200), places=st.lists(st.integers(0, 200), max_size=5))
def test_any_bytes_are_messages_or_an_error(data: bytes, places: list[int]) -> None:
    deframer = wire.Deframer(limit=50, encoding="gzip")
    codes = set()
    try:
        for piece in cut(data, places):
            deframer.feed(piece)
        deframer.close()
    except RpcError as error:
        codes.add(error.code)
    assert codes <= {Code.INTERNAL, Code.RESOURCE_EXHAUSTED}
    assert all(len(message) <= 50 for message in deframer.messages)


def test_a_length_above_the_limit_is_refused_before_the_message_comes() -> None:
    deframer = wire.Deframer(limit=10)
    with pytest.raises(RpcError) as caught:
        deframer.feed(b"\0\0\0\0\x0b")
    assert caught.value.code is Code.RESOURCE_EXHAUSTED


def test_a_message_that_trickles_in_is_not_copied_at_each_byte() -> None:
    size = 1 << 20
    deframer = wire.Deframer(limit=size)
    deframer.feed(b"\0" + size.to_bytes(4, "big"))
    for _ in range(size):
        deframer.feed(b"x")
    assert len(deframer.messages[0]) == size


@pytest.mark.parametrize("tail", [b"\0", b"\0\0\0\0", b"\0\0\0\0\x05four"])
def test_an_end_inside_a_message_is_an_error(tail: bytes) -> None:
    deframer = wire.Deframer(limit=10)
    deframer.feed(wire.frame(b"whole") + tail)
    assert list(deframer.messages) == [b"whole"]
    with pytest.raises(RpcError):
        deframer.close()


def test_a_compressed_message_needs_the_encoding() -> None:
    deframer = wire.Deframer(limit=100)
    with pytest.raises(RpcError) as caught:
        deframer.feed(wire.frame_gzip(b"x"))
    assert caught.value.code is Code.INTERNAL


def test_an_unknown_encoding_is_unimplemented() -> None:
    with pytest.raises(RpcError) as caught:
        wire.Deframer(limit=1, encoding="br")
    assert caught.value.code is Code.UNIMPLEMENTED


def test_a_bomb_costs_no_more_memory_than_the_limit() -> None:
    bomb = zlib.compress(bytes(50 << 20), wbits=31)
    tracemalloc.start()
    with pytest.raises(RpcError) as caught:
        wire.gunzip(bomb, limit=1 << 20)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert caught.value.code is Code.RESOURCE_EXHAUSTED
    assert peak < 8 << 20


@pytest.mark.parametrize("data", [b"", b"junk", zlib.compress(b"x", wbits=31)[:-1]])
def test_broken_gzip_is_internal(data: bytes) -> None:
    with pytest.raises(RpcError) as caught:
        wire.gunzip(data, limit=100)
    assert caught.value.code is Code.INTERNAL


def test_gzip_with_a_tail_is_internal() -> None:
    with pytest.raises(RpcError):
        wire.gunzip(zlib.compress(b"x", wbits=31) + b"tail", limit=100)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [(b"1H", 3600), (b"2M", 120), (b"3S", 3), (b"250m", 0.25), (b"5u", 5e-6), (b"99999999n", 0.099999999)],
)
def test_a_timeout_is_digits_and_a_unit(value: bytes, seconds: float) -> None:
    assert wire.parse_timeout(value) == pytest.approx(seconds)


@given(st.binary(max_size=12).filter(lambda value: not re.fullmatch(rb"[0-9]{1,8}[HMSmun]", value)))
def test_any_other_timeout_is_refused(value: bytes) -> None:
    with pytest.raises(RpcError) as caught:
        wire.parse_timeout(value)
    assert caught.value.code is Code.INVALID_ARGUMENT


@given(st.text(min_size=1), st.binary())
def test_status_trailers_are_ascii_and_reversible(message: str, details: bytes) -> None:
    message = message.encode("utf-8", "replace").decode()
    trailers = dict(wire.status_trailers(RpcError(Code.ABORTED, message, details)))
    assert trailers[b"grpc-status"] == b"10"
    assert unquote(trailers[b"grpc-message"].decode("ascii")) == message
    assert b"\n" not in trailers[b"grpc-message"]
    packed = trailers.get(b"grpc-status-details-bin", b"")
    assert base64.b64decode(packed + b"=" * (-len(packed) % 4)) == details
