"""Indexes, search, and the work on closed segments."""

import json
import os
import time
from pathlib import Path

import pytest

from pdp.audit import AuditKeys, DecisionLog
from pdp.audit.errors import FormatError
from pdp.audit.maintain import maintain
from pdp.audit.search import Query, find, known_as, search
from pdp.audit.searchindex import SegmentIndex, build, is_current
from pdp.audit.segment import INDEX, SegmentReader, list_segments
from pdp.audit.verify import verify
from tests.audit.support import decision, fill, make_keys, read_records, settings


def three_segments(directory: Path, keys: AuditKeys, *, seen_to: bool) -> list[dict[str, object]]:
    log = DecisionLog(settings(directory), keys)
    for start in (0, 300, 600):
        fill(log, range(start, start + 300))
        log.append_now({"kind": "reload", "revision": "sha256:cd", "outcome": "accepted"})
        if start < 600:
            log.rotate()
    log.close()
    if seen_to:
        maintain(directory / "w0", keys.ring, 0, pack=True)
    return read_records(directory / "w0", keys)


def resource_type(record: dict[str, object]) -> object:
    resource = record.get("resource")
    return resource.get("type") if isinstance(resource, dict) else None


@pytest.mark.parametrize("seen_to", [False, True])
@pytest.mark.parametrize("sealed", [False, True])
def test_search_finds_what_a_full_reading_finds(tmp_path: Path, *, sealed: bool, seen_to: bool) -> None:
    keys = make_keys(sealed=sealed)
    everything = three_segments(tmp_path, keys, seen_to=seen_to)[::-1]
    subject = known_as("subject", "agent-3", keys.pseudonyms)
    someone = [record for record in everything if record.get("subject") in subject]
    assert len(someone) > 100
    cases = {
        "subject": (Query({"subject": subject}), someone),
        "denied": (
            Query({"subject": subject}, {"reasons": "no_matching_permit"}),
            [record for record in someone if record["reasons"] == ["no_matching_permit"]],
        ),
        "outcome": (Query(facets={"outcome": "deny"}), [r for r in everything if r.get("outcome") == "deny"]),
        "type": (Query(facets={"type": "recording"}), [r for r in everything if resource_type(r) == "recording"]),
        "kind": (Query(facets={"kind": "reload"}), [r for r in everything if r["kind"] == "reload"]),
        "rule": (Query(facets={"rules": "p:2"}), [r for r in everything if "p:2" in r.get("rules", [])]),
        "nobody": (Query({"subject": ["nobody"]}), []),
        "all": (Query(), everything),
    }
    for name, (query, expected) in cases.items():
        found = list(search(tmp_path, query, keys.ring, limit=10_000))
        assert found == expected, name
    assert list(search(tmp_path, Query(), keys.ring, limit=7)) == everything[:7]
    denied = [record for record in everything if record.get("outcome") == "deny"]
    for limit in (1, 75, 130):
        assert list(search(tmp_path, Query(facets={"outcome": "deny"}), keys.ring, limit=limit)) == denied[:limit]


def test_search_by_time(tmp_path: Path, keys: AuditKeys) -> None:
    everything = three_segments(tmp_path, keys, seen_to=True)
    since, until = str(everything[250]["time"]), str(everything[700]["time"])
    expected = [record for record in everything if since <= str(record["time"]) < until][::-1]
    assert list(search(tmp_path, Query(since=since, until=until), None, limit=10_000)) == expected
    assert list(search(tmp_path, Query(until="2001-01-01T00:00:00Z"), None)) == []
    with pytest.raises(ValueError, match="RFC 3339"):
        Query(since="yesterday")


def test_one_decision_by_its_id(tmp_path: Path, keys: AuditKeys) -> None:
    three_segments(tmp_path, keys, seen_to=True)
    for number in (0, 299, 300, 450, 899):
        record = find(tmp_path, str(decision(number)["decision_id"]), None)
        assert record is not None
        assert record["attribute_versions"]["subject"] == 12 + number
    assert find(tmp_path, "00000000-0000-4000-8000-00000000ffff", None) is None


