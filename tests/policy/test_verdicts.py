"""A revision is judged once for all who share a folder, and by oneself where the folder cannot be trusted."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pdp.core.errors import PolicyProblem
from pdp.core.policy import PolicySnapshot
from pdp.policy.origins.origin import Contents
from pdp.policy.verdicts import UndecidedError, Verdicts
from tests.policy.example import build

AGAINST = (PolicyProblem("tests/a.yaml", 3, 0, "the test 'a' fails", "see it"),)
CONTENTS = Contents({"policy/a.csv": b"x", "tests/a.yaml": b"y"})


class Judge:
    """Counts how often it is asked."""

    def __init__(self, found: tuple[PolicyProblem, ...] = AGAINST, takes: float = 0.0) -> None:
        self.found = found
        self.takes = takes
        self.asked = 0
        self.undecided = False
        self._turn = threading.Lock()

    def __call__(self, _: Contents, __: PolicySnapshot) -> tuple[PolicyProblem, ...]:
        with self._turn:
            self.asked += 1
        time.sleep(self.takes)
        if self.undecided:
            raise UndecidedError(PolicyProblem("tests", 0, 0, "took too long"))
        return self.found


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "state").mkdir(mode=0o700)
    return tmp_path / "state" / "verdicts"


@pytest.mark.parametrize("found", [AGAINST, ()])
def test_many_who_ask_at_once_are_told_what_one_found(folder: Path, found: tuple[PolicyProblem, ...]) -> None:
    judge = Judge(found, takes=0.05)
    snapshot = build()
    with ThreadPoolExecutor(4) as pool:
        told = list(pool.map(lambda _: Verdicts(folder, judge)(CONTENTS, snapshot), range(4)))
    assert (told, judge.asked) == ([found] * 4, 1)


@pytest.mark.parametrize(
    "other",
    [
        Contents({"policy/a.csv": b"x", "tests/a.yaml": b"z"}),
        Contents({"policy/a.csv": b"x"}),
        Contents({"policy/b.csv": b"x", "tests/a.yaml": b"y"}),
    ],
)
def test_another_byte_is_another_verdict(folder: Path, other: Contents) -> None:
    judge = Judge()
    gate = Verdicts(folder, judge)
    for contents in (CONTENTS, other, CONTENTS):
        gate(contents, build())
    assert judge.asked == 2


def test_what_could_not_be_decided_is_asked_again(folder: Path) -> None:
    judge = Judge()
    gate = Verdicts(folder, judge)
    judge.undecided = True
    assert [it.problem for it in gate(CONTENTS, build())] == ["took too long"]
    judge.undecided = False
    assert gate(CONTENTS, build()) == AGAINST
    assert judge.asked == 2


def _open_to_others(folder: Path) -> None:
    folder.chmod(0o770)


def _in_an_open_place(folder: Path) -> None:
    folder.parent.chmod(0o777)


def _a_link(folder: Path) -> None:
    folder.rename(folder.with_name("elsewhere"))
    folder.symlink_to(folder.with_name("elsewhere"))


def _no_folder(folder: Path) -> None:
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()
    folder.write_text("")


def _old(folder: Path) -> None:
    for path in folder.glob("*.json"):
        os.utime(path, (1, time.time() - 3601))


def _ahead(folder: Path) -> None:
    for path in folder.glob("*.json"):
        os.utime(path, (1, time.time() + 3601))


def _torn(folder: Path) -> None:
    for path in folder.glob("*.json"):
        path.write_bytes(path.read_bytes()[:-3])


def _of_another_shape(folder: Path) -> None:
    for path in folder.glob("*.json"):
        path.write_text('[{"allow": true}]')


@pytest.mark.parametrize(
    "spoil",
    [_open_to_others, _in_an_open_place, _a_link, _no_folder, _old, _ahead, _torn, _of_another_shape],
)
def test_a_verdict_that_cannot_be_trusted_is_not_believed(folder: Path, spoil: Callable[[Path], None]) -> None:
    judge = Judge(())
    gate = Verdicts(folder, judge)
    assert gate(CONTENTS, build()) == ()
    spoil(folder)
    judge.found = AGAINST
    assert gate(CONTENTS, build()) == AGAINST
    assert judge.asked == 2


def test_only_the_latest_are_kept(folder: Path) -> None:
    gate = Verdicts(folder, Judge())
    for number in range(30):
        gate(Contents({"policy/a.csv": b"%d" % number}), build())
    assert len(list(folder.glob("*.json"))) == 20
    assert not list(folder.glob(".part-*"))
