"""The service's answers and its own history, as records of the log."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pdp.audit.answers import AnswerLog
from pdp.audit.keys import PSEUDONYM, SIGNING, generate_secret, generate_signing
from pdp.audit.reading import records as read_records
from pdp.audit.records import record_of
from pdp.audit.settings import Durability, LogSettings
from pdp.core.decision import Decision, Effect
from pdp.core.errors import AuditUnavailableError
from pdp.core.reasons import Cause, Reason
from pdp.core.request import Context, EntityRef, Request
from pdp.ports import Answer, Caller

REQUEST = Request(EntityRef("user", "alice"), "read", EntityRef("customer", "c-1"), Context("billing"), "s-1", "d-1")


def answer(decision_id: str, request: Request | None = REQUEST, reason: Reason = Reason.PERMITTED) -> Answer:
    effect = Effect.ALLOW if reason is Reason.PERMITTED else Effect.DENY
    decision = Decision(effect, (Cause(reason, "rule-1"),), ("rule-1",), (), "sha256:" + "0" * 64)
    caller = Caller("spiffe://example.org/pep", "evaluate", None, 0.0)
    return Answer(decision_id, "f" * 32, 1.0, request, caller, decision, 0.0, cached=True)


def settings(folder: Path, **others: object) -> LogSettings:
    keys = folder / "keys"
    if not (keys / SIGNING).exists():
        generate_signing(keys, "test")
        generate_secret(keys, PSEUDONYM)
    return LogSettings(directory=folder / "log", keys=keys, min_free_bytes=0, **others)  # type: ignore[arg-type]


@pytest.mark.parametrize("durability", Durability)
async def test_what_was_answered_is_in_the_log_between_start_and_stop(tmp_path: Path, durability: Durability) -> None:
    log = AnswerLog(settings(tmp_path, durability=durability))
    await log.open(None)
    await log.append([answer("1" * 32), answer("2" * 32, None, Reason.ROUTE_UNKNOWN)])
    log.note("reload", revision="sha256:x", refused=[])
    assert log.obstacle() is None
    await log.close()
    records = list(read_records(tmp_path / "log", None))
    assert [record["kind"] for record in records] == ["start", "decision", "refusal", "reload", "stop"]
    assert records[1]["subject"].startswith("~")
    assert "alice" not in json.dumps(records)


async def test_a_closed_log_takes_nothing(tmp_path: Path) -> None:
    log = AnswerLog(settings(tmp_path))
    for _ in range(2):
        with pytest.raises(AuditUnavailableError):
            await log.append([answer("1" * 32)])
        with pytest.raises(AuditUnavailableError):
            log.note("reload")
        assert log.obstacle() == "the decision log is not open"
        assert not log.state().healthy
        await log.open(None)
        await log.close()


async def test_checkpoints_go_to_the_anchors_named(tmp_path: Path) -> None:
    log = AnswerLog(settings(tmp_path, anchors=(f"file:{tmp_path / 'anchor'}",)))
    await log.open(None)
    await log.append([answer("1" * 32)])
    await log.close()
    assert (tmp_path / "anchor" / "test_w.checkpoint").read_text().startswith("test/w\n3\n")


@pytest.mark.parametrize("anchor", ["file:", "ftp:x", "otlp:ftp://x", "nonsense"])
async def test_an_anchor_that_is_none_is_refused(tmp_path: Path, anchor: str) -> None:
    with pytest.raises(AuditUnavailableError):
        await AnswerLog(settings(tmp_path, anchors=(anchor,))).open(None)


def test_an_emergency_leaves_its_reason() -> None:
    claimed = REQUEST._replace(context=Context("emergency", emergency=True, emergency_reason="caller collapsed"))
    assert record_of(answer("1" * 32, claimed))["emergency_reason"] == "caller collapsed"
    assert "emergency_reason" not in record_of(answer("1" * 32))
