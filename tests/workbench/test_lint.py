"""Each finding: a policy that has it, at the place it is underlined, and one that nearly has it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from pdp.workbench.lint import Severity, lint
from pdp.workbench.lint.findings import CODES
from tests.workbench.example import Change, add_rule, opened, place_of, report_of

_RULES = "policy/rules.csv"
_LINKS = "policy/links.csv"
_SCHEMA = "schema.yaml"
_NOTE_READ = "r.context.purpose == 'care' && r.resource.team == r.subject.team"
_AGE = "r.context.time - r.session.auth_time"
_TICKET = (_SCHEMA, "resources:", "resources:\n  ticket: {}")
_COLOUR = (_SCHEMA, "device:\n", "device:\n  colour: {type: string, values: [red, green]}\n")
_STAMP = ("obligations.yaml", "obligations:", "obligations:\n  stamp: {type: stamp}")
_ARCHIVE = (_SCHEMA, "actions: [read,", "actions: [archive, read,")
_NO_OFFICER = (_RULES, "p,note-out,officer", "p,note-out,clerk")
_INVOICE_POSTURE = (_RULES, "p,floor-posture,*,*,*", "p,floor-posture,*,*,invoice")
_OWN = "r.resource.owner == r.subject.id && r.resource.amount"
_LOW = add_rule("p,off-low,*,*,invoice,r.session.risk <= 40,deny,,reason")
_MFA = "r.session.aal < 2 || r.session.risk"


def deny(condition: str) -> Change:
    """Add the rule ``odd`` that denies leads to read invoices."""
    return add_rule(f"p,odd,lead,read,invoice,{condition},deny,,reason")


def allow(columns: str, condition: str, owed: str = "") -> Change:
    """Add the rule ``odd`` that allows."""
    return add_rule(f"p,odd,{columns},{condition},allow,{owed},reason")


def note_read(condition: str) -> Change:
    """Replace the condition of ``note-read``."""
    return (_RULES, _NOTE_READ, condition)


@dataclass(frozen=True)
class Pair:
    """A finding's code, a text it underlines, what it says, changes that make it, and some that nearly do."""

    code: str
    underlined: str
    says: str
    has: tuple[Change, ...]
    nearly: tuple[Change, ...]


def pair(code: str, underlined: str, says: str, has: Change | list[Change], nearly: Change | list[Change]) -> Pair:
    both = [tuple(it) if isinstance(it, list) else (it,) for it in (has, nearly)]
    return Pair(code, underlined, says, *both)


