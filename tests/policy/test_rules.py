"""Rows of rules: read as written, and refused at the field that is wrong."""

from __future__ import annotations

import pytest

from pdp.core.condition import parse
from pdp.core.decision import Effect
from tests.policy.example import RULES, build, place, problems_of, refused, swap

FILE = "policy/rules.csv"


def test_columns_are_read_and_stripped() -> None:
    rule = next(rule for rule in build().rules if rule.id == "log-read")
    assert (rule.role, rule.action, rule.resource) == ("auditor", "read", "log")
    assert (rule.effect, rule.text, rule.obligations) == (Effect.ALLOW, "True", ())
    assert rule.basis == "HIPAA 164.312(b)"


def test_indexes_are_places_in_the_order_of_file_names() -> None:
    more = "p,first,agent,read,log,True,allow,,basis\n# end\n"
    rules = build({"policy/a.csv": more}).rules
    assert [rule.index for rule in rules] == list(range(6))
    assert (rules[0].id, rules[0].file, rules[1].id) == ("first", "policy/a.csv", "cust-read")


def test_a_rule_knows_its_line() -> None:
    for rule in build().rules:
        assert (rule.file, rule.line) == (FILE, place(RULES.replace(" ", ""), f"p,{rule.id},")[0])


def test_a_condition_over_several_lines_is_shown_on_one_and_its_parts_stay_in_place() -> None:
    rule = build().rules[0]
    assert rule.text == "r.context.purpose in r.resource.purposes && r.session.risk < 50"
    assert rule.condition == parse(rule.text)


def test_white_space_inside_a_text_is_kept() -> None:
    rule = build(swap(FILE, "!r.device.compliant", "!r.device.compliant  &&  r.subject.id  != 'a  b'")).rules[3]
    assert rule.text == "!r.device.compliant && r.subject.id != 'a  b'"


def test_obligations_are_parted_by_semicolons() -> None:
    assert build().rules[1].obligations == ("mask-pan", "notify")


def test_carriage_returns_before_line_feeds_are_line_ends() -> None:
    rules = build({FILE: RULES.replace("\n", "\r\n")}).rules
    assert [(it.id, it.text, it.line) for it in rules] == [(it.id, it.text, it.line) for it in build().rules]


@pytest.mark.parametrize(
    ("old", "new", "needle", "problem"),
    [
        ("p,unhealthy", "P,unhealthy", "P,unhealthy", "a row of an unknown kind, 'P'"),
        ("p,unhealthy", "p2,unhealthy", "p2,unhealthy", "a row of an unknown kind, 'p2'"),
        ("p,unhealthy", ",unhealthy", ",unhealthy", "a row of an unknown kind, ''"),
        ("p,unhealthy", " # note\np,unhealthy", "# note", "a row of an unknown kind"),
        ("unhealthy", "Unhealthy", "Unhealthy", "is not a rule's id"),
        ("unhealthy", "un", "un,*", "is not a rule's id"),
        ("unhealthy", "", ",*,*,*", "is not a rule's id"),
        ("unhealthy", "card-read", "card-read,*", "the id 'card-read' is taken"),
        ("supervisor,read", "superviser,read", "superviser", "no role 'superviser'"),
        ("supervisor,read", ",read", ",read,card", "a role is missing"),
        ("supervisor,read", "supervisor,raed", "raed", "no action or group of actions 'raed'"),
        ("supervisor,read", "supervisor,regional", "regional,card", "no action or group of actions"),
        ("read,card", "read,cart", "cart", "no resource type or class 'cart'"),
        ("read,card", "read,use", "use,r.session", "no resource type or class 'use'"),
        (",allow,mask-pan", ",Allow,mask-pan", "Allow", "'Allow' is not an effect"),
        (",allow,mask-pan", ",,mask-pan", ",mask-pan", "'' is not an effect"),
        ("mask-pan; notify", "mask-pin; notify", "mask-pin", "obligations.yaml has no 'mask-pin'"),
        ("mask-pan; notify", "mask-pan; notfy", "notfy", "obligations.yaml has no 'notfy'"),
        ("mask-pan; notify", "mask-pan; mask-pan", "mask-pan,PCI", "stands twice"),
        ("mask-pan; notify", "mask-pan;", ",PCI DSS 3.4.1", "an obligation is missing"),
        ("mask-pan; notify", ";notify", ";notify", "an obligation is missing"),
        (",deny,notify,NIST SP 800-207", ",deny,notify,", "\np,stale", "the basis is empty"),
        (",deny,notify,NIST SP 800-207", f",deny,notify,{'x' * 501}", "x" * 501, "a basis of more than 500"),
        (",deny,notify,NIST SP 800-207", ",deny,notify", "p,unhealthy", "a rule of 8 fields instead of 9"),
        (",deny,notify,NIST SP 800-207", ",deny,notify,a,b", "p,unhealthy", "a rule of 10 fields instead of 9"),
        ("!r.device.compliant", "", ",deny,notify", "the condition is empty"),
        ("!r.device.compliant", "!r.device.complaint", "r.device.complaint", "device has no attribute 'complaint'"),
        ("!r.device.compliant", "!r.device.score", "r.device.score", "neither true nor false"),
        ("!r.device.compliant", "r.device.compliant == 1", "r.device.compliant == 1", "is never equal"),
        ("!r.device.compliant", "1==1) || (1==1", ") ||", "unexpected"),
        ("&& r.session.risk < 50", "&& r.session.risc < 50", "r.session.risc", "session has no attribute 'risc'"),
        ("&& r.session.risk < 50", "&& r.session.risk < 'a'", "r.session.risk", "is never equal"),
        ("r.context.purpose in r.resource.purposes", "r.context.purpose == 'x'", "'x'", "is never 'x'"),
        (
            "r.context.purpose in r.resource.purposes",
            'r.context.purpose == ""support"" && r.subject.idd == \'u\'',
            "r.subject.idd",
            "subject has no attribute 'idd'",
        ),
    ],
)
def test_is_refused(old: str, new: str, needle: str, problem: str) -> None:
    refused(FILE, old, new, needle, problem)


