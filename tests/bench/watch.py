"""Held decisions a second, and how soon a revocation arrives: ``python -m tests.bench.watch [requests a second]``.

The service runs in a process of its own (``pdp serve``), on a Redis of its own, with the sample policy. A third
process asks it at a steady rate. Latency is from before the write into Redis is sent to the new decision's arrival
at the client, and to the first check that is not allowed.
"""

from __future__ import annotations

import asyncio
import contextlib
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

from rich.console import Console
from rich.table import Table

from pdp.client import AsyncClient, Client, Decision, Question
from tests.client.live import DEVICE, MASKS, READ, Live, alive, settled

ROUNDS = 200
HITS = 200_000
WATCHED = 1_000


def rates(live: Live) -> list[tuple[str, float]]:
    """Held decisions a second on one thread, by CPU time."""
    found = []
    with Client(live.settings(staleness=10.0, max_lifetime=600.0), MASKS) as client:
        client.watching(10)
        client.check(READ)
        found.append(("Client.check", _rate(lambda: client.check(READ))))

    async def measure() -> tuple[float, float]:
        async with AsyncClient(live.settings(staleness=10.0), MASKS) as one:
            await settled(one)
            held = _rate(lambda: one.held(READ))
            began = time.thread_time()
            for _ in range(HITS):
                await one.check(READ)
            return held, HITS / (time.thread_time() - began)

    held, checked = asyncio.run(measure())
    return [*found, ("AsyncClient.check", checked), ("AsyncClient.held", held)]


def _rate(call: Callable[[], object]) -> float:
    began = time.thread_time()
    for _ in range(HITS):
        call()
    return HITS / (time.thread_time() - began)


async def latencies(live: Live) -> tuple[list[float], list[float]]:
    """Seconds from the write to the message, and to the last allow that was given after it."""
    arrived = asyncio.Event()
    at = 0.0

    def changed(question: Question, decision: Decision) -> None:
        nonlocal at
        if question == READ:
            at = time.perf_counter()
            arrived.set()

    messages, checks = [], []
    other = READ._replace(session="s-3", device="d-2")
    others = [other._replace(resource=("customer", f"c-{number}")) for number in range(WATCHED)]
    async with AsyncClient(live.settings(), MASKS, changed) as client, live.writer() as writer:
        await settled(client)
        for at in range(0, WATCHED, 50):
            await asyncio.gather(*map(client.check, others[at : at + 50]))
        compliant = True
        for _ in range(ROUNDS):
            compliant = not compliant
            arrived.clear()
            began = time.perf_counter()
            writing = asyncio.create_task(writer.patch(*DEVICE, {"compliant": compliant}))
            while not arrived.is_set():
                held = client.held(READ)
                last = time.perf_counter()
                await asyncio.sleep(0.001)
                if last - began > 5:
                    raise AssertionError("the change never arrived")
            await writing
            messages.append(at - began)
            if not compliant and held is not None and held.allowed:
                checks.append(last - began)
            await asyncio.sleep(0.02)
    return messages, checks


@contextlib.contextmanager
def load(live: Live, rate: int):  # noqa: ANN201 - a context manager
    """Ask at a steady rate from another process."""
    command = [sys.executable, "-m", "tests.bench.watch", "--load", live.service.grpc, str(rate)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout
    process.stdout.readline()
    try:
        yield
    finally:
        process.terminate()
        process.wait()


async def ask_steadily(target: str, rate: int) -> None:
    """Ask until ended."""
    import grpc.aio  # noqa: PLC0415 - in the process that asks only

    message = READ.supporting(("mask",)).message().SerializeToString()
    running: set[asyncio.Task[None]] = set()
    async with grpc.aio.insecure_channel(target) as channel:
        call = channel.unary_unary("/pdp.v1.PolicyDecisionService/Evaluate")

        async def ask() -> None:
            with contextlib.suppress(grpc.RpcError):
                await call(message, timeout=2)

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
            await asyncio.sleep(0.005)


def _quantile(values: list[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(share * len(values)))] * 1e3


def main(rate: int) -> None:
    """Print the tables."""
    console = Console()
    with alive() as live:
        table = Table(title="held decisions on one thread", title_justify="left")
        table.add_column("call")
        table.add_column("checks/s of CPU", justify="right")
        for name, found in rates(live):
            table.add_row(name, f"{found:,.0f}")
        console.print(table)
        table = Table(
            title=f"a revocation, {ROUNDS} changes, {WATCHED:,} other watches on the stream", title_justify="left"
        )
        for column in ("background", "until", "p50 ms", "p99 ms", "most ms"):
            table.add_column(column, justify="right")
        for background in (0, rate):
            with load(live, background) if background else contextlib.nullcontext():
                messages, checks = asyncio.run(latencies(live))
            for name, values in (("message at the client", messages), ("last allow given", checks)):
                p50, p99 = statistics.median(values) * 1e3, _quantile(values, 0.99)
                table.add_row(f"{background}/s", name, f"{p50:.2f}", f"{p99:.2f}", f"{max(values) * 1e3:.2f}")
        console.print(table)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--load"]:
        asyncio.run(ask_steadily(sys.argv[2], int(sys.argv[3])))
    else:
        main(int(sys.argv[1]) if len(sys.argv) > 1 else 1000)
