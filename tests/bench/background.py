"""Somebody else who asks at a steady rate, in a process of their own, and remembers when an allow came last.

``with asking(address, 1000) as load``. What is remembered is shared through a mapped file, so that reading it costs
neither process a message.
"""

from __future__ import annotations

import asyncio
import contextlib
import mmap
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import grpc
import grpc.aio

from pdp.v1 import decision_pb2 as wire
from pdp.v1 import policy_decision_pb2 as rpc
from tests.client.live import READ

_METHOD = "/pdp.v1.PolicyDecisionService/Evaluate"
_FORMAT = struct.Struct("=4d")
_TICK = 0.001
_PATIENCE = 10.0


class Background:
    """What the asking process remembers.

    Attributes:
        answered: how many answers came.
        allowed: whether the last was an allow.
        last_received: when the last allow came in, in seconds since the epoch.
        last_decided: when the last allow was decided, by the service's clock.
    """

    def __init__(self, memory: mmap.mmap) -> None:
        self._memory = memory

    def store(self, answered: float, last_received: float, last_decided: float, *, allowed: bool) -> None:
        self._memory[:] = _FORMAT.pack(answered, last_received, last_decided, float(allowed))

    @property
    def answered(self) -> float:
        return self._read()[0]

    @property
    def last_received(self) -> float:
        return self._read()[1]

    @property
    def last_decided(self) -> float:
        return self._read()[2]

    async def settled(self, *, allowed: bool) -> None:
        """Wait until answers are what they should be."""
        end = time.perf_counter() + _PATIENCE
        while bool(self._read()[3]) is not allowed:
            if time.perf_counter() > end:
                raise SystemExit(f"the answers never became {'allow' if allowed else 'deny'}")
            await asyncio.sleep(_TICK)

    def _read(self) -> tuple[float, float, float, float]:
        return _FORMAT.unpack(self._memory)


@contextlib.contextmanager
def asking(address: str, rate: int) -> Iterator[Background]:
    """Have a process ask at a rate, in requests a second."""
    with tempfile.NamedTemporaryFile() as file:
        file.write(bytes(_FORMAT.size))
        file.flush()
        command = [sys.executable, "-m", "tests.bench.background", address, str(rate), file.name]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        try:
            assert process.stdout
            process.stdout.readline()
            yield Background(mmap.mmap(file.fileno(), _FORMAT.size))
        finally:
            process.terminate()
            process.wait()


async def ask_steadily(address: str, rate: int, remembered: Background) -> None:
    """Ask until ended."""
    message = READ.supporting(("mask",)).message().SerializeToString()
    running: set[asyncio.Task[None]] = set()
    answered, received, decided = 0, 0.0, 0.0

    async def ask() -> None:
        nonlocal answered, received, decided
        with contextlib.suppress(grpc.RpcError):
            answer = rpc.EvaluateResponse.FromString(await call(message, timeout=2))
            answered += 1
            allowed = answer.decision.effect == wire.EFFECT_ALLOW
            if allowed:
                received = time.time()
                decided = max(decided, answer.decision.decided_at.ToNanoseconds() / 1e9)
            remembered.store(answered, received, decided, allowed=allowed)

    async with grpc.aio.insecure_channel(address) as channel:
        call = channel.unary_unary(_METHOD)
        await ask()
        print("asking", flush=True)  # noqa: T201 - read by the parent
        began, sent = time.perf_counter(), 0
        while True:
            due = int((time.perf_counter() - began) * rate)
            for _ in range(sent, due):
                task = asyncio.create_task(ask())
                running.add(task)
                task.add_done_callback(running.discard)
            sent = due
            await asyncio.sleep(_TICK)


def main() -> None:
    with Path(sys.argv[3]).open("r+b") as file:
        remembered = Background(mmap.mmap(file.fileno(), _FORMAT.size))
        asyncio.run(ask_steadily(sys.argv[1], int(sys.argv[2]), remembered))


if __name__ == "__main__":
    main()
