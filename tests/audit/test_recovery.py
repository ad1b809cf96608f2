"""What a crash leaves behind: every truncation, every flipped byte, stale and missing helpers."""

import shutil
from pathlib import Path

import pytest

from pdp.audit import AuditKeys, DecisionLog, LogDamaged
from pdp.audit.recovery import recover
from pdp.audit.resume import resume_points
from pdp.audit.segment import list_segments
from pdp.audit.verify import verify
from tests.audit.support import NAME, decision, fill, make_keys, read_records, replay_file, settings


def crashed_log(tmp_path: Path, keys: AuditKeys, signed: int, unsigned: int) -> Path:
    """A folder as kill -9 leaves it: `signed` records under a checkpoint and `unsigned` after it."""
    living = tmp_path / "living"
    log = DecisionLog(settings(living), keys)
    fill(log, range(signed))
    if signed:
        log._tick(final=True)
    fill(log, range(signed, signed + unsigned))
    crashed = tmp_path / "crashed"
    shutil.copytree(living, crashed)
    log.close()
    return crashed


def signed_end_of(directory: Path) -> int:
    """Where in the segment the last signed record ends."""
    point = next(resume_points(list_segments(directory / "w0")[0]))
    return point.offset


def recovered(directory: Path, keys: AuditKeys) -> tuple[int, int]:
    """`(records, bytes cut off)` by recovery alone; the good part must verify afterwards."""
    recovery = recover(directory / "w0", f"{NAME}/w0", keys.signer.verifier)
    segments = list_segments(directory / "w0")
    if segments:
        outcome = replay_file(segments[-1].path)
        assert (outcome.fault, outcome.state.seq) == (None, recovery.state.seq)
        assert outcome.state.link == recovery.state.link
        assert outcome.state.frontier.nodes == recovery.state.frontier.nodes
    return recovery.state.seq, recovery.torn.size if recovery.torn else 0


def reopen(directory: Path, keys: AuditKeys) -> tuple[int, int]:
    """`(records, bytes cut off)`: what recovery makes of the folder; the chain must go on and verify afterwards."""
    log = DecisionLog(settings(directory), keys)
    size, torn = log.size, log.torn.size if log.torn else 0
    log.append_now(decision(9999))
    log.close()
    report = verify(directory, keys.signer.verifier, processes=1)
    assert report.ok, report
    assert [record["seq"] for record in read_records(directory / "w0", keys)] == list(range(size + 1))
    return size, torn


@pytest.mark.parametrize("sealed", [False, True])
def test_the_last_segment_cut_at_every_byte(memory_path: Path, *, sealed: bool) -> None:
    keys = make_keys(sealed=sealed)
    crashed = crashed_log(memory_path, keys, signed=0, unsigned=4)
    data = list_segments(crashed / "w0")[0].path.read_bytes()
    sizes = []
    for cut in range(len(data)):
        copy = memory_path / f"copy{cut}"
        shutil.copytree(crashed, copy)
        list_segments(copy / "w0")[0].path.write_bytes(data[:cut])
        verify(copy, keys.signer.verifier, processes=1)
        size, torn = reopen(copy, keys) if cut % 150 == 0 else recovered(copy, keys)
        assert 0 <= torn < len(data)
        sizes.append(size)
        shutil.rmtree(copy)
    assert sizes == sorted(sizes)
    assert set(sizes) == set(range(4))


def test_cutting_into_signed_records_is_refused_and_named(memory_path: Path, keys: AuditKeys) -> None:
    crashed = crashed_log(memory_path, keys, signed=2, unsigned=2)
    path = list_segments(crashed / "w0")[0].path
    data = path.read_bytes()
    intact = {cut for cut in range(len(data)) if _cut_outcome(path, data[:cut], keys) == "recovered"}
    signed_end = signed_end_of(crashed)
    assert intact == set(range(signed_end, len(data)))


def _cut_outcome(path: Path, data: bytes, keys: AuditKeys) -> str:
    directory = path.parent.parent
    copy = directory.with_name("copy")
    shutil.copytree(directory, copy)
    list_segments(copy / "w0")[0].path.write_bytes(data)
    try:
        report = verify(copy, keys.signer.verifier, processes=1)
        recovered(copy, keys)
    except LogDamaged:
        assert not report.ok
        return "refused"
    else:
        return "recovered"
    finally:
        shutil.rmtree(copy)


