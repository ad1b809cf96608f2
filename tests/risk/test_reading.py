"""limits.yaml: what is read, what is refused at its place, and that the revision covers it."""

from __future__ import annotations

from pathlib import Path

import pytest

from pdp.core.decision import Effect
from pdp.core.limits import NO_LIMITS, Baseline, Feature, Level, Receiver
from pdp.core.signals.rules import Identifier
from pdp.engine.reference import ReferenceMatcher
from pdp.policy import load
from tests.policy.example import SCHEMA, build, place, problems_of
from tests.signals.support import POLICIES

FILE = "limits.yaml"


def once(text: str, old: str, new: str) -> str:
    """Replace the one place where a text stands."""
    assert text.count(old) == 1, f"{old!r} stands {text.count(old)} times"
    return text.replace(old, new)


RISK = """\
  risk: {type: int, minimum: 0, maximum: 100, required: false, default: 0}
  alarms: {type: int, required: false, default: 0, latch: true}
  trained_until:"""
WITH_RISK = once(SCHEMA, "  trained_until:", RISK)
TEXT = """\
version: 1
risk: {attribute: risk, values: {MEDIUM: 50, HIGH: 90}, step: 30m}
hours: {zone: Europe/Berlin, days: [mon, sun], from: "22:00", to: "06:30"}
features:
  records:
    description: Records in a day.
    count: resources
    actions: [read, export]
    resources: [customer, card]
    window: 24h
    limits: {MEDIUM: 75, HIGH: 100}
    usual: HIGH
    least: 40
  denies: {count: decisions, effect: deny, window: 10m, limits: {MEDIUM: 20}}
  nights: {count: decisions, off_hours: true, window: 8h, usual: MEDIUM}
baseline: {period: 12h, periods: 20, grace: 4, score: 0.99, factor: 2.5}
receivers:
  siem:
    description: Security operations.
    url: https://siem.example.com/events
    audience: https://siem.example.com/
    authorization: siem-push
    subject: {format: email, suffix: "@example.com"}
# end
"""


def files(text: str) -> dict[str, str]:
    return {"schema.yaml": WITH_RISK, FILE: text}


def test_a_file_is_read() -> None:
    limits = build(files(TEXT)).limits
    assert (limits.attribute, limits.values, limits.step) == ("risk", {Level.MEDIUM: 50, Level.HIGH: 90}, 1800.0)
    records, denies, nights = limits.features
    assert records == Feature(
        "records", 86400.0, distinct=True, effect=Effect.ALLOW, actions=frozenset({"read", "export"}),
        resources=frozenset({"customer", "card"}), limits={Level.MEDIUM: 75, Level.HIGH: 100}, usual=Level.HIGH,
        least=40,
    )  # fmt: skip
    assert denies == Feature("denies", 600.0, distinct=False, effect=Effect.DENY, limits={Level.MEDIUM: 20})
    assert (nights.off_hours, nights.usual, nights.limits) == (True, Level.MEDIUM, {})
    hours = limits.hours
    assert hours is not None
    assert (str(hours.zone), hours.days, hours.start, hours.end) == ("Europe/Berlin", {0, 6}, 1320, 390)
    assert limits.baseline == Baseline(43200.0, 20, 4, 0.99, 2.5)
    by = Identifier("email", "email", "", {}, "", "@example.com")
    url, audience = "https://siem.example.com/events", "https://siem.example.com/"
    assert limits.receivers == (Receiver("siem", url, audience, by, "siem-push"),)


