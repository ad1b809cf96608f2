"""The commands: what they print, what they say as JSON, and how they exit."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from typer.testing import CliRunner, Result

from pdp.cli.policy import app
from tests.cases.case_files import POLICIES
from tests.workbench_testing.small import CASES, MATRIX, RULES, loaded, write
from tests.workbench_testing.test_impact import ATTRIBUTES, NO_MFA, NOTE, record

SENSITIVE = "version: 1\nsensitive: [special]\n# end\n"


def pdp(*words: str | Path) -> Result:
    environment = {"COLUMNS": "200", "NO_COLOR": "1", "TERM": "dumb"}
    return CliRunner(env=environment).invoke(app, [str(word) for word in words])


def data(result: Result) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def test_passing_tests(tmp_path: Path) -> None:
    result = pdp("test", write(tmp_path))
    assert (result.exit_code, result.stdout.split(" in ")[0]) == (0, "18 passed")


def test_a_failing_test_shows_its_explanation(tmp_path: Path) -> None:
    folder = write(tmp_path, rules=RULES.replace("86400", "3000"))
    result = pdp("test", folder)
    assert result.exit_code == 1
    assert f"{folder}/tests/all.yaml:" in result.stdout
    assert "✘ r.context.time - r.resource.made_at <= 3000" in result.stdout
    assert "deny NO_MATCHING_PERMIT" in result.stdout
    shown = data(pdp("test", folder, "--json"))
    assert (shown["passed"], shown["failed"]) == (13, 5)
    assert shown["failures"][0]["mismatches"][0]["field"] == "effect"
    assert shown["failures"][0]["rules"][0]["id"] == "invoice-read"


def test_some_tests_by_name_and_a_report_of_them(tmp_path: Path) -> None:
    report = tmp_path / "junit.xml"
    result = pdp(
        "test", write(tmp_path / "p", rules=RULES.replace("86400", "3000")), "--only", "*clerk*", "--junit", report
    )
    assert result.exit_code == 1
    (suite,) = ET.fromstring(report.read_text())  # noqa: S314 - written by us just now
    assert (suite.get("tests"), suite.get("failures")) == ("6", "3")
    assert (
        next(it.get("name") for it in suite if it.find("failure") is not None) == "a clerk reads an invoice, billing"
    )


@pytest.mark.parametrize("command", ["test", "coverage", "mutate"])
def test_a_refused_table_is_shown_with_its_place(tmp_path: Path, command: str) -> None:
    folder = write(tmp_path, CASES.replace("[mask]", "[blur]"))
    result = pdp(command, folder)
    assert result.exit_code == 1
    assert "the policy has no obligation 'blur'" in result.stdout
    assert "^^^^" in result.stdout
    assert data(pdp(command, folder, "--json"))["problems"][0]["line"] > 0


@pytest.mark.parametrize("command", ["test", "coverage", "mutate"])
def test_no_tests_is_a_failure(tmp_path: Path, command: str) -> None:
    folder = write(tmp_path)
    (folder / "tests" / "all.yaml").unlink()
    result = pdp(command, folder)
    assert result.exit_code == 1
    assert "holds no tests" in result.stderr


def test_coverage_holds_thresholds(tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    folder = write(tmp_path / "p", CASES)
    result = pdp("coverage", folder, "--html", page)
    assert result.exit_code == 1
    assert "special-update" in result.stdout
    assert "no test: lead update health_note a rule may allow it" in result.stdout
    assert page.read_text().startswith("<!doctype html>")
    assert pdp("coverage", folder, "--rules", "80", "--sides", "50").exit_code == 0
    shown = data(pdp("coverage", folder, "--json"))
    assert shown["figures"]["rules"] == {"percent": 80.0, "at_least": 100.0}
    assert {"role": "lead", "action": "update", "resource": "health_note"} in shown["untested"]


def test_mutate_prints_survivors(tmp_path: Path) -> None:
    folder = write(tmp_path, CASES + MATRIX)
    assert pdp("mutate", folder, "--processes", "1").exit_code == 0
    fewer = CASES.replace('"-24h"', '"-23h"') + MATRIX
    result = pdp("mutate", write(tmp_path / "b", fewer), "--processes", "1", "--at-least", "100")
    assert result.exit_code == 1
    assert "survived invoice-read r.context.time - r.resource.made_at <= 86400: 86400 -> 86399" in result.stdout
    shown = data(pdp("mutate", tmp_path / "b", "--processes", "1", "--json"))
    assert shown["survived"] == len(shown["survivors"]) == 1
    assert shown["caught"] + shown["survived"] + shown["equivalent"] == shown["mutants"]


def changed(tmp_path: Path, rules: str) -> tuple[Path, Path]:
    old, new = write(tmp_path / "old", review=SENSITIVE), write(tmp_path / "new", rules=rules, review=SENSITIVE)
    (new / "sample").mkdir()
    (new / "sample" / "attributes.yaml").write_text(ATTRIBUTES)
    return old, new


def test_nothing_changed_is_no_failure(tmp_path: Path) -> None:
    result = pdp("diff", *changed(tmp_path, RULES))
    assert (result.exit_code, "Both say the same." in result.stdout) == (0, True)


def test_newly_allowed_on_sensitive_data_waits_for_an_acknowledgement(tmp_path: Path) -> None:
    old, new = changed(tmp_path, NO_MFA)
    refused = pdp("diff", old, new)
    assert refused.exit_code == 1
    digits = refused.stdout.split("--acknowledge ")[1].split()[0]
    assert loaded(new).revision.removeprefix("sha256:").startswith(digits)
    assert pdp("diff", old, new, "--acknowledge", digits).exit_code == 0
    assert pdp("diff", old, new, "--acknowledge", digits[:-1]).exit_code == 1
    assert pdp("diff", old, new, "--acknowledge", loaded(old).revision).exit_code == 1


def test_unmarking_a_class_in_the_same_change_does_not_help(tmp_path: Path) -> None:
    old, new = changed(tmp_path, NO_MFA)
    (new / "review.yaml").write_text("version: 1\nsensitive: [invoice]\n# end\n")
    assert pdp("diff", old, new).exit_code == 1


def test_newly_allowed_elsewhere_is_shown_and_passes(tmp_path: Path) -> None:
    result = pdp("diff", *changed(tmp_path, RULES.replace("86400", "90000")))
    assert result.exit_code == 0
    assert "newly allowed clerk read invoice" in result.stdout


def test_diff_replays_what_was_recorded(tmp_path: Path) -> None:
    old, new = changed(tmp_path, NO_MFA)
    asked = [record(**NOTE, session="s-1", outcome="deny"), record(), record(device="d-9"), record(subject="~k:x")]
    file = tmp_path / "recorded.jsonl"
    file.write_text("".join(json.dumps(it) + "\n" for it in asked))
    result = pdp("diff", old, new, "--no-search", "--requests", file)
    assert result.exit_code == 1
    assert "4 decisions: 1 newly allowed, 0 newly denied" in result.stdout
    assert "1 not replayed: they name what the attributes do not hold" in result.stdout
    assert "100.0 % of the others are answered by OLD as they were" in result.stdout
    shown = data(pdp("diff", old, new, "--requests", file, "--json"))
    assert shown["replay"]["totals"]["newly allowed"] == 1
    assert (shown["exposed"], shown["refused"]) == (["health_note"], True)
    assert shown["search"]["groups"][0]["examples"][0]["asked"]


def test_the_sample_policy_passes_what_it_asks_for() -> None:
    result = pdp("coverage", POLICIES, "--json")
    figures = data(result)["figures"]
    assert result.exit_code == 0
    assert figures["rules"]["percent"] == 100.0
    assert figures["sides"]["percent"] >= 95.0
