"""What a worker notes of itself when it starts, and of its policy when that changes."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import pytest

from pdp.bootstrap.trials import Trials
from pdp.core.request import Context, EntityRef, Request
from pdp.policy import StateFolder
from pdp.policy.origins import FolderOrigin
from pdp.ports import Caller
from pdp.watching import WatchHub
from tests.attributes.support import eventually
from tests.bootstrap.application import ROOT, records, started
from tests.telemetry.collectors import collecting, plain


async def test_the_policy_is_noted_and_told_once_at_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []

    def counted(part: type, name: str) -> None:
        real = getattr(part, name)

        def wrapper(*arguments: object) -> object:
            told.append(part.__name__)
            return real(*arguments)

        monkeypatch.setattr(part, name, wrapper)

    counted(WatchHub, "policy_changed")
    counted(Trials, "follow")
    async with started(tmp_path) as worker:
        revision = worker.watching.policies.current().revision
        assert sorted(told) == ["Trials", "WatchHub"]
    assert [it["revision"] for it in records(tmp_path, "reload")] == [revision]


async def test_a_change_is_noted_once(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "policies", tmp_path / "policies")
    rules = next((tmp_path / "policies" / "policy").glob("*.csv"))
    async with started(tmp_path, policy={"folder": str(tmp_path / "policies"), "watch": 0.02}) as worker:
        before = worker.watching.policies.current().revision
        rules.write_text("# A remark.\n" + rules.read_text())
        await eventually(lambda: worker.watching.policies.current().revision != before)
        after = worker.watching.policies.current().revision
    assert [it["revision"] for it in records(tmp_path, "reload")] == [before, after]


async def test_a_trial_that_goes_on_is_on_record_from_the_start(tmp_path: Path) -> None:
    contents = FolderOrigin(ROOT / "policies").read()
    StateFolder(tmp_path / "state").propose(contents.as_bundle())
    async with started(tmp_path) as worker:
        await eventually(lambda: worker.point.trial is not None)
    assert [it["candidate"] for it in records(tmp_path, "trial_start")] == [contents.revision]


async def test_a_trace_names_its_subject_as_the_log_does(tmp_path: Path) -> None:
    alice = Request(
        EntityRef("user", "alice"), "read", EntityRef("customer", "c-1"), Context("billing"), "s-1", "d-1"
    )
    with collecting() as collector:
        async with started(tmp_path, telemetry={"traces_url": collector.url}) as worker:
            caller = Caller("spiffe://example.org/pep", "test", None, deadline=asyncio.get_running_loop().time() + 1)
            answer = await worker.point.evaluate(alice, caller)
        (span,) = collector.spans
    (record,) = records(tmp_path, "decision")
    told = plain(span.attributes)
    assert record["decision_id"] == told["pdp.decision.id"] == answer.id
    assert record["subject"] == told["enduser.pseudo.id"]
    assert record["subject"].startswith("~0001:")
