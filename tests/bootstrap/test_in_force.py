"""The policy that commands go by is the service's, wherever the service has it from."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from pdp.bootstrap.in_force import policy_in_force
from pdp.bootstrap.reporting import live_reports
from pdp.config import PolicySection
from pdp.core.errors import PolicyInvalidError
from pdp.policy import StateFolder
from pdp.policy.bundle import build as bundle
from pdp.policy.bundle import sign
from pdp.policy.store import Pin, StateError, now_entry
from pdp.signing.note import Signer
from tests.attributes.support import eventually
from tests.bootstrap.application import started
from tests.policy.example import build as snapshot
from tests.policy.example import contents, swap, write

OTHER = swap("policy/rules.csv", "risk < 50", "risk < 40")
BROKEN = swap("policy/rules.csv", "risk < 50", "rsik < 50")
ALICE = Signer.generate("alice")


@pytest.fixture
def section(tmp_path: Path) -> PolicySection:
    write(tmp_path / "policies")
    return PolicySection(folder=tmp_path / "policies", state=tmp_path / "state")


def keep(section: PolicySection, change: dict[str, str] | None = None) -> str:
    """Have a revision stored as one that was in force; give its digest."""
    revision = snapshot(change).revision
    StateFolder(section.state).enter(now_entry(revision, 0, "source"), bundle(contents(change), 0))
    return revision


def test_where_no_service_runs_it_is_the_sources(section: PolicySection) -> None:
    keep(section, OTHER)
    assert policy_in_force(section).revision == snapshot().revision


def test_a_bundle_decides_and_not_the_folder(section: PolicySection, tmp_path: Path) -> None:
    (tmp_path / "p.bundle").write_bytes(bundle(contents(OTHER), 0))
    found = policy_in_force(PolicySection(folder=section.folder, state=section.state, source=f"{tmp_path}/p.bundle"))
    assert found.revision == snapshot(OTHER).revision


def test_what_is_held_goes_before_the_source(section: PolicySection) -> None:
    revision = keep(section, OTHER)
    StateFolder(section.state).hold(Pin(revision, "rollback", "alice", 0.0))
    assert policy_in_force(section).revision == revision


def test_a_source_that_is_broken_leaves_what_was_in_force_last(section: PolicySection) -> None:
    write(section.folder, BROKEN)
    with pytest.raises(PolicyInvalidError, match="rsik"):
        policy_in_force(section)
    revision = keep(section, OTHER)
    assert policy_in_force(section).revision == revision


def test_a_source_out_of_reach_leaves_what_was_in_force_last(section: PolicySection, tmp_path: Path) -> None:
    away = PolicySection(folder=section.folder, state=section.state, source=f"{tmp_path}/absent.bundle")
    with pytest.raises(PolicyInvalidError, match="absent"):
        policy_in_force(away)
    revision = keep(section, OTHER)
    assert policy_in_force(away).revision == revision


def test_a_stored_revision_needs_the_signatures_that_are_demanded_today(
    section: PolicySection, tmp_path: Path
) -> None:
    revision = keep(section)
    StateFolder(section.state).hold(Pin(revision, "rollback", "alice", 0.0))
    demanding = PolicySection(
        source=str(section.folder / "p.bundle"), state=section.state, bundle_keys=(ALICE.verifier.vkey,)
    )
    with pytest.raises(PolicyInvalidError, match="1 signature"):
        policy_in_force(demanding)
    signed = replace(demanding, state=tmp_path / "signed")
    StateFolder(signed.state).hold(Pin(revision, "promote", "alice", 0.0), sign(bundle(contents(), 0), ALICE))
    assert policy_in_force(signed).revision == revision


def test_what_workers_report_must_be_kept(section: PolicySection) -> None:
    StateFolder(section.state).report("w0", {"written_at": 9e12, "since": 1.0, "revision": "sha256:" + "0" * 64})
    with pytest.raises(StateError):
        policy_in_force(section)


def test_a_folder_that_is_named_is_taken_whatever_is_in_force(section: PolicySection, tmp_path: Path) -> None:
    StateFolder(section.state).hold(Pin(keep(section), "rollback", "alice", 0.0))
    write(tmp_path / "named", OTHER)
    assert policy_in_force(section, tmp_path / "named").revision == snapshot(OTHER).revision


def test_looking_changes_nothing(section: PolicySection) -> None:
    StateFolder(section.state).hold(Pin(keep(section), "rollback", "alice", 0.0))
    before = {path: path.read_bytes() for path in section.state.rglob("*") if path.is_file()}
    policy_in_force(section)
    assert before == {path: path.read_bytes() for path in section.state.rglob("*") if path.is_file()}


async def test_a_running_worker_is_believed(section: PolicySection, tmp_path: Path) -> None:
    settings = {"folder": str(section.folder), "state": str(section.state), "watch": 0}
    async with started(tmp_path, policy=settings) as worker:
        await eventually(lambda: live_reports(StateFolder(section.state)))
        write(section.folder, OTHER)
        found = policy_in_force(section)
        assert found.revision == worker.watching.policies.current().revision == snapshot().revision
