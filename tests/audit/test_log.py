"""Appending, reading back, and continuing across segments and restarts."""

import asyncio
import json
import time
from hashlib import sha256
from pathlib import Path

import pytest

from pdp.audit import AuditKeys, AuditUnavailable, DecisionLog, Durability
from pdp.audit.checkpoint import Checkpoint, indexed_trees
from pdp.audit.merkle import root_of
from pdp.audit.segment import SegmentReader, list_segments
from pdp.audit.verify import verify
from tests.audit.support import decision, fill, make_keys, read_records, replay_file, settings


def test_what_is_appended_is_read_back_with_seq_time_and_worker(tmp_path: Path, keys: AuditKeys) -> None:
    log = DecisionLog(settings(tmp_path), keys)
    fill(log, range(50))
    log.close()
    records = read_records(tmp_path / "w0", keys)
    assert [record["seq"] for record in records] == list(range(50))
    assert all(record["worker"] == "w0" and record["time"].endswith("Z") for record in records)
    pseudonym = keys.pseudonyms["0001"].pseudonym
    for number, record in enumerate(records):
        expected = decision(number)
        assert record["decision_id"] == expected["decision_id"]
        assert record["subject"] == pseudonym("subject", f"agent-{number % 7}")
        assert record["resource"] == {"type": "recording", "id": pseudonym("resource", f"rec-{number}")}
        for name in ("kind", "caller", "action", "purpose", "outcome", "reasons", "rules", "obligations"):
            assert record[name] == expected[name]
        for name in ("revision", "attribute_versions", "trace_id"):
            assert record[name] == expected[name]


def test_the_tree_is_over_the_json_text_alone(tmp_path: Path, keys: AuditKeys) -> None:
    """An auditor needs no more than the exported lines to recompute the signed root."""
    log = DecisionLog(settings(tmp_path), keys)
    fill(log, range(300))
    log.close()
    leaves = []
    with SegmentReader(list_segments(tmp_path / "w0")[0].path) as reader:
        header, offset = reader.header()
        decoder = header.decoder(None)
        while offset < reader.size:
            tag, seq, _, payload, offset = reader.frame_at(offset)
            if tag == 0xFFFE:
                decoder.define(seq, payload)
            else:
                leaves.append(sha256(b"\0" + decoder.text(tag, seq, payload)).digest())
    checkpoint = Checkpoint.open((tmp_path / "w0" / "checkpoint").read_text("utf-8"), [keys.signer.verifier])
    assert (checkpoint.size, checkpoint.root) == (300, root_of(leaves))


@pytest.mark.parametrize("sealed", [False, True])
def test_chain_and_tree_continue_across_segments_and_restarts(tmp_path: Path, *, sealed: bool) -> None:
    keys = make_keys(sealed=sealed)
    for start in (0, 40, 80):
        log = DecisionLog(settings(tmp_path), keys)
        assert log.size == start
        fill(log, range(start, start + 20))
        log.rotate()
        fill(log, range(start + 20, start + 40))
        log.close()
    report = verify(tmp_path, keys.signer.verifier)
    assert report.ok
    assert (report.trees[0].size, report.trees[0].signed, report.trees[0].segments) == (120, 120, 6)
    assert [record["attribute_versions"]["subject"] for record in read_records(tmp_path / "w0", keys)] == [
        12 + number for number in range(120)
    ]


def test_an_encrypted_log_shows_nothing_and_is_verified_without_the_key(
    tmp_path: Path, sealed_keys: AuditKeys
) -> None:
    log = DecisionLog(settings(tmp_path), sealed_keys)
    fill(log, range(100))
    log.close()
    raw = b"".join(segment.path.read_bytes() for segment in list_segments(tmp_path / "w0"))
    for word in (b"quality-review", b"recording", b"no_matching_permit", b"decision_id"):
        assert word not in raw
    assert verify(tmp_path, sealed_keys.signer.verifier).ok
    assert len(read_records(tmp_path / "w0", sealed_keys)) == 100


async def test_fsync_mode_answers_everyone_in_flight(tmp_path: Path, keys: AuditKeys) -> None:
    log = DecisionLog(settings(tmp_path, durability=Durability.FSYNC), keys)
    await asyncio.gather(*[log.append(decision(number)) for number in range(500)])
    durable = replay_file(list_segments(tmp_path / "w0")[0].path)
    assert (durable.state.seq, durable.fault) == (500, None)
    log.append_now(decision(500))
    log.close()
    assert verify(tmp_path, keys.signer.verifier).trees[0].signed == 501


