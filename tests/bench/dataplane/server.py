"""A server under load, whoever wrote it."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from dataclasses import dataclass

from tests.bench.dataplane.load import Target


@dataclass(frozen=True)
class Server:
    """A running server whose answers were verified.

    Attributes:
        name: for the table.
        pid: its first process; None for one that was started elsewhere.
        targets: calls by kind: ``unary``, ``batch``, ``stream``.
        ready: seconds from its start until it served; None where unknown.
    """

    name: str
    pid: int | None
    targets: Mapping[str, Target]
    ready: float | None = None


def framed(message: bytes) -> bytes:
    """Give a message as gRPC sends it: a flag, the length, the message."""
    return b"\0" + len(message).to_bytes(4, "big") + message


def free_port() -> int:
    """Give a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
