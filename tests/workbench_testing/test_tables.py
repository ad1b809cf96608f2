"""Tables of tests: what passes, what fails and how, and what is refused where."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from tests.cases.case_files import POLICIES
from tests.workbench_testing.small import CASES, HEAD, MATRIX, loaded, refused, results_of, suites_of, write


def test_all_cases_pass_and_count(tmp_path: Path) -> None:
    results = results_of(write(tmp_path))
    assert [it.case.name for it in results if not it.passed] == []
    assert len(results) == 9 + 8 + 1  # cases, one of them for two purposes, and the cells of both matrices


def test_a_case_says_where_it_stands(tmp_path: Path) -> None:
    (suite,) = suites_of(write(tmp_path))
    lines = (tmp_path / suite.file).read_text().splitlines()
    for case in suite.cases[:9]:
        assert case.name.partition(",")[0] in lines[case.line - 1]


@pytest.mark.parametrize(
    ("was", "now", "field"),
    [
        ("effect: allow, reasons", "effect: deny, reasons", "effect"),
        ("reasons: [PERMITTED(invoice-read)]", "reasons: [PERMITTED(note-read)]", "reasons"),
        ("obligations: [mask]", "obligations: [mask, watermark]", "obligations"),
        ("rules: [note-read]", "rules: [note-mfa]", "rules"),
        ("valid_for: 0", "valid_for: 60", "valid_for"),
        ("reasons: [NO_MATCHING_PERMIT]", "reasons: [NO_MATCHING_PERMIT], step_up: {max_age: 3}", "step_up"),
    ],
)
def test_whatever_is_stated_is_checked(tmp_path: Path, was: str, now: str, field: str) -> None:
    failed = [it for it in results_of(write(tmp_path, CASES.replace(was, now))) if not it.passed]
    assert failed
    assert {mismatch.field for it in failed for mismatch in it.mismatches} == {field}


def test_a_deny_for_want_of_an_attribute_shows_nothing_of_the_policy(tmp_path: Path) -> None:
    case = "cases:\n  - name: vague\n    request: {device: d-9}\n    expect: {effect: deny%s}\n"
    (vague,) = results_of(write(tmp_path, case % ""))
    assert [(it.field, it.found) for it in vague.mismatches] == [("reasons", ["DEVICE_UNKNOWN"])]
    (meant,) = results_of(write(tmp_path, case % ", reasons: [DEVICE_UNKNOWN]"))
    assert meant.passed


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ("{compliant: null}", "ATTRIBUTE_MISSING(device.compliant)"),
        ("{compliant: maybe}", "ATTRIBUTE_INVALID(device.compliant)"),
        ('{_issued_at: "-15m"}', "ATTRIBUTE_STALE(device.compliant)"),
        ('{compliant@issued_at: "-15m"}', "ATTRIBUTE_STALE(device.compliant)"),
        ('{_issued_at: "+6s"}', "ATTRIBUTE_FROM_FUTURE(device.compliant)"),
    ],
)
def test_a_change_is_stored_right_or_wrong(tmp_path: Path, change: str, reason: str) -> None:
    expect = f"{{effect: deny, reasons: [{reason}]}}"
    case = f"cases:\n  - name: x\n    given: {{device/d-1: {change}}}\n    expect: {expect}\n"
    (result,) = results_of(write(tmp_path, case))
    assert result.passed, result.mismatches


def test_what_a_matrix_does_not_list_must_be_denied(tmp_path: Path) -> None:
    unlisted = MATRIX.replace("clerk: {invoice: [read]}", "clerk: {}")
    (failed,) = [it for it in results_of(write(tmp_path, unlisted)) if not it.passed]
    assert failed.case.name == "changes: clerk, read, invoice"
    assert failed.mismatches[0].expected == "deny"


def test_an_explanation_names_what_stood_in_the_way(tmp_path: Path) -> None:
    folder = write(tmp_path, CASES.replace("effect: deny, reasons: [NO_MATCHING_PERMIT]", "effect: allow"))
    failed = next(it for it in results_of(folder) if not it.passed and it.case.name == "and not of yesterday")
    traces = {
        it.rule.id: [part.outcome.value for part in it.conditions] for it in failed.explain(loaded(folder)).rules
    }
    assert traces["invoice-read"] == ["true", "false"]


@pytest.mark.parametrize(
    ("was", "now", "problem", "text"),
    [
        ("effect: allow", "effect: permit", "'permit' is not an effect", "permit"),
        ("PERMITTED(invoice-read)", "PERMITTED(invoice-reed)", "no rule 'invoice-reed'", "PERMITTED(invoice-reed)"),
        ("NO_MATCHING_PERMIT", "NO_PERMIT", "'NO_PERMIT' is not a reason", "NO_PERMIT"),
        ("obligations: [mask]", "obligations: [blur]", "no obligation 'blur'", "blur"),
        ("rules: [note-read]", "rules: [note-red]", "no rule 'note-red'", "note-red"),
        ("each: {purpose:", "each: {porpoise:", "unknown key 'porpoise'", "porpoise"),
        ("[billing, support]", "[]", "the list is empty", "[]"),
        ('{made_at: "-24h"}', '{maid_at: "-24h"}', "no attribute 'maid_at'", "maid_at"),
        (
            "given: {resource/invoice:i-1",
            "given: {resource/invoice:i-9",
            "no record of resource/invoice:i-9",
            "resource",
        ),
        ("given: {resource/invoice:i-1", "given: {session/s-3", "no attribute 'made_at'", "made_at"),
        ("request: {device: d-2}", 'request: {subject: "ann"}', "a subject is written type:id", '"ann"'),
        ("name: of today", "name: and not of yesterday", "another test of this file has this name", "and not"),
        ("device: d-2", 'device: "d 2"', "device.id", "name: on"),
        ("subject: user:leo", "subject: user:leo, subject: user:ann", "stands twice", "subject: user:ann"),
    ],
)
def test_a_slip_is_refused_where_it_stands(tmp_path: Path, was: str, now: str, problem: str, text: str) -> None:
    assert was in CASES
    found = [it for it in refused(write(tmp_path, CASES.replace(was, now))) if problem in it.problem]
    assert found
    line = (tmp_path / found[0].file).read_text().splitlines()[found[0].line - 1]
    assert text.partition(" ")[0] in line[found[0].column - 1 :]


@pytest.mark.parametrize(
    ("was", "now", "problem"),
    [
        ("allow:\n      clerk", "allow:\n      clark", "nobody called 'clark'"),
        ("{invoice: [read]}", "{invoize: [read]}", "no resource called 'invoize'"),
        ("{invoice: [read]}", "{invoice: [reed]}", "no action 'reed'"),
        ("clerk: {note: {update:", "clerk: {invoice: {read:", "read is listed already"),
        ("actions: [update]", "actions: []", "tries nothing"),
    ],
)
def test_a_slip_in_a_matrix_is_refused(tmp_path: Path, was: str, now: str, problem: str) -> None:
    assert was in MATRIX
    assert any(problem in it.problem for it in refused(write(tmp_path, MATRIX.replace(was, now))))


@pytest.mark.parametrize(
    ("was", "now", "problem"),
    [
        ("version: 1", "version: 2", "a version of the format"),
        ("10:00:00Z", "10:00:00", "with its time zone"),
        ("2026-01-15T10:00:00Z", "soon", "with its time zone"),
        ("{aal: 1}", "{aal: 4}", "aal: must be a whole number from 1 to 3"),
        ("{aal: 1}", "{aal: null}", "a single value or a list"),
        ("  user:ann:", "  ann:", "a subject is written type:id"),
        ("subjects:", "people:", "unknown key 'people'"),
        ("defaults:", "attributes: [../elsewhere.yaml]\ndefaults:", "leads out of the policy folder"),
        ("defaults:", "attributes: [missing.yaml]\ndefaults:", "cannot be read"),
        ("defaults:", "defaults: &a", "an anchor"),
    ],
)
def test_a_fault_of_what_is_known_is_refused(tmp_path: Path, was: str, now: str, problem: str) -> None:
    assert was in HEAD
    found = refused(write(tmp_path, head=HEAD.replace(was, now, 1)))
    assert any(problem in it.problem for it in found), found


def test_a_file_cut_short_or_misnamed_is_refused(tmp_path: Path) -> None:
    file = write(tmp_path) / "tests" / "all.yaml"
    text = file.read_text()
    file.write_text(text.removesuffix("# end\n"))
    assert "cut short" in refused(tmp_path)[0].problem
    file.write_text(text)
    (tmp_path / "tests" / "more.yml").write_text(text)
    assert "would not be read" in refused(tmp_path)[0].problem


def test_an_empty_file_of_tests_is_refused(tmp_path: Path) -> None:
    assert any("holds no test" in it.problem for it in refused(write(tmp_path, "")))


def test_the_sample_names_each_test_once() -> None:
    suites = suites_of(POLICIES)
    for suite in suites:
        names = [case.name for case in suite.cases]
        assert len(set(names)) == len(names), suite.file
    assert all(itertools.chain(suite.cases for suite in suites))
