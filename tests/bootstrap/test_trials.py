"""Trials as the state folder says: begun, refused, gone on with over reloads, ended; each on record."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pdp.bootstrap.trials import Trials
from pdp.core.errors import AuditUnavailableError
from pdp.engine.reference import ReferenceMatcher
from pdp.policy import StateFolder
from pdp.policy.bundle import Trust, build, sign
from pdp.signing.note import Signer
from tests.policy.example import build as snapshot
from tests.policy.example import contents, swap
from tests.service.test_service import World

ALICE = Signer.generate("alice")
STRICTER = swap("policy/rules.csv", "risk < 50", "risk < 40")
OTHER_SCHEMA = swap("schema.yaml", "allow_lifetime: 60s", "allow_lifetime: 50s")


class Notes:
    """What was put on record; the log may be out of order."""

    def __init__(self) -> None:
        self.kinds: list[str] = []
        self.failing = False

    def note(self, kind: str, **_: Any) -> None:
        if self.failing:
            raise AuditUnavailableError("disk_full")
        self.kinds.append(kind)


class Setting:
    def __init__(self, folder: Path, trust: Trust | None = None) -> None:
        self.state, self.world, self.notes = StateFolder(folder), World(), Notes()
        log: Any = self.notes
        self.trials = Trials(self.state, trust or Trust(), ReferenceMatcher, self.world.point, log)


@pytest.fixture
def setting(tmp_path: Path) -> Setting:
    return Setting(tmp_path)


async def test_a_trial_begins_and_ends_as_the_folder_says(setting: Setting) -> None:
    live = snapshot()
    await setting.trials.follow(live)
    assert setting.world.point.trial is None
    setting.state.propose(build(contents(STRICTER)))
    await setting.trials.follow(live)
    assert setting.trials.report()["candidate"] == snapshot(STRICTER).revision
    assert setting.world.point.trial is not None
    setting.state.propose(None)
    await setting.trials.follow(live)
    assert setting.world.point.trial is None
    assert setting.trials.report() == {}
    assert setting.notes.kinds == ["trial_start", "trial_end"]


async def test_a_trial_goes_on_over_a_reload_with_its_counts(setting: Setting) -> None:
    setting.state.propose(build(contents(STRICTER)))
    await setting.trials.follow(snapshot())
    trial = setting.world.point.trial
    setting.trials.counts.compared = 7
    again = snapshot(swap("policy/rules.csv", "risk < 50", "risk < 45"))
    await setting.trials.follow(again)
    assert setting.world.point.trial is trial
    assert setting.trials.counts.compared == 7
    assert getattr(trial, "candidate").schema is again.schema  # noqa: B009 - the port does not tell of it


async def test_another_candidate_takes_the_place_of_the_first(setting: Setting) -> None:
    for change in (STRICTER, OTHER_SCHEMA):
        setting.state.propose(build(contents(change)))
        await setting.trials.follow(snapshot())
        assert setting.trials.report()["candidate"] == snapshot(change).revision
    assert setting.notes.kinds == ["trial_start", "trial_end", "trial_start"]


@pytest.mark.parametrize(
    ("archive", "reason"),
    [
        (b"nonsense", "is not a bundle"),
        (build(contents({"policy/rules.csv": "p,x\n# end\n"})), "a rule of 2 fields"),
        (sign(build(contents()), Signer.generate("mallory")), "0 found"),
    ],
)
async def test_a_candidate_that_would_be_refused_is_not_tried(tmp_path: Path, archive: bytes, reason: str) -> None:
    trust = Trust((ALICE.verifier,), 1) if reason == "0 found" else Trust()
    setting = Setting(tmp_path, trust)
    setting.state.propose(archive)
    await setting.trials.follow(snapshot())
    assert setting.world.point.trial is None
    assert reason in setting.trials.report()["problem"]


async def test_a_log_that_is_out_of_order_does_not_stop_a_trial(setting: Setting) -> None:
    setting.notes.failing = True
    setting.state.propose(build(contents(STRICTER)))
    await setting.trials.follow(snapshot())
    assert setting.world.point.trial is not None
