"""Verifying by several processes, its progress, and what it reports of a log that is partly gone."""

from __future__ import annotations

from pathlib import Path

import pytest

from pdp.audit import AuditKeys, DecisionLog
from pdp.audit import verify as module
from pdp.audit.maintain import maintain
from pdp.audit.replay import Kind
from pdp.audit.segment import list_segments
from pdp.audit.verify import VerifyReport, verify
from pdp.signing.errors import NoteError
from tests.audit.support import decision, fill, make_keys, settings


def many_segments(directory: Path, keys: AuditKeys, worker: str = "w0", count: int = 6) -> Path:
    log = DecisionLog(settings(directory, worker=worker), keys)
    for start in range(0, count * 50, 50):
        fill(log, range(start, start + 50))
        if start + 50 < count * 50:
            log.rotate()
    log.close()
    return directory / worker


@pytest.fixture
def pooled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have even a small log checked by several processes."""
    monkeypatch.setattr(module, "_POOL_FROM_BYTES", 0)


def flip(path: Path, position: int) -> None:
    data = bytearray(path.read_bytes())
    data[position] ^= 1
    path.write_bytes(data)


def summary(report: VerifyReport) -> list[tuple[object, ...]]:
    return [
        (tree.origin, tree.first, tree.size, tree.signed, tree.segments, tree.unfinished, tree.finding)
        for tree in report.trees
    ]


@pytest.mark.usefixtures("pooled")
@pytest.mark.parametrize("processes", [2, 3, 16])
def test_several_processes_find_what_one_finds(tmp_path: Path, keys: AuditKeys, processes: int) -> None:
    folders = [many_segments(tmp_path, keys, worker) for worker in ("w0", "w1")]
    assert verify(tmp_path, keys.signer.verifier, processes=processes).ok
    paths = [segment.path for segment in list_segments(folders[1])]
    flip(paths[2], paths[2].stat().st_size // 2)
    flip(paths[4], paths[4].stat().st_size // 2)
    alone = verify(tmp_path, keys.signer.verifier, processes=1)
    together = verify(tmp_path, keys.signer.verifier, processes=processes)
    assert summary(together) == summary(alone)
    finding = together.trees[1].finding
    assert finding is not None
    assert (finding.file, finding.fault.kind) == (paths[2].name, Kind.DAMAGED)
    assert finding.fault.seq is not None
    assert 100 <= finding.fault.seq < 150
    assert together.trees[0].finding is None


@pytest.mark.usefixtures("pooled")
@pytest.mark.parametrize("processes", [1, 2])
def test_progress_only_grows_and_ends_at_all_bytes(tmp_path: Path, keys: AuditKeys, processes: int) -> None:
    folder = many_segments(tmp_path, keys)
    told: list[tuple[int, int]] = []
    verify(tmp_path, keys.signer.verifier, processes=processes, progress=lambda *step: told.append(step))
    total = sum(segment.path.stat().st_size for segment in list_segments(folder))
    assert told == sorted(told)
    assert len(told) == 6
    assert (told[-1], {all_bytes for _, all_bytes in told}) == ((total, total), {total})


def test_a_log_that_is_compressed_while_it_is_verified(
    tmp_path: Path, keys: AuditKeys, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between listing a segment and opening it, it may have changed its form."""
    many_segments(tmp_path, keys)
    real = module._run

    def late(*arguments: object) -> object:
        maintain(tmp_path / "w0", None, 0, pack=True)
        return real(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(module, "_run", late)
    assert verify(tmp_path, keys.signer.verifier).ok


def test_each_segment_that_is_missing_is_named(tmp_path: Path, keys: AuditKeys) -> None:
    folder = many_segments(tmp_path, keys)
    segments = list_segments(folder)
    for gone in range(1, 5):
        path = segments[gone].path
        data = path.read_bytes()
        path.unlink()
        finding = verify(tmp_path, keys.signer.verifier).trees[0].finding
        assert finding is not None
        assert (finding.fault.kind, finding.fault.seq) == (Kind.MISSING_SEGMENT, gone * 50)
        assert f"records {gone * 50} to {gone * 50 + 49} are gone" in finding.fault.detail
        path.write_bytes(data)
    segments[5].path.unlink()
    finding = verify(tmp_path, keys.signer.verifier).trees[0].finding
    assert finding is not None
    assert (finding.fault.kind, finding.fault.seq) == (Kind.TAIL_CUT, 250)


def test_a_checkpoint_of_records_past_their_retention_is_said_not_to_be_checkable(
    tmp_path: Path, keys: AuditKeys
) -> None:
    log = DecisionLog(settings(tmp_path), keys)
    log.append_many([decision(n, time="2019-05-05T10:00:00.000000Z") for n in range(10)])
    log._tick(final=True)
    early = (tmp_path / "w0" / "checkpoint").read_text("utf-8")
    log.append_many([decision(n, time="2019-05-05T10:00:00.000000Z") for n in range(10, 20)])
    log.rotate()
    fill(log, range(20, 25))
    log.close()
    maintain(tmp_path / "w0", None, 400, pack=True)
    report = verify(tmp_path, keys.signer.verifier, [early])
    assert report.ok
    assert [checkpoint.size for checkpoint in report.uncheckable] == [10]
    assert (report.trees[0].first, report.records) == (20, 5)


def test_a_checkpoint_of_another_key_is_refused(tmp_path: Path, keys: AuditKeys) -> None:
    many_segments(tmp_path / "log", keys, count=1)
    other = make_keys()
    many_segments(tmp_path / "other", other, count=1)
    note = (tmp_path / "other" / "w0" / "checkpoint").read_text("utf-8")
    with pytest.raises(NoteError):
        verify(tmp_path / "log", keys.signer.verifier, [note])
    report = verify(tmp_path / "log", other.signer.verifier)
    assert not report.ok


def test_an_empty_directory_has_nothing_wrong_and_no_records(tmp_path: Path, keys: AuditKeys) -> None:
    report = verify(tmp_path, keys.signer.verifier)
    assert (report.ok, report.records, report.trees) == (True, 0, [])


@pytest.mark.parametrize("line", ["", "[]", "3", "{", '"no note"'])
def test_a_checkpoint_line_that_is_none_is_named_with_its_number(tmp_path: Path, keys: AuditKeys, line: str) -> None:
    folder = many_segments(tmp_path, keys, count=1)
    path = folder / f"{0:020d}.ckpt"
    lines = path.read_text("utf-8").splitlines()
    path.write_text("\n".join([*lines, line, ""]), encoding="utf-8")
    finding = verify(tmp_path, keys.signer.verifier).trees[0].finding
    assert finding is not None
    assert (finding.fault.kind, finding.file) == (Kind.BAD_CHECKPOINT, f"{path.name}:{len(lines) + 1}")


def test_two_trees_of_one_size_are_a_forgery(tmp_path: Path, keys: AuditKeys) -> None:
    """Somebody with the signing key wrote the same worker's log twice."""
    first, second = tmp_path / "first", tmp_path / "second"
    for directory, begin in ((first, 0), (second, 100)):
        log = DecisionLog(settings(directory), keys)
        fill(log, range(begin, begin + 10))
        log.close()
    outside = (second / "w0" / "checkpoint").read_text("utf-8")
    finding = verify(first, keys.signer.verifier, [outside]).trees[0].finding
    assert finding is not None
    assert (finding.fault.kind, "two different trees of size 10" in finding.fault.detail) == (Kind.FORGED, True)
