"""Step-up: what is offered suffices, is the least that does, and is not offered in vain."""

from __future__ import annotations

import pytest
from hypothesis import given, settings

from pdp.core.decide import decide, judge
from pdp.core.decision import StepUp
from pdp.core.request import Request
from tests.core import world
from tests.core.policies import POLICIES, REQUESTS, known
from tests.core.world import NOW, ask, entities, policy, reasons, row

AAL2, AAL3 = "urn:pdp:aal:2", "urn:pdp:aal:3"
LEVELS = {AAL2: 2, AAL3: 3}
FRESH = "r.context.time - r.session.auth_time < 300"


def session(aal: int = 2, age: int = 60) -> dict[str, int]:
    return {"aal": aal, "auth_time": int(NOW) - age}


@pytest.mark.parametrize(
    ("lines", "held", "offer"),
    [
        ([row("one", "r.session.aal >= 2")], session(1), StepUp((AAL2, AAL3), None)),
        ([row("one", "r.session.aal >= 3")], session(2), StepUp((AAL3,), None)),
        ([row("one", "r.session.aal == 2")], session(1), StepUp((AAL2,), None)),
        ([row("one", FRESH)], session(2, 400), StepUp((), 299)),
        ([row("one", f"{FRESH} && r.session.aal >= 3")], session(2, 400), StepUp((AAL3,), 299)),
        ([row("one", f"{FRESH} && r.session.aal >= 3")], session(3, 400), StepUp((), 299)),
        ([row("one", "True"), row("two", "r.session.aal < 2", "deny")], session(1), StepUp((AAL2, AAL3), None)),
        ([row("one", "True"), row("two", f"!({FRESH})", "deny")], session(1, 301), StepUp((), 299)),
        ([row("one", FRESH), row("two", FRESH.replace("300", "100"))], session(1, 301), StepUp((), 299)),
        ([row("one", "r.context.time - r.session.auth_time < 1")], session(1, 400), StepUp((), 0)),
    ],
)
def test_the_least_that_suffices_is_offered(lines: list[str], held: dict[str, int], offer: StepUp) -> None:
    decision = ask(lines, known=entities(session=held))
    assert decision.step_up == offer
    assert not decision.allowed
    assert reasons(decision)[0] == "STEP_UP_REQUIRED"
    assert len(decision.causes) > 1, "and why it is a deny as things are"


@pytest.mark.parametrize(
    ("lines", "held"),
    [
        ([row("one", "r.session.risk > 50")], session(1)),
        ([row("one", "r.session.aal >= 2"), row("two", "r.session.risk < 50", "deny")], session(1)),
        ([row("one", "r.session.aal < 1")], session(3)),
        ([row("one", "True", owed="mask-pan"), row("two", "r.session.aal < 3", "deny")], session(3)),
        ([], session(1)),
    ],
)
def test_nothing_is_offered_that_would_not_help(lines: list[str], held: dict[str, int]) -> None:
    asked = world.request(context=world.context(supported_obligations=frozenset()))
    decision = ask(lines, asked, entities(session=held))
    assert (decision.allowed, decision.step_up) == (False, None)


def test_nothing_is_offered_where_the_session_is_not_known() -> None:
    lines = [row("one", "r.session.aal >= 3")]
    assert ask(lines, known=entities(session=None)).step_up is None
    unnamed = world.request(session="")
    assert ask([row("one", "False")], unnamed, entities(session=None)).step_up is None


def test_nothing_is_offered_where_something_is_missing() -> None:
    stale = world.record(world.Entity.SESSION, "s-1", {**world.SESSION, "aal": 1}, issued_at=NOW - 3000)
    decision = ask([row("one", "r.session.aal >= 3 && r.session.risk < 50")], known=entities(session=stale))
    assert (decision.step_up, reasons(decision)) == (None, ["ATTRIBUTE_STALE(session.risk)"])


@settings(max_examples=60, deadline=None)
@given(POLICIES, REQUESTS, known())
def test_following_an_offer_turns_the_deny_into_an_allow(
    lines: list[str], asked: Request, found: dict[str, dict[str, object]]
) -> None:
    snapshot, who = policy(lines), entities(**found)
    decision = decide(asked, who, snapshot, NOW)
    offer = decision.step_up
    if offer is None:
        return
    assert not decision.allowed
    for acr in offer.acr_values:
        anew = who.with_session({"aal": LEVELS[acr], "auth_time": int(NOW)})
        assert judge(asked, anew, snapshot, NOW).allowed
    least: dict[str, object] = {"aal": LEVELS[offer.acr_values[0]]} if offer.acr_values else {}
    if offer.max_age is not None:
        least["auth_time"] = int(NOW) - offer.max_age
    assert judge(asked, who.with_session(least), snapshot, NOW).allowed