PAIRS = (
    pair(
        "never-matches",
        "r.session.risk < 10",
        "r.session.risk > 20 and r.session.risk < 10 exclude each other",
        deny("r.session.aal > 1 && r.session.risk > 20 && r.session.risk < 10"),
        deny("r.session.aal > 1 && r.session.risk > 8 && r.session.risk < 10"),
    ),
    pair(
        "never-matches",
        "r.session.risk < 10",
        "exclude each other",
        deny("r.session.risk > 9 && r.session.risk < 10"),
        deny("r.session.risk >= 9 && r.session.risk < 10"),
    ),
    pair(
        "never-matches",
        f"{_AGE} <= 60",
        "exclude each other",
        deny(f"{_AGE} > 60 && {_AGE} <= 60"),
        deny(f"{_AGE} > 60 && {_AGE} <= 61"),
    ),
    pair(
        "never-matches",
        "!('draft' in r.resource.tags)",
        "exclude each other",
        deny("'draft' in r.resource.tags && !('draft' in r.resource.tags)"),
        deny("'draft' in r.resource.tags && !('final' in r.resource.tags)"),
    ),
    pair(
        "never-matches",
        "r.resource.owner != r.subject.team",
        "exclude each other",
        deny(
            "r.resource.owner == r.subject.id && r.subject.id == r.subject.team && r.resource.owner != r.subject.team"
        ),
        deny("r.resource.owner == r.subject.id && r.resource.owner != r.subject.team"),
    ),
    pair(
        "constant-part",
        "r.session.aal >= 1",
        "always true",
        deny("r.session.aal >= 1 && r.session.risk > 50"),
        deny("r.session.aal > 1 && r.session.risk > 50"),
    ),
    pair(
        "constant-part",
        "r.session.risk > 100",
        "never true",
        deny("r.session.risk > 100 || r.session.aal == 1"),
        deny("r.session.risk > 99 || r.session.aal == 1"),
    ),
    pair(
        "redundant-part",
        "r.session.risk > 50",
        "follows from",
        deny("r.session.risk > 50 && r.session.risk > 60"),
        deny("r.session.risk > 50 && r.session.risk < 60"),
    ),
    pair(
        "redundant-comparison",
        "r.session.vpn == True",
        "the same as r.session.vpn",
        deny("r.session.vpn == True && r.session.risk > 50"),
        deny("r.session.vpn && r.session.risk > 50"),
    ),
    pair(
        "negated-optional",
        "r.resource.state != 'closed'",
        "holds where resource.state is absent",
        note_read("r.context.purpose == 'care' && r.resource.state != 'closed'"),
        note_read("r.context.purpose == 'care' && r.resource.state == 'open'"),
    ),
    pair(
        "negated-optional",
        "!r.session.vpn",
        "does not hold where session.vpn is absent",
        [deny("!r.session.vpn"), (_SCHEMA, "default: false", "default: true")],
        deny("!r.session.vpn"),
    ),
    pair(
        "contradicted",
        "odd",
        "allows only what note-mfa (policy/rules.csv:5) denies",
        allow("lead,read,health_note", "r.session.aal == 1 && r.context.purpose == 'care'"),
        allow("lead,read,health_note", "r.session.aal == 2 && r.context.purpose == 'care'"),
    ),
    pair(
        "unreachable",
        "odd",
        "cover every request",
        [
            allow("lead,read,invoice", "r.session.aal > 1"),
            _LOW,
            add_rule("p,off-high,*,*,invoice,r.session.risk > 40,deny,,reason"),
        ],
        [
            allow("lead,read,invoice", "r.session.aal > 1"),
            _LOW,
            add_rule("p,off-high,*,*,invoice,r.session.risk > 41,deny,,reason"),
        ],
    ),
    pair(
        "shadowed",
        "odd",
        "invoice-own (policy/rules.csv:9) decides wherever it matches",
        allow("lead,update,invoice", f"{_OWN} < 900", "watermark"),
        allow("lead,update,invoice", f"{_OWN} < 1100", "watermark"),
    ),
    pair("shadowed", "odd", "floor-age", deny(f"{_AGE} > 7200"), deny(f"{_AGE} > 1800")),
    pair(
        "shadowed",
        "invoice-own",
        ": aaa (",
        add_rule("p,aaa,clerk,change,invoice,r.resource.amount <= 2000,allow,,reason"),
        # Broader, but with an obligation that the narrower one spares: each decides somewhere.
        add_rule("p,aaa,clerk,change,invoice,r.resource.amount <= 2000,allow,mask-text,reason"),
    ),
    pair(
        "unused-role",
        "officer",
        "'officer'",
        _NO_OFFICER,
        [_NO_OFFICER, (_LINKS, "g,lead,clerk", "g,lead,clerk\ng,officer,clerk")],
    ),
    pair(
        "unused-action",
        "archive",
        "no rule allows to archive",
        _ARCHIVE,
        [_ARCHIVE, (_LINKS, "g2,update,change", "g2,update,change\ng2,archive,change")],
    ),
    pair("unused-resource-type", "ticket", "on a ticket", _TICKET, [_TICKET, allow("clerk,read,ticket", "True")]),
    pair("unused-attribute", "colour", "device.colour", _COLOUR, [_COLOUR, deny("r.device.colour == 'red'")]),
    pair(
        "unused-attribute",
        "state",
        "health_note.state",
        (_RULES, " && r.resource.state == 'open'", ""),
        [(_RULES, " && r.resource.state == 'open'", " || r.resource.state == 'open'")],
    ),
    pair(
        "unused-obligation", "stamp", "stamp", _STAMP, [_STAMP, (_RULES, "allow,watermark", "allow,watermark;stamp")]
    ),
    pair(
        "unused-route",
        '"/notes/{id}"',
        "nobody can ever read a health_note for support",
        ("routes.yaml", "purpose: care", "purpose: support"),
        ("routes.yaml", ", purpose: care", ""),
    ),
    pair(
        "sensitive-without-assurance",
        _NOTE_READ,
        "note-read allows to read a health_note at the weakest level",
        (_RULES, _MFA, "r.session.risk < 5 && r.session.aal < 2 || r.session.risk"),
        (_RULES, _MFA, "r.session.aal == 1 || r.session.risk"),
    ),
    pair(
        "sensitive-without-purpose",
        "r.resource.team == r.subject.team",
        "for any purpose",
        note_read("r.resource.team == r.subject.team"),
        [
            note_read("r.resource.team == r.subject.team"),
            add_rule("p,odd,*,read,health_note,r.context.purpose != 'care',deny,,reason"),
        ],
    ),
    pair(
        "ignores-posture",
        _NOTE_READ,
        "no matter what state the device is in",
        _INVOICE_POSTURE,
        [_INVOICE_POSTURE, note_read(f"{_NOTE_READ} && r.device.compliant")],
    ),
)


