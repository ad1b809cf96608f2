"""What a worker notes of itself when it starts, and of its policy when that changes."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import pytest

from pdp.bootstrap.configuration import facts
from pdp.bootstrap.trials import Trials
from pdp.config import validated
from pdp.core.request import Context, EntityRef, Request
from pdp.policy import StateFolder
from pdp.policy.origins import FolderOrigin
from pdp.ports import Caller
from pdp.watching import WatchHub
from tests.attributes.support import eventually
from tests.bootstrap.application import ROOT, records, settings_in, started
from tests.server.pki import Authority
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


async def test_the_configuration_is_on_record_before_anything_is_decided(tmp_path: Path) -> None:
    async with started(tmp_path, limits={"concurrent_calls": 77}):
        pass
    (record,) = records(tmp_path, "configuration")
    expected = facts(validated(settings_in(tmp_path, limits={"concurrent_calls": 77})))
    assert {name: record[name] for name in expected} == expected
    assert record["settings"]["limits.concurrent_calls"] == "77"
    assert record["seq"] < records(tmp_path, "reload")[0]["seq"]


async def test_certificates_that_change_are_on_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pdp.bootstrap.application._CERTIFICATES_INTERVAL", 0.01)
    pair = Authority(tmp_path, "ca").issue("server")
    tls = {"certificate": str(pair.certificate), "private_key": str(pair.key)}
    async with started(tmp_path, tls=tls):
        renewed = Authority(tmp_path, "other").issue("renewed")
        pair.key.write_bytes(renewed.key.read_bytes())
        await asyncio.sleep(0.05)
        pair.certificate.write_bytes(renewed.certificate.read_bytes())
        await eventually(lambda: len(records(tmp_path, "configuration")) == 2)
    first, second = records(tmp_path, "configuration")
    assert first["digest"] == second["digest"]
    assert first["files"]["tls.certificate"] != second["files"]["tls.certificate"]
