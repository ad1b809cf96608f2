"""What the watch on behaviour costs, on and off the path of requests: ``python -m tests.bench.risk``.

On the path: one ``answered`` call for each observer, in nanoseconds, the least of several rounds; the metrics
observer of the same run is the peer. Off the path, on an embedded Redis: decisions counted a second by one worker,
CPU time for each, for how long the event loop is kept from others, the delay from an answer to the level it raises,
and what the store holds for one subject.
"""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Callable
from pathlib import Path

from rich.console import Console
from rich.table import Table

from pdp.attributes import EmbeddedRedis
from pdp.attributes.connections import Connector
from pdp.attributes.locate import locator_of
from pdp.attributes.settings import RedisSettings
from pdp.attributes.windows import RedisRiskStore
from pdp.core.decision import ALLOW, AttributeUse, Decision, Entity
from pdp.core.limits import Limits
from pdp.core.policy import PolicySnapshot
from pdp.core.reasons import Cause, Reason
from pdp.core.request import EntityRef, Request
from pdp.engine.reference import ReferenceMatcher
from pdp.policy import load
from pdp.ports import Answer, Caller
from pdp.risk import RiskMonitor, RiskSettings
from pdp.risk.notices import Change
from pdp.telemetry.metrics import DecisionMetrics

_ROUNDS = 200
_CALLS = 1000
_SUBJECTS = 50
_DECISIONS = 20_000


class _Held:
    """Holds the sample policy."""

    def __init__(self) -> None:
        self._policy = load(Path("policies"), ReferenceMatcher)

    def current(self) -> PolicySnapshot:
        return self._policy


class _Told:
    """Takes note of when a level changed."""

    def __init__(self) -> None:
        self.at: list[float] = []

    def tell(self, _: Limits, __: Change) -> None:
        self.at.append(time.perf_counter())


def answer(number: int, subject: int = 0) -> Answer:
    """Make an answer that counts."""
    uses = (AttributeUse(Entity.SUBJECT, 1, 0.0),)
    decision = Decision(ALLOW, (Cause(Reason.PERMITTED, "customer-read-billing"),), attributes=uses)
    request = Request(EntityRef("user", f"u-{subject}"), "read", EntityRef("call_recording", f"r-{number}"))
    caller = Caller("", "evaluate", None, 0.0)
    return Answer(f"{number:032x}", "0" * 32, time.time(), request, caller, decision, 1e-5, cached=True)


def nanoseconds(call: Callable[[Answer], None], after: Callable[[], None]) -> float:
    """Give the CPU time of one call, the least of the rounds; ``after`` clears up between them."""
    one, best = answer(0), float("inf")
    for _ in range(_ROUNDS):
        started = time.thread_time_ns()
        for _ in range(_CALLS):
            call(one)
        best = min(best, time.thread_time_ns() - started)
        after()
    return best / _CALLS


def on_the_path(monitor: RiskMonitor, table: Table) -> None:
    """Time the observers. The event loop does not run meanwhile, so nothing is counted."""
    peer = nanoseconds(DecisionMetrics().answered, lambda: None)
    rows = {"metrics (peer)": peer, "risk, counting": nanoseconds(monitor.answered, monitor._waiting.clear)}
    for number in range(RiskSettings().queue):
        monitor._waiting.append(answer(number))
    rows["risk, queue full"] = nanoseconds(monitor.answered, lambda: None)
    monitor._waiting.clear()
    monitor._room = 0
    rows["risk, no limits.yaml"] = nanoseconds(monitor.answered, lambda: None)
    for name, value in rows.items():
        table.add_row(f"{name}, ns a decision", f"{value:.0f}", f"{value / peer:.2f}")


async def counted(monitor: RiskMonitor, number: int) -> None:
    """Wait until so many decisions are counted."""
    while monitor.counts().get("counted", 0) + monitor.counts().get("lost", 0) < number:
        await asyncio.sleep(0.001)


async def watch_turns(gaps: list[float]) -> None:
    """Take note of how much CPU time each turn of the event loop took."""
    before = time.thread_time()
    while True:
        await asyncio.sleep(0)
        now = time.thread_time()
        gaps.append(now - before)
        before = now


async def count_all(monitor: RiskMonitor, before: int) -> tuple[float, float]:
    """Count many decisions, in waves that the queue holds; give wall and CPU seconds."""
    answers = [answer(number, number % _SUBJECTS) for number in range(_DECISIONS)]
    started, cpu = time.perf_counter(), time.process_time()
    for at in range(0, _DECISIONS, 5000):
        for one in answers[at : at + 5000]:
            monitor.answered(one)
        await counted(monitor, before + at + 5000)
    return time.perf_counter() - started, time.process_time() - cpu


async def off_the_path(monitor: RiskMonitor, told: _Told, table: Table) -> None:
    """Time counting, and how soon a level follows."""
    took, cpu = await count_all(monitor, 0)
    table.add_row(f"decisions counted a second, {_SUBJECTS} subjects", f"{_DECISIONS / took:,.0f}", "")
    table.add_row("CPU of the worker, us a decision", f"{cpu / _DECISIONS * 1e6:.1f}", "")
    gaps: list[float] = []
    watcher = asyncio.create_task(watch_turns(gaps))
    await count_all(monitor, _DECISIONS)
    watcher.cancel()
    gaps.sort()
    table.add_row("turn of the loop meanwhile, p99 ms of CPU", f"{gaps[len(gaps) * 99 // 100] * 1000:.2f}", "")
    table.add_row("turn of the loop meanwhile, longest", f"{gaps[-1] * 1000:.2f}", "")
    delays = []
    for subject in range(1000, 1100):
        before = len(told.at)
        for number in range(100):
            monitor.answered(answer(number, subject))
        sent = time.perf_counter()
        while len(told.at) == before:
            await asyncio.sleep(0)
        delays.append(told.at[-1] - sent)
        await asyncio.sleep(0.02)
    delays.sort()
    table.add_row("answer to level, p50 ms", f"{delays[50] * 1000:.2f}", "")
    table.add_row("answer to level, p99 ms", f"{delays[99] * 1000:.2f}", "")
    table.add_row("lost or dropped", str(sum(monitor.counts().get(it, 0) for it in ("lost", "dropped"))), "")


async def held(settings: RedisSettings, table: Table) -> None:
    """Say what the store holds for a subject that reads a lot."""
    connector = Connector(settings)
    address = locator_of(settings, connector).address()
    assert address is not None
    client = connector.client(address)
    keys = [key async for key in client.scan_iter("risk:*:user:u-0")]
    sizes = [await client.memory_usage(key, samples=0) for key in keys]
    table.add_row(f"bytes in Redis for a subject with {_DECISIONS // _SUBJECTS} records", f"{sum(sizes):,}", "")
    await client.aclose()


async def main() -> None:
    """Measure, and print a table."""
    table = Table("", "measured", "ratio to peer")
    held_policy, told = _Held(), _Told()
    async with EmbeddedRedis() as redis:
        settings = RedisSettings(redis.url)
        store = RedisRiskStore(settings, RiskSettings().retention, RiskSettings().timeout)
        await store.start()
        for measure in ("on", "off"):
            monitor = RiskMonitor(held_policy, store, told, RiskSettings(), str)
            monitor.policy_changed()
            gc.collect()
            if measure == "on":
                on_the_path(monitor, table)
                continue
            await monitor.start()
            await off_the_path(monitor, told, table)
            await monitor.stop()
        await held(settings, table)
        await store.stop()
    Console().print(table)


if __name__ == "__main__":
    import logging

    logging.disable(logging.WARNING)
    asyncio.run(main())
