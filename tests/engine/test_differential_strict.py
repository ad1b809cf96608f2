"""Strict mode against pycasbin: where it answers, it gives pycasbin's answer; otherwise it denies with a reason."""

from __future__ import annotations

import os

import casbin
from hypothesis import HealthCheck, given, settings

from pdp.engine import CompiledEnforcer, PolicyError, RowsAdapter
from tests.engine import hostile
from tests.engine.compare import explained, model_of
from tests.engine.worlds import Requests, World, worlds

COMPARISONS = int(os.environ.get("PDP_FUZZ_COMPARISONS", "50000")) // 5
REQUESTS_PER_WORLD = 40


class Tally:
    def __init__(self) -> None:
        self.refused = self.answered = self.allowed = self.failed = 0

    def __str__(self) -> str:
        return (
            f"{self.refused} policies refused; {self.answered} requests answered, {self.allowed} of them allowed; "
            f"{self.failed} denied for an error"
        )


def compare(world: World, tally: Tally) -> None:
    try:
        strict = CompiledEnforcer(model_of(world.model), world.rows, "strict")
    except PolicyError:
        tally.refused += 1
        return
    reference = casbin.Enforcer(model_of(world.model), RowsAdapter(world.rows))
    turned = CompiledEnforcer(model_of(world.model), [*world.rows[::-1], *world.rows], "strict")
    is_ordered = "riority" in world.model
    requests = Requests(world, hostile.DATA_VALUES)
    size = len(world.shape.tokens)
    for number in range(REQUESTS_PER_WORLD):
        request = requests.make(near=number % 2 == 0).values
        if len(request) != size:
            continue
        verdict = strict.decide(*request)
        assert strict.enforce(*request) is verdict.allowed
        # Rule order and duplicates do not matter, unless the model says priority.
        assert is_ordered or turned.enforce(*request) is verdict.allowed
        if verdict.error is not None:
            assert not verdict.allowed
            tally.failed += 1
            continue
        explanation = strict.enforce_ex(*request)
        expected = explained(reference.enforce_ex, *request)
        assert ("returned", bool, explanation[0], list, explanation[1]) == expected, request
        tally.answered += 1
        tally.allowed += verdict.allowed


def test_strict_mode_answers_as_pycasbin_does_or_denies_with_a_reason() -> None:
    tally = Tally()

    @settings(
        max_examples=max(1, COMPARISONS // REQUESTS_PER_WORLD), deadline=None, database=None,
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(worlds(is_odd=False))
    def search(world: World) -> None:
        compare(world, tally)

    search()
    print(tally)  # noqa: T201 - the tally belongs in the log
    assert tally.allowed > 0.15 * (tally.answered + tally.failed), str(tally)
    assert tally.answered > tally.failed, str(tally)
