"""What a change does: replayed, searched, and agreed on by both ways of looking."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdp.audit import DecisionLog, LogSettings, load_keys
from pdp.audit.identifiers import IdentifierPolicy, Treatment
from pdp.audit.keys import PSEUDONYM, generate_secret, generate_signing
from pdp.workbench.impact import Change, Grid, Group, Recording, Tally, grid, replay
from pdp.workbench.impact.questions import Circumstances, UnreadableError, read_question
from pdp.workbench.impact.replay import _file_lines, _Piece
from tests.workbench_testing.small import NOW, RULES, loaded, write

ATTRIBUTES = """\
version: 1
records:
  - {entity: subject, id: user:ann, attributes: {roles: [clerk], team: north}}
  - {entity: subject, id: user:leo, attributes: {roles: [lead], team: north}}
  - {entity: device, id: d-1, attributes: {compliant: true}}
  - {entity: session, id: s-1, attributes: {aal: 1}}
  - {entity: session, id: s-2, attributes: {aal: 2}}
  - {entity: resource, id: invoice:i-1, attributes: {team: north, made_at: "-2h"}}
  - {entity: resource, id: health_note:n-1, attributes: {team: north}}
# end
"""
NO_MFA = RULES.replace("p,note-mfa,*,*,health_note,r.session.aal < 2,deny,,HIPAA\n", "")
HOUR = RULES.replace("86400", "3600")
UNMASKED = RULES.replace("mask;watermark", "watermark")


def record(**parts: Any) -> dict[str, Any]:
    usual = {
        "kind": "decision",
        "subject": "user:ann",
        "action": "read",
        "resource": {"type": "invoice", "id": "i-1"},
    }
    return {**usual, "purpose": "billing", "session": "s-2", "device": "d-1", "outcome": "allow", **parts}


NOTE = {"subject": "user:leo", "resource": {"type": "health_note", "id": "n-1"}}


def replayed(tmp_path: Path, rules: str, records: Iterable[dict[str, Any]], processes: int = 1) -> Tally:
    file = tmp_path / "recorded.jsonl"
    file.write_text("".join(json.dumps(it, separators=(",", ":")) + "\n" for it in records))
    return _replayed(tmp_path, rules, Recording(file), processes)


def _replayed(tmp_path: Path, rules: str, recording: Recording, processes: int = 1) -> Tally:
    old, new = write(tmp_path / "old"), write(tmp_path / "new", rules=rules)
    attributes = tmp_path / "attributes.yaml"
    attributes.write_text(ATTRIBUTES)
    return replay(recording, (old, new), attributes, NOW, processes=processes)


def searched(tmp_path: Path, rules: str, **files: str) -> Grid:
    return grid(loaded(write(tmp_path / "old")), loaded(write(tmp_path / "new", rules=rules, **files)))


def test_equal_revisions_differ_in_nothing(tmp_path: Path) -> None:
    tally = replayed(tmp_path, RULES, [record(), record(**NOTE)])
    assert (tally.asked, tally.counts, tally.disagreeing) == (2, Counter(), 0)
    found = searched(tmp_path, RULES)
    assert (found.tally.asked, found.tally.counts, found.undecided, found.incomparable) == (0, Counter(), [], [])


@pytest.mark.parametrize(
    ("rules", "group", "answers"),
    [
        (HOUR, Group(Change.DENIED, "clerk", "invoice", "read"), ("allow", "deny NO_MATCHING_PERMIT")),
        (NO_MFA, Group(Change.ALLOWED, "lead", "health_note", "read"), ("deny DENIED_BY_RULE(note-mfa)", "allow")),
        (UNMASKED, Group(Change.OBLIGATIONS, "lead", "health_note", "read"), ("mask, watermark", "with watermark")),
    ],
)
def test_replay_and_search_find_the_same(tmp_path: Path, rules: str, group: Group, answers: tuple[str, str]) -> None:
    asked = [record(), record(**NOTE), record(**NOTE, session="s-1", outcome="deny")]
    for tally in (replayed(tmp_path, rules, asked), searched(tmp_path, rules).tally):
        assert tally.counts[group] == 1
        example = tally.examples[group][0]
        assert answers[0] in example.before
        assert answers[1] in example.after
        assert {it.change for it in tally.counts} == {group.change}


def test_repetitions_count_and_are_asked_once(tmp_path: Path) -> None:
    asked = [record(seq=at, time=f"2026-01-15T10:00:{at % 60:02}Z", decision_id=f"{at}") for at in range(500)]
    tally = replayed(tmp_path, HOUR, asked)
    group = Group(Change.DENIED, "clerk", "invoice", "read")
    assert (tally.asked, tally.counts[group], len(tally.examples[group])) == (500, 500, 1)


def test_what_cannot_be_replayed_is_counted(tmp_path: Path) -> None:
    asked = [
        record(subject="~k1:abc"),
        record(subject=None),
        record(device="d-9"),
        record(outcome="deny"),
        record(kind="refusal"),
        {"kind": "start"},
        record(action=""),
        record(resource={"type": "invoice", "id": "i 1"}),
    ]
    tally = replayed(tmp_path, RULES, asked)
    assert (tally.unreadable, tally.unknown, tally.disagreeing, tally.asked) == (4, 1, 1, 6)


def test_processes_agree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules["pdp.workbench.impact.replay"], "_PIECE", 4096)
    asked = [
        record(subject=f"user:{who}", session=session) for who in ("ann", "leo") for session in ("s-1", "s-2")
    ] * 50
    one, two = (replayed(tmp_path, HOUR, asked, processes) for processes in (1, 2))
    assert (one.asked, one.counts) == (two.asked, two.counts)
    assert one.asked == 200


def test_a_log_with_clear_identifiers_is_replayed(tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    generate_signing(keys, "example.test/pdp")
    generate_secret(keys, PSEUDONYM)
    clear = IdentifierPolicy(**dict.fromkeys(("subject", "resource", "session", "device"), Treatment.CLEAR))
    for treatment, unreadable in ((clear, 0), (IdentifierPolicy(), 30)):
        settings = LogSettings(tmp_path / f"log-{unreadable}", keys, identifiers=treatment)
        log = DecisionLog(settings, load_keys(keys))
        for at in range(30):
            whole = {"decision_id": f"{at:032x}", "caller": None, "reasons": [], "rules": [], "obligations": []}
            log.append_now(record(**whole, revision="", trace_id=None, attribute_versions={}))
        log.close()
        tally = _replayed(tmp_path, HOUR, Recording(settings.directory, keys))
        assert (tally.asked, tally.unreadable) == (30, unreadable)
        assert tally.total(Change.DENIED) == 30 - unreadable


@given(st.lists(st.text(st.sampled_from("ab\u00e9"), max_size=9), max_size=30), st.integers(1, 40))
def test_pieces_of_a_file_give_each_line_once(
    tmp_path_factory: pytest.TempPathFactory, texts: list[str], step: int
) -> None:
    file = tmp_path_factory.mktemp("lines") / "file"
    file.write_text("\n".join(texts))
    size = file.stat().st_size
    pieces = [_Piece(file, start, min(start + step, size)) for start in range(0, size, step)]
    assert [line for piece in pieces for line in _file_lines(piece)] == file.read_bytes().splitlines(keepends=True)


def usual(**parts: Any) -> dict[str, Any]:
    """A record as the log writes it: every key, in the log's order."""
    head = {"seq": 1, "time": "2026-01-15T10:00:00.000000Z", "worker": "w-0", "kind": "decision"}
    asked = record(decision_id="0" * 32, caller="spiffe://example.test/gateway")
    order = (
        "kind",
        "decision_id",
        "caller",
        "subject",
        "action",
        "resource",
        "purpose",
        "session",
        "device",
        "outcome",
    )
    answered = {"reasons": ["PERMITTED(a)", "B"], "rules": ["a"], "obligations": [], "revision": "sha256:0"}
    tail = {"trace_id": None, "attribute_versions": {"subject": 3, "device": 5}}
    return {**head, **{name: asked[name] for name in order}, **answered, **tail, **parts}


