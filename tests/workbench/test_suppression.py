"""Exemptions speak for one place, need a reason, and do not outlive what they exempt."""

from __future__ import annotations

from pathlib import Path

import pytest

from pdp.workbench.files import read_policy
from pdp.workbench.lint import apply_fixes, lint
from tests.workbench.example import Change, add_rule, place_of, report_of

_ODD = "p,odd,lead,read,invoice,r.session.risk > 9 && r.session.risk < 9,deny,,reason"
_TALL = 'p,odd,lead,read,invoice,"r.session.risk > 9\n  && r.session.risk < 9",deny,,reason'
_COLOUR = "device:\n{}  colour: {{type: string, values: [red, green]}}{}\n"


def colour(before: str = "", behind: str = "") -> Change:
    return ("schema.yaml", "device:\n", _COLOUR.format(before, behind))


@pytest.mark.parametrize(
    "change",
    [
        add_rule(f"# lint-ignore never-matches: kept for the exercise\n{_ODD}"),
        add_rule(f"# lint-ignore never-matches: kept for the exercise\n# and more is said about it\n\n{_ODD}"),
        add_rule(f"#lint-ignore  never-matches :  kept for the exercise \n{_TALL}"),
    ],
)
def test_a_comment_exempts_the_row_below(change: Change, tmp_path: Path) -> None:
    report = report_of(tmp_path, change)
    assert report.findings == ()
    assert [(it.finding.kind.code, it.reason) for it in report.suppressed] == [
        ("never-matches", "kept for the exercise")
    ]


@pytest.mark.parametrize(
    "change",
    [
        colour(before="  # lint-ignore unused-attribute: the feed starts in May\n"),
        colour(behind="  # lint-ignore unused-attribute: the feed starts in May"),
    ],
)
def test_a_comment_exempts_a_line_of_yaml(change: Change, tmp_path: Path) -> None:
    report = report_of(tmp_path, change)
    assert report.findings == ()
    assert [it.reason for it in report.suppressed] == ["the feed starts in May"]


@pytest.mark.parametrize(
    ("comment", "problem"),
    [
        ("# lint-ignore never-matches", "without a code or a reason"),
        ("# lint-ignore never-matches:", "without a code or a reason"),
        ("# lint-ignore: everything", "without a code or a reason"),
        ("# lint-ignore never-match: kept", "unknown code, 'never-match'"),
    ],
)
def test_an_exemption_without_a_reason_or_a_code_exempts_nothing(comment: str, problem: str, tmp_path: Path) -> None:
    findings = {it.kind.code: it for it in report_of(tmp_path, add_rule(f"{comment}\n{_ODD}")).findings}
    assert set(findings) == {"never-matches", "suppression-malformed"}
    assert problem in findings["suppression-malformed"].problem
    assert place_of(findings["suppression-malformed"], tmp_path) == comment


@pytest.mark.parametrize(
    "row",
    [
        "# lint-ignore shadowed: for now\n" + _ODD,
        _ODD.replace("odd", "fine").replace("< 9", "< 20") + "\n# lint-ignore never-matches: for now",
    ],
)
def test_an_exemption_of_nothing_is_found_and_taken_away(row: str, tmp_path: Path) -> None:
    findings = report_of(tmp_path, add_rule(row)).findings
    (unused,) = [it for it in findings if it.kind.code == "suppression-unused"]
    assert place_of(unused, tmp_path).endswith("for now")
    texts = apply_fixes([unused])
    assert "lint-ignore" not in texts["policy/rules.csv"]
    (tmp_path / "policy" / "rules.csv").write_text(texts["policy/rules.csv"])
    assert "suppression-unused" not in {it.kind.code for it in lint(read_policy(tmp_path)).findings}


def test_an_exemption_is_for_its_own_code_and_row_alone(tmp_path: Path) -> None:
    two = add_rule(f"# lint-ignore never-matches: kept\n{_ODD}\n{_ODD.replace('odd', 'also')}")
    report = report_of(tmp_path, two)
    assert [(it.kind.code, it.line) for it in report.findings] == [("never-matches", 15)]
    assert len(report.suppressed) == 1


def test_what_is_refused_cannot_be_exempted(tmp_path: Path) -> None:
    row = "# lint-ignore refused: we know\n" + _ODD.replace("session.risk", "session.rsk")
    report = report_of(tmp_path, add_rule(row))
    assert {it.kind.code for it in report.findings} == {"refused"}
    assert report.suppressed == ()
