"""kill -9 at random moments, full disks, failing disks: what was answered is in the log."""

import errno
import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pdp.audit import AuditUnavailable, DecisionLog, Durability, load_keys
from pdp.audit.keys import PSEUDONYM, generate_secret, generate_signing
from pdp.audit.verify import verify
from tests.audit.support import NAME, decision, fill, read_records, settings

ROOT = Path(__file__).resolve().parents[2]
NEVER_ENDING = 10_000_000


@pytest.fixture
def key_folder(tmp_path: Path) -> Path:
    generate_signing(tmp_path / "keys", NAME)
    generate_secret(tmp_path / "keys", PSEUDONYM)
    return tmp_path / "keys"


def generator(directory: Path, keys: Path, durability: str, start: int, limit: int = NEVER_ENDING) -> list[str]:
    return [
        sys.executable,
        "-m",
        "tests.audit.load_generator",
        str(directory),
        str(keys),
        durability,
        str(start),
        str(limit),
    ]


def kill_during_load(directory: Path, keys: Path, durability: str, start: int, moment: float) -> list[str]:
    """The decision ids that were answered before the process was killed."""
    with subprocess.Popen(generator(directory, keys, durability, start), cwd=ROOT, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        first = process.stdout.readline()
        time.sleep(moment)
        process.kill()
        lines = (first + process.stdout.read()).decode().split("\n")
    return [line for line in lines[:-1] if line]  # the last line may have been cut off: nobody received it


def survive(tmp_path: Path, key_folder: Path, durability: str, rounds: int) -> None:
    chance, answered, directory = random.Random(durability), [], tmp_path / "log"  # noqa: S311  moments to kill at
    for number in range(rounds):
        answered += kill_during_load(directory, key_folder, durability, number * 100_000, chance.uniform(0, 0.4))
    keys = load_keys(key_folder)
    log = DecisionLog(settings(directory, keys=key_folder), keys)
    log.close()
    records = read_records(directory / "w0", keys)
    assert [record["seq"] for record in records] == list(range(len(records)))
    logged = [record["decision_id"] for record in records]
    assert len(answered) > rounds
    assert not set(answered) - set(logged)
    assert len(set(logged)) == len(logged)
    report = verify(directory, keys.signer.verifier)
    assert report.ok, report
    assert report.trees[0].signed == len(records)


@pytest.mark.parametrize("durability", ["os", "fsync"])
def test_nothing_answered_is_lost_by_kill_9(tmp_path: Path, key_folder: Path, durability: str) -> None:
    survive(tmp_path, key_folder, durability, rounds=12)


@pytest.mark.slow
@pytest.mark.parametrize("durability", ["os", "fsync"])
def test_nothing_answered_is_lost_by_hundreds_of_kill_9(tmp_path: Path, key_folder: Path, durability: str) -> None:
    survive(tmp_path, key_folder, durability, rounds=250)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of one megabyte."""
    mount = tmp_path / "disk"
    mount.mkdir()
    if os.geteuid() or not shutil.which("mount"):
        pytest.skip("mounting a small tmpfs needs root")
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(mount)]
    if subprocess.run(command, check=False, capture_output=True).returncode:
        pytest.skip("a tmpfs cannot be mounted here")
    yield mount
    subprocess.run(["umount", str(mount)], check=True)


@pytest.mark.parametrize("durability", ["os", "fsync"])
def test_a_full_disk_refuses_and_what_was_answered_is_there(
    small_disk: Path, key_folder: Path, durability: str
) -> None:
    keys = load_keys(key_folder)
    log = DecisionLog(settings(small_disk / "log", durability=Durability(durability), segment_bytes=300_000), keys)
    answered = fill_until_refused(log)
    assert (log.health().healthy, log.health().reason) == (False, "disk_full")
    with pytest.raises(AuditUnavailable):
        log.append_now(decision(1))
    log.close()
    shutil.move(small_disk / "log", small_disk.parent / "moved")
    again = DecisionLog(settings(small_disk.parent / "moved"), keys)
    assert again.size >= len(answered)
    again.append_now(decision(99_999))
    again.close()
    logged = [record["decision_id"] for record in read_records(small_disk.parent / "moved" / "w0", keys)]
    assert logged[: len(answered)] == answered
    assert verify(small_disk.parent / "moved", keys.signer.verifier).ok


def fill_until_refused(log: DecisionLog) -> list[object]:
    """The ids of the decisions that were answered before the first refusal."""
    answered: list[object] = []
    for number in range(20_000):
        try:
            log.append_now(decision(number))
        except AuditUnavailable:
            return answered
        answered.append(decision(number)["decision_id"])
    pytest.fail("the disk never became full")


def strace(*options: str) -> list[str]:
    if not shutil.which("strace"):
        pytest.skip("there is no strace here")
    probe = subprocess.run(["strace", "-o", "/dev/null", "true"], check=False, capture_output=True)
    if probe.returncode:
        pytest.skip("strace may not trace here")
    return ["strace", "-f", "-qq", "-o", "/dev/null", *options]


INJECTIONS = {
    "os": ["write:error=EIO:when=40+", "fdatasync:error=EIO:when=2+", "write:error=ENOSPC:when=60+"],
    "fsync": ["fdatasync:error=EIO:when=6+", "fdatasync:error=ENOSPC:when=6+"],
}


@pytest.mark.parametrize(
    ("durability", "injection"), [(mode, injection) for mode, found in INJECTIONS.items() for injection in found]
)
def test_no_answer_without_its_record_when_the_disk_fails(
    tmp_path: Path, key_folder: Path, durability: str, injection: str
) -> None:
    """System calls on the segment are made to fail; the answers go through a pipe, which is left alone."""
    directory = tmp_path / "log"
    call = injection.partition(":")[0]
    segment = directory / "w0" / f"{0:020d}.log"
    trace = strace("-e", f"trace={call}", "-P", str(segment), "-e", f"inject={injection}")
    done = subprocess.run(
        [*trace, *generator(directory, key_folder, durability, 0, 20_000)],
        cwd=ROOT,
        capture_output=True,
        check=False,
        timeout=240,
    )
    lines = done.stdout.decode().split()
    assert "refused" in lines, (done.stdout[-300:], done.stderr[-600:])
    answered = lines[: lines.index("refused")]
    assert lines[-1] in ("io_error", "disk_full")
    keys = load_keys(key_folder)
    log = DecisionLog(settings(directory, keys=key_folder), keys)
    log.close()
    logged = {record["decision_id"] for record in read_records(directory / "w0", keys)}
    assert answered
    assert not set(answered) - logged
    assert verify(directory, keys.signer.verifier).ok


def test_short_writes_are_continued(tmp_path: Path, key_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel may take fewer bytes than it was given; the real call is cut here, a tracer can only pretend."""
    real = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: real(fd, data[: max(1, len(data) // 3)]))
    keys = load_keys(key_folder)
    log = DecisionLog(settings(tmp_path / "log"), keys)
    fill(log, range(100))
    log.close()
    monkeypatch.undo()
    assert len(read_records(tmp_path / "log" / "w0", keys)) == 100
    assert verify(tmp_path / "log", keys.signer.verifier).ok


def test_a_write_that_fails_half_way_leaves_a_torn_tail_that_is_cut(
    tmp_path: Path, key_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = load_keys(key_folder)
    log = DecisionLog(settings(tmp_path / "log"), keys)
    fill(log, range(10))
    real, calls = os.write, []

    def half(fd: int, data: bytes) -> int:
        calls.append(len(data))
        if len(calls) > 1:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(fd, data[: len(data) // 2])

    monkeypatch.setattr(os, "write", half)
    with pytest.raises(AuditUnavailable) as raised:
        log.append_now(decision(10))
    monkeypatch.undo()
    assert raised.value.reason == "disk_full"
    log.close()
    again = DecisionLog(settings(tmp_path / "log"), keys)
    assert again.torn is not None
    assert again.size == 10
    again.close()
    assert verify(tmp_path / "log", keys.signer.verifier).ok


def test_a_failed_sync_is_never_tried_again(
    tmp_path: Path, key_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = DecisionLog(settings(tmp_path / "log", durability=Durability.FSYNC), load_keys(key_folder))
    fill(log, range(3))
    calls = []

    def fail(fd: int) -> None:
        calls.append(fd)
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr("pdp.audit.output._datasync", fail)
    for number in range(5):
        with pytest.raises(AuditUnavailable) as raised:
            log.append_now(decision(number))
        assert raised.value.reason == "io_error"
    log.close()
    assert len(calls) == 1


def test_a_read_only_disk_is_named(tmp_path: Path, key_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> int:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    keys = load_keys(key_folder)
    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(AuditUnavailable) as raised:
        DecisionLog(settings(tmp_path / "log"), keys)
    assert raised.value.reason == "read_only"
