"""HTTP/2 written by hand: connections that do what no client library would."""

from __future__ import annotations

import socket
from collections.abc import Iterable
from typing import Self

import hpack
from hyperframe.frame import (
    ContinuationFrame,
    DataFrame,
    Frame,
    HeadersFrame,
    PingFrame,
    RstStreamFrame,
    SettingsFrame,
)

from tests.server.example import path

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


def request_headers(name: str = "Echo", *more: tuple[str, str]) -> list[tuple[str, str]]:
    return [
        (":method", "POST"),
        (":scheme", "http"),
        (":path", path(name)),
        (":authority", "test"),
        ("content-type", "application/grpc"),
        ("te", "trailers"),
        *more,
    ]


def headers(stream: int, fields: Iterable[tuple[str, str]], *flags: str) -> bytes:
    block = hpack.Encoder().encode(list(fields))
    return HeadersFrame(stream, data=block, flags=["END_HEADERS", *flags]).serialize()


def data(stream: int, body: bytes, *flags: str) -> bytes:
    return DataFrame(stream, data=body, flags=flags).serialize()


class RawConnection:
    """A TCP connection that has sent the HTTP/2 preface and empty SETTINGS."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=2)
        self.send(PREFACE + SettingsFrame(0).serialize())

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def frames(self) -> Iterable[Frame]:
        """What the server sends, until it closes or five seconds pass without a frame."""
        while True:
            head = self._read(9)
            if len(head) < 9:
                return
            frame, length = Frame.parse_frame_header(memoryview(head))
            frame.parse_body(memoryview(self._read(length)))
            yield frame

    def _read(self, size: int) -> bytes:
        received = b""
        while len(received) < size:
            try:
                chunk = self.socket.recv(size - len(received))
            except OSError:
                return received
            if not chunk:
                return received
            received += chunk
        return received

    def outcome(self, stream: int = 1) -> dict[str, str]:
        """The header fields and trailers of a stream together; ``:reset`` if it was reset or cut off."""
        decoder, fields = hpack.Decoder(), {}
        for frame in self.frames():
            if isinstance(frame, HeadersFrame) and frame.stream_id == stream:
                fields.update({str(k): str(v) for k, v in decoder.decode(frame.data)})
            if isinstance(frame, RstStreamFrame) and frame.stream_id == stream:
                return {**fields, ":reset": str(frame.error_code)}
            if frame.stream_id == stream and "END_STREAM" in frame.flags:
                return fields
        return {**fields, ":reset": "closed"}

    def close(self) -> None:
        self.socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def rapid_reset(turn: int) -> bytes:
    """200 streams opened and reset at once (CVE-2023-44487)."""
    first = turn * 400 + 1
    block = hpack.Encoder().encode(request_headers())
    return b"".join(
        HeadersFrame(stream, data=block, flags=["END_HEADERS"]).serialize()
        + RstStreamFrame(stream, error_code=8).serialize()
        for stream in range(first, first + 400, 2)
    )


def continuation(turn: int) -> bytes:
    """A header block that never ends (CERT VU#421644)."""
    block = hpack.Encoder().encode([(f"x-{turn}-{index}", "x" * 200) for index in range(20)])
    if turn == 0:
        return HeadersFrame(1, data=hpack.Encoder().encode(request_headers())).serialize()
    return b"".join(ContinuationFrame(1, data=block).serialize() for _ in range(50))


def settings(_turn: int) -> bytes:
    """SETTINGS that each ask for an acknowledgement (CVE-2019-9515)."""
    return SettingsFrame(0, settings={SettingsFrame.MAX_CONCURRENT_STREAMS: 100}).serialize() * 500


def ping(_turn: int) -> bytes:
    """PINGs that each ask for an answer (CVE-2019-9512)."""
    return PingFrame(0, opaque_data=b"flooding").serialize() * 500


def empty_data(turn: int) -> bytes:
    """DATA frames without data (CVE-2019-9518)."""
    if turn == 0:
        return headers(1, request_headers())
    return DataFrame(1).serialize() * 500
