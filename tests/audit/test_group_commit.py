"""`fsync` mode: what is appended together is encoded, written and synced once, and nobody is answered before."""

from __future__ import annotations

import asyncio
import errno
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pdp.audit import AuditKeys, AuditUnavailable, DecisionLog, Durability
from pdp.audit.clock import Stamp
from pdp.audit.segment import list_segments
from pdp.audit.verify import verify
from tests.audit.support import decision, read_records, replay_file, settings


class Disk:
    """The real disk, watched: what each write and sync covered, and a gate that holds syncs up."""

    def __init__(self, log: DecisionLog) -> None:
        self.open = threading.Event()
        self.open.set()
        self.writes: list[int] = []
        self.syncs = 0
        self.fault: OSError | None = None
        self._write, self._sync = log._output.write, log._output.sync
        log._output.write = self.write  # type: ignore[method-assign]
        log._output.sync = self.sync  # type: ignore[method-assign]

    def write(self, data: bytes) -> None:
        self.writes.append(len(data))
        self._write(data)

    def sync(self) -> None:
        assert self.open.wait(30)
        if self.fault is not None:
            raise self.fault
        self._sync()
        self.syncs += 1


@pytest.fixture
def log(tmp_path: Path, keys: AuditKeys) -> Iterator[DecisionLog]:
    made = DecisionLog(settings(tmp_path, durability=Durability.FSYNC), keys)
    yield made
    made.close()


def ids(directory: Path, keys: AuditKeys) -> list[int]:
    found = read_records(directory / "w0", keys)
    return [record["attribute_versions"]["subject"] - 12 for record in found]


async def test_appends_of_one_turn_are_one_write_and_one_sync(
    log: DecisionLog, tmp_path: Path, keys: AuditKeys
) -> None:
    disk = Disk(log)
    for turn in range(5):
        await asyncio.gather(*[log.append(decision(turn * 64 + n)) for n in range(64)])
    assert (len(disk.writes), disk.syncs) == (5, 5)
    assert ids(tmp_path, keys) == list(range(320))


async def test_nobody_is_answered_before_the_disk_has_it(log: DecisionLog) -> None:
    disk = Disk(log)
    disk.open.clear()
    tasks = [asyncio.ensure_future(log.append(decision(n))) for n in range(20)]
    await asyncio.sleep(0.3)
    assert not any(task.done() for task in tasks)
    disk.open.set()
    await asyncio.gather(*tasks)


async def test_what_comes_during_a_sync_is_the_next_group(log: DecisionLog, tmp_path: Path, keys: AuditKeys) -> None:
    disk = Disk(log)
    disk.open.clear()
    first = asyncio.ensure_future(log.append(decision(0)))
    while not disk.writes:
        await asyncio.sleep(0.01)
    rest = [asyncio.ensure_future(log.append(decision(n))) for n in range(1, 30)]
    await asyncio.sleep(0.2)
    assert len(disk.writes) == 1
    disk.open.set()
    await asyncio.gather(first, *rest)
    assert (len(disk.writes), disk.syncs) == (2, 2)
    assert ids(tmp_path, keys) == list(range(30))


async def test_the_records_of_one_append_stand_next_to_each_other(
    log: DecisionLog, tmp_path: Path, keys: AuditKeys
) -> None:
    batches = [[decision(10 * batch + n) for n in range(10)] for batch in range(8)]
    await asyncio.gather(*[log.append(*batch) for batch in batches])
    assert ids(tmp_path, keys) == list(range(80))


async def test_an_append_of_nothing_is_answered(log: DecisionLog) -> None:
    await asyncio.wait_for(log.append(), 5)
    await log.append(decision(1))
    assert log.size == 1


async def test_a_failing_disk_answers_everyone_with_its_reason(log: DecisionLog) -> None:
    disk = Disk(log)
    disk.fault = OSError(errno.EIO, os.strerror(errno.EIO))
    answers = await asyncio.gather(*[log.append(decision(n)) for n in range(50)], return_exceptions=True)
    assert {type(answer) for answer in answers} == {AuditUnavailable}
    assert {answer.reason for answer in answers} == {"io_error"}  # type: ignore[union-attr]
    with pytest.raises(AuditUnavailable):
        await log.append(decision(51))
    assert not log.health().healthy
    assert disk.syncs == 0


