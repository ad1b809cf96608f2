"""A revision's own tests and invariants, which it must pass before it comes into force."""

from __future__ import annotations

from pathlib import Path

import pytest

from pdp.bootstrap import gate
from pdp.bootstrap.gate import check_itself, found_in, gate_of
from pdp.engine.matcher import CompiledEngine
from pdp.policy import assemble
from pdp.policy.bundle import read_files
from pdp.policy.origins import Contents
from pdp.policy.problems import Problems
from pdp.policy.verdicts import UndecidedError
from tests.policy.example import write

NOTHING = """\
version: 1
now: 2026-01-15T10:00:00Z
cases:
  - {name: nobody deletes, request: {subject: "user:ann", action: delete, resource: "log:1"}, expect: EXPECTED}
# end
"""
NEVER = """\
version: 1
invariants:
  - {name: nobody-reads-logs, why: "A test.", never: allow, action: read, resource: log}
# end
"""


def put(folder: Path, expected: str, invariants: str = "") -> Contents:
    write(folder)
    (folder / "tests").mkdir(exist_ok=True)
    (folder / "tests" / "some.yaml").write_text(NOTHING.replace("EXPECTED", expected))
    if invariants:
        (folder / "invariants.yaml").write_text(invariants)
    return Contents(read_files(folder))


def test_a_policy_that_passes_is_let_through_by_a_process_of_its_own(tmp_path: Path) -> None:
    contents = put(tmp_path, "{effect: deny, reasons: [SUBJECT_UNKNOWN]}")
    snapshot = assemble(contents.policy, CompiledEngine(), Problems())
    assert check_itself(contents, snapshot) == ()


def test_a_test_that_fails_and_an_invariant_that_does_not_hold_speak_against_it(tmp_path: Path) -> None:
    put(tmp_path, "{effect: allow}", NEVER)
    found = found_in(tmp_path)
    assert [(it.file, it.line, it.problem) for it in found] == [
        ("tests/some.yaml", 4, "the test 'nobody deletes' fails"),
        ("invariants.yaml", 3, "the invariant 'nobody-reads-logs' does not hold"),
    ]


def test_a_policy_without_tests_has_nothing_that_speaks_for_it(tmp_path: Path) -> None:
    assert [it.problem for it in found_in(write(tmp_path))] == ["the policy has no tests of its own"]


@pytest.mark.parametrize("name", ["tests/some.yaml", "invariants.yaml"])
def test_a_file_of_tests_that_cannot_be_read_speaks_against_it(tmp_path: Path, name: str) -> None:
    put(tmp_path, "{effect: deny}", NEVER)
    (tmp_path / name).write_text("version: 1\n")
    assert {it.file for it in found_in(tmp_path)} == {name}


def test_a_gate_asks_for_a_revision_once(tmp_path: Path) -> None:
    contents = put(tmp_path / "policies", "{effect: allow}")
    snapshot = assemble(contents.policy, CompiledEngine(), Problems())
    first = gate_of(tmp_path / "state")(contents, snapshot)
    assert [it.problem for it in first] == ["the test 'nobody deletes' fails"]
    (kept,) = (tmp_path / "state" / "verdicts").glob("*.json")
    written = kept.stat().st_mtime_ns
    assert gate_of(tmp_path / "state")(contents, snapshot) == first
    assert kept.stat().st_mtime_ns == written


def test_tests_that_take_too_long_decide_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gate, "_PATIENCE", 0.01)
    contents = put(tmp_path / "policies", "{effect: deny}")
    snapshot = assemble(contents.policy, CompiledEngine(), Problems())
    with pytest.raises(UndecidedError, match="took more than"):
        check_itself(contents, snapshot)
    assert "took more than" in gate_of(tmp_path / "state")(contents, snapshot)[0].problem
    assert not list((tmp_path / "state" / "verdicts").glob("*.json"))
