"""Exports and the access review."""

import csv
import io
import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from pdp.audit import AuditKeys, DecisionLog
from pdp.audit.checkpoint import Checkpoint
from pdp.audit.export import csv_lines, ocsf_event
from pdp.audit.maintain import maintain
from pdp.audit.merkle import leaf_hash, root_of
from pdp.audit.report import csv_rows, review
from pdp.audit.report_html import html_page
from pdp.audit.scan import scan
from pdp.audit.search import Query
from pdp.audit.verify import verify
from tests.audit.support import decision, fill, settings


def test_exported_lines_hash_to_the_signed_root(tmp_path: Path, keys: AuditKeys) -> None:
    log = DecisionLog(settings(tmp_path), keys)
    fill(log, range(100))
    log.rotate()
    fill(log, range(100, 120))
    log.close()
    maintain(tmp_path / "w0", None, 0, pack=True)
    lines = [text for text, _ in scan(tmp_path, Query(), None)]
    tree = verify(tmp_path, keys.signer.verifier)
    assert tree.ok
    checkpoint = Checkpoint.open((tmp_path / "w0" / "checkpoint").read_text("utf-8"), [keys.signer.verifier])
    assert root_of([leaf_hash(line) for line in lines]) == checkpoint.root


def test_a_period_passes_over_segments_outside_it(tmp_path: Path, keys: AuditKeys) -> None:
    log = DecisionLog(settings(tmp_path), keys)
    for year in ("2021", "2022", "2023"):
        log.append_many([decision(n, time=f"{year}-05-05T10:00:0{n}.000000Z") for n in range(5)])
        log.rotate()
    log.close()
    maintain(tmp_path / "w0", None, 0, pack=True)
    query = Query(since="2022-01-01T00:00:00Z", until="2022-05-05T10:00:03Z")
    assert [record["time"][:19] for _, record in scan(tmp_path, query, None)] == [
        f"2022-05-05T10:00:0{n}" for n in range(3)
    ]


def test_csv_has_a_row_a_record_and_no_formulas() -> None:
    records = [decision(1, reasons=["a", "b"]), decision(2, purpose="=cmd|calc", action='say "hi", twice')]
    rows = list(csv.DictReader(io.StringIO("".join(csv_lines(records)))))
    assert [row["reasons"] for row in rows] == ["a;b", "permit"]
    assert rows[1]["purpose"] == "'=cmd|calc"
    assert rows[1]["action"] == 'say "hi", twice'
    assert rows[0]["resource_id"] == "rec-1"


@pytest.mark.parametrize(
    ("record", "class_uid", "type_uid"),
    [
        (decision(1), 6003, 600302),
        (decision(1, action="delete"), 6003, 600304),
        (decision(1, action="export"), 6003, 600399),
        (decision(1) | {"emergency_reason": "fire"}, 3003, 300301),
        ({"kind": "start", "version": "1.0"}, 6002, 600203),
        ({"kind": "stop"}, 6002, 600204),
        ({"kind": "reload", "revision": "r"}, 6002, 600208),
        ({"kind": "attribute_write", "subject": "admin"}, 6003, 600303),
        ({"kind": "audit_read", "reader": "auditor"}, 6003, 600302),
    ],
)
def test_ocsf_classes(record: dict[str, Any], class_uid: int, type_uid: int) -> None:
    event = ocsf_event(record | {"time": "2026-01-31T08:00:00.000000Z", "seq": 3, "worker": "w0"})
    assert (event["class_uid"], event["type_uid"]) == (class_uid, type_uid)
    assert event["time"] == 1769846400000
    assert event["metadata"]["sequence"] == 3
    assert {"category_uid", "activity_id", "severity_id", "status_id", "metadata"} <= event.keys()
    json.dumps(event)


def test_ocsf_says_allowed_and_denied() -> None:
    allowed, denied = ocsf_event(decision(1)), ocsf_event(decision(5))
    assert (allowed["action_id"], allowed["disposition_id"], allowed["status_id"]) == (1, 1, 1)
    assert (denied["action_id"], denied["disposition_id"], denied["status_id"]) == (2, 2, 2)
    assert denied["status_detail"] == "no_matching_permit"
    assert denied["actor"]["user"]["uid"] == "agent-5"
    assert denied["api"]["operation"] == "read"
    assert denied["resources"] == [{"uid": "rec-5", "type": "recording"}]


