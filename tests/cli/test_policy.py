"""``pdp policy show``: the policy as a person reads it, or what is wrong with it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from pdp.cli.policy import app
from tests.policy.example import RULES, build, swap, write


def show(folder: Path, *flags: str, width: int = 100) -> Result:
    return CliRunner(env={"COLUMNS": str(width), "NO_COLOR": "1", "TERM": "dumb"}).invoke(
        app, ["show", str(folder), *flags]
    )


def test_a_valid_policy_is_shown_rule_by_rule(tmp_path: Path) -> None:
    result = show(write(tmp_path))
    assert result.exit_code == 0
    for rule in build().rules:
        assert rule.id in result.output
        assert f"{rule.effect.value} {rule.role}" in result.output
    assert "rules        5 (3 allow, 2 deny)" in result.output
    assert build().revision in result.output


def test_what_is_shown_fits_eighty_columns(tmp_path: Path) -> None:
    lines = show(write(tmp_path), width=80).output.splitlines()
    assert max(len(line.rstrip()) for line in lines if "sha256" not in line) <= 80


def test_a_valid_policy_as_json(tmp_path: Path) -> None:
    result = show(write(tmp_path), "--json")
    shown = json.loads(result.output)
    assert (result.exit_code, shown["valid"], shown["problems"]) == (0, True, [])
    assert shown["revision"] == build().revision
    assert shown["rules"][1] == {
        "id": "card-read",
        "role": "supervisor",
        "action": "read",
        "resource": "card",
        "condition": "r.session.aal >= 2 && r.resource.scanned",
        "effect": "allow",
        "obligations": ["mask-pan", "notify"],
        "basis": "PCI DSS 3.4.1",
        "file": "policy/rules.csv",
        "line": 4,
    }
    assert shown["roles"] == {"agent": [], "auditor": [], "supervisor": ["agent"]}
    assert shown["actions"]["read"] == ["use"]
    assert shown["resources"]["card"] == ["regional"]


def test_an_invalid_policy_is_a_failure_that_points_at_the_place(tmp_path: Path) -> None:
    folder = write(tmp_path, swap("policy/rules.csv", "!r.device.compliant", "!r.device.complaint"))
    result = show(folder)
    assert result.exit_code == 1
    lines = result.output.splitlines()
    assert lines[0] == f"{folder}/policy/rules.csv:7:20: condition: device has no attribute 'complaint'"
    mark = lines[2]
    assert lines[1][mark.index("^") : mark.rindex("^") + 1] == "r.device.complaint"
    assert lines[3].strip() == "help: did you mean r.device.compliant?"
    assert lines[-1] == "1 problem: the policy is refused as a whole."


def test_every_problem_is_shown(tmp_path: Path) -> None:
    folder = write(tmp_path, {"policy/rules.csv": RULES.replace("allow", "alow"), "routes.yaml": None})
    result = show(folder)
    assert result.output.count("'alow' is not an effect") == 3
    assert "routes.yaml: is missing" in result.output
    assert "5 problems: the policy is refused as a whole." in result.output


def test_an_invalid_policy_as_json(tmp_path: Path) -> None:
    folder = write(tmp_path, swap("policy/rules.csv", "unhealthy", "Unhealthy"))
    result = show(folder, "--json")
    assert result.exit_code == 1
    assert json.loads(result.output) == {
        "valid": False,
        "problems": [
            {
                "file": "policy/rules.csv",
                "line": 7,
                "column": 3,
                "problem": "'Unhealthy' is not a rule's id",
                "help": "3 to 64 lower-case letters, digits and -, starting with a letter",
                "text": "p,Unhealthy,*,*,*,!r.device.compliant,deny,notify,NIST SP 800-207",
            }
        ],
    }


@pytest.mark.parametrize("hidden", ["\x1b[31m", "\u202e", "\0"])
def test_what_a_broken_file_holds_does_not_reach_the_terminal(tmp_path: Path, hidden: str) -> None:
    folder = write(tmp_path, swap("policy/rules.csv", "unhealthy", f"un{hidden}healthy"))
    result = show(folder)
    assert result.exit_code == 1
    assert hidden not in result.output
    assert "\N{REPLACEMENT CHARACTER}" in result.output


def test_markup_in_a_policy_is_text(tmp_path: Path) -> None:
    result = show(write(tmp_path, swap("policy/rules.csv", "PCI DSS 3.4.1", "[bold]PCI[/bold] [/]")))
    assert "[bold]PCI[/bold] [/]" in result.output


def test_a_long_line_is_cut_around_its_problem(tmp_path: Path) -> None:
    long = " && ".join(["r.device.compliant"] * 30)
    result = show(
        write(tmp_path, swap("policy/rules.csv", "!r.device.compliant", f"{long} && r.device.wrong")), width=80
    )
    line, mark = result.output.splitlines()[1:3]
    assert len(line) <= 80
    assert line[mark.index("^") : mark.rindex("^") + 1] == "r.device.wrong"


def test_bytes_that_are_no_text_are_shown_as_such(tmp_path: Path) -> None:
    result = show(write(tmp_path, {"policy/rules.csv": RULES.encode().replace(b"unhealthy", b"un\xffhealthy")}))
    assert "rules.csv:7:5: a byte that is not UTF-8" in result.output


def test_a_folder_that_is_none_says_so(tmp_path: Path) -> None:
    result = show(tmp_path / "none")
    assert result.exit_code == 1
    assert "is no folder" in result.output
