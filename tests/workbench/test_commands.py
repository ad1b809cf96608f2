"""The commands as a person and as a pipeline use them: what they print, what they write, how they end."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from pdp.cli.policy import app
from pdp.core.errors import PdpError
from tests.workbench.example import add_rule, write

SAMPLE = Path(__file__).parents[2] / "policies"
ODD = add_rule("p,odd,lead,read,invoice,r.session.risk > 9  &&  r.session.vpn == True,deny,,x")
ALICE = (
    "explain", "--policies", str(SAMPLE), "--subject", "user:alice", "--action", "read", "--resource", "customer:c-1",
    "--session", "s-1", "--device", "d-1", "--now", "2026-01-15T10:00:00",
)  # fmt: skip


def call(*arguments: str, status: int = 0) -> str:
    """Call a command on a wide screen, and give what it prints."""
    found: Result = CliRunner(env={"COLUMNS": "200", "NO_COLOR": "1", "TERM": "dumb"}).invoke(app, arguments)
    assert found.exit_code == status, f"{found.output}{found.exception!r}"
    return found.output


def data(*arguments: str, status: int = 0) -> Any:
    return json.loads(call(*arguments, "--json", status=status))


def test_lint_shows_place_reason_and_remedy(tmp_path: Path) -> None:
    folder = str(write(tmp_path, ODD))
    output = call("lint", folder, status=1)
    assert f"{folder}/policy/rules.csv:13:49: warning[redundant-comparison]" in output
    line, mark = output.split("\n")[1:3]
    assert line[mark.index("^") : mark.rindex("^") + 1] == "r.session.vpn == True"
    assert "why: " in output
    assert "help: write r.session.vpn (--fix does it)" in output
    assert output.rstrip().endswith("1 warning")


def test_lint_mends_what_is_mechanical(tmp_path: Path) -> None:
    folder = str(write(tmp_path, ODD))
    assert data("lint", folder, status=1)["findings"][0]["fixable"] is True
    mended = data("lint", folder, "--fix")
    assert (mended["findings"], mended["mended"]) == ([], ["policy/rules.csv"])
    text = (tmp_path / "policy" / "rules.csv").read_text()
    assert "p,odd,lead,read,invoice,r.session.risk > 9 && r.session.vpn,deny,," in text
    assert call("lint", folder) == "no findings\n"
    assert data("lint", folder, "--fix")["mended"] == []


def test_lint_finds_what_no_test_decides(tmp_path: Path) -> None:
    call("init", str(tmp_path / "new"))
    tests = tmp_path / "new" / "tests" / "documents.yaml"
    assert data("lint", str(tmp_path / "new"))["findings"] == []
    cases = tests.read_text().split("  - name: a leaver is out")
    tests.write_text(cases[0] + "# end\n")
    found = {it["problem"] for it in data("lint", str(tmp_path / "new"), status=1)["findings"]}
    assert "no test reaches floor-inactive" in found
    assert data("lint", str(tmp_path / "new"), "--no-tests")["findings"] == []


def test_lint_of_what_the_loader_refuses(tmp_path: Path) -> None:
    folder = str(write(tmp_path, ("policy/rules.csv", "*,*,*,!r.device.compliant", "*,*,*,!r.device.complaint")))
    output = call("lint", folder, status=1)
    assert "error[refused]" in output
    assert "did you mean r.device.compliant?" in output
    assert data("lint", str(tmp_path / "nowhere"), status=1)["findings"][0]["problem"] == "is no folder"


def test_fmt_checks_and_writes(tmp_path: Path) -> None:
    folder = str(write(tmp_path))
    assert "would change" in call("fmt", folder, "--check", status=1)
    assert "laid out" in call("fmt", folder)
    assert "nothing to do" in call("fmt", folder)
    assert data("fmt", folder, "--check") == {"changed": [], "unreadable": [], "written": False}
    (tmp_path / "policy" / "rules.csv").write_text('p,"open')
    assert data("fmt", folder, status=1)["unreadable"] == ["policy/rules.csv"]


def test_verify_proves_or_shows_why_not(tmp_path: Path) -> None:
    folder = str(write(tmp_path))
    assert "no invariants" in call("verify", folder, status=2)
    (tmp_path / "invariants.yaml").write_text(
        "version: 1\ninvariants:\n"
        '  - {name: posture, why: "Tenet 5", never: allow, when: "!r.device.compliant"}\n'
        '  - {name: low-risk, why: "Risk", never: allow, when: "r.session.risk > 50"}\n# end\n'
    )
    output = call("verify", folder, status=1)
    assert "proved  posture Tenet 5" in output
    assert "refuted low-risk Risk" in output
    assert "session.risk = 51" in output
    assert "for every set of roles" in output
    results = {it["name"]: it for it in data("verify", folder, status=1)["results"]}
    assert results["posture"]["status"] == "proved"
    assert results["low-risk"]["counterexample"]["attributes"]["session.risk"] == 51
    assert results["low-risk"]["line"] == 4


def test_explain_says_why_and_what_would_change_it() -> None:
    output = call(*ALICE, "--purpose", "marketing")
    assert output.startswith("DENY DENIED_BY_RULE(data-purpose-not-agreed)")
    assert "it would be allow" in output
    assert "context.purpose were billing" in output
    found = data(*ALICE, "--purpose", "billing")
    assert (found["effect"], found["rules"]) == ("allow", ["customer-read-billing"])
    assert {"attribute": "session.revoked", "change": "session.revoked were true (now false)"} in [
        change for turn in found["turns"] for change in turn["changes"]
    ]


def test_explain_shows_nothing_that_is_not_to_be_shown() -> None:
    """What is not marked clear is not shown, nor is what would equal it."""
    output = call(*ALICE, "--purpose", "marketing", "--all")
    assert "customer_id=(not shown)" in output
    assert "purposes=(not shown)" in output
    assert "c-6" not in output


def test_what_somebody_elses_data_would_have_to_be_is_said_by_the_rule_alone() -> None:
    carol = ("--subject", "user:carol", "--session", "s-carol", "--device", "d-10")
    asked = ("--action", "play", "--resource", "call_recording:rec-9", "--purpose", "fraud_investigation")
    output = call("explain", "--policies", str(SAMPLE), *carol, *asked, "--now", "2026-01-15T10:00:00")
    assert "resource.case_analyst were such that r.resource.case_analyst == r.subject.id" in output
    assert "dan" not in output


def test_explain_of_what_is_not_known_ends_with_what_is() -> None:
    with pytest.raises(PdpError, match="there is no action 'reed'"):
        CliRunner().invoke(app, [*ALICE[:6], "reed", *ALICE[7:]], catch_exceptions=False)


def test_who_can_and_what_can() -> None:
    shared = ("--policies", str(SAMPLE), "--now", "2026-01-15T10:00:00")
    output = call("who-can", "reveal", "payment_card", *shared)
    assert output.startswith("user:dan in s-dan")
    assert "when r.context.purpose == 'fraud_investigation'" in output
    assert {it["subject"] for it in data("who-can", "reveal", "payment_card", *shared)} == {"user:dan"}
    assert "nobody and nothing" in call("what-can", "user:grace", *shared, status=1)
    found = {(it["action"], it["resource_type"]) for it in data("what-can", "user:frank", *shared)}
    assert ("read", "audit_log") in found


def test_schema_prints_writes_and_lists(tmp_path: Path) -> None:
    assert json.loads(call("schema", "invariants"))["title"] == "invariants.yaml"
    assert "10 schemas written" in call("schema", "--out", str(tmp_path / "schemas"))
    assert json.loads((tmp_path / "schemas" / "tests.json").read_text())["title"] == "tests/*.yaml"
    assert data("schema")["routes"] == "routes.yaml"


def test_init_makes_a_folder_that_lint_likes(tmp_path: Path) -> None:
    assert "next: pdp policy lint" in call("init", str(tmp_path / "new"), "--template", "health-records")
    assert call("lint", str(tmp_path / "new")) == "no findings\n"
    call("init", str(tmp_path / "new"), status=2)


def test_import_reports_what_is_lost(tmp_path: Path) -> None:
    (tmp_path / "model.conf").write_text(
        "[request_definition]\nr = sub, obj, act\n[policy_definition]\np = sub, obj, act\n"
        "[role_definition]\ng = _, _\n"
        "[policy_effect]\ne = some(where (p.eft == allow))\n"
        "[matchers]\nm = g(r.sub, p.sub) && r.obj == p.obj && r.act == p.act\n"
    )
    (tmp_path / "policy.csv").write_text("p, admin, /files/*, read\np, admin, data1, read\ng, alice, admin\n")
    files = (str(tmp_path / "model.conf"), str(tmp_path / "policy.csv"))
    output = call("import", *files, "--out", str(tmp_path / "new"), status=1)
    assert "policy.csv:1: not carried over: the object '/files/*'" in output
    assert "1 rules, 1 roles and 1 people" in output
    assert json.loads(call("show", str(tmp_path / "new"), "--json"))["valid"] is True
    call("import", *files, "--out", str(tmp_path / "new"), status=2)
