"""Where recovery goes on from: the newest resume point that holds, an older one, or the begin."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any
from zlib import crc32

import pytest

from pdp.audit import AuditKeys, DecisionLog, Durability, LogDamaged, recovery
from pdp.audit.checkpoints import RECORDS_BETWEEN
from pdp.audit.maintain import maintain
from pdp.audit.replay import replay
from pdp.audit.resume import ResumePoint, resume_points
from pdp.audit.segment import RESUME, SegmentReader, list_segments
from pdp.audit.verify import verify
from tests.audit.support import NAME, decision, fill, make_keys, replay_file, settings

Spoil = Callable[[list[bytes]], list[bytes]]


def killed_log(root: Path, keys: AuditKeys, signed: tuple[int, ...] = (30, 60), unsigned: int = 5) -> Path:
    """A folder as kill -9 leaves it: a resume point at each of the sizes `signed`, and some records after them."""
    log = DecisionLog(settings(root / "living"), keys)
    begin = 0
    for size in (*signed, max(signed) + unsigned):
        fill(log, range(begin, size))
        if size in signed:
            log._tick(final=True)
        begin = size
    shutil.copytree(root / "living", root / "killed")
    log.close()
    return root / "killed"


def recover(directory: Path, keys: AuditKeys) -> tuple[int, int, list[int]]:
    """`(records, size replayed from, ...)`: the state must be that of a full replay."""
    begun: list[int] = []

    def watched(data: Any, offset: int, state: Any, *rest: Any) -> Any:
        begun.append(state.seq)
        return replay(data, offset, state, *rest)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(recovery, "replay", watched)
        found = recovery.recover(directory / "w0", f"{NAME}/w0", keys.signer.verifier)
    whole = replay_file(list_segments(directory / "w0")[-1].path)
    assert (whole.fault, whole.state.seq, whole.state.link) == (None, found.state.seq, found.state.link)
    assert whole.state.frontier.nodes == found.state.frontier.nodes
    return found.state.seq, begun[-1], begun


def rewrite(directory: Path, spoil: Spoil) -> None:
    path = list_segments(directory / "w0")[0].beside(RESUME)
    path.write_bytes(b"\n".join(spoil([line for line in path.read_bytes().split(b"\n") if line])))


def forged(**changes: Any) -> Spoil:
    """The newest line changed by somebody who makes its CRC right again."""

    def spoil(lines: list[bytes]) -> list[bytes]:
        text = json.dumps(json.loads(lines[-1].partition(b" ")[2]) | changes).encode()
        return [*lines[:-1], b"%08x %b" % (crc32(text), text)]

    return spoil


@pytest.mark.parametrize("sealed", [False, True])
def test_recovery_goes_on_from_the_newest_point(tmp_path: Path, *, sealed: bool) -> None:
    keys = make_keys(sealed=sealed)
    assert recover(killed_log(tmp_path, keys), keys) == (65, 60, [60])


@pytest.mark.parametrize(
    "spoil",
    [
        lambda lines: [*lines[:-1], lines[-1][:-1]],
        lambda lines: [*lines[:-1], lines[-1][: len(lines[-1]) // 2]],
        lambda lines: [*lines[:-1], lines[-1].replace(b"offset", b"offsot")],
        lambda lines: [*lines, b"garbage", b"\xff\xfe\x00"],
        lambda lines: [lines[-1][:40], lines[-1]],
        lambda lines: lines[:-1],
        forged(note="no note"),
        forged(frontier=[]),
        forged(offset=1),
        forged(last=1 << 40),
        forged(templates=[1 << 40]),
        forged(templates="x"),
        forged(frontier=7),
    ],
)
def test_a_point_that_does_not_hold_costs_time_only(tmp_path: Path, keys: AuditKeys, spoil: Spoil) -> None:
    killed = killed_log(tmp_path, keys)
    rewrite(killed, spoil)
    size, begun, tried = recover(killed, keys)
    assert size == 65
    assert begun in (30, 60)
    assert len(tried) == 1


@pytest.mark.parametrize("spoil", [lambda _: [], forged(templates=[])])
def test_without_a_point_that_holds_the_segment_is_replayed_whole(
    tmp_path: Path, keys: AuditKeys, spoil: Spoil
) -> None:
    killed = killed_log(tmp_path, keys, signed=(30,))
    rewrite(killed, spoil)
    assert recover(killed, keys)[:2] == (35, 0)


def test_a_log_without_its_file_of_points_is_opened_as_well(tmp_path: Path, keys: AuditKeys) -> None:
    killed = killed_log(tmp_path, keys)
    list_segments(killed / "w0")[0].beside(RESUME).unlink()
    assert recover(killed, keys)[:2] == (65, 0)


def test_points_of_another_log_are_passed_over(tmp_path: Path, keys: AuditKeys) -> None:
    killed, other = killed_log(tmp_path, keys), killed_log(tmp_path / "other", make_keys())
    foreign = list_segments(other / "w0")[0].beside(RESUME)
    shutil.copy(foreign, list_segments(killed / "w0")[0].beside(RESUME))
    assert recover(killed, keys)[:2] == (65, 0)


@pytest.mark.parametrize("older", [b"an older one", None])
def test_an_older_checkpoint_put_back_is_refused(tmp_path: Path, keys: AuditKeys, older: bytes | None) -> None:
    killed = killed_log(tmp_path, keys)
    checkpoint = killed / "w0" / "checkpoint"
    first = json.loads((killed / "w0" / f"{0:020d}.ckpt").read_text("utf-8").splitlines()[0])
    checkpoint.write_text(first, encoding="utf-8") if older else checkpoint.unlink()
    with pytest.raises(LogDamaged, match="older one was put back" if older else "is missing"):
        recovery.recover(killed / "w0", f"{NAME}/w0", keys.signer.verifier)


def test_a_tail_cut_into_signed_records_is_refused_wherever_recovery_began(tmp_path: Path, keys: AuditKeys) -> None:
    killed = killed_log(tmp_path, keys)
    segment = list_segments(killed / "w0")[0]
    points = list(resume_points(segment))
    for spoil in (lambda lines: lines, lambda lines: lines[:1], lambda _: []):
        rewrite(killed, spoil)
        segment.path.write_bytes(segment.path.read_bytes()[: points[0].offset - 1])
        with pytest.raises(LogDamaged, match="are left of 60"):
            recovery.recover(killed / "w0", f"{NAME}/w0", keys.signer.verifier)


def test_points_are_sparse_under_load_and_one_is_left_at_close(tmp_path: Path, keys: AuditKeys) -> None:
    log = DecisionLog(settings(tmp_path, checkpoint_records=RECORDS_BETWEEN // 4), keys)
    for start in range(0, 3 * RECORDS_BETWEEN, RECORDS_BETWEEN // 4):
        log.append_many([decision(number) for number in range(start, start + RECORDS_BETWEEN // 4)])
        log._tick()
    log.append_now(decision(1))
    segment = list_segments(tmp_path / "w0")[0]
    assert 2 <= len(list(resume_points(segment))) <= 4
    log.close()
    with SegmentReader(segment.path) as reader:
        assert next(resume_points(segment)).offset == reader.size
    assert recover(tmp_path, keys)[:2] == (3 * RECORDS_BETWEEN + 1,) * 2


async def test_points_are_right_where_writing_is_behind_encoding(tmp_path: Path, keys: AuditKeys) -> None:
    """In fsync mode a template's place is known before its bytes are in the file."""
    log = DecisionLog(settings(tmp_path, durability=Durability.FSYNC), keys)
    for number in range(0, 60, 3):
        await log.append(*[decision(number + n, action=f"action-{number}-{n}") for n in range(3)])
    log.close()
    assert recover(tmp_path, keys)[:2] == (60, 60)
    segment = list_segments(tmp_path / "w0")[0]
    assert len(next(resume_points(segment)).templates) == 60


def test_points_of_closed_segments_are_cleared_away(tmp_path: Path, keys: AuditKeys) -> None:
    log = DecisionLog(settings(tmp_path), keys)
    fill(log, range(5))
    log.rotate()
    fill(log, range(5, 8))
    log.close()
    maintain(tmp_path / "w0", None, 0, pack=True)
    assert [path.name for path in (tmp_path / "w0").glob(f"*{RESUME}")] == [f"{5:020d}{RESUME}"]
    assert verify(tmp_path, keys.signer.verifier).ok


@pytest.mark.parametrize("line", [b"", b" ", b"0 {}", b"00000000 ", b"%08x []" % crc32(b"[]"), b"\x00" * 50])
def test_what_is_no_line_is_none(line: bytes) -> None:
    assert ResumePoint.parse(line) is None
