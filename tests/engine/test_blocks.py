"""Conditions that rules have in common are evaluated once per request, and only where a rule reaches them."""

from __future__ import annotations

from collections import Counter
from typing import Any

import casbin
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pdp.engine import CompiledEnforcer, ConditionError, RowsAdapter
from pdp.engine.compiled import patterns
from pdp.engine.compiled.blocks import MAX_BLOCK, Fused, merged
from pdp.engine.compiled.errors import NotCompilableError
from pdp.engine.compiled.templates import Templates
from tests.engine.compare import explained, model_of
from tests.engine.hostile import Bag

FLAT = """[request_definition]
r = sub, obj, act
[policy_definition]
p = rule, act, eft
[policy_effect]
e = some(where (p.eft == allow)) && !some(where (p.eft == deny))
[matchers]
m = r.act == p.act && eval(p.rule)
"""
WILD = FLAT.replace("r.act == p.act", '(p.act == "*" || r.act == p.act)')


class Watched:
    """Counts how often each attribute is read. It reads like any plain object: ``__getattr__`` alone is its own."""

    def __init__(self, **values: object) -> None:
        self.__dict__["_values"] = values
        self.__dict__["reads"] = Counter()

    def __getattr__(self, name: str) -> object:
        self.__dict__["reads"][name] += 1
        try:
            return self.__dict__["_values"][name]
        except KeyError:
            raise AttributeError(name) from None


def rules(*conditions: str, act: str = "read", eft: str = "allow") -> list[tuple[str, ...]]:
    return [("p", condition, act, eft) for condition in conditions]


@pytest.fixture(params=["exact", "strict"])
def mode(request: pytest.FixtureRequest) -> Any:
    return request.param


def blocks_of(enforcer: CompiledEnforcer) -> list[Fused]:
    table = enforcer._engine.programs["r", "p", "m"].builder.index.table
    return [bucket for bucket in table.values() if isinstance(bucket, Fused)]


def test_rules_read_an_attribute_once_whatever_they_ask_of_it(mode: Any) -> None:
    rows = rules("r.sub.age > 1", "r.sub.age > 2 && r.sub.vip", "r.sub.age < 90 || r.sub.vip", "!r.sub.vip")
    enforcer = CompiledEnforcer(model_of(FLAT), rows, mode)
    assert len(blocks_of(enforcer)) == 1
    subject = Watched(age=20, vip=True)
    assert enforcer.match(subject, "o", "read") == (0, 1, 2)
    assert subject.reads["age"] == subject.reads["vip"] == 1


def test_a_condition_of_rules_under_different_keys_is_evaluated_once(mode: Any) -> None:
    rows = [*rules("r.sub.name == 'a' && r.sub.age > 1", act="*"), *rules("r.sub.name == 'a' && r.sub.age > 2")]
    enforcer = CompiledEnforcer(model_of(WILD), rows, mode)
    subject = Watched(name="a", age=20)
    assert enforcer.match(subject, "o", "read") == (0, 1)
    assert subject.reads["name"] == 1