@pytest.mark.parametrize(
    ("old", "new", "where", "problem"),
    [
        ("attribute: risk", "attribute: risque", "risque", "'risque' is not a whole number of the subject"),
        ("attribute: risk", "attribute: alarms", "alarms", "'alarms' is not a whole number of the subject"),
        ("HIGH: 90", "HIGH: 900", "900", "not a value that 'risk' can take"),
        ("{MEDIUM: 50, HIGH: 90}", "{HIGH: 90}", "{HIGH: 90}", "a value is needed for MEDIUM and for HIGH"),
        ("{MEDIUM: 75, HIGH: 100}", "{MEDIUM: 100, HIGH: 75}", "{MEDIUM: 100", "MEDIUM must be below HIGH"),
        ("{MEDIUM: 75, HIGH: 100}", "{}", "{}\n", "names no level"),
        ("{MEDIUM: 75", "{LOW: 75", "LOW", "unknown key 'LOW'"),
        ("HIGH: 100", "HIGH: 100000", "100000", "must be from 1 to 10000"),
        ("step: 30m", "step: 0s", "0s", "must be longer than nothing"),
        ("window: 24h", "window: 8d", "8d", "a duration that is too long"),
        ("count: resources", "count: customers", "customers", "'customers' is not decisions or resources"),
        ("actions: [read, export]", "actions: [raed]", "raed", "'raed' is not an action of the schema"),
        ("actions: [read, export]", "actions: []", "[]", "the list is empty"),
        ("[customer, card]", "[custmer]", "custmer", "'custmer' is not a resource type of the schema"),
        ("effect: deny", "effect: refuse", "refuse", "'refuse' is not allow or deny"),
        (", limits: {MEDIUM: 20}}", "}", "{count: decisions, effect: deny", "is compared with nothing"),
        ("zone: Europe/Berlin", "zone: Europe/Atlantis", "Europe/Atlantis", "a time zone that this machine does not"),
        ("zone: Europe/Berlin", "zone: ../../etc/passwd", "../../etc", "a time zone that this machine does not"),
        ('from: "22:00"', 'from: "24:00"', '"24:00"', "a time of day is expected here"),
        ('to: "06:30"', 'to: "22:00"', '"22:00"}', "the hours end as they begin"),
        ("days: [mon, sun]", "days: [monday]", "monday", "'monday' is not a day, mon to sun"),
        ("grace: 4", "grace: 1", "1, score", "must be at least 2 and at most periods"),
        ("grace: 4", "grace: 21", "21", "must be at least 2 and at most periods"),
        ("score: 0.99", "score: 1.0", "1.0", "must be from 0.5 to 0.999999"),
        ("factor: 2.5", "factor: 0.5", "0.5", "must be from 1.0 to 1000.0"),
        ("url: https:", "url: http:", "http:", "must be https://host/path"),
        ("url: https://", "url: https://me:pw@", "https://me", "must be https://host/path"),
        ("format: email", "format: mail", "mail", "'mail' is not a subject identifier format"),
        ("authorization: siem-push", "authorization: ../key", "../key", "a name is expected here"),
    ],
)  # fmt: skip
def test_a_mistake_is_refused_where_it_stands(old: str, new: str, where: str, problem: str) -> None:
    text = once(TEXT, old, new)
    found = problems_of(files(text))
    expected = place(text, where)
    assert any(it.problem.startswith(problem) and (it.line, it.column) == expected for it in found), found


def test_hours_are_needed_by_what_asks_for_them() -> None:
    text = once(TEXT, 'hours: {zone: Europe/Berlin, days: [mon, sun], from: "22:00", to: "06:30"}\n', "")
    assert "without hours nothing is outside of them" in str(problems_of(files(text))[0])


def test_a_file_cut_short_is_refused() -> None:
    assert "is cut short" in str(problems_of(files(TEXT[:-6]))[0])


def test_a_policy_without_limits_counts_nothing() -> None:
    assert build({"schema.yaml": WITH_RISK}).limits is NO_LIMITS


def test_the_revision_covers_it() -> None:
    changed = once(TEXT, "MEDIUM: 75", "MEDIUM: 76")
    assert len({build(files(TEXT)).revision, build(files(changed)).revision, build().revision}) == 3


def test_the_sample_has_limits_that_a_rule_reacts_to() -> None:
    policy = load(Path(POLICIES), ReferenceMatcher)
    rule = next(rule for rule in policy.rules if rule.id == "identity-risk-high")
    assert f"r.subject.{policy.limits.attribute} >= 70" in rule.text
    assert policy.limits.values[Level.HIGH] >= 70
