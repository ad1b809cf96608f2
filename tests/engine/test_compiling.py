"""From text to tests, step by step: syntax, conditions, plans, templates."""

from __future__ import annotations

import ast
from typing import Any

import pytest
from casbin.util import util
from hypothesis import given
from hypothesis import strategies as st

from pdp.engine.compiled.conditions import Conditions, Equality, Path, literal_equality, path_of
from pdp.engine.compiled.errors import NotCompilableError
from pdp.engine.compiled.exact import HELPERS, ExactWriter
from pdp.engine.compiled.plan import Plan, make_plan
from pdp.engine.compiled.roles import DomainRoles, Roles
from pdp.engine.compiled.strict import StrictWriter
from pdp.engine.compiled.syntax import conjuncts, parse_condition, parse_matcher, rewrite, substitute
from pdp.engine.compiled.templates import Templates
from pdp.engine.compiled.writing import Scope, check_attribute, constant, read

SCOPE = Scope(
    {"r_sub": 0, "r_obj": 1, "r_act": 2, "r_dom": 3},
    {"p_sub": 0, "p_obj": 1, "p_act": 2, "p_rule": 3},
    {"g": Roles([("a", "b")]), "gd": DomainRoles(())},
)


def expression(text: str) -> ast.expr:
    return ast.parse(text, mode="eval").body


def plan(text: str, writer: Any = ExactWriter) -> Plan:
    return make_plan(parse_matcher(text, [*SCOPE.policy]), SCOPE, writer)


# -- syntax ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "python"),
    [
        ("a && b", "a and b"), ("a||b", "aorb"), ("!a", "not a"), ("a != b", "a != b"),
    ("!a != !b", "not a != not b"),
        ("!!a", "not not a"), ("'a&&b'", "'aandb'"), ("a!", "anot "),
    ],
)  # fmt: skip
def test_operators_are_rewritten_as_pycasbin_does(text: str, python: str) -> None:
    assert rewrite(text) == python


@pytest.mark.parametrize("text", ["1==2) or (1==1", "a) and (b", "*a", "x=a", "", "a; b", "a\nb", ")(", "a b", "**a"])
def test_a_condition_must_be_one_expression_inside_its_parentheses(text: str) -> None:
    with pytest.raises(NotCompilableError):
        parse_condition(text)


@pytest.mark.parametrize("text", ["a", "(a)", "a and b", "(a) or (b)", "a\n > b", "(a, b)", "f(a, b)"])
def test_a_condition_that_stays_inside_is_parsed_as_it_stands(text: str) -> None:
    assert ast.dump(parse_condition(text)) == ast.dump(expression(f"({text})"))


@pytest.mark.parametrize("text", ["a,", "a , ", "a, # b\n", "a,\\\n", "(a),", "a == 1,"])
def test_a_comma_at_the_end_makes_a_tuple(text: str) -> None:
    assert isinstance(parse_condition(text), ast.Tuple)


@given(st.text(alphabet="ab()&|! <,='\n", max_size=12))
def test_a_parsed_condition_means_the_same_inside_a_matcher(text: str) -> None:
    try:
        alone = parse_condition(text)
    except NotCompilableError:
        return
    whole = expression(rewrite(f"x && ({util.escape_assertion(text)})").strip())
    assert isinstance(whole, ast.BoolOp)
    assert ast.dump(whole.values[1]) == ast.dump(alone)


@pytest.mark.parametrize("depth", [10, 55, 80, 400])
def test_what_is_nested_too_deeply_is_refused(depth: int) -> None:
    text = "not " * depth + "r.a"
    if depth < 60:
        parse_condition(text)
    else:
        with pytest.raises(NotCompilableError):
            parse_condition(text)


@pytest.mark.parametrize("text", ["eval(p_none)", "'eval(p_rule)' == r_act", "a = 1", "", "a; b"])
def test_a_matcher_that_pycasbin_fails_on_is_not_compiled(text: str) -> None:
    with pytest.raises(NotCompilableError):
        parse_matcher(text, [*SCOPE.policy])


def test_conjuncts_are_flattened_in_order_and_no_further() -> None:
    parts = conjuncts(expression("a and (b and c) and (d or e) and not (f and g)"))
    assert [ast.unparse(part) for part in parts] == ["a", "b", "c", "d or e", "not (f and g)"]


def test_a_rule_stands_for_a_condition_only() -> None:
    rules = {"rule": expression("a or b")}
    assert ast.unparse(substitute(expression("x and (not rule)"), rules)) == "x and (not (a or b))"
    for text in ("rule == x", "f(rule)", "rule.a"):
        with pytest.raises(NotCompilableError, match="value"):
            substitute(expression(text), rules)