def test_the_review_adds_up() -> None:
    records = [decision(n, time=f"2026-01-01T00:00:{n:02}.000000Z", subject=f"agent-{n % 3}") for n in range(30)]
    records += [decision(31, resource={"type": "payment", "id": "p1"}), {"kind": "reload"}]
    result = review(records, "2026-01-01", "2026-02-01", {"recording": "Voice recordings"})
    outcomes = Counter(record.get("outcome") for record in records)
    assert (result.allowed, result.denied) == (outcomes["allow"], outcomes["deny"])
    assert [name for name, _ in result.classes()] == ["Voice recordings", "payment"]
    voice = dict(result.classes()[0][1])
    assert voice["agent-1"].allowed + voice["agent-1"].denied == 10
    assert (voice["agent-1"].first[-10:-8], voice["agent-1"].last[-10:-8]) == ("01", "28")
    assert len(csv_rows(result)) == 1 + 4
    assert result.reasons == Counter({"no_matching_permit": 6})


def test_the_page_needs_nothing_from_elsewhere_and_escapes() -> None:
    records = [decision(1, subject="<script>alert(1)</script>", purpose="a & b")]
    page = html_page(review(records, "", ""), "example.com/pdp", "2026-01-31T08:00:00Z", "All verified.", sound=True)
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    assert "a &amp; b" in page
    for outside in ("http://", "https://", "src=", "@import", "url("):
        assert outside not in page
    assert page.startswith("<!doctype html>")
    assert "Emergency claims" not in page


def page_of(records: list[dict[str, Any]], since: str = "", until: str = "", *, sound: bool = True) -> str:
    return html_page(review(records, since, until), "example.com/pdp", "2026-01-31T08:00:00Z", "Found.", sound=sound)


def text_of(page: str) -> str:
    """What a reader sees, words separated by one space."""
    body = re.sub(r"<style>.*?</style>", "", page)
    return " ".join(re.sub(r"<[^>]*>", " ", body).split())


def test_an_empty_period_says_so_and_has_no_tables() -> None:
    page = page_of([], "2026-01-01T00:00:00Z", "2026-01-31T12:30:00Z")
    assert "No decision in this period." in page
    assert "2026-01-01 to 2026-01-31 12:30" in page
    assert "<table>" not in page


def test_the_page_says_first_whether_the_log_can_be_relied_on() -> None:
    assert '<p class="verdict">Found.</p>' in page_of([decision(1)])
    assert '<p class="verdict bad">Found.</p>' in page_of([decision(1)], sound=False)


def test_the_page_adds_up_each_class_and_links_to_it() -> None:
    records = [decision(n, resource={"type": kind, "id": f"r-{n}"}) for n in range(20) for kind in ("call", "card")]
    page = page_of(records)
    assert page.count('<a href="#c0">call</a>') == page.count('<h2 id="c0">call ') == 1
    assert page.count('<a href="#c1">card</a>') == page.count('<h2 id="c1">card ') == 1
    seen = text_of(page)
    assert "40 decisions 32 allowed 8 denied 0 emergency claims 7 subjects 2 classes of data" in seen
    assert seen.count("All 16 4") == 2
    assert "no_matching_permit 8" in seen


def test_each_emergency_claim_is_listed_with_its_reason() -> None:
    claims = [
        decision(n, time=f"2026-01-0{n}T10:00:00.000000Z") | {"emergency_reason": f"caller <{n}> collapsed"}
        for n in (5, 2)
    ]
    found = review([decision(1), *claims], "", "", {"recording": "Voice"})
    assert [(one.data_class, one.outcome, one.resource) for one in found.emergencies] == [
        ("Voice", "deny", "rec-5"),
        ("Voice", "allow", "rec-2"),
    ]
    seen = text_of(page_of([decision(1), *claims]))
    assert "Emergency claims · 2, each to be reviewed" in seen.replace("&middot;", "·")
    assert seen.index("caller &lt;2&gt; collapsed") < seen.index("caller &lt;5&gt; collapsed")
    assert str(claims[0]["decision_id"]) in seen


def test_thousands_of_subjects_are_all_there() -> None:
    page = page_of([decision(n, subject=f"agent-{n:04}") for n in range(3000)])
    assert all(f"agent-{n:04}</code>" in page for n in range(3000))
    assert len(page) < 3000 * 900
