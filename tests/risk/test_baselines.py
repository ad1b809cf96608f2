"""What is usual for a subject, by the real library."""

from __future__ import annotations

import logging
import statistics

import pytest

from pdp.core.limits import Level, crossings
from pdp.core.request import EntityRef
from pdp.ports import Standing, Tally
from pdp.risk import Baselines
from pdp.risk import baselines as module
from tests.risk.support import ALICE, LIMITS, START, World, read

DAYS = [22, 25, 28, 20, 30, 24, 26, 21, 29, 25]
NEVER = Standing(Level.LOW, Level.LOW, 0.0)


def tally(value: int, samples: list[int], subject: EntityRef = ALICE) -> Tally:
    return Tally(subject, {"records": value, "denies": 0}, {"records": samples, "denies": []}, NEVER)


@pytest.fixture
async def baselines() -> Baselines:
    made = Baselines(3)
    assert await made.load()
    return made


async def test_the_model_says_mean_deviation_and_how_improbable(baselines: Baselines) -> None:
    usual = baselines.usual(LIMITS, tally(80, DAYS))["records"]
    assert usual.mean == pytest.approx(statistics.mean(DAYS))
    assert usual.deviation == pytest.approx(statistics.stdev(DAYS))
    assert usual.samples == len(DAYS)
    assert usual.score > 0.9999


@pytest.mark.parametrize(
    ("value", "samples", "expected"),
    [
        (80, DAYS, [Level.HIGH]),
        (70, DAYS, []),
        (80, DAYS[:4], []),  # too few days
        (80, [25] * 10, [Level.HIGH]),  # the same every day: no deviation at all
        (80, [10, 90, 20, 85, 30, 95, 5, 80], []),  # never the same: no amount is a surprise
    ],
)
async def test_what_is_beyond_a_habit(
    baselines: Baselines, value: int, samples: list[int], expected: list[Level]
) -> None:
    given = tally(value, samples)
    found = crossings(LIMITS, given.values, baselines.usual(LIMITS, given))
    assert [it.level for it in found if it.usual] == expected


async def test_less_than_usual_is_no_alarm(baselines: Baselines) -> None:
    given = tally(41, [300, 301, 299, 300, 302, 298])
    assert baselines.usual(LIMITS, given)["records"].score == 0.0


async def test_a_model_learns_a_new_sample_and_forgets_none(baselines: Baselines) -> None:
    baselines.usual(LIMITS, tally(80, DAYS))
    later = baselines.usual(LIMITS, tally(80, [*DAYS, 31]))["records"]
    assert later.mean == pytest.approx(statistics.mean([*DAYS, 31]))


async def test_a_restored_model_is_the_same(baselines: Baselines, world: World) -> None:
    for day, number in enumerate([*DAYS, 1]):
        now = START + day * 86400
        await world.store.count(LIMITS, [read(number, now, first=100 * day)], now)
    restored = await world.tally(LIMITS, now)
    assert restored.samples["records"] == DAYS
    fresh = Baselines(1)
    await fresh.load()
    given = restored._replace(values={"records": 80, "denies": 0})
    assert fresh.usual(LIMITS, given) == baselines.usual(LIMITS, tally(80, DAYS))


async def test_models_are_bounded_and_the_latest_stay(baselines: Baselines) -> None:
    for number in range(50):
        baselines.usual(LIMITS, tally(80, DAYS, EntityRef("user", f"u-{number}")))
    assert len(baselines) == 3


async def test_without_the_library_only_limits_hold_and_that_is_said_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "_LIBRARY", "no_such_library_here")
    made = Baselines(3)
    with caplog.at_level(logging.ERROR):
        assert not await made.load()
        assert not await made.load()
    assert [record.event for record in caplog.records] == ["risk.baseline_unavailable"]
    assert made.usual(LIMITS, tally(80, DAYS)) == {}
    assert crossings(LIMITS, {"records": 100}, {})[0].level is Level.HIGH
