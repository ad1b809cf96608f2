"""How long a decision may be relied on: never past the moment at which it would fall otherwise."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pdp.core.decide import decide
from pdp.core.decision import Entity
from pdp.core.request import Request
from tests.core import world
from tests.core.policies import POLICIES, REQUESTS, known
from tests.core.world import NOW, ask, entities, policy, record, row

ALLOW, DENY = 60.0, 5.0


def until(lines: list[str], **changes: object) -> float:
    return ask(lines, known=entities(**changes)).valid_until - NOW  # type: ignore[arg-type]


def test_the_schema_caps_it_by_effect() -> None:
    assert until([row("one", "True")]) == ALLOW
    assert until([]) == DENY


@pytest.mark.parametrize(
    ("condition", "changes", "seconds"),
    [
        ("r.session.risk < 50", {"session": record(Entity.SESSION, "s-1", world.SESSION, issued_at=NOW - 290)}, 10.0),
        ("r.device.compliant", {"device": record(Entity.DEVICE, "d-1", world.DEVICE, issued_at=NOW - 899)}, 1.0),
        ("True", {"subject": record(Entity.SUBJECT, "alice", world.SUBJECT, issued_at=NOW - 86390)}, 10.0),
        ("True", {"session": record(Entity.SESSION, "s-1", world.SESSION, issued_at=NOW - 3590)}, 10.0),
        ("r.subject.trained_until > r.context.time", {"subject": {"trained_until": int(NOW) + 20}}, 19.5),
        ("r.context.time - r.session.auth_time < 300", {"session": {"auth_time": int(NOW) - 290}}, 9.5),
        ("r.context.time - r.session.auth_time <= 300", {"session": {"auth_time": int(NOW) - 300}}, 0.0),
        ("!(r.context.time - r.session.auth_time > 300)", {"session": {"auth_time": int(NOW) - 250}}, 49.5),
        ("r.session.aal > 1", {"device": record(Entity.DEVICE, "d-1", world.DEVICE, issued_at=NOW - 899)}, ALLOW),
    ],
)
def test_it_ends_with_what_it_rests_on(condition: str, changes: dict[str, object], seconds: float) -> None:
    assert until([row("one", condition)], **changes) == pytest.approx(seconds, abs=0.01)


def test_what_an_unrelated_rule_reads_does_not_shorten_it() -> None:
    other = row("other", "r.device.compliant", action="delete")
    aged = record(Entity.DEVICE, "d-1", world.DEVICE, issued_at=NOW - 899)
    assert until([row("one", "True"), other], device=aged) == ALLOW


def test_a_deny_for_want_of_knowledge_may_not_be_relied_on() -> None:
    assert until([row("one", "r.device.compliant")], device=None) == 0


@settings(max_examples=80, deadline=None)
@given(POLICIES, REQUESTS, known(), st.floats(0, 1), st.sampled_from([1, 299, 3599, 86399]))
def test_until_then_it_would_fall_the_same_again(
    lines: list[str], asked: Request, found: dict[str, dict[str, object]], share: float, age: int
) -> None:
    snapshot = policy(lines)
    session = {**world.SESSION, **found.pop("session")}
    aged = record(Entity.SESSION, "s-1", session, issued_at=NOW - age)
    who = entities(**found, session=aged)
    before = decide(asked, who, snapshot, NOW)
    moment = NOW + (before.valid_until - NOW) * share
    if moment < before.valid_until:
        after = decide(asked, who, snapshot, moment)
        assert (after.effect, after.rules, after.obligations) == (before.effect, before.rules, before.obligations)
    assert NOW <= before.valid_until <= NOW + (ALLOW if before.allowed else DENY)