def line_of(parts: dict[str, Any]) -> bytes:
    return json.dumps(parts, separators=(",", ":")).encode() + b"\n"


_ODD = 'in a text: "time":"x", "purpose":"audit", and "attribute_versions":{}'


@pytest.mark.parametrize(
    "parts",
    [
        {},
        {"purpose": None, "session": None, "device": None, "caller": None},
        {"caller": _ODD, "trace_id": "0" * 32, "attribute_versions": {}},
        {"emergency_reason": _ODD},
        {"channel": "office", "network": "vpn"},
        {"supports": ["watermark", "mask"]},
        {"resource": "invoice:i-1", "outcome": None},
        {"reasons": [_ODD], "rules": [], "obligations": ["mask", "watermark"]},
        {"attribute_versions": {"subject": "3"}},
    ],
)
def test_a_record_reads_alike_however_it_is_written(parts: dict[str, Any]) -> None:
    written = usual(**parts)
    question = read_question(line_of(written))
    assert question == read_question(line_of(dict(sorted(written.items()))))
    assert question == read_question(json.dumps(written, indent=None).encode())
    assert question is not None
    assert question.resource == ("invoice", "i-1")
    assert question.stated == Circumstances(
        parts.get("purpose", "billing") or "",
        parts.get("channel", ""),
        parts.get("network", ""),
        "emergency_reason" in parts,
        ("mask", "watermark") if "supports" in parts else None,
    )


@given(
    st.binary(max_size=200)
    | st.dictionaries(st.sampled_from([*usual()]), st.none() | st.text(max_size=5)).map(line_of)
)
def test_whatever_stands_in_a_line_is_a_question_or_is_refused(line: bytes) -> None:
    try:
        question = read_question(line)
    except UnreadableError:
        return
    assert question is None or question.action


def test_a_schema_that_grew_is_searched_all_the_same(tmp_path: Path) -> None:
    from tests.workbench_testing.small import SCHEMA  # noqa: PLC0415 - used here alone

    schema = SCHEMA.replace("  compliant:", "  risk: {type: int, minimum: 0, maximum: 100}\n  compliant:")
    rules = RULES.replace("g,lead", "p,risky,*,*,*,r.device.risk >= 70,deny,,Risk\ng,lead")
    found = searched(tmp_path, rules, schema=schema)
    assert (found.incomparable, found.undecided) == ([], [])
    assert {it.change for it in found.tally.counts} == {Change.DENIED}
    assert len(found.tally.counts) == 4
    assert all("device.risk=70" in examples[0].asked for examples in found.tally.examples.values())
