"""What is usual for a subject."""

from __future__ import annotations

import math
import statistics

import pytest

from pdp.core.limits import Level, crossings
from pdp.core.request import EntityRef
from pdp.ports import Standing, Tally
from pdp.risk.baselines import usual
from tests.risk.support import ALICE, LIMITS, START, World, read

DAYS = [22, 25, 28, 20, 30, 24, 26, 21, 29, 25]
NEVER = Standing(Level.LOW, Level.LOW, 0.0)


def tally(value: int, samples: list[int], subject: EntityRef = ALICE) -> Tally:
    return Tally(subject, {"records": value, "denies": 0}, {"records": samples, "denies": []}, NEVER)


def test_the_model_says_mean_deviation_and_how_improbable() -> None:
    found = usual(LIMITS, tally(80, DAYS))["records"]
    assert found.mean == pytest.approx(statistics.mean(DAYS))
    assert found.deviation == pytest.approx(statistics.stdev(DAYS))
    assert found.samples == len(DAYS)
    assert found.score > 0.9999


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
def test_what_is_beyond_a_habit(value: int, samples: list[int], expected: list[Level]) -> None:
    given = tally(value, samples)
    found = crossings(LIMITS, given.values, usual(LIMITS, given))
    assert [it.level for it in found if it.usual] == expected


def test_less_than_usual_is_no_alarm() -> None:
    given = tally(41, [300, 301, 299, 300, 302, 298])
    assert usual(LIMITS, given)["records"].score == 0.0


def test_a_model_learns_a_new_sample_and_forgets_none() -> None:
    assert usual(LIMITS, tally(80, [*DAYS, 31]))["records"].mean == pytest.approx(statistics.mean([*DAYS, 31]))


def test_one_standard_deviation_is_as_improbable_as_the_tables_say() -> None:
    mean, deviation = statistics.mean(DAYS), statistics.stdev(DAYS)
    score = usual(LIMITS, tally(80, DAYS))["records"].score
    assert score == pytest.approx(math.erf((80 - mean) / deviation / math.sqrt(2)))


async def test_a_restored_model_is_the_same(world: World) -> None:
    for day, number in enumerate([*DAYS, 1]):
        now = START + day * 86400
        await world.store.count(LIMITS, [read(number, now, first=100 * day)], now)
    restored = await world.tally(LIMITS, now)
    assert restored.samples["records"] == DAYS
    given = restored._replace(values={"records": 80, "denies": 0})
    assert usual(LIMITS, given) == usual(LIMITS, tally(80, DAYS))
