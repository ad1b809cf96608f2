"""The work on closed segments: in a process of its own, one at a time, and repeatable wherever it is cut short."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pdp.audit import AuditKeys, DecisionLog, housekeeping
from pdp.audit.housekeeping import Housekeeper
from pdp.audit.maintain import maintain
from pdp.audit.searchindex import is_current
from pdp.audit.segment import INDEX, list_segments
from pdp.audit.verify import verify
from tests.audit.support import decision, fill, make_keys, read_records, settings

OLD = "2019-05-05T10:00:00.000000Z"


def closed_segments(directory: Path, keys: AuditKeys, count: int = 3, **changes: object) -> Path:
    log = DecisionLog(settings(directory), keys)
    for start in range(count):
        log.append_many([decision(start * 20 + n, **changes) for n in range(20)])
        log.rotate()
    fill(log, range(count * 20, count * 20 + 5))
    log.close()
    return directory / "w0"


def keeper(directory: Path, tmp_path: Path) -> Housekeeper:
    return Housekeeper(settings(directory, keys=tmp_path / "keys", compress=True))


def until_idle(work: Housekeeper) -> None:
    deadline = time.monotonic() + 60
    while work._thread is not None:
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_one_run_sees_to_all_that_is_closed(tmp_path: Path, keys: AuditKeys) -> None:
    folder = closed_segments(tmp_path / "log", keys)
    work = keeper(tmp_path / "log", tmp_path)
    work.start()
    until_idle(work)
    segments = list_segments(folder)
    assert [(segment.compressed, is_current(segment)) for segment in segments] == [(True, True)] * 3 + [
        (False, False)
    ]
    work.close()


def test_runs_asked_for_during_one_become_one_more(
    tmp_path: Path, keys: AuditKeys, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[list[str]] = []
    slow = [sys.executable, "-c", "import time; time.sleep(0.5)"]

    def spawn(command: list[str]) -> subprocess.Popen[bytes]:
        started.append(command)
        return subprocess.Popen(slow)

    monkeypatch.setattr(housekeeping, "_spawn", spawn)
    work = keeper(tmp_path / "log", tmp_path)
    for _ in range(5):
        work.start()
        time.sleep(0.02)
    until_idle(work)
    assert len(started) == 2
    work.close()
    work.start()
    assert len(started) == 2


def test_closing_ends_a_run_and_the_next_start_repeats_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    processes: list[subprocess.Popen[bytes]] = []

    def spawn(_: list[str]) -> subprocess.Popen[bytes]:
        processes.append(subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"]))
        return processes[-1]

    monkeypatch.setattr(housekeeping, "_spawn", spawn)
    work = keeper(tmp_path / "log", tmp_path)
    work.start()
    while not processes:
        time.sleep(0.01)
    work.close()
    assert processes[0].poll() is not None


def test_a_run_that_fails_or_cannot_start_is_told_and_harms_nobody(
    tmp_path: Path, keys: AuditKeys, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed_segments(tmp_path / "log", keys)
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys" / "encryption-0001.key").write_text("not base64!")
    (tmp_path / "keys" / "encryption-0001.key").chmod(0o600)
    work = keeper(tmp_path / "log", tmp_path)
    with caplog.at_level(logging.WARNING):
        work.start()
        until_idle(work)
        assert "repeated at the next rotation" in caplog.text
        monkeypatch.setattr(housekeeping, "_interpreter", lambda: "/nowhere/python")
        broken = keeper(tmp_path / "log", tmp_path)
        broken.start()
        until_idle(broken)
    assert "cannot be started" in caplog.text
    assert verify(tmp_path / "log", keys.signer.verifier).ok


def test_an_embedding_program_is_not_taken_for_python(monkeypatch: pytest.MonkeyPatch) -> None:
    assert housekeeping._interpreter() == sys.executable
    monkeypatch.setattr(sys, "executable", "/usr/local/bin/envoy")
    assert Path(housekeeping._interpreter()).name == "python3"


def test_work_cut_short_anywhere_is_finished_by_the_next_run(
    tmp_path: Path, keys: AuditKeys, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every call that changes the folder fails once; what is left always verifies and is finished afterwards."""
    folder = closed_segments(tmp_path, keys)
    expected = read_records(folder, keys)
    real_replace, real_unlink = Path.replace, Path.unlink
    for moment in range(40):
        calls = 0

        def sometimes(real: object, moment: int = moment) -> object:
            def call(*arguments: object, **named: object) -> object:
                nonlocal calls
                calls += 1
                if calls == moment + 1:
                    raise OSError(28, "No space left on device")
                return real(*arguments, **named)  # type: ignore[operator]

            return call

        with monkeypatch.context() as patch:
            patch.setattr(Path, "replace", sometimes(real_replace))
            patch.setattr(Path, "unlink", sometimes(real_unlink))
            try:
                maintain(folder, None, 0, pack=True)
            except OSError:
                assert verify(tmp_path, keys.signer.verifier, processes=1).ok
                continue
        break
    assert moment > 5
    assert read_records(folder, keys) == expected
    assert [segment.compressed for segment in list_segments(folder)] == [True] * 3 + [False]


def test_retention_never_leaves_a_hole(tmp_path: Path, keys: AuditKeys) -> None:
    """A young segment keeps all that come after it, however old their records claim to be."""
    log = DecisionLog(settings(tmp_path), keys)
    for number, time_of in enumerate([OLD, None, OLD]):
        log.append_now(decision(number, **({"time": time_of} if time_of else {})))
        log.rotate()
    log.append_now(decision(9, time=OLD))
    log.close()
    maintain(tmp_path / "w0", None, 400, pack=True)
    assert [segment.base for segment in list_segments(tmp_path / "w0")] == [1, 2, 3]
    assert verify(tmp_path, keys.signer.verifier).ok


def test_retention_of_zero_keeps_everything_and_the_newest_segment_always_stays(
    tmp_path: Path, keys: AuditKeys
) -> None:
    folder = closed_segments(tmp_path, keys, time=OLD)
    maintain(folder, None, 0, pack=True)
    assert len(list_segments(folder)) == 4
    maintain(folder, None, 1, pack=True)
    assert [segment.base for segment in list_segments(folder)] == [60]
    assert {path.suffix for path in folder.iterdir()} <= {".log", ".ckpt", ".resume", ""}


def test_what_cannot_be_read_is_kept(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Without its key a segment's age is not known, so it is not removed."""
    keys = make_keys(sealed=True)
    folder = closed_segments(tmp_path, keys, time=OLD)
    maintain(folder, keys.ring, 0, pack=True)
    with caplog.at_level(logging.WARNING):
        maintain(folder, None, 400, pack=True)
    assert len(list_segments(folder)) == 4
    assert "is kept" in caplog.text
    assert not any(segment.compressed for segment in list_segments(folder))
    os.truncate(list_segments(folder)[0].beside(INDEX), 50)
    maintain(folder, keys.ring, 400, pack=True)
    assert len(list_segments(folder)) == 4
