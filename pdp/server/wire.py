"""gRPC over HTTP/2, the parts a transport writes itself: frames, timeouts, compression, status trailers.

Source: https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md and doc/compression.md.
"""

from __future__ import annotations

import base64
import re
import zlib
from collections import deque
from functools import lru_cache
from urllib.parse import quote

from pdp.server.rpc import Code, RpcError

PREFIX = 5
"""Bytes before each message: one of flags, four of length, big-endian."""

_UNITS = {b"H": 3600.0, b"M": 60.0, b"S": 1.0, b"m": 1e-3, b"u": 1e-6, b"n": 1e-9}
_TIMEOUT = re.compile(rb"([0-9]{1,8})([HMSmun])")
_GZIP_WBITS = 31
_MESSAGE_SAFE = " !\"#$&'()*+,-./:;<=>?@[\\]^_`{|}~"


def frame(message: bytes) -> bytes:
    """The message with its length prefix, not compressed."""
    return b"\0" + len(message).to_bytes(4, "big") + message


def frame_gzip(message: bytes) -> bytes:
    """The message compressed, with its length prefix and the compressed flag."""
    packer = zlib.compressobj(level=1, wbits=_GZIP_WBITS)
    packed = packer.compress(message) + packer.flush()
    return b"\x01" + len(packed).to_bytes(4, "big") + packed


@lru_cache(maxsize=1024)
def parse_timeout(value: bytes) -> float:
    """Seconds in a ``grpc-timeout`` value.

    Raises:
        RpcError: INVALID_ARGUMENT when the value is not 1 to 8 digits and a unit.
    """
    match = _TIMEOUT.fullmatch(value)
    if match is None:
        raise RpcError(Code.INVALID_ARGUMENT, "malformed grpc-timeout")
    return int(match[1]) * _UNITS[match[2]]


def gunzip(data: bytes, limit: int) -> bytes:
    """The decompressed message; never holds more than ``limit`` + 1 bytes of output.

    Raises:
        RpcError: RESOURCE_EXHAUSTED above ``limit``; INTERNAL, as the specification asks, for bad data.
    """
    unpacker = zlib.decompressobj(wbits=_GZIP_WBITS)
    try:
        message = unpacker.decompress(data, limit + 1)
    except zlib.error:
        raise RpcError(Code.INTERNAL, "malformed gzip message") from None
    if len(message) > limit:
        raise too_large(limit)
    if not unpacker.eof or unpacker.unused_data:
        raise RpcError(Code.INTERNAL, "malformed gzip message")
    return message


def too_large(limit: int) -> RpcError:
    """The error for a message above the limit."""
    return RpcError(Code.RESOURCE_EXHAUSTED, f"message larger than {limit} bytes")


def status_trailers(error: RpcError) -> list[tuple[bytes, bytes]]:
    """The trailers of an error status: code, percent-encoded message, base64 details."""
    trailers = [(b"grpc-status", b"%d" % error.code)]
    if error.message:
        trailers.append((b"grpc-message", quote(error.message, safe=_MESSAGE_SAFE).encode()))
    if error.details:
        details = base64.b64encode(error.details).rstrip(b"=")
        trailers.append((b"grpc-status-details-bin", details))
    return trailers


class Deframer:
    """Cuts a byte stream into messages.

    Args:
        limit: the largest message in bytes, before and after decompression.
        encoding: the value of the ``grpc-encoding`` header, "" or "identity" for none.

    Raises:
        RpcError: UNIMPLEMENTED for an encoding that is not supported.
    """

    __slots__ = ("_buffer", "_gzip", "_limit", "_need", "messages")

    def __init__(self, limit: int, encoding: str = "") -> None:
        if encoding not in ("", "identity", "gzip"):
            raise RpcError(Code.UNIMPLEMENTED, "grpc-encoding is not supported; use identity or gzip")
        self._limit = limit
        self._gzip = encoding == "gzip"
        self._buffer = bytearray()
        self._need = PREFIX
        self.messages: deque[bytes] = deque()

    def feed(self, data: bytes) -> None:
        """Take bytes; whole messages are appended to ``messages``.

        Raises:
            RpcError: RESOURCE_EXHAUSTED as soon as a length prefix exceeds the limit, so that what is
                refused is never collected; INTERNAL for a malformed frame.
        """
        if self._buffer:
            # A message that trickles in byte by byte is not looked at, nor copied, before it is whole.
            self._buffer += data
            if len(self._buffer) < self._need:
                return
            data = bytes(self._buffer)
            self._buffer.clear()
        position, size = 0, len(data)
        self._need = PREFIX
        while size - position >= PREFIX:
            start = position + PREFIX
            length = int.from_bytes(data[position + 1 : start], "big")
            if length > self._limit:
                raise too_large(self._limit)
            end = start + length
            if end > size:
                self._need = PREFIX + length
                break
            self.messages.append(self._message(data[position], data[start:end]))
            position = end
        self._buffer += data[position:]

    def close(self) -> None:
        """State that no more bytes come.

        Raises:
            RpcError: INTERNAL when they end inside a message.
        """
        if self._buffer:
            raise RpcError(Code.INTERNAL, "request ended inside a message")

    def _message(self, flags: int, data: bytes) -> bytes:
        if flags == 0:
            return data
        if flags != 1 or not self._gzip:
            raise RpcError(Code.INTERNAL, "compressed flag set without a matching grpc-encoding")
        return gunzip(data, self._limit)
