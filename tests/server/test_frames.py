"""Malformed gRPC frames and headers, written by hand: an error for the sender, nothing for the others."""

from __future__ import annotations

import contextlib
import zlib

import pytest

from pdp.server import wire
from pdp.server.rpc import Code
from tests.server import rawh2
from tests.server.conftest import LIMITS, Server

GZIP = ("grpc-encoding", "gzip")


def ask(server: Server, body: bytes, *more: tuple[str, str]) -> dict[str, str]:
    """What a request with this body comes to."""
    with rawh2.RawConnection(server.port) as connection:
        with contextlib.suppress(OSError):  # the server may hang up before it has all
            connection.send(rawh2.headers(1, rawh2.request_headers("Echo", *more)))
            connection.send(rawh2.data(1, body, "END_STREAM"))
        return connection.outcome()


def answers(server: Server) -> bool:
    return ask(server, wire.frame(b"well-formed")).get("grpc-status") == "0"


BAD = {
    "nothing": b"",
    "half a prefix": b"\0\0\0",
    "half a message": b"\0\0\0\0\x08half",
    "a length above the limit": b"\0\xff\xff\xff\xff",
    "an unknown flag": b"\x02\0\0\0\x01x",
    "compressed without an encoding": b"\x01\0\0\0\x01x",
    "two messages": wire.frame(b"one") + wire.frame(b"two"),
    "a message and a half": wire.frame(b"one") + b"\0\0\0\0\x08half",
}


@pytest.mark.parametrize("body", BAD.values(), ids=BAD.keys())
def test_a_malformed_body_is_an_error(server: Server, body: bytes) -> None:
    outcome = ask(server, body)
    # C-core takes the first of two messages and looks no further, nor at the flags it does not know.
    lenient = server.transport == "grpcio" and body.startswith((wire.frame(b"one"), b"\x02"))
    assert lenient or outcome.get("grpc-status") != "0"
    assert answers(server)


def test_a_message_in_many_small_frames_is_one_message(server: Server) -> None:
    body = wire.frame(b"x" * 300)
    with rawh2.RawConnection(server.port) as connection:
        connection.send(rawh2.headers(1, rawh2.request_headers()))
        for byte in body:
            connection.send(rawh2.data(1, bytes([byte])))
        connection.send(rawh2.data(1, b"", "END_STREAM"))
        assert connection.outcome()["grpc-status"] == "0"


def gzip_frame(packed: bytes) -> bytes:
    return b"\x01" + len(packed).to_bytes(4, "big") + packed


def test_gzip_is_understood_and_a_bomb_refused(server: Server) -> None:
    assert ask(server, wire.frame_gzip(b"x" * 1000), GZIP)["grpc-status"] == "0"
    bomb = zlib.compress(bytes(10 << 20), wbits=31)
    assert len(bomb) < LIMITS.message_bytes < 10 << 20
    assert ask(server, gzip_frame(bomb), GZIP)["grpc-status"] == str(int(Code.RESOURCE_EXHAUSTED))
    assert answers(server)


@pytest.mark.parametrize("packed", [b"\x1f\x8bnot really", zlib.compress(b"x" * 999, wbits=31)[:-6]])
def test_broken_gzip_is_an_error(server: Server, packed: bytes) -> None:
    assert ask(server, gzip_frame(packed), GZIP).get("grpc-status") != "0"
    assert answers(server)


def test_an_unknown_encoding_is_unimplemented(server: Server) -> None:
    packed = gzip_frame(b"\x28\xb5\x2f\xfd")
    outcome = ask(server, packed, ("grpc-encoding", "zstd"))
    if server.transport == "envoy":
        assert outcome["grpc-status"] == str(int(Code.UNIMPLEMENTED))
        assert "gzip" in outcome["grpc-accept-encoding"]
    assert outcome.get("grpc-status") != "0"


@pytest.mark.parametrize("timeout", ["", "1", "s", "1s", "123456789S", "-1S", "1.5S", "\u0661S"])
def test_a_malformed_timeout_never_means_no_deadline(server: Server, timeout: str) -> None:
    outcome = ask(server, wire.frame(b""), ("grpc-timeout", timeout))
    if server.transport == "envoy":
        assert outcome.get("grpc-status") == str(int(Code.INVALID_ARGUMENT)) or ":reset" in outcome
    assert answers(server)


def test_headers_above_the_limit_are_refused(server: Server) -> None:
    outcome = ask(server, wire.frame(b""), ("x-big", "x" * (2 * LIMITS.header_bytes)))
    assert outcome.get("grpc-status") != "0"
    assert answers(server)
