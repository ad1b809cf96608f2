"""Names of sub-expressions, and the variables that shared values are kept in."""

from __future__ import annotations

import ast
import itertools

import pytest

from pdp.engine.compiled.sharing import Counting, Keeping, Unnamed, name_of


def name(text: str, **fields: str) -> str:
    return name_of(ast.parse(text, mode="eval").body, fields)


DIFFERENT = (
    "1", "1.0", "True", "'1'", "-1", "r.a", "r.a.b", "r.b", "'r.a'", "a == b", "b == a", "a != b", "a < b < c",
    "(a < b) < c", "a and b", "b and a", "a or b", "not a", "(1, 2)", "[1, 2]", "(1,)", "f(a)", "f(a, b)",
    "f((a, b))", "f()",
    "g(a)", "a in b", "a not in b", "a - b", "a and b and c", "(a and b) and c", "''", "None", "'None'",
)  # fmt: skip


@pytest.mark.parametrize(("one", "other"), list(itertools.combinations(DIFFERENT, 2)))
def test_unlike_expressions_have_unlike_names(one: str, other: str) -> None:
    assert name(one) != name(other)


@pytest.mark.parametrize("text", DIFFERENT)
def test_a_name_does_not_depend_on_how_an_expression_is_spelled(text: str) -> None:
    assert name(text) == name(f"( {text} )")


def test_a_policy_field_is_named_by_the_text_of_the_rule() -> None:
    assert name("r == p_sub", p_sub="alice") == name("r == 'alice'")
    assert name("r == p_sub", p_sub="alice") != name("r == p_sub", p_sub="bob")


@pytest.mark.parametrize(
    "text", ["a + b", "a is b", "a[0]", "lambda: 1", "a.b()", "f(x=1)", "{1}", "~a", "a if b else c"]
)
def test_what_is_not_compiled_has_no_name(text: str) -> None:
    with pytest.raises(Unnamed):
        name(text)


def test_counting_looks_into_a_shared_value_once() -> None:
    counting = Counting()

    def write_outer() -> str:
        counting.keep("inner", lambda: "i", "", "")
        return "o"

    for _ in range(3):
        counting.keep("outer", write_outer, "", "")
    assert counting.counts == {"outer": 3, "inner": 1}


def keep(keeping: Keeping, key: str = "k", value: str = "v", guard: str = "") -> str | None:
    return keeping.keep(key, lambda: value, guard, "E()")


def test_a_value_that_is_not_chosen_is_left_to_the_writer() -> None:
    assert keep(Keeping((), ())) is None


def test_the_first_use_sets_a_variable_and_those_after_it_read_it() -> None:
    keeping = Keeping(("k",), ())
    assert [keep(keeping), keep(keeping)] == ["(x0 := v)", "x0"]
    assert keeping.tested == set()


def test_after_a_use_that_may_not_have_been_reached_the_variable_is_tested() -> None:
    keeping = Keeping(("k",), ())
    mark = keeping.leave_open()
    assert keep(keeping) == "(x0 := v)"
    keeping.close(mark)
    assert keep(keeping) == "(x0 if x0 is not ... else (x0 := v))"
    assert keep(keeping) == "x0"
    assert keeping.tested == {"x0"}


def test_a_common_value_may_be_set_by_an_earlier_block() -> None:
    keeping = Keeping(("k",), ("c",))
    assert keep(keeping, "c") == "(x0 if x0 is not ... else (x0 := v))"
    assert keep(keeping) == "(x1 := v)"


def test_what_only_an_unset_variable_evaluates_is_not_sure() -> None:
    keeping = Keeping(("inner",), ("outer",))
    keeping.keep("outer", lambda: str(keep(keeping, "inner")), "", "")
    assert keep(keeping, "inner") == "(x1 if x1 is not ... else (x1 := v))"


def test_a_guard_is_passed_once() -> None:
    keeping = Keeping(("k",), ())
    mark = keeping.leave_open()
    assert keep(keeping, guard="type({0} := {1}) is str") == "(x0 if type(x0 := v) is str else E())"
    keeping.close(mark)
    assert keep(keeping, guard="type({0} := {1}) is str") == "(x0 if x0 is not ... or type(x0 := v) is str else E())"
    assert keep(keeping, guard="type({0} := {1}) is str") == "x0"