async def test_fsync_mode_refuses_more_than_may_wait(tmp_path: Path, keys: AuditKeys) -> None:
    log = DecisionLog(settings(tmp_path, durability=Durability.FSYNC, max_pending=8), keys)
    answers = await asyncio.gather(*[log.append(decision(n)) for n in range(200)], return_exceptions=True)
    refused = [answer for answer in answers if isinstance(answer, AuditUnavailable)]
    log.close()
    assert {answer.reason for answer in refused} == {"queue_full"}
    assert len(read_records(tmp_path / "w0", keys)) == 200 - len(refused)


async def test_a_cancelled_append_is_still_a_record(tmp_path: Path, keys: AuditKeys) -> None:
    log = DecisionLog(settings(tmp_path, durability=Durability.FSYNC), keys)
    task = asyncio.ensure_future(log.append(decision(1)))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await log.append(decision(2))
    log.close()
    assert len(read_records(tmp_path / "w0", keys)) == 2


def test_rotation_by_size_happens_by_itself(tmp_path: Path, keys: AuditKeys) -> None:
    log = DecisionLog(settings(tmp_path, segment_bytes=8192), keys)
    for start in range(0, 400, 40):
        fill(log, range(start, start + 40))
        log._tick()
    log.close()
    assert len(list_segments(tmp_path / "w0")) >= 8
    assert verify(tmp_path, keys.signer.verifier).ok


def test_rotation_by_age(tmp_path: Path, keys: AuditKeys) -> None:
    log = DecisionLog(settings(tmp_path, segment_seconds=0.001), keys)
    fill(log, range(3))
    time.sleep(0.002)
    log._tick()
    fill(log, range(3, 6))
    log.close()
    assert len(list_segments(tmp_path / "w0")) >= 2
    assert verify(tmp_path, keys.signer.verifier).records == 6


def test_checkpoints_come_by_count_and_at_close(tmp_path: Path, keys: AuditKeys) -> None:
    log = DecisionLog(settings(tmp_path, checkpoint_records=10), keys)
    for start in range(0, 35, 5):
        fill(log, range(start, start + 5))
        log._tick()
    log.close()
    lines = (tmp_path / "w0" / f"{0:020d}.ckpt").read_text("utf-8").splitlines()
    sizes = [Checkpoint.open(json.loads(line), [keys.signer.verifier]).size for line in lines]
    assert sizes[-1] == 35
    assert len(sizes) >= 4


def test_one_signed_index_over_the_trees_of_all_workers(tmp_path: Path, keys: AuditKeys) -> None:
    logs = [DecisionLog(settings(tmp_path, worker=f"w{number}"), keys) for number in range(3)]
    for number, log in enumerate(logs):
        fill(log, range(number + 1))
    for log in logs:
        log.close()
    index = Checkpoint.open((tmp_path / "index").read_text("utf-8"), [keys.signer.verifier])
    assert [(tree.origin[-2:], tree.size) for tree in indexed_trees(index)] == [("w0", 1), ("w1", 2), ("w2", 3)]
    report = verify(tmp_path, keys.signer.verifier)
    assert report.ok
    assert len(report.trees) == 3


def test_a_second_writer_is_kept_out(tmp_path: Path, keys: AuditKeys) -> None:
    log = DecisionLog(settings(tmp_path), keys)
    with pytest.raises(AuditUnavailable, match="another process"):
        DecisionLog(settings(tmp_path), keys)
    log.close()
    DecisionLog(settings(tmp_path), keys).close()


def test_a_closed_log_refuses(tmp_path: Path, keys: AuditKeys) -> None:
    log = DecisionLog(settings(tmp_path), keys)
    log.close()
    log.close()
    with pytest.raises(AuditUnavailable) as raised:
        log.append_now(decision(1))
    assert raised.value.reason == "closed"


def test_too_little_space_refuses_until_there_is_more(tmp_path: Path, keys: AuditKeys) -> None:
    log = DecisionLog(settings(tmp_path, min_free_bytes=1 << 60), keys)
    assert (log.health().healthy, log.health().reason) == (False, "low_disk_space")
    with pytest.raises(AuditUnavailable) as raised:
        log.append_now(decision(1))
    assert raised.value.reason == "low_disk_space"
    object.__setattr__(log._settings, "min_free_bytes", 0)
    log._check_space()
    log.append_now(decision(2))
    assert log.health().healthy
    log.close()
