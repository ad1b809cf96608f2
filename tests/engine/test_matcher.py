"""The engines as the service uses them: rule indexes from a revision's rules, and two engines beside each other."""

from __future__ import annotations

import gc
import logging
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pdp.core.condition import parse
from pdp.core.decision import Effect
from pdp.core.policy import Matcher, MatchError, Rule
from pdp.core.record import View
from pdp.engine import PolicyError
from pdp.engine.matcher import CompiledEngine, ShadowEngine, ShadowMatcher
from pdp.engine.reference import ReferenceMatcher
from pdp.policy.model import MODEL

LINKS = (("g", "lead", "agent"), ("g2", "read", "use"), ("g3", "card", "secret"))
NOTHING = View({})


def rule(
    index: int, condition: str, role: str = "*", action: str = "*", resource: str = "*", *, deny: bool = False
) -> Rule:
    effect = Effect.DENY if deny else Effect.ALLOW
    return Rule(
        index, f"r{index}", role, action, resource, condition, parse(condition), effect, (), "basis", "x.csv", 1
    )


def request(role: str = "agent", action: str = "read", kind: str = "card", **session: object) -> tuple[Any, ...]:
    return role, action, NOTHING, NOTHING, View(session), View({"type": kind}), NOTHING


RULES = (
    rule(0, "r.session.risk >= 80", deny=True),
    rule(1, "r.session.risk < 50 && r.session.aal >= 2", "agent", "use", "secret"),
    rule(2, "r.session.risk < 50", "lead", "read"),
    rule(3, "!(r.session.network in ('office', 'vpn'))", "*", "use", "secret", deny=True),
)
CASES = [
    request(role, action, kind, risk=risk, aal=aal, network=network)
    for role in ("agent", "lead", "guest") for action in ("read", "use", "list") for kind in ("card", "note")
    for risk, aal, network in ((10, 2, "office"), (49, 1, "cafe"), (80, 2, "vpn"))
]  # fmt: skip


def test_the_compiled_engine_gives_the_indexes_that_the_reference_gives() -> None:
    compiled, reference = CompiledEngine()(RULES, LINKS, MODEL), ReferenceMatcher(RULES, LINKS, MODEL)
    for case in CASES:
        assert list(compiled(*case)) == list(reference(*case))
    assert list(compiled(*request("lead", risk=10, aal=2, network="office"))) == [1, 2]


def test_what_fails_is_told_by_rule_and_class_alone() -> None:
    compiled = CompiledEngine()(RULES, LINKS, MODEL)
    with pytest.raises(MatchError) as caught:
        compiled(*request(risk="s3cret", aal=2, network="office"))
    assert caught.value.rules == (0, 1)
    assert "s3cret" not in str(caught.value)


def test_a_revision_after_another_answers_as_if_it_were_the_first() -> None:
    engine = CompiledEngine()
    old = engine(RULES, LINKS, MODEL)
    before = [list(old(*case)) for case in CASES]
    shifted = (
        rule(0, "False"),
        *(rule(one.index + 1, one.text, one.role, one.action, one.resource) for one in RULES),
    )
    new, fresh = engine(shifted, LINKS[:1], MODEL), CompiledEngine()(shifted, LINKS[:1], MODEL)
    assert [list(new(*case)) for case in CASES] == [list(fresh(*case)) for case in CASES]
    assert [list(old(*case)) for case in CASES] == before


def test_another_model_is_compiled_from_scratch() -> None:
    engine = CompiledEngine()
    engine(RULES, LINKS, MODEL)
    narrower = MODEL.replace('(p.role == "*" || g(r.role, p.role))', "g(r.role, p.role)")
    assert narrower != MODEL
    assert list(engine(RULES, LINKS, narrower)(*request(risk=90, aal=2, network="office"))) == []


@pytest.mark.parametrize("rules", [RULES, ()])
def test_collections_are_as_before_once_a_build_is_over(rules: tuple[Rule, ...]) -> None:
    before = gc.get_threshold()
    try:
        CompiledEngine()(rules, LINKS, MODEL)
    except PolicyError:
        assert not rules
    assert gc.get_threshold() == before