# -- conditions --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "path", "texts"),
    [
        ("r_sub.id == 'a'", Path(0, ("id",)), ("a",)), ("'a' == r_sub.id", Path(0, ("id",)), ("a",)),
        ("r_act == 'a'", Path(2), ("a",)), ("r_sub.a.b in ('x', 'y', 'x')", Path(0, ("a", "b")), ("x", "y")),
        ("r_sub.id in ['x']", Path(0, ("id",)), ("x",)),
    ],
)  # fmt: skip
def test_equalities_with_literal_texts_are_found(text: str, path: Path, texts: tuple[str, ...]) -> None:
    assert literal_equality(expression(text), SCOPE) == Equality(path, texts)


@pytest.mark.parametrize(
    "text",
    ["r_sub.id != 'a'", "r_sub.id == 1", "r_sub.id in ('a', 1)", "r_sub.id in ('a')",
    "r_sub.id == r_obj.id", "r_sub.id",
     "r_sub.id == ('a',)", "'a' in r_sub.id", "'a' == r_sub.id == 'a'", "r_sub.id in ()", "x.id == 'a'",
    "not r_sub.id == 'a'"],
)  # fmt: skip
def test_nothing_else_is_an_equality(text: str) -> None:
    assert literal_equality(expression(text), SCOPE) is None


def test_a_path_starts_at_a_request_value() -> None:
    assert path_of(expression("r_obj.a.b"), SCOPE) == Path(1, ("a", "b"))
    assert path_of(expression("p_obj.a"), SCOPE) is None
    assert path_of(expression("f().a"), SCOPE) is None


def conditions(matcher: str, writer: Any = StrictWriter) -> Conditions:
    parsed = parse_matcher(matcher, [*SCOPE.policy])
    return Conditions(parsed, make_plan(parsed, SCOPE, writer).residual, SCOPE, writer, lambda _: "")


def test_rows_with_the_same_text_share_one_condition() -> None:
    found = conditions("eval(p_rule)")
    one, other = found.of(("s", "o", "a", "r_sub.x > 1")), found.of(("t", "p", "b", "r_sub.x > 1"))
    assert one is other
    assert len(found) == 1
    assert found.texts(("s", "o", "a", "r_sub.x > 1")) == ("r_sub.x > 1",)


def test_what_a_test_reads_of_its_row_is_part_of_its_texts() -> None:
    found = conditions("(r_sub.x == p_obj || r_sub.y == p_sub) && eval(p_rule)")
    assert found.texts(("s", "o", "a", "True")) == ("True", "s", "o")


def test_conditions_are_taken_over_unless_they_hold_role_links() -> None:
    old, new = conditions("eval(p_rule)"), conditions("eval(p_rule)")
    rows = [("s", "o", "a", text) for text in ("r_sub.x > 1", "g(r_sub.x, 'b')", "(")]
    before = [old.of(row) for row in rows]
    new.adopt(old)
    assert [new.of(row) is condition for row, condition in zip(rows, before, strict=True)] == [True, False, True]
    assert [condition.lasts for condition in before] == [True, False, True]
    new.let_go()
    assert new.of(("s", "o", "a", "r_sub.x > 2")).source


def test_literal_true_leaves_no_test() -> None:
    assert conditions("eval(p_rule)").of(("s", "o", "a", "True")).source == ""
    assert conditions("eval(p_rule)").of(("s", "o", "a", "True && r_sub.x")).source != ""


def test_equalities_lead_only_from_the_start_of_the_condition() -> None:
    found = conditions("eval(p_rule)")
    leading = found.of(("s", "o", "a", "r_sub.a == 'x' && r_sub.b == 'y' && r_sub.n > 1 && r_sub.c == 'z'")).leading
    assert [equality.path.attributes for equality in leading] == [("a",), ("b",)]
    assert conditions("(r_obj.x || p_sub == 'a') && eval(p_rule)").of(("s", "o", "a", "r_sub.a == 'x'")).leading == ()