def test_a_pattern_is_tried_once_for_all_rules_that_ask_for_it(mode: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[str] = []
    monkeypatch.setitem(patterns._PREPARE, "regexMatch", lambda _: lambda text: tried.append(text) is None)
    rows = [
        *rules(*(f"regexMatch(r.sub.name, '^a+$') && r.sub.age > {n}" for n in range(40))),
        *rules("r.sub.age > 1 && regexMatch(r.sub.name, '^a+$')", act="*", eft="deny"),
    ]
    enforcer = CompiledEnforcer(model_of(WILD), rows, mode)
    assert len(enforcer.match(Bag(name="aa", age=10), "o", "read")) == 11
    # Exact mode fuses no more rules than fit one block: it evaluates those up to the one that settles.
    assert tried == ["aa"] if mode == "strict" else tried.count("aa") >= 1


def test_the_matcher_shares_with_the_rules(mode: Any) -> None:
    model = FLAT.replace("eval(p.rule)", "(p.act == 'x' || r.sub.age > 18) && eval(p.rule)")
    rows = rules("r.sub.age > 18 && r.sub.vip", "r.sub.age > 18", "r.sub.vip")
    enforcer = CompiledEnforcer(model_of(model), rows, mode)
    subject = Watched(age=20, vip=True)
    assert enforcer.match(subject, "o", "read") == (0, 1, 2)
    assert subject.reads["age"] == 1


def test_what_no_rule_reaches_is_not_evaluated(mode: Any) -> None:
    rows = rules("r.sub.vip && r.sub.age > 1", "r.sub.vip && r.sub.age > 1 && r.sub.level > 3", "!r.sub.vip")
    enforcer = CompiledEnforcer(model_of(FLAT), rows, mode)
    subject = Watched(vip=False)
    assert enforcer.match(subject, "o", "read") == (2,)
    assert set(subject.reads) == {"vip"}


def test_a_condition_that_fails_counts_against_the_rules_that_reach_it_alone() -> None:
    rows = rules("r.sub.vip && r.sub.age > 1", "r.sub.name == 'b' && r.sub.age > 1", "r.sub.age > 1 || r.sub.vip")
    enforcer = CompiledEnforcer(model_of(FLAT), rows, "strict")
    with pytest.raises(ConditionError) as caught:
        enforcer.match(Bag(vip=True, name="a"), "o", "read")
    assert caught.value.failures == ((0, AttributeError), (2, AttributeError))
    assert enforcer.match(Bag(vip=True, name="b", age=5), "o", "read") == (0, 1, 2)


def test_exact_mode_passes_over_what_fails_behind_the_rule_that_settles() -> None:
    model = FLAT.replace(" && !some(where (p.eft == deny))", "")
    rows = rules("r.sub.age > 1", "r.sub.missing > 1", "r.sub.age > 2")
    enforcer = CompiledEnforcer(model_of(model), rows)
    reference = casbin.Enforcer(model_of(model), RowsAdapter(rows))
    enforcer._engine._by_reference = None  # type: ignore[method-assign,assignment,union-attr]
    assert enforcer.enforce_ex(Bag(age=5), "o", "read") == reference.enforce_ex(Bag(age=5), "o", "read")


@pytest.mark.parametrize("count", [1, 2, MAX_BLOCK, MAX_BLOCK + 1, 3 * MAX_BLOCK + 5])
def test_any_number_of_rules_match_in_row_order(mode: Any, count: int) -> None:
    rows = rules(*(f"r.sub.age > {number} && r.sub.age < 1000" for number in range(count)))
    enforcer = CompiledEnforcer(model_of(FLAT), rows, mode)
    assert enforcer.match(Bag(age=count), "o", "read") == tuple(range(count))
    assert enforcer.match(Bag(age=1), "o", "read") == (0,)


def test_rules_that_do_not_go_into_a_block_answer_by_themselves(mode: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    define = Templates.define_once

    def refuse_blocks(templates: Templates, body: str, slots: int) -> Any:
        if "def block" in body:
            raise NotCompilableError("too large")
        return define(templates, body, slots)

    monkeypatch.setattr(Templates, "define_once", refuse_blocks)
    rows = rules("r.sub.age > 1 && r.sub.vip", "r.sub.age > 2", "r.sub.vip")
    enforcer = CompiledEnforcer(model_of(FLAT), rows, mode)
    assert not blocks_of(enforcer)
    assert enforcer.match(Bag(vip=True, age=2), "o", "read") == (0, 2)


def test_fused_leaves_can_be_joined_with_others() -> None:
    always, other = (0, None, 1), (3, None, 1)
    fused = Fused((), (), (((2, None, 1), (1, None, 1)),))
    assert merged([(always,), ()]) == (always,)
    assert merged([(other,), (always,)]) == (always, other)
    assert merged([]) == ()
    joined = merged([(other,), fused, (always,)])
    assert isinstance(joined, Fused)
    assert joined.loose == (always, other)
    assert [index for index, _, _ in joined.entries()] == [0, 1, 2, 3]


ATOMS = (
    "r.sub.age > 1", "r.sub.age > 1.0", "r.sub.vip", "!r.sub.vip", "r.sub.name == 'a'", "r.sub.name in ('a', 'b')",
    "r.sub.name == r.obj.owner", "r.sub.age - r.obj.level > 1", "r.obj.level < r.sub.age < 9", "'x' in r.sub.tags",
    "(r.sub.vip || r.sub.age > 1)", "(r.sub.vip && r.sub.name == 'a')", "!(r.sub.age > 1 && r.sub.vip)",
    "keyMatch(r.sub.name, 'a*')", "g(r.sub.name, 'b')", "r.sub.boss.name == 'a'", "r.sub.boss.vip", "r.sub.age == 1",
    "r.sub.vip == True", "r.sub.name != None", "r.obj.owner == 'a'",
)  # fmt: skip
GROUPED = WILD.replace("[policy_effect]", "[role_definition]\ng = _, _\n[policy_effect]")
VALUES = {
    "age": [0, 1, 2, True, 5.0, "1", None], "vip": [True, False, True, False, 1, None], "name": ["a", "b", "ab", 1],
    "tags": [["x"], ("y",), {"x"}, "x", None], "boss": [{"name": "a", "vip": True}, Bag(name="b", vip=False), Bag()],
}  # fmt: skip
OBJECT = {"owner": ["a", "b", None], "level": [0, 2, "a"]}


def bags(values: dict[str, list[Any]]) -> st.SearchStrategy[Any]:
    usual = {name: st.sampled_from(found[: 1 + len(found) // 2]) for name, found in values.items()}
    some = {name: st.sampled_from(found) for name, found in values.items()}
    attributes = st.one_of(st.fixed_dictionaries(usual), st.fixed_dictionaries({}, optional=some))
    return st.tuples(st.sampled_from((Bag, dict)), attributes).map(lambda drawn: drawn[0](**drawn[1]))


@settings(max_examples=50, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.lists(st.sampled_from(ATOMS), min_size=1, max_size=3), st.sampled_from(("read", "*")),
            st.sampled_from(("allow", "deny")),
        ),
        min_size=2, max_size=9,
    ),
    st.lists(st.tuples(bags(VALUES), bags(OBJECT)), min_size=1, max_size=5),
)  # fmt: skip
def test_rules_together_answer_as_each_by_itself(
    drawn: list[tuple[list[str], str, str]], requests: list[tuple[Any, Any]]
) -> None:
    rows = [("p", " && ".join(atoms), act, eft) for atoms, act, eft in drawn]
    links = [("g", "a", "b")]
    together = CompiledEnforcer(model_of(GROUPED), [*rows, *links], "strict")
    singly = [CompiledEnforcer(model_of(GROUPED), [row, *links], "strict") for row in rows]
    exact = CompiledEnforcer(model_of(GROUPED), [*rows, *links])
    reference = casbin.Enforcer(model_of(GROUPED), RowsAdapter([*rows, *links]))
    for subject, resource in requests:
        request = (subject, resource, "read")
        failures, matched = [], []
        for number, enforcer in enumerate(singly):
            try:
                matched += [number] * len(enforcer.match(*request))
            except ConditionError as error:
                failures.append((number, error.failures[0][1]))
        verdict = together.decide(*request)
        assert (verdict.error.failures if verdict.error else ()) == tuple(failures)
        assert verdict.error or verdict.rows == tuple(matched)
        assert explained(exact.enforce_ex, *request) == explained(reference.enforce_ex, *request)


def test_a_reload_follows_row_numbers_and_role_links(mode: Any) -> None:
    rows = rules("r.sub.age > 1 && r.sub.vip", "r.sub.age > 2", "r.sub.vip || g(r.sub.name, 'b')")
    old = CompiledEnforcer(model_of(GROUPED), [*rows, ("g", "a", "b")], mode)
    new = old.recompiled([*rules("True", act="write"), *rows, ("g", "c", "b")])
    assert [old.match(Bag(age=5, vip=False, name=name), "o", "read") for name in "ac"] == [(1, 2), (1,)]
    assert [new.match(Bag(age=5, vip=False, name=name), "o", "read") for name in "ac"] == [(2,), (2, 3)]


def test_a_reload_takes_over_the_source_of_blocks(mode: Any) -> None:
    rows = rules("r.sub.age > 1 && r.sub.vip", "r.sub.age > 2 || r.sub.vip")
    old = CompiledEnforcer(model_of(WILD), rows, mode)
    new = old.recompiled([*rules("r.sub.level > 1", act="write"), *rows])
    before, after = (enforcer._engine.programs["r", "p", "m"].builder.fuser for enforcer in (old, new))
    kept = before._recipes.keys() & after._recipes.keys()
    assert len(kept) == 1
    assert all(before._recipes[key] is after._recipes[key] for key in kept)
