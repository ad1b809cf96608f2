"""A time said to be past may not lie ahead of the clock: a session must not be able to stay fresh for ever."""

from __future__ import annotations

import pytest

from pdp.core.decision import Entity
from pdp.core.entities import problem_with
from pdp.core.reasons import Cause, Reason
from pdp.core.record import Record, parse_record
from pdp.core.request import EntityRef
from pdp.core.schema import Attribute, Kind

NOW = 1_800_000_000.0
DECLARED = {"seen": Attribute("seen", Kind.TIME, past=True), "due": Attribute("due", Kind.TIME)}


def record(seen: float, due: float) -> Record:
    fields = {"_version": "1", "_issued_at": f"{NOW - 10:.0f}", "seen": f"{seen:.0f}", "due": f"{due:.0f}"}
    found = parse_record(EntityRef("session", "s-1"), DECLARED, fields, clock_skew=5.0)
    assert found
    return found


@pytest.mark.parametrize("ahead", [-3600, 0, 5])
def test_a_time_that_is_past_or_within_the_clock_skew_decides(ahead: float) -> None:
    assert problem_with(Entity.SESSION, ("seen",), record(NOW + ahead, NOW), NOW) is None
    assert record(NOW + ahead, NOW).sound_from <= NOW


@pytest.mark.parametrize("ahead", [6, 86400])
def test_a_time_ahead_of_the_clock_does_not(ahead: float) -> None:
    found = record(NOW + ahead, NOW)
    assert problem_with(Entity.SESSION, ("seen",), found, NOW) == Cause(Reason.ATTRIBUTE_FROM_FUTURE, "session.seen")
    assert found.sound_from > NOW
    assert problem_with(Entity.SESSION, ("seen",), found, NOW + ahead) is None


def test_other_times_may_lie_ahead() -> None:
    assert problem_with(Entity.SESSION, ("due",), record(NOW, NOW + 86400), NOW) is None
