"""Casbin's five effects, walked as pycasbin walks them, over every short sequence of matched rules."""

from __future__ import annotations

import itertools

import pytest
from casbin.effect import effect_to_bool, get_effector
from casbin.effect.default_effectors import Effector

from pdp.engine.compiled.effects import ALLOW, DENY, EFFECTS, OTHER, code_of

CASBIN = {ALLOW: Effector.ALLOW, DENY: Effector.DENY, OTHER: Effector.INDETERMINATE}
SEQUENCES = [codes for size in range(5) for codes in itertools.product((ALLOW, DENY, OTHER), repeat=size)]


def walk(expression: str, codes: tuple[int, ...]) -> tuple[bool, int]:
    """The decision and the row it stops at, by pycasbin's effector."""
    effector = get_effector(expression)
    seen: set[int] = set()
    for row, code in enumerate(codes):
        seen.add(CASBIN[code])
        if effector.intermediate_effect(seen) != Effector.INDETERMINATE:
            return effect_to_bool(effector.final_effect(seen)), row
    return effect_to_bool(effector.final_effect(seen)), len(codes) - 1


@pytest.mark.parametrize("expression", EFFECTS)
def test_an_effect_decides_and_stops_where_pycasbin_does(expression: str) -> None:
    effect = EFFECTS[expression]
    for codes in SEQUENCES:
        last, seen = effect.replay(enumerate(codes))
        assert (effect.allows(seen), last) == walk(expression, codes), codes


@pytest.mark.parametrize("text", ["DENY", "Allow", "", " allow", "allow ", "indeterminate"])
def test_only_two_words_decide(text: str) -> None:
    assert code_of(text) == OTHER
    assert (code_of("allow"), code_of("deny")) == (ALLOW, DENY)


@pytest.mark.parametrize("expression", EFFECTS)
def test_nothing_matched_allows_under_deny_override_alone(expression: str) -> None:
    assert EFFECTS[expression].allows(0) is (expression == "!some(where (p_eft == deny))")
    assert EFFECTS[expression].replay([]) == (-1, 0)
