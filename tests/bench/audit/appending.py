"""Appending in both modes at 1, 16 and 64 in flight."""

from __future__ import annotations

import asyncio
import json
import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import uvloop

from pdp.audit import DecisionLog, Durability
from pdp.audit.records import record_of
from pdp.ports import Answer
from tests.bench.audit.measure import Result, answer, keys, percentile, quiet_heap, settings


def json_lines(path: Path) -> Callable[[Answer], None]:
    """The peer of `os`: one JSON line and one write a record."""
    fd = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_APPEND)
    return lambda given: void(os.write(fd, json.dumps(record_of(given)).encode() + b"\n"))


def void(_: object) -> None:
    """Drop an answer."""


def sqlite(path: Path) -> Callable[[Answer], None]:
    """The peer of `fsync`: one row and one durable commit a record, write-ahead log."""
    database = sqlite3.connect(path, isolation_level=None)
    database.execute("PRAGMA journal_mode=WAL")
    database.execute("PRAGMA synchronous=FULL")
    database.execute("CREATE TABLE log (seq INTEGER PRIMARY KEY, record TEXT)")
    insert = "INSERT INTO log (record) VALUES (?)"
    return lambda given: void(database.execute(insert, (json.dumps(record_of(given)),)))


def microseconds_each(records: list[Answer], append: Callable[[Answer], None]) -> tuple[float, float]:
    """`(CPU, wall)` a record."""
    cpu, wall = time.process_time(), time.perf_counter()
    for record in records:
        append(record)
    count = len(records) / 1e6
    return (time.process_time() - cpu) / count, (time.perf_counter() - wall) / count


async def in_flight(
    log: DecisionLog, records: Iterator[Answer], width: int, mode: Durability
) -> tuple[float, list[float]]:
    """`(seconds in all, latency of each append in seconds)` with `width` coroutines appending."""
    latencies: list[float] = []

    async def appender() -> None:
        for record in records:
            begin = time.perf_counter()
            await log.append(record)
            latencies.append(time.perf_counter() - begin)
            if mode is Durability.OS:  # there append does not suspend
                await asyncio.sleep(0)

    begin = time.perf_counter()
    await asyncio.gather(*[appender() for _ in range(width)])
    return time.perf_counter() - begin, latencies


def measure_mode(folder: Path, mode: Durability, width: int, count: int) -> Result:
    log = DecisionLog(settings(folder / f"{mode}-{width}", mode), keys())
    records = [answer(number) for number in range(count)]
    log.append_many([answer(number) for number in range(2000)])
    with quiet_heap(), asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        seconds, latencies = runner.run(in_flight(log, iter(records), width, mode))
    log.close()
    p50, p99 = percentile(latencies, 0.5) * 1e6, percentile(latencies, 0.99) * 1e6
    shown = f"{count / seconds:>9,.0f} records/s   p50 {p50:,.0f} us   p99 {p99:,.0f} us"
    return Result(
        f"{mode}, {width} in flight", shown, "", {"per_second": count / seconds, "p50_us": p50, "p99_us": p99}
    )


def measure_cpu(folder: Path, count: int) -> Result:
    """What `os` mode adds to a decision with ids of its own, beside a bare JSON line that proves nothing."""
    records = [answer(number) for number in range(count)]
    log = DecisionLog(settings(folder / "cpu"), keys())
    log.append_many([answer(number) for number in range(2000)])
    with quiet_heap():
        own = min(microseconds_each(part, log.append_now)[0] for part in parts(records))
        peer = min(microseconds_each(part, json_lines(folder / "lines.jsonl"))[0] for part in parts(records))
    size = (log._output.size) / log.size
    log.close()
    beside = f"JSON lines {peer:.1f} us: {own / peer:.1f} times"
    shown = f"{own:.1f} us of CPU a record, {size:.0f} bytes"
    return Result("os, cost of a record", shown, beside, {"cpu_us": own, "peer_cpu_us": peer, "bytes": size})


def parts(records: list[Answer]) -> list[list[Answer]]:
    """Twenty runs: the cheapest is the cost, whatever else the machine was doing during the others."""
    step = len(records) // 20
    return [records[begin : begin + step] for begin in range(0, step * 20, step)]


def measure(folder: Path, count: int) -> list[Result]:
    results = [measure_cpu(folder, count)]
    results += [measure_mode(folder, Durability.OS, width, count) for width in (1, 16, 64)]
    _, wall = microseconds_each([answer(number) for number in range(1000)], sqlite(folder / "peer.db"))
    for width in (1, 16, 64):
        result = measure_mode(folder, Durability.FSYNC, width, count // 10 if width == 1 else count)
        ratio = result.figures["per_second"] * wall / 1e6
        results.append(
            Result(result.what, result.measured, f"SQLite {1e6 / wall:,.0f}/s: {ratio:.1f} times", result.figures)
        )
    return results
