"""Conditions that know how to be satisfied: each atom can set the attributes it reads, or spoil one."""

from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Env = dict[str, Any]
"""Attribute values by path, such as ``sub.age``."""

TEXTS = ("red", "blue", "green", "alice", "doc", "")
NUMBERS = (0, 1, 18, 60, -1, 2.5)
NUMBER_PATHS = ("sub.age", "obj.level")
TEXT_PATHS = ("sub.dept", "sub.name", "obj.owner", "sub.boss.name")
COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge, "==": operator.eq, "!=": operator.ne,
}  # fmt: skip


@dataclass(frozen=True)
class Atom:
    """A condition with a value for each path that makes it true, and one that makes it false."""

    text: str
    holds: dict[str, Any]
    fails: dict[str, Any]


def literal(value: object) -> str:
    return repr(value)


def number(path: str, symbol: str, bound: float) -> Atom:
    pool = (bound - 1, bound, bound + 1)
    test = COMPARE[symbol]
    good = next(value for value in pool if test(value, bound))
    bad = next(value for value in pool if not test(value, bound))
    return Atom(f"r.{path} {symbol} {bound}", {path: good}, {path: bad})


def text_equal(path: str, value: str, *, flipped: bool) -> Atom:
    text = f"{literal(value)} == r.{path}" if flipped else f"r.{path} == {literal(value)}"
    return Atom(text, {path: value}, {path: value + "x"})


def text_differs(path: str, value: str) -> Atom:
    return Atom(f"r.{path} != {literal(value)}", {path: value + "x"}, {path: value})


def among(path: str, values: tuple[str, ...], *, brackets: str) -> Atom:
    body = ", ".join(literal(value) for value in values) + ("," if brackets == "()" and len(values) == 1 else "")
    return Atom(f"r.{path} in {brackets[0]}{body}{brackets[1]}", {path: values[-1]}, {path: "none"})


def not_among(path: str, values: tuple[str, ...]) -> Atom:
    body = ", ".join(literal(value) for value in values) + ","
    return Atom(f"r.{path} not in ({body})", {path: "none"}, {path: values[0]})


def tagged(tag: str) -> Atom:
    return Atom(f"{literal(tag)} in r.sub.tags", {"sub.tags": [tag, "z"]}, {"sub.tags": ["z"]})


FIXED = (
    Atom("r.sub.vip", {"sub.vip": True}, {"sub.vip": False}),
    Atom("!r.sub.vip", {"sub.vip": False}, {"sub.vip": True}),
    Atom("r.sub.vip == True", {"sub.vip": True}, {"sub.vip": False}),
    Atom("r.sub.name == r.obj.owner", {"sub.name": "alice", "obj.owner": "alice"}, {"obj.owner": "bob"}),
    Atom("r.sub.name != r.obj.owner", {"sub.name": "alice", "obj.owner": "bob"}, {"obj.owner": "alice"}),
    Atom("r.sub.age > r.obj.level", {"sub.age": 9, "obj.level": 3}, {"sub.age": 1}),
    Atom("r.sub.age - r.obj.level <= 5", {"sub.age": 9, "obj.level": 6}, {"sub.age": 90}),
    Atom("0 < r.sub.age < 50", {"sub.age": 20}, {"sub.age": 50}),
    Atom("(r.sub.vip || r.sub.age > 30)", {"sub.age": 31}, {"sub.age": 3, "sub.vip": False}),
    Atom("(r.sub.vip && r.sub.age > 3)", {"sub.age": 31, "sub.vip": True}, {"sub.age": 3}),
    Atom("!(r.sub.age > 50)", {"sub.age": 31}, {"sub.age": 51}),
    Atom("r.sub.boss.name == r.sub.name", {"sub.boss.name": "alice", "sub.name": "alice"}, {"sub.boss.name": "q"}),
    Atom("r.obj.type == 'doc'", {"obj.type": "doc"}, {"obj.type": "docs"}),
    Atom("keyMatch(r.obj.owner, 'al*')", {"obj.owner": "alice"}, {"obj.owner": "bob"}),
    Atom("regexMatch(r.sub.name, '^al[a-z]+$')", {"sub.name": "alice"}, {"sub.name": "al1"}),
    Atom("True", {}, {}),
)

ODD = (
    "", "(", ")", "1", "1.0", "0.0", "'yes'", "None", "False", "r.sub", "r.sub.age", "r.sub.missing == 1",
    "r.sub.missing", "1==2) or (1==1", "1==1) and (1==2", "r.sub.name.startswith('al')", "r.sub.tags[0] == 'red'",
    "r.sub.age + 1 > 18", "r.sub.age * 2 > 18", "r.sub.age ** 2 > 18", "-r.sub.age < 0", "r.sub.name in ('alice')",
    "r.sub.name in 'alice'", "[x for x in r.sub.tags] == ['red']", "len(r.sub.tags) > 1", "r.sub.__class__",
    "r.sub._x == 1", "r.sub.func_x", 'r.sub.name == "a && b"', "r.sub.name == 'r.sub'", "r.sub.name == 'p.sub!'",
    "r.sub.name is None", "r.sub.name == None", "r.sub.age if r.sub.vip else True", "x == 1", "r.sub.vip == true_",
    "r.sub.items",
    "r.obj.keys == 1", "lambda: 1", "f'{r.sub.name}' == 'alice'", "a, b", "True,", "r.sub.vip, # x\n", "(True,)",
    "*r.sub.tags", "x=1", "x:=1",
    "r.sub == r.obj",
    "r.sub.tags == ['red', 'z']", "r.sub.tags == ('red', 'z')", "r.sub.age == 18 == True", "not", "r.sub.age > 'a'",
    "r.sub.age in (18, 19)", "r.sub.vip in (1, 'x')", "keyMatch(r.sub.name)", "keyMatch('al', r.sub.name)",
    "regexMatch(r.sub.name, '(')", "ipMatch(r.sub.name, '10.0.0.0/8')", "globMatch(r.sub.name, 'al*')",
    "keyMatch2(r.sub.name, '/:id')", "keyMatch3(r.sub.name, '/{id}')", "keyMatch4(r.sub.name, '/{a}/{a}')",
    "keyMatch5(r.sub.name, '/{a}')", "timeMatch('_', '_')", "timeMatch('x', 'y')", "custom(r.sub.name)",
    "eval(p.sub)",
    "r2.sub == 1", "p.act == r.act", "p.nothing == 1", "r.act == 'read'", "r.sub.age # > 3", "r.sub.age; 1",
    "{'a': 1}", "{1, 2}", "r.sub.age >> 1 == 9", "~r.sub.age", "r.sub.tags is r.sub.tags", "(yield)", "'\\n' == ''",
    "r.sub.age - 'a' == 1", "r.sub.tags - r.sub.tags == 1", "True && True", "True && 1", "1 && r.sub.vip",
    "r.sub.vip || 'x'", "keyMatch(r.sub.name, p.act)", "r.sub.real", "r.sub.age.real > 3", "r.sub.name == 'é'",
    "r.sub . age > 3", "r.sub.age\n> 3", "((((r.sub.age > 3))))", "r.sub.name[0:1] == 'a'", "not r.sub.vip == True",
)  # fmt: skip