# -- plans -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("matcher", "gates", "indexed", "residual"),
    [
        ("r_sub == p_sub and r_obj == p_obj", 0, ["==", "=="], 0),
        ("p_sub == r_sub", 0, ["=="], 0),
        ("r_sub.name == p_sub", 0, ["=="], 0),
        ("r_act == 'x' and r_sub == p_sub", 1, ["=="], 0),
        ("r_sub == p_sub and r_act == 'x' and r_obj == p_obj", 1, ["==", "=="], 0),
        ("g(r_sub, p_sub) and r_obj == p_obj", 0, ["g", "=="], 0),
        ("gd(r_sub, p_sub, r_dom)", 0, ["gd"], 0),
        ("gd(r_sub, p_sub, p_obj) and r_obj == p_obj", 0, [], 2),
        ("g(p_sub, r_sub) and r_obj == p_obj", 0, [], 2),
        ("eval(p_rule) and r_sub == p_sub", 0, [], 2),
        ("keyMatch(r_obj, p_obj) and r_act == p_act", 0, ["keyMatch", "=="], 1),
        ("ipMatch(r_obj, p_obj) and r_act == p_act", 0, ["ipMatch"], 2),
        ("r_act == p_act and ipMatch(r_obj, p_obj)", 0, ["==", "ipMatch"], 1),
        ("keyMatch(p_obj, r_obj) and r_act == p_act", 0, [], 2),
        ("(p_sub == '*' or r_sub == p_sub) and r_act == p_act", 0, ["==", "=="], 0),
        ("(g(r_sub, p_sub) or '*' == p_sub) and r_act == p_act", 0, ["g", "=="], 0),
        ("(p_sub == '*' or r_sub == p_obj) and r_act == p_act", 0, [], 2),
        ("(p_sub == '*' or keyMatch(r_sub, p_sub))", 0, [], 1),
        ("r_sub != p_sub and r_act == p_act", 0, [], 2),
        ("r_sub.items == p_sub and r_act == p_act", 0, [], 2),
        ("r_sub._x == p_sub", 0, [], 1),
        ("r_sub == p_sub or r_act == p_act", 0, [], 1),
    ],
)  # fmt: skip
def test_leading_conjuncts_are_indexed_and_the_rest_is_left(
    matcher: str, gates: int, indexed: list[str], residual: int
) -> None:
    found = plan(matcher)
    assert (len(found.gates), [one.function for one in found.dimensions], len(found.residual)) == (
        gates,
        indexed,
        residual,
    )


def test_a_gate_must_be_compilable() -> None:
    assert len(plan("r_sub.x + 1 > 2 and r_act == p_act").residual) == 2
    assert len(plan("r_sub.vip > True", ExactWriter).gates) == 1
    assert len(plan("r_sub.vip > True", StrictWriter).gates) == 0


# -- writing and templates ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "known", "value"),
    [("1", True, 1), ("-1.5", True, -1.5), ("'a'", True, "a"), ("('a', -1)", True, ("a", -1)),
    ("[True]", True, (True,)),
     ("()", True, ()), ("-'a'", False, None), ("((1,),)", False, None), ("b'a'", False, None), ("1j", False, None),
     ("x", False, None), ("{1}", False, None)],
)  # fmt: skip
def test_literals_are_known(text: str, known: bool, value: object) -> None:  # noqa: FBT001 - an expectation
    found = constant(expression(text))
    assert found[0] is known
    assert not known or found == (True, value)


@pytest.mark.parametrize("name", ["_x", "__class__", "func_x", "format", "mro", "format_map"])
def test_attributes_that_simpleeval_refuses_are_refused(name: str) -> None:
    with pytest.raises(NotCompilableError):
        check_attribute(name)


def test_a_key_named_like_a_method_of_dict_gives_the_method() -> None:
    assert read("r0", "r0", "items") == "r0.items"
    assert "['age']" in read("r0", "r0", "age")


@pytest.mark.parametrize("writer", [ExactWriter, StrictWriter])
def test_no_literal_enters_the_source(writer: Any) -> None:
    written = writer(SCOPE)
    source = written.test(
        expression("r_sub.name == 'se\"cret' and r_sub.age in (4711, 4712) and keyMatch(r_act, '/x*')")
    )
    assert all(text not in source for text in ("cret", "471", "/x"))
    assert len(written.slots) == 3
    assert written.bases == {0}


def test_tests_of_one_shape_share_their_code() -> None:
    templates = Templates(1, {})
    one, other = templates.factory("r0 > c0", 1)(1), templates.factory("r0 > c0", 1)(2)
    assert one.__code__ is other.__code__
    assert (one(2), other(2)) == (True, False)
    assert templates.factory("r0 < c0", 1)(1).__code__ is not one.__code__


def test_compiled_code_has_no_builtins_but_a_few() -> None:
    templates = Templates(1, dict(HELPERS))
    for name in ("eval", "open", "__import__", "getattr", "print"):
        with pytest.raises(NameError):
            templates.factory(f"{name}(r0)", 0)()(1)
    assert templates.factory("type(r0) is str", 0)()("a") is True


def test_a_defined_function_is_not_named_by_its_globals() -> None:
    function: Any = Templates(1, {}).define("def f(r0):\n return r0\n", "f")
    assert "f" not in function.__globals__


def test_source_that_python_cannot_compile_is_not_compilable() -> None:
    with pytest.raises(NotCompilableError, match="too large"):
        Templates(1, {}).factory("(" * 300 + "r0" + ")" * 300, 0)