class Fixed:
    """An engine that always gives the same rules, or fails: one half of a disagreement."""

    def __init__(self, *rules: int, fails: bool = False) -> None:
        self._rules, self._fails = rules, fails

    def __call__(self, *_: object) -> Sequence[int]:
        if self._fails:
            raise MatchError(self._rules, "TypeError")
        return self._rules


def shadow(first: Matcher, second: Matcher, denies: frozenset[int]) -> tuple[ShadowMatcher, list[int]]:
    differed: list[int] = []
    return ShadowMatcher(first, second, denies, lambda: differed.append(1)), differed


indexes = st.frozensets(st.integers(0, 7), max_size=8)


@given(indexes, indexes, indexes)
def test_where_engines_differ_no_permit_is_won_and_no_deny_lost(
    ours: frozenset[int], theirs: frozenset[int], denies: frozenset[int]
) -> None:
    matcher, differed = shadow(Fixed(*ours), Fixed(*theirs), denies)
    found = set(matcher(*request()))
    assert found - denies == (ours & theirs) - denies
    assert found & denies == (ours | theirs) & denies
    assert len(differed) == (ours != theirs)


def test_a_difference_is_logged_by_rule_and_without_values(caplog: pytest.LogCaptureFixture) -> None:
    matcher, differed = shadow(Fixed(0, 1), Fixed(1, 2), frozenset({2}))
    with caplog.at_level(logging.ERROR):
        assert list(matcher(*request(risk="s3cret"))) == [1, 2]
    assert differed == [1]
    assert "[0, 2]" in caplog.text
    assert "s3cret" not in caplog.text


@pytest.mark.parametrize("failing", [0, 1])
def test_either_engine_that_fails_fails_both(failing: int) -> None:
    halves = [Fixed(1), Fixed(1)]
    halves[failing] = Fixed(3, fails=True)
    matcher, _ = shadow(*halves, frozenset())
    with pytest.raises(MatchError):
        matcher(*request())


def test_real_engines_beside_each_other_agree() -> None:
    engine = ShadowEngine()
    matcher = engine(RULES, LINKS, MODEL)
    compiled = CompiledEngine()(RULES, LINKS, MODEL)
    assert [list(matcher(*case)) for case in CASES] == [list(compiled(*case)) for case in CASES]
    assert engine.differences == 0


CONDITIONS = (
    "r.session.risk < 50", "r.session.risk >= 80", "r.session.aal >= 2 && r.session.risk < 50", "r.session.fresh",
    "!r.session.fresh || r.session.aal >= 3", "r.session.network in ('office', 'vpn')", "r.session.network == 'cafe'",
)  # fmt: skip
drawn_rules = st.lists(
    st.tuples(
        st.sampled_from(CONDITIONS), st.sampled_from(("*", "agent", "lead")), st.sampled_from(("*", "read", "use")),
        st.sampled_from(("*", "card", "secret")), st.booleans(),
    ),
    min_size=1, max_size=12,
)  # fmt: skip
sessions = st.fixed_dictionaries(
    {
        "risk": st.sampled_from((0, 49, 50, 80)), "aal": st.sampled_from((1, 2, 3)), "fresh": st.booleans(),
        "network": st.sampled_from(("office", "vpn", "cafe")),
    }
)  # fmt: skip


@settings(max_examples=40, deadline=None)
@given(drawn_rules, drawn_rules, st.lists(sessions, min_size=1, max_size=4))
def test_any_revision_after_any_other_agrees_with_the_reference(
    first: list[tuple[str, str, str, str, bool]],
    second: list[tuple[str, str, str, str, bool]],
    asked: list[dict[str, object]],
) -> None:
    engine = CompiledEngine()
    for drawn in (first, second, [*second, *first]):
        rules = tuple(rule(number, *fields, deny=deny) for number, (*fields, deny) in enumerate(drawn))
        compiled, reference = engine(rules, LINKS, MODEL), ReferenceMatcher(rules, LINKS, MODEL)
        for session in asked:
            for role in ("agent", "lead", "guest"):
                case = request(role, "read", "card", **session)
                assert list(compiled(*case)) == list(reference(*case))
