"""Combining: which permit determines, what is owed, and what is said about it."""

from __future__ import annotations

import pytest

from pdp.core.decision import AttributeUse, Effect, Entity
from tests.core import world
from tests.core.world import NOW, ask, entities, reasons, request, row


def able(*types: str) -> object:
    return request(context=world.context(supported_obligations=frozenset(types)))


def test_a_permit_determines_and_says_so() -> None:
    decision = ask([row("read-it", "r.session.risk < 50", owed="mask-pan; notify")])
    assert (decision.effect, decision.rules, reasons(decision)) == (
        Effect.ALLOW,
        ("read-it",),
        ["PERMITTED(read-it)"],
    )
    assert [(it.id, it.type, it.mandatory) for it in decision.obligations] == [
        ("mask-pan", "mask", True),
        ("notify", "notify", False),
    ]
    assert not decision.fault


@pytest.mark.parametrize(
    ("owed", "determining"),
    [
        (("mask-pan;watermark", "mask-pan"), "rule-b"),
        (("mask-pan", ""), "rule-b"),
        (("notify", "mask-pan"), "rule-a"),
        (("mask-pan", "watermark"), "rule-a"),
    ],
)
def test_the_permit_that_obliges_least_determines(owed: tuple[str, str], determining: str) -> None:
    lines = [row("rule-a", "True", owed=owed[0]), row("rule-b", "True", owed=owed[1])]
    assert ask(lines).rules == ask(lines[::-1]).rules == (determining,)


def test_a_permit_that_cannot_be_carried_out_gives_way_to_one_that_can() -> None:
    lines = [row("rule-a", "True", owed="watermark"), row("rule-b", "True", owed="mask-pan; watermark")]
    assert ask(lines, able("watermark")).rules == ("rule-a",)  # type: ignore[arg-type]
    assert not ask(lines, able("mask")).allowed  # type: ignore[arg-type]


def test_an_obligation_that_cannot_be_carried_out_is_a_deny_that_names_its_type() -> None:
    decision = ask([row("one", "True", owed="mask-pan; watermark; notify")], able("mask"))  # type: ignore[arg-type]
    assert (decision.effect, reasons(decision)) == (Effect.DENY, ["OBLIGATION_UNSUPPORTED(watermark)"])
    assert (decision.rules, decision.obligations, decision.step_up) == (("one",), (), None)


def test_advice_never_stands_in_the_way() -> None:
    assert ask([row("one", "True", owed="notify")], able()).allowed  # type: ignore[arg-type]


def test_every_deny_that_matches_is_named_with_what_it_owes() -> None:
    lines = [
        row("one", "True"),
        row("no-risk", "r.session.risk > 5", "deny", owed="notify"),
        row("no-time", "r.session.aal == 1", "deny", owed="watermark"),
        row("no-way", "True", "deny", owed="notify; watermark"),
    ]
    decision = ask(lines)
    assert reasons(decision) == ["DENIED_BY_RULE(no-risk)", "DENIED_BY_RULE(no-way)"]
    assert (decision.rules, [it.id for it in decision.obligations]) == (
        ("no-risk", "no-way"),
        ["notify", "watermark"],
    )


def test_roles_held_add_up() -> None:
    lines = [row("one", "True", role="supervisor"), row("two", "r.session.risk < 5", "deny", role="auditor")]
    assert not ask(lines).allowed
    assert ask(lines, known=entities(subject={"roles": ["agent", "supervisor"]})).allowed
    both = entities(subject={"roles": ["auditor", "supervisor"]}, session={"risk": 1})
    assert reasons(ask(lines, known=both)) == ["DENIED_BY_RULE(two)"]


def test_without_a_role_no_rule_applies_not_even_one_for_any() -> None:
    decision = ask([row("one", "True", role="*")], known=entities(subject={"roles": []}))
    assert reasons(decision) == ["NO_MATCHING_PERMIT"]


def test_it_says_which_records_it_rests_on() -> None:
    decision = ask([row("one", "r.session.risk < 50 && r.resource.region == 'eu'")])
    assert decision.attributes == (
        AttributeUse(Entity.SESSION, 1, NOW - 1),
        AttributeUse(Entity.RESOURCE, 1, NOW - 1),
    )


def test_a_resource_that_is_not_on_record_is_known_by_its_reference_where_that_is_enough() -> None:
    assert ask([row("one", "True")], known=entities(resource=None)).allowed
    decision = ask([row("one", "r.resource.region == 'eu'")], known=entities(resource=None))
    assert reasons(decision) == ["RESOURCE_UNKNOWN"]


@pytest.mark.parametrize(("stated", "allowed"), [("phone", False), ("chat", True), ("", True), ("fax", False)])
def test_a_circumstance_with_a_default_need_not_be_stated(stated: str, allowed: bool) -> None:  # noqa: FBT001
    asked = request(context=world.context(channel=stated))
    assert ask([row("one", "r.context.channel == 'chat'")], asked).allowed is allowed


def test_a_session_is_held_to_its_subject_and_device_only_where_one_is_named() -> None:
    lines = [row("one", "True")]
    assert ask(lines, request(session="", device=""), entities(session=None, device=None)).allowed
    assert reasons(ask(lines, request(device=""))) == ["SESSION_MISMATCH(session.device)"]