def test_workers_are_merged_by_time(tmp_path: Path, keys: AuditKeys) -> None:
    logs = [DecisionLog(settings(tmp_path, worker=f"w{number}"), keys) for number in range(2)]
    for number in range(40):
        logs[number % 2].append_now(decision(number))
    for log in logs:
        log.close()
    found = [record["attribute_versions"]["subject"] - 12 for record in search(tmp_path, Query(), None)]
    assert found == list(range(39, -1, -1))


def test_compressed_segments_verify_and_are_smaller(tmp_path: Path, keys: AuditKeys) -> None:
    before = three_segments(tmp_path, keys, seen_to=False)
    sizes = {segment.base: segment.path.stat().st_size for segment in list_segments(tmp_path / "w0")}
    maintain(tmp_path / "w0", None, 0, pack=True)
    segments = list_segments(tmp_path / "w0")
    assert [segment.compressed for segment in segments] == [True, True, False]
    assert all(segment.path.stat().st_size < sizes[segment.base] / 2 for segment in segments[:2])
    assert read_records(tmp_path / "w0", keys) == before
    assert verify(tmp_path, keys.signer.verifier).ok


def test_every_flipped_byte_of_a_compressed_segment_is_found(memory_path: Path, keys: AuditKeys) -> None:
    log = DecisionLog(settings(memory_path), keys)
    fill(log, range(3))
    log.rotate()
    fill(log, range(3, 5))
    log.close()
    maintain(memory_path / "w0", None, 0, pack=True)
    path = list_segments(memory_path / "w0")[0].path
    data = path.read_bytes()
    assert path.suffix == ".logz"
    for position in range(len(data)):
        path.write_bytes(data[:position] + bytes([data[position] ^ 0x10]) + data[position + 1 :])
        assert not verify(memory_path, keys.signer.verifier, processes=1).ok, f"byte {position}"


def test_maintenance_happens_by_itself_after_rotation(tmp_path: Path, keys: AuditKeys) -> None:
    log = DecisionLog(settings(tmp_path, compress=True), keys)
    fill(log, range(50))
    log.rotate()
    fill(log, range(50, 60))
    deadline = time.monotonic() + 60
    while not list_segments(tmp_path / "w0")[0].compressed and time.monotonic() < deadline:
        time.sleep(0.05)
    log.close()
    first = list_segments(tmp_path / "w0")[0]
    assert first.compressed
    assert is_current(first)
    assert verify(tmp_path, keys.signer.verifier).ok


def test_retention_removes_the_oldest_segments_alone_and_the_rest_verifies(tmp_path: Path, keys: AuditKeys) -> None:
    log = DecisionLog(settings(tmp_path), keys)
    for year in ("2019", "2020"):
        log.append_many([decision(n, time=f"{year}-05-05T10:00:00.000000Z") for n in range(10)])
        log.rotate()
    fill(log, range(20, 30))
    log.rotate()
    fill(log, range(30, 35))
    log.close()
    kept = [json.loads(line) for line in (tmp_path / "w0" / f"{10:020d}.ckpt").read_text("utf-8").splitlines()]
    maintain(tmp_path / "w0", None, 400, pack=True)
    assert [segment.base for segment in list_segments(tmp_path / "w0")] == [20, 30]
    report = verify(tmp_path, keys.signer.verifier, kept[-1:])
    assert report.ok
    assert (report.trees[0].first, report.records) == (20, 15)
    DecisionLog(settings(tmp_path), keys).close()
    assert verify(tmp_path, keys.signer.verifier).ok


def test_a_damaged_index_is_reported_not_believed(tmp_path: Path, sealed_keys: AuditKeys) -> None:
    three_segments(tmp_path, sealed_keys, seen_to=True)
    segment = list_segments(tmp_path / "w0")[0]
    path = segment.beside(INDEX)
    data = path.read_bytes()
    for changed in (b"", data[:100], data[:-1] + bytes([data[-1] ^ 1])):
        path.write_bytes(changed)
        with SegmentReader(segment.path) as reader, pytest.raises(FormatError):
            SegmentIndex(path, reader.header()[0], sealed_keys.ring)
    os.unlink(path)  # noqa: PTH108
    build(segment, sealed_keys.ring)
    assert len(list(search(tmp_path, Query(facets={"kind": "reload"}), sealed_keys.ring))) == 3
