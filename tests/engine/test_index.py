"""The index and what it is made from: it must lead to every rule that a walk over all rows would find."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdp.engine import CompiledEnforcer
from pdp.engine.compiled import regexes, safety
from pdp.engine.compiled.errors import UnsureError
from pdp.engine.compiled.roles import MAX_LINKS, DomainRoles, Roles
from tests.engine import hostile
from tests.engine.compare import model_of

SERVICE = """[request_definition]
r = role, action, subject, device, session, resource, context
[policy_definition]
p = id, role, action, resource, condition, eft, obligations, reason
[role_definition]
g = _, _
g2 = _, _
g3 = _, _
[policy_effect]
e = some(where (p.eft == allow)) && !some(where (p.eft == deny))
[matchers]
m = (p.role == "*" || g(r.role, p.role)) && (p.action == "*" || g2(r.action, p.action)) \
&& (p.resource == "*" || g3(r.resource.type, p.resource)) && eval(p.condition)
"""
NAMES = ("a", "b", "c", "*", "z")
name = st.sampled_from(NAMES)
links = st.lists(st.tuples(name, name), max_size=8)


def reach(pairs: list[tuple[str, str]], start: str) -> set[str]:
    found = {start}
    for _ in range(MAX_LINKS):
        found |= {role for member, role in pairs if member in found}
    return found


@given(links, name)
def test_a_closure_is_what_nine_links_reach(pairs: list[tuple[str, str]], start: str) -> None:
    assert Roles(pairs).reach(start) == reach(pairs, start)
    assert DomainRoles((*pair, "d") for pair in pairs).reach(start, "d") == reach(pairs, start)
    assert DomainRoles((*pair, "d") for pair in pairs).reach(start, "other") == {start}


def test_unknown_names_leave_nothing_behind() -> None:
    roles = Roles([("a", "b")])
    for number in range(1000):
        roles.reach(f"unknown{number}")
    assert len(roles._reached) == 0
    assert roles.has_link("x", "x")
    assert not roles.has_link("b", "a")


@given(
    st.lists(st.tuples(name, name, name), min_size=1, max_size=30), links, links, links, st.tuples(name, name, name)
)
def test_every_rule_that_matches_is_found_whatever_the_wildcards_and_roles(
    rules: list[tuple[str, str, str]],
    g: list[tuple[str, str]],
    g2: list[tuple[str, str]],
    g3: list[tuple[str, str]],
    asked: tuple[str, str, str],
) -> None:
    rows = [("p", f"r{number}", *rule, "True", "allow", "", "") for number, rule in enumerate(rules)]
    roles = [(key, *pair) for key, pairs in (("g", g), ("g2", g2), ("g3", g3)) for pair in pairs]
    enforcer = CompiledEnforcer(model_of(SERVICE), [*rows, *roles], "strict")
    request = (asked[0], asked[1], None, None, None, hostile.Bag(type=asked[2]), None)
    wanted = tuple(
        number
        for number, rule in enumerate(rules)
        if all(
            field == "*" or field in reach(pairs, value)
            for field, pairs, value in zip(rule, (g, g2, g3), asked, strict=True)
        )
    )
    for _ in range(2):
        assert enforcer.match(*request) == wanted


def test_a_stream_of_unknown_names_is_not_remembered() -> None:
    rows = [("p", "r", "*", "read", "*", "True", "allow", "", ""), ("g", "a", "b")]
    enforcer = CompiledEnforcer(model_of(SERVICE), rows, "strict")
    for number in range(500):
        assert enforcer.match(f"x{number}", "read", None, None, None, hostile.Bag(type=f"t{number}"), None) == (0,)
    index = enforcer._engine.programs["r", "p", "m"].builder.index
    assert index.remembered is not None
    assert len(index.remembered) == 1


BUCKET = """[request_definition]
r = sub, obj, act
[policy_definition]
p = rule, act
[policy_effect]
e = some(where (p.eft == allow))
[matchers]
m = r.act == p.act && eval(p.rule)
"""


@given(
    st.lists(
        st.tuples(st.sampled_from(("==", "in")), st.sampled_from(("name", "dept")), name, name, st.booleans()),
        min_size=8,
        max_size=60,
    ),
    name,
    name,
)
def test_a_second_index_finds_what_the_conditions_say(
    specs: list[tuple[str, str, str, str, bool]], asked_name: str, asked_dept: str
) -> None:
    values = {"name": asked_name, "dept": asked_dept}
    rows, wanted = [], []
    for number, (symbol, path, one, two, more) in enumerate(specs):
        texts = (one,) if symbol == "==" else (one, two)
        condition = f"r.sub.{path} == '{one}'" if symbol == "==" else f"r.sub.{path} in ('{one}', '{two}')"
        rows.append(("p", condition + (f" && r.sub.dept == '{two}'" if more else ""), "read"))
        if values[path] in texts and (not more or asked_dept == two):
            wanted.append(number)
    for mode in ("strict", "exact"):
        enforcer = CompiledEnforcer(model_of(BUCKET), rows, mode)
        assert enforcer.match(hostile.Bag(**values), "o", "read") == tuple(wanted)


@pytest.mark.parametrize(
    "pattern", ["^a$", "^/a/[0-9]+$", "^[a-z]{1,8}$", "^/a/[^/]+/[^/]+$", r"^a\Z", "^(ab)?c$", "^.*$"]
)
def test_bounded_and_closed_patterns_pass(pattern: str) -> None:
    assert regexes.problem_of(pattern) == ""


@pytest.mark.parametrize(
    "value", [1, "a", None, {}, {"a": [1, {"b": ()}]}, [1], hostile.Bag(), hostile.Lazy(), {1, 2}]
)
def test_plain_values_may_be_read(value: object) -> None:
    assert safety.check_base(value) is value


@pytest.mark.parametrize(
    "value",
    [eval, {"a": eval}, [eval], hostile.Liar(), hostile.Caller(), hostile._cyclic(), hostile._deep(), int,
     hostile.Tags(), hostile.Text("a"), hostile.Number(1), hostile.Sizes(), {"a": hostile.EqualToAll()}],
)  # fmt: skip
def test_other_values_go_to_the_reference(value: object) -> None:
    with pytest.raises(UnsureError):
        safety.check_base(value)


@pytest.mark.parametrize("value", [hostile.Bag(), hostile.EqualIsOdd(), [hostile.Bag()], {"a": hostile.Bag()}])
def test_objects_are_no_operands(value: object) -> None:
    with pytest.raises(UnsureError):
        safety.check_operand(value)


JOINED = """[request_definition]
r = role, act, sub
[policy_definition]
p = role, act, rule
[role_definition]
g = _, _
[policy_effect]
e = some(where (p.eft == allow))
[matchers]
m = (p.role == "*" || g(r.role, p.role)) && {} && eval(p.rule)
"""


@pytest.mark.parametrize("mode", ["strict", "exact"])
@pytest.mark.parametrize("act", ["r.act == p.act", '(p.act == "*" || r.act == p.act)'])
@pytest.mark.parametrize(("parts", "size"), [(1, 60), (3, 10), (3, 40), (8, 33), (17, 3), (30, 5)])
def test_joined_keys_find_what_the_conditions_say(mode: Any, act: str, parts: int, size: int) -> None:
    rows: list[tuple[str, ...]] = []
    for number in range(parts * size):
        more = " && r.sub.dept == 'd1'" if number % 3 else ""
        rows.append(("p", f"role{number % parts}", "read", f"r.sub.name == 'n{number % 7}'{more}"))
    rows += [("p", "*", "read", "r.sub.dept != 'd2'"), ("p", "*", "read", "True")]
    links = [("g", "all", f"role{part}") for part in range(parts)]
    enforcer = CompiledEnforcer(model_of(JOINED.format(act)), [*rows, *links], mode)
    for asked, dept in (("n1", "d1"), ("n2", "d2"), ("none", "d1")):
        wanted = [
            number
            for number in range(parts * size)
            if asked == f"n{number % 7}" and (number % 3 == 0 or dept == "d1")
        ]
        wanted += [parts * size] * (dept != "d2") + [parts * size + 1]
        for _ in range(2):
            assert enforcer.match("all", "read", hostile.Bag(name=asked, dept=dept)) == tuple(wanted)
    assert enforcer.match("nobody", "read", hostile.Bag(name="n1", dept="d1")) == (parts * size, parts * size + 1)
