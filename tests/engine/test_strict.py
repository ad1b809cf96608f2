"""Strict mode's differences to pycasbin: one test for each row of the table in docs/engine.md."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import casbin
import pytest

from pdp.engine import CompiledEnforcer, ConditionError, KindMismatchError, PolicyError, RowsAdapter
from tests.engine import hostile
from tests.engine.compare import model_of, outcome

ALLOW = "some(where (p.eft == allow))"
BOTH = "some(where (p.eft == allow)) && !some(where (p.eft == deny))"


def text(matcher: str, fields: str = "rule, eft", effect: str = BOTH, roles: str = "") -> str:
    return (
        f"[request_definition]\nr = sub, obj, act\n[policy_definition]\np = {fields}\n"
        + (f"[role_definition]\n{roles}\n" if roles else "")
        + f"[policy_effect]\ne = {effect}\n[matchers]\nm = {matcher}\n"
    )


RULES = text("eval(p.rule)")


def strict(model: str, *rows: tuple[str, ...]) -> CompiledEnforcer:
    return CompiledEnforcer(model_of(model), rows, "strict")


def reference(model: str, *rows: tuple[str, ...]) -> casbin.Enforcer:
    return casbin.Enforcer(model_of(model), RowsAdapter(rows))


def refusal(model: str, *rows: Any) -> str:
    with pytest.raises(PolicyError) as caught:
        strict(model, *rows)
    return "; ".join(map(str, caught.value.findings))


def rule(condition: str, eft: str = "allow") -> tuple[str, ...]:
    return ("p", condition, eft)


GOOD = rule("r.sub.age > 18")

# -- refused at load ---------------------------------------------------------------------------------------


def test_an_unknown_policy_type_is_refused() -> None:
    assert "'P'" in refusal(RULES, GOOD, ("P", "True", "deny"))
    assert "'p3'" in refusal(RULES, GOOD, ("p3", "True", "deny"))
    assert "'g'" in refusal(RULES, GOOD, ("g", "alice", "admin"))


def test_a_byte_order_mark_that_hides_the_first_row_is_refused(tmp_path: Any) -> None:
    path = tmp_path / "policy.csv"
    path.write_bytes(b"\xef\xbb\xbfp, True, deny\np, r.sub.age > 18, allow\n")
    assert reference(RULES).enforce is not None
    with pytest.raises(PolicyError, match="policy type the model lacks"):
        CompiledEnforcer(model_of(RULES), str(path), "strict")


def test_an_adapter_that_fails_is_refused(tmp_path: Any) -> None:
    path = tmp_path / "policy.csv"
    path.write_text("p, r.sub.age) > 18, allow\n", encoding="utf-8")
    with pytest.raises(PolicyError, match="IndexError"):
        CompiledEnforcer(model_of(RULES), str(path), "strict")


@pytest.mark.parametrize("row", [("p", "True"), ("p", "True", "allow", "more")])
def test_a_row_of_the_wrong_length_is_refused(row: tuple[str, ...]) -> None:
    assert "fields where the model defines 2" in refusal(RULES, GOOD, row)


@pytest.mark.parametrize("eft", ["DENY", "Deny", "", "denied"])
def test_an_effect_other_than_allow_and_deny_is_refused(eft: str) -> None:
    assert "neither allow nor deny" in refusal(RULES, rule("True", eft))


def test_an_empty_policy_is_refused_where_pycasbin_may_allow() -> None:
    model = text("r.sub == p.sub", "sub, eft", "!some(where (p.eft == deny))")
    assert reference(model).enforce("alice", "o", "a") is True
    assert "empty" in refusal(text("r.sub == p.sub", "sub, eft"))


def test_an_effect_without_an_allow_guard_is_refused() -> None:
    model = text("eval(p.rule)", effect="!some(where (p.eft == deny))")
    assert reference(model, rule("1 == 2", "deny")).enforce("alice", "o", "a") is True
    assert "require an allow" in refusal(model, GOOD)


@pytest.mark.parametrize(
    "condition",
    ["r.sub.name == 'a && b'", "r.sub.name == 'a||b'", "r.sub.name == 'no!'", "r.sub.name == 'r.sub'",
     'r.sub.name == "p.act"', "r.sub.name == 'a#b'", "r.sub.name == 'a;b'"],
)  # fmt: skip
def test_a_literal_that_rewriting_would_change_is_refused(condition: str) -> None:
    assert "rewrite" in refusal(RULES, rule(condition))


def test_a_literal_of_the_matcher_that_rewriting_would_change_is_refused() -> None:
    assert "rewrite" in refusal(text("r.act == 'a&&b' && eval(p.rule)"), GOOD)


def test_membership_in_a_lone_text_is_refused() -> None:
    condition = "r.sub.name in ('administrator')"
    assert reference(RULES, rule(condition)).enforce(hostile.Bag(name="admin"), "o", "a") is True
    assert "comma" in refusal(RULES, rule(condition))
    assert strict(RULES, rule("r.sub.name in ('administrator',)")).enforce(hostile.Bag(name="admin"), 0, 0) is False


def test_a_condition_that_leaves_its_parentheses_is_refused() -> None:
    model = text("r.act == p.act && eval(p.rule)", "act, rule, eft")
    escape = ("p", "write", "1==2) or (1==1", "allow")
    assert reference(model, escape).enforce("alice", "o", "read") is True
    assert "parentheses" in refusal(model, escape)


@pytest.mark.parametrize("condition", ["(", "r.sub.age >", "a b", "", "r.sub.age > 1; True", "r.sub.age # > 1"])
def test_a_condition_that_does_not_parse_is_refused(condition: str) -> None:
    assert refusal(RULES, GOOD, rule(condition))


@pytest.mark.parametrize(
    "condition",
    ["r.obj.delete()", "r.sub.name.startswith('a')", "r.sub.tags[0] == 'a'", "[x for x in r.sub.tags]",
     "f'{r.sub.name}' == 'a'", "r.sub.age ** 2 > 4", "r.sub.age + 1 > 4", "r.sub.age * 2 > 4", "custom(r.sub)",
     "lambda: 1", "r.sub.age if r.sub.vip else 1", "timeMatch('_', '_')", "r.sub is r.obj", "nothing == 1",
     "r.sub._private == 1", "r.sub.__class__ == 1", "r.sub.mro == 1", "x&&y"],
)  # fmt: skip
def test_what_is_not_compiled_is_refused(condition: str) -> None:
    assert refusal(RULES, rule(condition))


@pytest.mark.parametrize(
    "condition",
    ["'18' == 18", "True == 1", "r.sub.vip > True", "r.sub.age > None", "r.sub.age in (1, 'a')", "r.sub.age in ()",
     "'x'", "1", "r.sub.age - 'a' > 1", "('a',) == r.sub.name", "None in r.sub.tags", "r.sub.age > 1e999"],
)  # fmt: skip
def test_operands_of_unlike_kinds_are_refused_where_the_text_tells(condition: str) -> None:
    assert refusal(RULES, rule(condition))


def chain(links: int) -> list[tuple[str, ...]]:
    return [("g", f"role{number}", f"role{number + 1}") for number in range(links)]


def test_a_chain_of_more_than_nine_links_is_refused() -> None:
    model = text("g(r.sub, p.sub)", "sub, eft", roles="g = _, _")
    row = ("p", "role10", "allow")
    assert reference(model, row, *chain(10)).enforce("role0", "o", "a") is False
    assert "more than 9 links" in refusal(model, row, *chain(10))
    assert strict(model, ("p", "role9", "allow"), *chain(9)).enforce("role0", "o", "a") is True


def test_a_role_link_of_the_wrong_length_is_refused() -> None:
    model = text("g(r.sub, p.sub)", "sub, eft", roles="g = _, _")
    assert "role link" in refusal(model, ("p", "a", "allow"), ("g", "alice", "admin", "domain"))


def test_conditional_roles_are_refused() -> None:
    model = text("g(r.sub, p.sub)", "sub, eft", roles="g = _, _, (_, _)")
    assert "conditional" in refusal(model, ("p", "a", "allow"))


@pytest.mark.parametrize("priority", ["high", "-1", "1.5", "", "²"])
def test_a_priority_that_sorts_as_text_is_refused(priority: str) -> None:
    model = text("eval(p.rule)", "rule, eft, priority", "priority(p.eft) || deny")
    assert "whole number" in refusal(model, ("p", "True", "allow", priority))


@pytest.mark.parametrize(
    "pattern",
    ["(a+)+$", "^(a|a)*$", "(a*)*$", "a+a+$", r"(a)\1$", "(?=a)a$", "abc", "^/public", "(", "a*b*c*d*e*f*$", "^a|b$"],
)
def test_an_unbounded_or_open_ended_regular_expression_is_refused(pattern: str) -> None:
    model = text("regexMatch(r.obj, p.obj)", "obj, eft")
    assert "regexMatch" in refusal(model, ("p", pattern, "allow"))


def test_text_behind_the_first_star_of_key_match_is_refused() -> None:
    model = text("keyMatch(r.obj, p.obj)", "obj, eft")
    assert reference(model, ("p", "/a/*/edit", "allow")).enforce("s", "/a/anything", "a") is True
    assert "ignores" in refusal(model, ("p", "/a/*/edit", "allow"))


def test_a_model_without_a_section_or_with_an_unknown_effect_is_refused() -> None:
    assert "does not have" in refusal(text("eval(p.rule)", effect="any"), GOOD)
    with pytest.raises(PolicyError, match="no definition"):
        strict(RULES.replace("[matchers]\nm", "[matchers]\nm2"), GOOD)


def test_a_custom_function_is_refused() -> None:
    with pytest.raises(PolicyError, match="custom function"):
        strict(RULES, GOOD).add_function("custom", lambda: True)


def test_every_finding_is_told() -> None:
    with pytest.raises(PolicyError) as caught:
        strict(RULES, rule("True", "DENY"), rule("True", "Allow"), ("p", "True"))
    assert [finding.row for finding in caught.value.findings] == [0, 1, 2]
    assert "2 more" in str(caught.value)


# -- a deny with a reason ----------------------------------------------------------------------------------


def failure(condition: str, subject: object) -> tuple[tuple[int, type[Exception]], ...]:
    enforcer = strict(RULES, rule(condition), rule("True"))
    assert enforcer.enforce(subject, "o", "a") is False
    assert enforcer.enforce_ex(subject, "o", "a") == (False, [])
    with pytest.raises(ConditionError) as caught:
        enforcer.match(subject, "o", "a")
    verdict = enforcer.decide(subject, "o", "a")
    assert verdict.error is not None
    assert verdict.error.failures == caught.value.failures
    return caught.value.failures


def test_a_missing_attribute_denies_whatever_the_order_of_rules() -> None:
    rows = [rule("True"), rule("r.sub.nothing == 1")]
    bag = hostile.Bag(age=1)
    assert reference(RULES.replace(BOTH, ALLOW), *rows).enforce(bag, "o", "a") is True
    for order in (rows, rows[::-1]):
        verdict = strict(RULES.replace(BOTH, ALLOW), *order).decide(bag, "o", "a")
        assert not verdict.allowed
        assert verdict.error is not None
        assert verdict.error.rows == (order.index(rows[1]),)


@pytest.mark.parametrize(
    ("condition", "values"),
    [
        ("r.sub.posture != 'compromised'", {"posture": None}),
        ("!(r.sub.risk > 50)", {"risk": float("nan")}),
        ("r.sub.risk == 1", {"risk": True}),
        ("r.sub.vip == True", {"vip": 1}),
        ("r.sub.age == 18", {"age": "18"}),
        ("r.sub.vip", {"vip": "false"}),
        ("r.sub.vip", {"vip": 1}),
        ("!r.sub.vip", {"vip": None}),
        ("'admin' in r.sub.roles", {"roles": "administrator"}),
        ("'admin' in r.sub.roles", {"roles": {"admin": 1}}),
        ("r.sub.age in (1, 2)", {"age": True}),
        ("r.sub.name in ('a', 'b')", {"name": ["a"]}),
        ("r.sub.age - r.sub.other < 5", {"age": 1, "other": "a"}),
        ("r.sub.age - r.sub.other < 5", {"age": float("inf"), "other": float("inf")}),
        ("r.sub.age < r.sub.other", {"age": 1, "other": float("nan")}),
        ("r.sub.name == r.sub.other", {"name": "a", "other": 1}),
        ("r.sub.name == r.sub.other", {"name": None, "other": None}),
        ("r.sub.name == 'alice'", {"name": hostile.Text("bob")}),
        ("r.sub.name != None", {"name": hostile.EqualToAll()}),
        ("r.sub.items == 'a'", {"items": 1}),
        ("keyMatch(r.sub.path, '/pub/*')", {"path": "/pub/../admin"}),
        ("keyMatch(r.sub.path, '/pub/*')", {"path": "/pub//admin"}),
        ("keyMatch2(r.sub.path, '/pub/:id')", {"path": "/pub/1\n"}),
        ("regexMatch(r.sub.path, '^[a-z]+$')", {"path": "a\n"}),
    ],
)
def test_a_value_of_another_kind_denies(condition: str, values: dict[str, Any]) -> None:
    assert failure(condition, hostile.Bag(**values) if "items" not in values else dict(values)) == (
        (0, KindMismatchError),
    )


def test_a_value_that_raises_denies_with_its_class() -> None:
    assert failure("r.sub.age > 18", hostile.Raising()) == ((0, ZeroDivisionError),)
    assert failure("r.sub.age > 18", hostile.Bag()) == ((0, AttributeError),)
    assert failure("r.sub.age > 18", {}) == ((0, KeyError),)


@pytest.mark.parametrize("subject", [hostile.Liar(age=20), hostile.Caller(age=20)])
def test_an_object_that_can_pass_for_another_denies(subject: object) -> None:
    assert failure("r.sub.age > 18", subject) == ((-1, KindMismatchError),)


@pytest.mark.parametrize("act", [None, 1, hostile.Text("read"), hostile.Shy("read"), hostile.EqualRaises(), ["read"]])
def test_a_key_that_is_not_text_denies_before_any_rule(act: object) -> None:
    enforcer = strict(text("r.act == p.act && eval(p.rule)", "act, rule, eft"), ("p", "read", "True", "allow"))
    with pytest.raises(ConditionError) as caught:
        enforcer.match("alice", "o", act)
    assert caught.value.failures == ((-1, KindMismatchError),)
    assert caught.value.rows == ()


def test_every_failing_rule_is_named_up_to_sixteen() -> None:
    enforcer = strict(RULES, *[rule("r.sub.age > 1")] * 40)
    with pytest.raises(ConditionError) as caught:
        enforcer.match(hostile.Bag(), "o", "a")
    assert caught.value.rows == tuple(range(16))


def test_no_message_holds_an_attribute_value() -> None:
    error = strict(RULES, GOOD).decide(hostile.Bag(age="s3cret"), "o", "a").error
    assert error is not None
    assert "s3cret" not in f"{error!r} {error}"


def test_values_that_no_condition_reads_are_not_inspected() -> None:
    subject = {"age": 20, "module": os}
    assert outcome(reference(RULES, GOOD).enforce, subject, "o", "a")[0] == "raised"
    assert strict(RULES, GOOD).enforce(subject, "o", "a") is True
    for unread, error in ((hostile._cyclic(), RecursionError), (hostile.Caller(), TypeError)):
        subject = {"age": 20, "unread": unread}
        assert outcome(reference(RULES, GOOD).enforce, subject, "o", "a") == ("raised", error)
        assert strict(RULES, GOOD).enforce(subject, "o", "a") is True


def test_the_documentation_names_these_tests_and_no_others() -> None:
    table = (Path(__file__).parents[2] / "docs" / "engine.md").read_text("utf-8")
    documented = set(re.findall(r"`(test_\w+)`", table))
    assert documented == {name for name in globals() if name.startswith("test_")} - {
        "test_the_documentation_names_these_tests_and_no_others"
    }