async def test_an_encoder_that_fails_answers_everyone(log: DecisionLog, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> Any:
        raise RuntimeError("a secret value")

    monkeypatch.setattr(log._encoder, "encode", fail)
    answers = await asyncio.gather(*[log.append(decision(n)) for n in range(5)], return_exceptions=True)
    assert {type(answer) for answer in answers} == {AuditUnavailable}
    assert "secret" not in str(answers)


async def test_cancelling_one_leaves_the_others_alone(log: DecisionLog, tmp_path: Path, keys: AuditKeys) -> None:
    disk = Disk(log)
    disk.open.clear()
    tasks = [asyncio.ensure_future(log.append(decision(n))) for n in range(10)]
    await asyncio.sleep(0.1)
    for task in tasks[::2]:
        task.cancel()
    disk.open.set()
    answers = await asyncio.gather(*tasks, return_exceptions=True)
    assert [isinstance(answer, asyncio.CancelledError) for answer in answers] == [True, False] * 5
    assert ids(tmp_path, keys) == list(range(10))


async def test_what_is_queued_when_the_log_closes_is_written(tmp_path: Path, keys: AuditKeys) -> None:
    """The turn of the loop in which it would have been handed over never comes."""
    log = DecisionLog(settings(tmp_path, durability=Durability.FSYNC), keys)
    task = asyncio.ensure_future(log.append(decision(0)))
    asyncio.get_running_loop().call_soon(log.close)
    await asyncio.wait_for(task, 10)
    assert ids(tmp_path, keys) == [0]
    assert verify(tmp_path, keys.signer.verifier).trees[0].signed == 1


def test_a_loop_that_ended_before_it_handed_over_does_not_hold_up_the_log(tmp_path: Path, keys: AuditKeys) -> None:
    log = DecisionLog(settings(tmp_path, durability=Durability.FSYNC), keys)
    loop = asyncio.new_event_loop()
    append = log.append(decision(0))
    loop.call_soon(append.send, None)
    loop.call_soon(loop.stop)
    loop.run_forever()
    loop.close()
    append.close()
    log.append_now(decision(1))
    log.close()
    assert ids(tmp_path, keys) == [0, 1]


def test_threads_and_loops_append_at_once(tmp_path: Path, keys: AuditKeys) -> None:
    log = DecisionLog(settings(tmp_path, durability=Durability.FSYNC), keys)

    async def appender(begin: int) -> None:
        for start in range(begin, begin + 100, 20):
            await asyncio.gather(*[log.append(decision(n)) for n in range(start, start + 20)])

    def blocking(begin: int) -> None:
        for number in range(begin, begin + 30):
            log.append_now(decision(number))

    threads = [threading.Thread(target=lambda begin=begin: asyncio.run(appender(begin))) for begin in (0, 1000)]
    threads += [threading.Thread(target=blocking, args=(begin,)) for begin in (2000, 3000)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    log.close()
    found = ids(tmp_path, keys)
    for begin, count in ((0, 100), (1000, 100), (2000, 30), (3000, 30)):
        assert [n for n in found if begin <= n < begin + 1000] == list(range(begin, begin + count))
    assert verify(tmp_path, keys.signer.verifier).ok


def test_rotation_between_groups_loses_nothing(tmp_path: Path, keys: AuditKeys) -> None:
    log = DecisionLog(settings(tmp_path, durability=Durability.FSYNC), keys)

    async def appender() -> None:
        for start in range(0, 400, 40):
            await asyncio.gather(*[log.append(decision(n)) for n in range(start, start + 40)])

    rotating, stop = threading.Event(), threading.Event()

    def rotate() -> None:
        while not stop.is_set():
            log.rotate()
            rotating.set()
            time.sleep(0.002)

    thread = threading.Thread(target=rotate)
    thread.start()
    assert rotating.wait(10)
    asyncio.run(appender())
    stop.set()
    thread.join()
    log.close()
    assert len(list_segments(tmp_path / "w0")) > 1
    assert ids(tmp_path, keys) == list(range(400))
    assert verify(tmp_path, keys.signer.verifier).ok


@pytest.mark.parametrize("durability", Durability)
async def test_records_written_at_once_bear_one_time_and_the_first_a_step_back(
    tmp_path: Path, keys: AuditKeys, durability: Durability
) -> None:
    readings = iter([2_000_000_000_000_000_000, 1_900_000_000_000_000_000, 1_900_000_000_000_001_000])
    log = DecisionLog(settings(tmp_path, durability=durability), keys)
    log._stamp = Stamp(lambda: next(readings))
    for start in (0, 3, 6):
        await log.append(*[decision(n) for n in range(start, start + 3)])
    log.close()
    records = read_records(tmp_path / "w0", keys)
    marks = [record.get("clock_stepped_back_us") for record in records]
    assert marks == [None, None, None, 100_000_000_000_000, None, None, None, None, None]
    assert len({record["time"] for record in records}) == 3
    assert replay_file(list_segments(tmp_path / "w0")[0].path).fault is None
