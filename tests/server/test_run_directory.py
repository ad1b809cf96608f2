"""The folder of a run: private, locked while the run lives, removed by the next when it was killed."""

from __future__ import annotations

import os
import stat
import tempfile
from pathlib import Path

import pytest

from pdp.server.run_directory import RunDirectory


@pytest.fixture(autouse=True)
def _own_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))


def killed() -> Path:
    """Make a folder as a process that was killed leaves it: its locks are gone with it."""
    directory = RunDirectory()
    os.close(directory._lock)
    return directory.path


def test_it_is_its_makers_alone() -> None:
    directory = RunDirectory()
    assert stat.S_IMODE(directory.path.stat().st_mode) == 0o700
    directory.remove()
    assert not directory.path.exists()


def test_what_a_killed_run_left_is_removed() -> None:
    left = killed()
    (left / "worker-0").mkdir()
    (left / "worker-0" / "envoy.yaml").write_text("x")
    directory = RunDirectory()
    assert not left.exists()
    directory.remove()


def test_a_run_that_lives_is_left_alone() -> None:
    first, second = RunDirectory(), RunDirectory()
    assert first.path.is_dir()
    first.remove()
    second.remove()


def test_folders_without_a_lock_of_ours_are_left_alone(tmp_path: Path) -> None:
    strange = tmp_path / "pdp-run-strange"
    strange.mkdir()
    elsewhere = killed()
    linked = tmp_path / "pdp-run-linked"
    linked.mkdir()
    (linked / "lock").symlink_to(elsewhere / "lock")
    directory = RunDirectory()
    assert strange.is_dir()
    assert linked.is_dir()
    directory.remove()