def found_by(folder: Path, code: str, *changes: Change) -> dict[str, str]:
    """Give what the findings of a code say, by what they underline."""
    findings = [it for it in report_of(folder, *changes).findings if it.kind.code == code]
    assert all(it.help and it.kind.why for it in findings)
    return {place_of(it, folder): it.problem for it in findings}


@pytest.mark.parametrize("it", PAIRS, ids=lambda it: f"{it.code}-{it.underlined}")
def test_finding(it: Pair, tmp_path: Path) -> None:
    assert it.says in found_by(tmp_path / "has", it.code, *it.has).get(it.underlined, "")
    assert it.underlined not in found_by(tmp_path / "nearly", it.code, *it.nearly)


def test_every_code_is_shown() -> None:
    elsewhere = {"refused", "untested-rule", "suppression-unused", "suppression-malformed"}
    assert {it.code for it in PAIRS} | elsewhere == CODES


def test_the_example_has_no_findings(tmp_path: Path) -> None:
    report = report_of(tmp_path)
    assert report.findings == ()
    assert report.suppressed == ()


def test_what_the_loader_refuses_is_found_where_it_stands(tmp_path: Path) -> None:
    report = report_of(tmp_path, (_RULES, "r.resource.sealed &&", "r.resource.seald &&"))
    (finding,) = report.findings
    assert (finding.kind.code, finding.kind.severity) == ("refused", Severity.ERROR)
    assert place_of(finding, tmp_path) == "r.resource.seald"
    assert "did you mean" in finding.help


def test_an_untested_rule_is_found_where_tests_are_known(tmp_path: Path) -> None:
    files = opened(tmp_path)
    every = {it.id for it in files.policy.rules} if files.policy else set()
    (finding,) = lint(files, every - {"note-out"}).findings
    assert (finding.kind.code, place_of(finding, tmp_path)) == ("untested-rule", "note-out")
    assert lint(files, every).findings == ()
    assert lint(files, None).findings == ()


def test_a_place_inside_a_condition_of_several_lines(tmp_path: Path) -> None:
    condition = "\"r.context.purpose in ('billing',\n   'support')\n   && r.session.risk >= 0\""
    (finding,) = report_of(tmp_path, deny(condition)).findings
    assert (finding.kind.code, place_of(finding, tmp_path)) == ("constant-part", "r.session.risk >= 0")


def test_findings_are_in_the_order_of_the_files(tmp_path: Path) -> None:
    rows = [f"p,odd-{it},lead,read,invoice,r.session.risk > 9 && r.session.risk < 9,deny,,reason" for it in "cab"]
    findings = report_of(tmp_path, *map(add_rule, rows)).findings
    assert [place_of(it, tmp_path) for it in findings] == ["r.session.risk < 9"] * 3
    assert [it.line for it in findings] == sorted(it.line for it in findings)


def test_a_rule_for_several_types_is_judged_by_all_of_them(tmp_path: Path) -> None:
    """A condition that only one of the covered types can satisfy is a rule that matches."""
    types = [
        (_SCHEMA, "    amount: {type: int, minimum: 0,", "    amount: {type: int, minimum: 0, maximum: 9,"),
        (_SCHEMA, "    sealed:", "    amount: {type: int, minimum: 0}\n    sealed:"),
        (_RULES, "r.resource.amount <= 1000", "r.resource.amount <= 5"),
        (_RULES, "r.resource.amount <= 5000", "r.resource.amount <= 6"),
    ]
    assert not found_by(
        tmp_path / "a", "never-matches", *types, add_rule("p,odd,*,*,*,r.resource.amount > 50,deny,,y")
    )
    odd = add_rule("p,odd,*,*,invoice,r.resource.amount > 50,deny,,y")
    assert found_by(tmp_path / "b", "never-matches", *types, odd)
