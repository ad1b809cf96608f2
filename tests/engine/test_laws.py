"""The laws of the decision that the engine has to keep by itself, as properties. Each test names its law."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any

import casbin
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pdp.engine import CompiledEnforcer, PolicyError, RowsAdapter
from tests.engine.compare import explained, model_of
from tests.engine.hostile import Bag

MODEL = """[request_definition]
r = role, act, sub, obj
[policy_definition]
p = role, act, type, rule, eft
[role_definition]
g = _, _
[policy_effect]
e = some(where (p.eft == allow)) && !some(where (p.eft == deny))
[matchers]
m = (p.role == "*" || g(r.role, p.role)) && (p.act == "*" || r.act == p.act) && r.obj.type == p.type && eval(p.rule)
"""
CONDITIONS = (
    "True", "r.sub.risk < 50", "r.sub.risk < 80 && r.sub.compliant", "r.sub.compliant", "r.sub.level >= 2",
    "r.sub.name == r.obj.owner", "r.sub.name in ('alice', 'bob')", "'admin' in r.sub.tags",
    "r.sub.risk < 50 && r.sub.level >= 2 && r.sub.name != 'mallory'", "keyMatch(r.obj.path, '/pub/*')",
)  # fmt: skip
DENY_CONDITIONS = ("r.sub.risk >= 80", "!r.sub.compliant", "r.sub.level < 1", "r.sub.name == 'mallory'")
NAMES = ("alice", "bob", "mallory", "carol")
ROLES = ("agent", "lead", "guest", "*")
LINKS = [("g", "lead", "agent")]
Row = tuple[str, ...]


@dataclass(frozen=True)
class Asked:
    """A request, as its parts."""

    role: str
    act: str
    subject: dict[str, Any]
    resource: dict[str, Any]

    def values(self, **changed: Any) -> tuple[Any, ...]:
        return self.role, self.act, Bag(**(self.subject | changed)), Bag(**self.resource)


def rows(effects: tuple[str, ...] = ("allow", "allow", "deny")) -> st.SearchStrategy[list[Row]]:
    def row(effect: str) -> st.SearchStrategy[Row]:
        conditions = CONDITIONS if effect == "allow" else DENY_CONDITIONS
        return st.tuples(
            st.just("p"), st.sampled_from(ROLES), st.sampled_from(("read", "write", "*")),
            st.sampled_from(("doc", "card")), st.sampled_from(conditions), st.just(effect),
        )  # fmt: skip

    return st.lists(st.sampled_from(effects).flatmap(row), min_size=1, max_size=14)


requests = st.builds(
    Asked,
    st.sampled_from(("agent", "lead", "guest", "nobody")),
    st.sampled_from(("read", "write", "delete")),
    st.fixed_dictionaries(
        {
            "risk": st.sampled_from((0, 10, 49, 50, 79, 80, 99.5)), "compliant": st.booleans(),
            "level": st.sampled_from((0, 1, 2, 3)), "name": st.sampled_from(NAMES),
            "tags": st.sampled_from((["admin"], [], ("x", "admin"))),
        }
    ),
    st.fixed_dictionaries(
        {
            "type": st.sampled_from(("doc", "card", "other")), "owner": st.sampled_from(NAMES),
            "path": st.sampled_from(("/pub/a", "/a")),
        }
    ),
)  # fmt: skip
laws = settings(max_examples=40, deadline=None)
asked = st.lists(requests, min_size=1, max_size=6)


def strict(policy: list[Row]) -> CompiledEnforcer:
    return CompiledEnforcer(model_of(MODEL), [*policy, *LINKS], "strict")


@laws
@given(rows(("deny",)), asked)
def test_law_1_without_a_permit_that_matches_everything_is_denied(policy: list[Row], questions: list[Asked]) -> None:
    enforcer = strict(policy)
    assert not any(enforcer.enforce(*question.values()) for question in questions)


def test_law_1_an_empty_policy_is_refused() -> None:
    for policy in ([], LINKS):
        with pytest.raises(PolicyError, match="empty"):
            CompiledEnforcer(model_of(MODEL), policy, "strict")


@laws
@given(rows(), rows(("deny",)), asked)
def test_law_2_a_deny_rule_never_creates_an_allow(
    policy: list[Row], denies: list[Row], questions: list[Asked]
) -> None:
    before, after = strict(policy), strict([*policy, *denies])
    for question in questions:
        assert after.enforce(*question.values()) <= before.enforce(*question.values())


@laws
@given(rows(), asked)
def test_law_2_a_deny_that_matches_trumps_every_permit(policy: list[Row], questions: list[Asked]) -> None:
    enforcer = strict(policy)
    for question in questions:
        verdict = enforcer.decide(*question.values())
        effects = {policy[index][-1] for index in verdict.rows}
        assert verdict.allowed is (effects == {"allow"})


@laws
@given(rows(), asked, st.integers(0, 1 << 30))
def test_law_3_order_and_duplicates_do_not_matter(policy: list[Row], questions: list[Asked], seed: int) -> None:
    shuffled = [*policy, *policy[: seed % 3]]
    random.Random(seed).shuffle(shuffled)  # noqa: S311 - repeatable, not secret
    one, other = strict(policy), strict(shuffled)
    for question in questions:
        first, second = one.decide(*question.values()), other.decide(*question.values())
        assert first.allowed is second.allowed
        assert {policy[index] for index in first.rows} == {shuffled[index] for index in second.rows}


SPOILT = (None, "text", b"1", float("nan"), True, 10**400, [], {}, object())


@laws
@given(rows(), asked, st.sampled_from(("risk", "compliant", "level", "name", "tags")), st.sampled_from(SPOILT))
def test_law_4_a_wrong_or_missing_attribute_never_turns_a_deny_into_an_allow(
    policy: list[Row], questions: list[Asked], name: str, value: object
) -> None:
    permits = [row for row in policy if row[-1] == "allow"]
    if not permits:
        return
    enforcer = strict(permits)
    for question in questions:
        values = question.subject
        reads = any(f"r.sub.{name}" in permits[index][4] for index in enforcer.match(*question.values()))
        if reads and type(value) is not type(values[name]) and not isinstance(value, int):
            verdict = enforcer.decide(*question.values(**{name: value}))
            assert verdict.allowed is False
            assert verdict.error is not None
        without = Bag(**{key: one for key, one in values.items() if key != name})
        verdict = enforcer.decide(question.role, question.act, without, Bag(**question.resource))
        assert not (reads and verdict.allowed)


@laws
@given(rows(), asked, st.sampled_from((50, 80, 100, 1e9)))
def test_law_5_more_risk_never_allows_more(policy: list[Row], questions: list[Asked], risk: float) -> None:
    enforcer = strict(policy)
    for question in questions:
        worse = enforcer.enforce(*question.values(risk=max(risk, question.subject["risk"])))
        assert worse <= enforcer.enforce(*question.values())


@laws
@given(rows(), asked)
def test_law_5_worse_posture_or_assurance_never_allows_more(policy: list[Row], questions: list[Asked]) -> None:
    enforcer = strict(policy)
    for question in questions:
        now = enforcer.enforce(*question.values())
        assert enforcer.enforce(*question.values(compliant=False)) <= now
        assert enforcer.enforce(*question.values(level=0)) <= now


@laws
@given(rows(("allow",)), asked)
def test_law_5_a_lesser_role_never_allows_more(policy: list[Row], questions: list[Asked]) -> None:
    enforcer = strict(policy)
    for question in questions:
        _, act, subject, resource = question.values()
        assert enforcer.enforce("agent", act, subject, resource) <= enforcer.enforce("lead", act, subject, resource)


@laws
@given(rows(), asked)
def test_law_6_batch_is_single_is_explanation_is_reference(policy: list[Row], questions: list[Asked]) -> None:
    reference = casbin.Enforcer(model_of(MODEL), RowsAdapter([*policy, *LINKS]))
    exact = CompiledEnforcer(model_of(MODEL), [*policy, *LINKS])
    compiled = strict(policy)
    values = [question.values() for question in questions]
    for enforcer in (exact, compiled):
        assert enforcer.batch_enforce(values) == [enforcer.enforce(*one) for one in values]
        for one in values:
            expected = explained(reference.enforce_ex, *one)
            assert explained(enforcer.enforce_ex, *one) == expected
            assert enforcer.enforce(*one) is expected[2]
    for one in values:
        verdict = compiled.decide(*one)
        assert verdict.rows == compiled.match(*one) == exact.match(*one)
        assert verdict.allowed is compiled.enforce(*one)


@laws
@given(rows(), asked)
def test_law_6_asked_twice_the_answer_is_the_same(policy: list[Row], questions: list[Asked]) -> None:
    enforcer = strict(policy)
    first = [enforcer.decide(*question.values()) for question in questions]
    assert [enforcer.decide(*question.values()) for question in questions[::-1]] == first[::-1]


@laws
@given(rows(), rows(), asked)
def test_law_7_a_snapshot_never_changes_and_its_successor_forgets_it(
    policy: list[Row], changed: list[Row], questions: list[Asked]
) -> None:
    old = strict(policy)
    before = [old.decide(*question.values()) for question in questions]
    new = old.recompiled([*changed, *LINKS])
    assert [old.decide(*question.values()) for question in questions] == before
    fresh = strict(changed)
    for question in questions:
        assert new.decide(*question.values()) == fresh.decide(*question.values())