def test_a_near_miss_is_named() -> None:
    assert (
        refused(FILE, "supervisor,read", "superviser,read", "superviser", "no role").help
        == "did you mean 'supervisor'?"
    )
    assert refused(FILE, "risk < 50", "risc < 50", "r.session.risc", "has no").help == "did you mean r.session.risk?"


def test_a_taken_id_says_by_whom() -> None:
    found = refused(FILE, "unhealthy", "card-read", "card-read,*", "is taken")
    assert found.help == f"by {FILE}:4"


def test_a_resource_attribute_must_be_declared_for_every_type_the_rule_covers() -> None:
    found = refused(
        FILE, "*,*,regional,", "*,*,regional,r.resource.scanned && ", "r.resource.scanned && ", "has no attribute"
    )
    assert "resource type customer" in found.problem


def test_a_policy_that_allows_nothing_is_refused_as_empty() -> None:
    found = problems_of({FILE: RULES.replace(",allow,", ",deny,").replace(", allow ,", ",deny,")})
    assert [it.problem for it in found] == ["no rule allows anything"]
    assert "no rule allows anything" in {it.problem for it in problems_of({FILE: "# end\n"})}


def test_all_problems_of_all_files_are_reported_at_once() -> None:
    changes = {
        **swap(FILE, "supervisor,read", "superviser,raed"),
        **swap("policy/links.csv", "g,supervisor,agent", "g,supervisor,agant"),
        **swap("obligations.yaml", "type: watermark", "typ: watermark"),
        **swap("routes.yaml", "method: DELETE", "method: DELTE"),
        **swap("model.conf", "g3 = _, _", "g3 = _, _, _"),
    }
    files = [it.file for it in problems_of(changes)]
    assert files == sorted(files)
    assert set(files) == set(changes)
    assert files.count(FILE) == 2


def test_a_condition_that_passed_under_one_schema_is_checked_anew_under_another() -> None:
    build()
    narrower = swap("schema.yaml", "compliant: {type: bool", "compliant: {type: string")
    for _ in range(2):
        assert any("condition:" in it.problem for it in problems_of(narrower))
        assert problems_of({}) == ()


def test_a_condition_that_passed_for_one_type_is_checked_anew_for_another() -> None:
    build()
    broader = swap(FILE, "p,cust-read,agent,use,customer,", "p,cust-read,agent,use,*,")
    for _ in range(2):
        assert any("has no attribute" in it.problem for it in problems_of(broader))
        assert problems_of({}) == ()
