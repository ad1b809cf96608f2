"""Several workers' metrics as one, whichever of them is asked, and over their crashes."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest

from pdp.telemetry.sharing import SharedMetrics


def text(calls: int, memory: int) -> bytes:
    registry = CollectorRegistry()
    Counter("calls", "Calls.", registry=registry).inc(calls)
    Gauge("memory", "Memory.", registry=registry).set(memory)
    return generate_latest(registry)


def samples(merged: bytes) -> dict[str, float]:
    lines = (line for line in merged.decode().splitlines() if not line.startswith("#"))
    pairs = (line.rsplit(" ", 1) for line in lines)
    return {name: float(value) for name, value in pairs if not name.startswith("calls_created")}


def test_counters_add_up_and_gauges_stay_each_workers_own(tmp_path: Path) -> None:
    first, second = SharedMetrics(tmp_path, 0), SharedMetrics(tmp_path, 1)
    assert samples(first.merged(text(2, 10))) == {"calls_total": 2, 'memory{worker="0"}': 10}
    both = {"calls_total": 5, 'memory{worker="0"}': 10, 'memory{worker="1"}': 7}
    assert samples(second.merged(text(3, 7))) == both
    assert samples(first.merged(text(2, 10))) == both


def test_a_successor_goes_on_where_its_predecessor_crashed(tmp_path: Path) -> None:
    other = SharedMetrics(tmp_path, 1)
    for crash, expected in enumerate((5, 10, 15)):
        worker = SharedMetrics(tmp_path, 0)
        assert samples(worker.merged(text(5, 1)))["calls_total"] == expected, crash
    assert samples(other.merged(text(1, 1))) == {"calls_total": 16, 'memory{worker="0"}': 1, 'memory{worker="1"}': 1}


async def test_what_it_has_is_left_for_the_others_without_a_scrape(tmp_path: Path) -> None:
    keeping = asyncio.create_task(SharedMetrics(tmp_path, 0).keep(lambda: text(4, 1)))
    while not (tmp_path / "worker-0.prom").exists():
        await asyncio.sleep(0.01)
    keeping.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await keeping
    assert samples(SharedMetrics(tmp_path, 1).merged(text(1, 2)))["calls_total"] == 5
