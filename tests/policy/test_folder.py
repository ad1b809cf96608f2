"""A watched folder: what is in force, what replaces it, and what never does."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from pdp.engine.reference import ReferenceMatcher
from pdp.policy import FolderOrigin, PolicyKeeper, PolicyStatus, files
from tests.policy.example import FILES, RULES, build, swap, write

MORE = RULES.replace("# end\n", "p,one-more,agent,read,log,True,allow,,basis\n# end\n")
BROKEN = RULES.replace("allow", "alow")
INTERVAL = 0.02


@contextlib.asynccontextmanager
async def watched(source: PolicyKeeper) -> AsyncIterator[None]:
    await source.reload()
    task = asyncio.create_task(source.watch())
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(INTERVAL / 2)


def source_of(folder: Path, **options: object) -> PolicyKeeper:
    return PolicyKeeper(FolderOrigin(folder, interval=INTERVAL), ReferenceMatcher, **options)  # type: ignore[arg-type]


async def test_nothing_is_in_force_before_a_first_reading(tmp_path: Path) -> None:
    source = source_of(write(tmp_path))
    assert source.current() is None
    assert source.status == PolicyStatus()


async def test_a_good_folder_comes_into_force(tmp_path: Path) -> None:
    source = source_of(write(tmp_path))
    status = await source.reload()
    snapshot = source.current()
    assert snapshot is not None
    assert snapshot.revision == status.revision == build().revision
    assert (status.problems, status.loads, status.failures) == ((), 1, 0)
    assert status.since == status.checked_at > 0


async def test_a_bad_folder_at_start_leaves_nothing_in_force(tmp_path: Path) -> None:
    source = source_of(write(tmp_path, {"policy/rules.csv": BROKEN}))
    status = await source.reload()
    assert source.current() is None
    assert (status.revision, status.failures) == ("", 1)
    assert {it.file for it in status.problems} == {"policy/rules.csv", "policy"}


async def test_the_last_good_revision_stays_until_the_folder_is_mended(tmp_path: Path) -> None:
    source = source_of(write(tmp_path))
    await source.reload()
    good = source.current()
    write(tmp_path, {"policy/rules.csv": BROKEN})
    status = await source.reload()
    assert source.current() is good
    assert good is not None
    assert (status.revision, status.failures) == (good.revision, 1)
    assert status.problems
    write(tmp_path, {"policy/rules.csv": MORE})
    status = await source.reload()
    assert (status.problems, status.loads) == ((), 2)
    assert source.current() is not good


async def test_the_same_files_keep_the_same_snapshot(tmp_path: Path) -> None:
    source = source_of(write(tmp_path))
    await source.reload()
    good = source.current()
    write(tmp_path)
    assert (await source.reload()).loads == 1
    assert source.current() is good


@pytest.mark.parametrize("change", ["rewrite", "add", "remove", "replace"])
async def test_a_change_is_taken_up_by_itself(tmp_path: Path, change: str) -> None:
    source = source_of(write(tmp_path, {"policy/spare.csv": "p,spare-one,agent,read,log,True,allow,,basis\n# end\n"}))
    async with watched(source):
        before = source.status.revision
        if change == "rewrite":
            write(tmp_path, {"policy/rules.csv": MORE})
        elif change == "add":
            (tmp_path / "policy" / "new.csv").write_text("p,new-one,agent,read,log,True,allow,,basis\n# end\n")
        elif change == "remove":
            (tmp_path / "policy" / "spare.csv").unlink()
        else:
            (tmp_path / "next").write_text(MORE)
            (tmp_path / "next").rename(tmp_path / "policy" / "rules.csv")
        await until(lambda: source.status.revision != before)
        assert not source.status.problems


async def test_a_broken_change_is_reported_and_its_mending_taken_up(tmp_path: Path) -> None:
    told: list[PolicyStatus] = []
    source = source_of(write(tmp_path))
    source.follow(told.append)
    async with watched(source):
        write(tmp_path, {"policy/rules.csv": BROKEN})
        await until(lambda: bool(source.status.problems))
        assert source.status.revision == build().revision
        write(tmp_path, {"policy/rules.csv": MORE})
        await until(lambda: source.status.revision != build().revision)
    assert told[0].loads == 1
    assert told[-1] == source.status


async def test_a_file_written_in_pieces_is_read_when_it_is_at_rest(tmp_path: Path) -> None:
    source = PolicyKeeper(FolderOrigin(write(tmp_path), interval=0.3), ReferenceMatcher)
    async with watched(source):
        with (tmp_path / "policy" / "rules.csv").open("w") as file:
            for line in MORE.splitlines(keepends=True):
                file.write(line)
                file.flush()
                await asyncio.sleep(0.05)
        await until(lambda: source.status.loads == 2)
        assert source.status.failures == 0


async def test_files_that_change_while_they_are_read_are_not_a_policy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = source_of(write(tmp_path))
    real = files.read_file

    def read_and_touch(folder: Path, name: str, *rest: object) -> bytes | None:
        content = real(folder, name, *rest)  # type: ignore[arg-type]
        if name == "policy/rules.csv":
            (folder / name).write_bytes(content or b"")
        return content

    monkeypatch.setattr(files, "read_file", read_and_touch)
    status = await source.reload()
    assert source.current() is None
    assert [it.problem for it in status.problems] == ["is being changed while it is read"]
    monkeypatch.undo()
    assert not (await source.reload()).problems


async def test_the_event_loop_goes_on_while_a_revision_is_built(tmp_path: Path) -> None:
    main, threads = threading.get_ident(), []

    def factory(*given: object) -> ReferenceMatcher:
        threads.append(threading.get_ident())
        return ReferenceMatcher(*given)  # type: ignore[arg-type]

    source = PolicyKeeper(FolderOrigin(write(tmp_path)), factory)
    await source.reload()
    assert threads
    assert main not in threads


async def test_a_fault_of_an_engine_is_a_problem_and_changes_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    fail = False

    def factory(*given: object) -> ReferenceMatcher:
        if fail:
            raise RuntimeError("no such luck")
        return ReferenceMatcher(*given)  # type: ignore[arg-type]

    source = PolicyKeeper(FolderOrigin(write(tmp_path)), factory)
    await source.reload()
    good, fail = source.current(), True
    write(tmp_path, {"policy/rules.csv": MORE})
    status = await source.reload()
    assert source.current() is good
    assert [it.problem for it in status.problems] == ["could not be loaded, by a fault of the service"]
    assert "no such luck" in caplog.text


async def test_reloads_at_the_same_time_take_turns(tmp_path: Path) -> None:
    source = source_of(write(tmp_path))
    statuses = await asyncio.gather(*(source.reload() for _ in range(4)))
    assert {status.loads for status in statuses} == {1}


async def test_a_snapshot_in_use_does_not_change_under_its_user(tmp_path: Path) -> None:
    source = source_of(write(tmp_path))
    await source.reload()
    held = source.current()
    assert held is not None
    rules, matcher = held.rules, held.matcher
    write(tmp_path, swap("policy/rules.csv", "risk < 50", "risk < 40"))
    await source.reload()
    assert (held.rules, held.matcher) == (rules, matcher)
    assert FILES["policy/rules.csv"] == RULES
