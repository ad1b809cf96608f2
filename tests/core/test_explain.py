"""An explanation: every rule that could apply, each part of its condition, and the values behind it."""

from __future__ import annotations

from pdp.core.explain import ConditionTrace, Explanation, Outcome, explain
from pdp.core.request import EntityRef, Request
from pdp.core.schema import Sensitivity
from tests.core import world
from tests.core.world import NOW, entities, policy, request, row

LINES = [
    row("read-it", "r.session.risk < 50 && (r.device.compliant || r.context.emergency) && r.subject.id == 'alice'"),
    row("too-risky", "r.session.risk >= 50", "deny"),
    row("delete-it", "True", action="delete"),
    row("audit-it", "True", role="auditor"),
]


def explained(asked: Request | None = None, **changes: object) -> Explanation:
    return explain(asked or request(), entities(**changes), policy(LINES), NOW)  # type: ignore[arg-type]


def parts(found: Explanation, id_: str) -> tuple[ConditionTrace, ...]:
    return next(it.conditions for it in found.rules if it.rule.id == id_)


def test_the_rules_are_those_whose_columns_fit() -> None:
    assert [(it.rule.id, it.outcome) for it in explained().rules] == [
        ("read-it", Outcome.TRUE),
        ("too-risky", Outcome.FALSE),
    ]


def test_a_condition_is_taken_apart_at_its_conjunctions() -> None:
    assert [(it.text, it.outcome) for it in parts(explained(session={"risk": 70}), "read-it")] == [
        ("r.session.risk < 50", Outcome.FALSE),
        ("(r.device.compliant || r.context.emergency)", Outcome.TRUE),
        ("r.subject.id == 'alice'", Outcome.TRUE),
    ]


def test_each_part_gives_the_values_it_read_with_their_sensitivity() -> None:
    risk, device, identity = (it.values for it in parts(explained(), "read-it"))
    assert [(it.path, it.value, it.sensitivity) for it in risk] == [("session.risk", 10, Sensitivity.CLEAR)]
    assert [(it.path, it.value) for it in device] == [("device.compliant", True), ("context.emergency", False)]
    assert [(it.path, it.value, it.sensitivity) for it in identity] == [
        ("subject.id", "alice", Sensitivity.PSEUDONYM)
    ]


def test_what_cannot_be_known_is_unknown_and_has_no_value() -> None:
    found = explained(device=None)
    assert str(found.decision.causes[0]) == "DEVICE_UNKNOWN"
    part = parts(found, "read-it")[1]
    assert (part.outcome, part.values[0].value) == (Outcome.UNKNOWN, None)


def test_a_part_that_is_settled_without_the_unknown_is_known() -> None:
    part = parts(explained(request(context=world.context(emergency=True)), device=None), "read-it")[1]
    assert part.outcome is Outcome.UNKNOWN, "parts are read from left to right"


def test_an_unknown_subject_has_no_rules() -> None:
    found = explained(subject=None)
    assert (found.rules, str(found.decision.causes[0])) == ((), "SUBJECT_UNKNOWN")


def test_names_the_schema_does_not_know_have_no_rules() -> None:
    assert explained(request(action="fly")).rules == ()
    assert explained(request(resource=EntityRef("secret", "x"))).rules == ()
