"""Held decisions a second, and how soon a revocation arrives: ``python -m tests.bench.watch [requests a second]``.

The service runs in a process of its own (``pdp serve``), on a Redis of its own, with the sample policy. A third
process asks it at a steady rate. Latency is from before the write into Redis is sent to the new decision's arrival
at the client, and to the first check that is not allowed.
"""

from __future__ import annotations

import asyncio
import contextlib
import statistics
import sys
import time
from collections.abc import Callable

from rich.console import Console
from rich.table import Table

from pdp.client import AsyncClient, Client, Decision, Question
from tests.bench.background import asking
from tests.client.live import DEVICE, MASKS, READ, Live, alive, settled

ROUNDS = 200
HITS = 200_000
WATCHED = 1_000


async def rates(live: Live) -> list[tuple[str, float]]:
    """Held decisions a second on one thread, by CPU time."""
    async with AsyncClient(live.settings(staleness=10.0), MASKS) as one:
        await settled(one)
        held = _rate(lambda: one.held(READ))
        began = time.thread_time()
        for _ in range(HITS):
            await one.check(READ)
        return [("AsyncClient.check", HITS / (time.thread_time() - began)), ("AsyncClient.held", held)]


def blocking_rate(live: Live) -> tuple[str, float]:
    """The same for the client of code that is not asynchronous."""
    with Client(live.settings(staleness=10.0, max_lifetime=600.0), MASKS) as client:
        client.watching(10)
        client.check(READ)
        return "Client.check", _rate(lambda: client.check(READ))


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


def _quantile(values: list[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(share * len(values)))] * 1e3


async def measure(live: Live, rate: int, held: Table, revoked: Table) -> None:
    for name, found in await rates(live):
        held.add_row(name, f"{found:,.0f}")
    for background in (0, rate):
        with asking(live.service.grpc, background) if background else contextlib.nullcontext():
            messages, checks = await latencies(live)
        for name, values in (("message at the client", messages), ("last allow given", checks)):
            p50, p99 = statistics.median(values) * 1e3, _quantile(values, 0.99)
            revoked.add_row(f"{background}/s", name, f"{p50:.2f}", f"{p99:.2f}", f"{max(values) * 1e3:.2f}")


def main(rate: int) -> None:
    """Print the tables."""
    console = Console()
    held = Table(title="held decisions on one thread", title_justify="left")
    held.add_column("call")
    held.add_column("checks/s of CPU", justify="right")
    title = f"a revocation, {ROUNDS} changes, {WATCHED:,} other watches on the stream"
    revoked = Table(title=title, title_justify="left")
    for column in ("background", "until", "p50 ms", "p99 ms", "most ms"):
        revoked.add_column(column, justify="right")
    with alive() as live:
        asyncio.run(measure(live, rate, held, revoked))
        name, found = blocking_rate(live)
        held.add_row(name, f"{found:,.0f}")
    console.print(held, revoked, sep="\n")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1000)
