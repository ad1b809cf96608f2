"""What crosses, how it is explained, and how a level falls."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdp.core.limits import Crossing, Hours, Level, Usual, crossings, fallen, span
from tests.risk.support import LIMITS, RECORDS

levels = st.sampled_from(Level)
times = st.floats(0, 1e6)
UNUSUAL = Usual(25.0, 3.2, 30, 0.99999)


def test_the_gravest_crossing_comes_first() -> None:
    found = crossings(LIMITS, {"records": 101, "denies": 9}, {})
    assert [(it.feature.name, it.level) for it in found] == [("records", Level.HIGH), ("denies", Level.MEDIUM)]


@pytest.mark.parametrize(
    ("value", "expected"), [(74, []), (75, [Level.MEDIUM]), (99, [Level.MEDIUM]), (100, [Level.HIGH])]
)
def test_a_limit_is_crossed_when_it_is_reached(value: int, expected: list[Level]) -> None:
    assert [it.level for it in crossings(LIMITS, {"records": value}, {})] == expected


@pytest.mark.parametrize(
    ("value", "usual", "crosses"),
    [
        (75, UNUSUAL, True),
        (74, UNUSUAL, False),  # less than three times the mean
        (75, UNUSUAL._replace(score=0.9), False),  # probable enough
        (39, UNUSUAL._replace(mean=1.0), False),  # too few to be an alarm
        (40, UNUSUAL._replace(mean=1.0), True),
        (75, None, False),  # too little is known
    ],
)
def test_what_is_beyond_the_usual(value: int, usual: Usual | None, crosses: bool) -> None:  # noqa: FBT001
    found = crossings(LIMITS, {"records": value}, {"records": usual} if usual else {})
    assert any(it.usual for it in found) is crosses


def test_a_crossing_says_which_feature_and_by_how_much() -> None:
    assert str(Crossing(RECORDS, Level.HIGH, 101, 100)) == "records: 101 in 24h, limit 100"
    own = str(Crossing(RECORDS, Level.HIGH, 80, 75.0, UNUSUAL))
    assert own == "records: 80 in 24h, usually 25.0 (deviation 3.2, 30 samples), bound 75.0, score 1.0000"


@given(levels, times, times, st.floats(1, 1e5))
def test_a_level_only_falls_and_ends_at_low(level: Level, since: float, now: float, step: float) -> None:
    left = fallen(level, since, now, step)
    assert left <= level
    assert fallen(level, since, since + step * 0.999, step) is level
    assert fallen(level, since, now + step, step) <= left
    assert fallen(level, since, since + 3 * step, step) is Level.LOW


@given(levels, st.integers(0, 10_000), st.integers(1, 10_000), st.integers(1, 5))
def test_looking_often_or_seldom_gives_the_same_level(level: Level, waited: int, step: int, looks: int) -> None:
    seen = [fallen(level, 1000.0, 1000.0 + waited * index / looks, float(step)) for index in range(looks + 1)]
    assert seen == sorted(seen, reverse=True)
    assert seen[-1] is fallen(level, 1000.0, 1000.0 + waited, float(step))


def test_a_clock_that_steps_back_lifts_nothing() -> None:
    assert fallen(Level.HIGH, 2000.0, 1000.0, 10.0) is Level.HIGH


def at(text: str, zone: str = "UTC") -> float:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp()


# 2026-01-05 is a Monday.
@pytest.mark.parametrize(
    ("when", "outside"),
    [("2026-01-05T08:59", True), ("2026-01-05T09:00", False), ("2026-01-05T16:59", False), ("2026-01-05T17:00", True),
     ("2026-01-10T12:00", True)],
)  # fmt: skip
def test_hours_are_of_a_day_and_a_zone(when: str, outside: bool) -> None:  # noqa: FBT001
    hours = Hours(ZoneInfo("America/New_York"), frozenset(range(5)), 9 * 60, 17 * 60)
    assert hours.outside(at(when, "America/New_York")) is outside


@pytest.mark.parametrize(
    ("when", "outside"),
    [("2026-01-05T21:59", True), ("2026-01-05T22:00", False), ("2026-01-06T05:59", False), ("2026-01-06T06:00", True),
     ("2026-01-06T22:00", True)],
)  # fmt: skip
def test_a_night_belongs_to_the_day_it_began_on(when: str, outside: bool) -> None:  # noqa: FBT001
    assert Hours(UTC, frozenset({0}), 22 * 60, 6 * 60).outside(at(when)) is outside


@pytest.mark.parametrize(
    ("seconds", "text"), [(90, "90s"), (600, "10m"), (3600, "1h"), (86400, "24h"), (172800, "2d")]
)
def test_a_span_is_written_as_people_say_it(seconds: float, text: str) -> None:
    assert span(seconds) == text
