"""Exact mode against pycasbin itself, on random models, policies and requests.

``PDP_FUZZ_COMPARISONS`` sets the number of comparisons; without it there are 50,000, the same in every run.
"""

from __future__ import annotations

import collections
import os
import time

import casbin
import pytest
from hypothesis import HealthCheck, given, seed, settings

from pdp.engine import CompiledEnforcer, RowsAdapter
from tests.engine.compare import explained, model_of, outcome
from tests.engine.worlds import Requests, World, worlds

COMPARISONS = int(os.environ.get("PDP_FUZZ_COMPARISONS", "50000"))
SEED = time.time_ns() if "PDP_FUZZ_COMPARISONS" in os.environ else 0
SHARDS = 4
REQUESTS_PER_WORLD = 50
WORLDS = max(1, COMPARISONS * 115 // (100 * SHARDS * REQUESTS_PER_WORLD))  # some policies do not load


def custom(*arguments: object) -> bool:
    """A function users could register."""
    return arguments[0] == arguments[-1]


class Tally:
    """What the comparisons of one shard were made of."""

    def __init__(self) -> None:
        self.comparisons = 0
        self.allowed = 0
        self.near_misses_denied = 0
        self.raised: collections.Counter[str] = collections.Counter()

    def add(self, answer: tuple[object, ...], *, is_near_miss: bool) -> None:
        self.comparisons += 1
        if answer[0] == "raised":
            self.raised[getattr(answer[1], "__name__", "?")] += 1
        elif answer[2] is True:
            self.allowed += 1
        elif is_near_miss:
            self.near_misses_denied += 1

    def __str__(self) -> str:
        total = max(1, self.comparisons)
        return (
            f"{self.comparisons} comparisons: {self.allowed / total:.0%} allowed, "
            f"{self.near_misses_denied / total:.0%} near-miss denies, {self.raised.total() / total:.0%} raised "
            f"({len(self.raised)} classes)"
        )


def untouched(world: World, reference: casbin.Enforcer, request: tuple[object, ...]) -> casbin.Enforcer:
    """An enforcer that no earlier request has left its mark on.

    pycasbin's role managers keep every name they are asked about. Names of the built-in types stay without
    consequence; one with an ``__eq__`` of its own answers for other names from then on.
    """
    is_conditional = any("(" in value for value in world.shape.roles.values())
    if (
        not world.shape.roles
        or is_conditional
        or all(type(value) in {str, int, float, bool, type(None)} for value in request)
    ):
        return reference
    fresh = casbin.Enforcer(model_of(world.model), RowsAdapter(world.rows))
    for name, function in reference.fm.get_functions().items():
        if function is custom:
            fresh.add_function(name, function)
    return fresh


def compare(world: World, tally: Tally) -> None:
    rows = RowsAdapter(world.rows)
    built = outcome(casbin.Enforcer, model_of(world.model), rows)
    compiled = outcome(CompiledEnforcer, model_of(world.model), rows)
    if built[0] == "raised":
        assert compiled == built
        return
    reference, enforcer = built[1], compiled[1]
    assert compiled[0] == "returned", compiled
    if "custom" in world.model or world.seed % 5 == 0:
        reference.add_function("custom", custom)
        enforcer.add_function("custom", custom)
    requests = Requests(world)
    for _ in range(REQUESTS_PER_WORLD):
        request = requests.make(near=tally.near_misses_denied < tally.allowed)
        expected = explained(untouched(world, reference, request.values).enforce_ex, *request.values)
        assert explained(enforcer.enforce_ex, *request.values) == expected, request
        tally.add(expected, is_near_miss=request.is_near_miss)


@pytest.mark.parametrize("shard", range(SHARDS))
def test_exact_mode_answers_as_pycasbin_does(shard: int) -> None:
    tally = Tally()

    @seed(SEED + shard)
    @settings(max_examples=WORLDS, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(worlds())
    def search(world: World) -> None:
        compare(world, tally)

    search()
    print(f"shard {shard}, seed {SEED + shard}: {tally}")  # noqa: T201 - the tally belongs in the log
    assert tally.comparisons >= COMPARISONS // SHARDS
    assert tally.allowed >= 0.3 * tally.comparisons, str(tally)
    assert tally.near_misses_denied >= 0.3 * tally.comparisons, str(tally)