@pytest.mark.parametrize("sealed", [False, True])
def test_every_flipped_byte_is_found(memory_path: Path, *, sealed: bool) -> None:
    """In a log that was closed, one changed byte anywhere in the segment is found by `verify`."""
    keys = make_keys(sealed=sealed)
    log = DecisionLog(settings(memory_path / "log"), keys)
    fill(log, range(3))
    log.close()
    path = list_segments(memory_path / "log" / "w0")[0].path
    data = path.read_bytes()
    for position in range(len(data)):
        path.write_bytes(data[:position] + bytes([data[position] ^ (1 << position % 8)]) + data[position + 1 :])
        report = verify(memory_path / "log", keys.signer.verifier, processes=1)
        assert not report.ok, f"byte {position}"
    path.write_bytes(data)
    assert verify(memory_path / "log", keys.signer.verifier, processes=1).ok


def test_every_flipped_byte_is_recovered_or_refused(memory_path: Path, keys: AuditKeys) -> None:
    """Opening a damaged log never crashes, and never loses what a checkpoint signs without saying so."""
    crashed = crashed_log(memory_path, keys, signed=2, unsigned=2)
    path = list_segments(crashed / "w0")[0].path
    data = path.read_bytes()
    signed_end = signed_end_of(crashed)
    for position in range(signed_end, len(data)):
        flipped = data[:position] + bytes([data[position] ^ 0x40]) + data[position + 1 :]
        assert _cut_outcome(path, flipped, keys) in ("recovered", "refused")


def test_the_torn_tail_is_kept_beside_the_segment(tmp_path: Path, keys: AuditKeys) -> None:
    crashed = crashed_log(tmp_path, keys, signed=0, unsigned=5)
    path = list_segments(crashed / "w0")[0].path
    data = path.read_bytes()
    path.write_bytes(data[:-10])
    log = DecisionLog(settings(crashed), keys)
    torn = log.torn
    log.close()
    assert torn is not None
    assert (torn.segment, torn.offset + torn.size) == (path.name, len(data) - 10)
    assert (crashed / "w0" / torn.saved_as).read_bytes() == data[torn.offset : -10]


def test_a_log_without_its_segments_is_refused(tmp_path: Path, keys: AuditKeys) -> None:
    log = DecisionLog(settings(tmp_path), keys)
    fill(log, range(5))
    log.close()
    for segment in list_segments(tmp_path / "w0"):
        segment.path.unlink()
    with pytest.raises(LogDamaged, match="no segment"):
        DecisionLog(settings(tmp_path), keys)


def test_a_log_of_another_key_is_refused(tmp_path: Path, keys: AuditKeys) -> None:
    log = DecisionLog(settings(tmp_path), keys)
    fill(log, range(5))
    log.close()
    with pytest.raises(LogDamaged):
        DecisionLog(settings(tmp_path), make_keys())


def test_an_edited_tail_is_refused_rather_than_cut(tmp_path: Path, keys: AuditKeys) -> None:
    """A crash cannot make a frame whose CRC is right and whose link is wrong."""
    crashed = crashed_log(tmp_path, keys, signed=0, unsigned=5)
    other = tmp_path / "other"
    log = DecisionLog(settings(other), keys)
    fill(log, range(100, 105))
    spliced = list_segments(other / "w0")[0].path.read_bytes()
    log.close()
    path = list_segments(crashed / "w0")[0].path
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2] + spliced[len(data) // 2 :])
    outcomes = (_open_outcome(crashed, keys), verify(crashed, keys.signer.verifier).ok)
    assert outcomes in (("refused", False), ("cut", True))


def _open_outcome(directory: Path, keys: AuditKeys) -> str:
    try:
        log = DecisionLog(settings(directory), keys)
    except LogDamaged:
        return "refused"
    log.close()
    return "cut"


def test_empty_segments_are_not_left_behind(tmp_path: Path, keys: AuditKeys) -> None:
    for _ in range(5):
        DecisionLog(settings(tmp_path), keys).close()
    log = DecisionLog(settings(tmp_path), keys)
    fill(log, range(3))
    log.rotate()
    log.close()
    assert [segment.base for segment in list_segments(tmp_path / "w0")] == [0, 3]
