"""Random models, policies and requests, type-directed: most requests nearly match a rule, or do."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from casbin.model import FunctionMap
from hypothesis import strategies as st

from tests.engine import atoms, hostile
from tests.engine.atoms import Atom, Env

EFFECTS = (
    "some(where (p.eft == allow))",
    "!some(where (p.eft == deny))",
    "some(where (p.eft == allow)) && !some(where (p.eft == deny))",
    "priority(p.eft) || deny",
    "subjectPriority(p.eft) || deny",
)
_EFFECTS_DRAWN = (EFFECTS[0],) * 3 + EFFECTS[1:2] + EFFECTS[2:4] * 2 + EFFECTS[4:]
SUBJECTS = ("alice", "bob", "admin", "lead", "*")
ACTIONS = ("read", "write", "*")
TYPES = ("doc", "file", "*")
DOMAINS = ("d1", "d2")
PATHS = ("/a/1", "/a/b/c", "/b", "/a", "10.1.2.3", "/a/1/1", "é")
ADDRESSES = ("10.1.2.3", "10.1.9.9", "192.168.0.1", "::1", "::ffff:10.1.2.3", "10.1.2")
PATTERNS = (
    *("/a/*", "/a/:id", "/a/{id}", "/*", "/a/1", "/a/:x/:y", "/a/{x}/{x}", "/a/**", "10.1.0.0/16", "10.1.2.3") * 4,
    *("^/a/[0-9]+$", "/a", "*", "/a|/b") * 2, "(", "[", "a*b", "", "/a/b?", "{/a,/b}/*", "*/1", "::1/128", ".*",
    "/a/1/?",
)  # fmt: skip


@dataclass(frozen=True)
class Shape:
    """A family of models.

    Attributes:
        tokens: the request's tokens.
        fields: the policy's fields: name -> values to draw; ``rule`` draws a condition.
        matcher: the matcher.
        roles: role definitions.
        pattern: the pattern function that ``obj`` goes through.
    """

    tokens: tuple[str, ...]
    fields: dict[str, tuple[str, ...]]
    matcher: str
    roles: dict[str, str] = field(default_factory=dict)
    pattern: str = ""

    def model(self, effect: str, *, has_eft: bool, has_priority: bool) -> str:
        names = [*self.fields, *(["eft"] if has_eft else []), *(["priority"] if has_priority else [])]
        roles = "".join(f"{name} = {value}\n" for name, value in self.roles.items())
        return (
            f"[request_definition]\nr = {', '.join(self.tokens)}\n[policy_definition]\np = {', '.join(names)}\n"
            + (f"[role_definition]\n{roles}" if roles else "")
            + f"[policy_effect]\ne = {effect}\n[matchers]\nm = {self.matcher}\n"
        )


_SUB = {"sub": SUBJECTS}
_ABAC = {"rule": (), "type": TYPES, "act": ACTIONS}
_ACL = {**_SUB, "obj": PATHS, "act": ACTIONS}
SHAPES = (
    Shape(("sub", "obj", "act"), _ABAC, "r.act == p.act && r.obj.type == p.type && eval(p.rule)"),
    Shape(("sub", "obj", "act"), _ABAC, "eval(p.rule) && p.type == r.obj.type && r.act == p.act"),
    Shape(("sub", "obj", "act"), {"rule": ()}, "eval(p.rule)"),
    Shape(("sub", "obj", "act"), {"rule": (), "other": ()}, "eval(p.rule) && (r.act == 'read' || eval(p.other))"),
    Shape(("sub", "obj", "act"), _ABAC, "r.act == p.act && (eval(p.rule) || r.sub.vip == True)"),
    Shape(
        ("role", "act", "sub", "obj"),
        {"role": SUBJECTS, "act": ACTIONS, "type": TYPES, "rule": ()},
        '(p.role == "*" || g(r.role, p.role)) && (g2(r.act, p.act) || p.act == "*")'
        ' && (p.type == "*" || g3(r.obj.type, p.type)) && eval(p.rule)',
        {"g": "_, _", "g2": "_, _", "g3": "_, _"},
    ),
    Shape(
        ("role", "act", "sub", "obj"),
        {"role": SUBJECTS, "act": ACTIONS, "type": TYPES, "rule": ()},
        "r.act in ('read', 'write') && g(r.role, p.role) && r.act == p.act && r.obj.type == p.type && eval(p.rule)",
        {"g": "_, _"},
    ),
    Shape(("sub", "obj", "act"), _ACL, "r.sub == p.sub && r.obj == p.obj && r.act == p.act"),
    Shape(("sub", "obj", "act"), _ACL, "g(r.sub, p.sub) && r.obj == p.obj && r.act == p.act", {"g": "_, _"}),
    Shape(
        ("sub", "obj", "act"), _ACL, "r.sub == p.sub && g2(r.obj, p.obj) && r.act == p.act",
        {"g": "_, _", "g2": "_, _"},
    ),
    Shape(
        ("sub", "obj", "act"), _ACL, "r.sub == 'root' || (g(r.sub, p.sub) && r.obj == p.obj && r.act == p.act)",
        {"g": "_, _"},
    ),
    Shape(
        ("sub", "dom", "obj", "act"),
        {**_SUB, "dom": DOMAINS, "obj": PATHS, "act": ACTIONS},
        "g(r.sub, p.sub, r.dom) && r.dom == p.dom && r.obj == p.obj && r.act == p.act",
        {"g": "_, _, _"},
    ),
    Shape(
        ("sub", "dom", "obj", "act"),
        {**_SUB, "dom": DOMAINS, "obj": PATTERNS, "act": ACTIONS},
        "g(r.sub, p.sub, p.dom) && keyMatch(r.obj, p.obj) && r.act == p.act",
        {"g": "_, _, _"},
    ),
    *(
        Shape(
            ("sub", "obj", "act"),
            {**_SUB, "obj": PATTERNS, "act": ACTIONS},
            f"r.sub == p.sub && {function}(r.obj, p.obj) && r.act == p.act",
            pattern=function,
        )
        for function in (
            "keyMatch", "keyMatch2", "keyMatch3", "keyMatch4", "keyMatch5", "regexMatch", "globMatch", "ipMatch",
        )
    ),
    Shape(("sub", "obj", "act"), _ACL, "keyMatch(r.obj, p.obj) || r.sub == p.sub && !(r.act != p.act)"),
    Shape(("sub", "obj", "act"), _ACL, "r.sub.name == p.sub && r.obj.owner == r.sub.name"),
    Shape(("sub", "obj", "act"), _ACL, "r.sub.boss.name == p.sub && p.act in ('read', 'write')"),
    Shape(("sub", "obj", "act"), _ACL, "p.sub == r.sub && r.obj == p.obj && (p.act == '*' || r.act == p.act)"),
)  # fmt: skip
ODD_SHAPES = (
    Shape(("sub", "obj", "act"), _ACL, "r.act == 'read'"),
    Shape(("sub", "obj", "act"), _ACL, "r.sub.tags == p.sub"),
    Shape(("sub", "obj", "act"), _ACL, "r.sub == p.sub && r.missing == 1"),
    Shape(("sub", "obj", "act"), _ACL, "r.sub == p.sub; r.act == p.act"),
    Shape(("sub", "obj", "act"), _ACL, "r.sub == p.sub && (r.act"),
    Shape(("sub", "obj", "act"), _ACL, "eval(p.nothing)"),
    Shape(("sub", "obj", "act"), {"rule": ()}, "'eval(p.rule)' == r.act"),
    Shape(("sub", "obj", "act"), {"rule": ()}, "eval(p.rule) == True"),
    Shape(("sub", "obj", "act"), {"rule": ()}, "!eval(p.rule)"),
    Shape(("sub", "obj", "act"), _ACL, "g(r.sub, p.sub, r.act) && r.act == p.act", {"g": "_, _"}),
    Shape(("sub", "obj", "act"), _ACL, "g(r.sub, p.sub) && r.act == p.act", {"g": "_, _, _"}),
    Shape(("sub", "obj", "act"), _ACL, "r.sub == p.sub && timeMatch('_', '_')"),
    Shape(("sub", "sub", "act"), _ACL, "r.sub == p.sub && r.act == p.act"),
    Shape(("sub", "obj", "act"), _ACL, "r.sub == p.sub && r.act"),
    Shape(("sub", "obj", "act"), _ACL, "[x for x in r.sub] == p.sub"),
    Shape(("sub", "obj", "act"), _ACL, "custom(r.sub, p.sub) && r.act == p.act"),
    Shape(("sub", "obj", "act"), _ACL, "g(r.sub, p.sub) && r.act == p.act", {"g": "_, _, (_)"}),
)  # fmt: skip


@dataclass(frozen=True)
class World:
    """A model, its policy, and what is known of how to satisfy each rule."""

    shape: Shape
    model: str
    rows: tuple[tuple[str, ...], ...]
    wishes: tuple[tuple[Atom, ...], ...]
    seed: int


def _conditions() -> st.SearchStrategy[Atom]:
    texts, numbers = st.sampled_from(atoms.TEXTS), st.sampled_from(atoms.NUMBERS)
    text_paths = st.sampled_from(atoms.TEXT_PATHS)
    several = st.lists(texts, min_size=1, max_size=3).map(tuple)
    return st.one_of(
        st.builds(atoms.number, st.sampled_from(atoms.NUMBER_PATHS), st.sampled_from(list(atoms.COMPARE)), numbers),
        st.builds(atoms.text_equal, text_paths, texts, flipped=st.booleans()),
        st.builds(atoms.text_differs, text_paths, texts),
        st.builds(atoms.among, text_paths, several, brackets=st.sampled_from(["()", "[]"])),
        st.builds(atoms.not_among, text_paths, several),
        st.builds(atoms.tagged, texts),
        st.sampled_from(atoms.FIXED),
    )


def _joined(parts: list[Atom]) -> tuple[str, tuple[Atom, ...]]:
    kept: list[Atom] = []
    for part in parts:
        if not any(part.holds.keys() & other.holds.keys() for other in kept):
            kept.append(part)
    return " && ".join(part.text for part in kept), tuple(kept)


def _rules() -> st.SearchStrategy[tuple[str, tuple[Atom, ...]]]:
    usual = st.lists(_conditions(), min_size=1, max_size=3).map(_joined)
    odd = st.sampled_from(atoms.ODD).map(lambda text: (text, ()))
    return st.integers(0, 39).flatmap(lambda pick: odd if pick == 17 else usual)


def _rarely(draw: st.DrawFn, times: int) -> bool:
    # Hypothesis draws the ends of a range far more often than the middle.
    return draw(st.integers(0, times)) == times // 2 + 1


@st.composite
def worlds(draw: st.DrawFn, *, shapes: tuple[Shape, ...] = SHAPES, is_odd: bool = True) -> World:
    """A random world. ``is_odd`` adds rows and links of the wrong length, and unusual effects."""
    shape = draw(st.sampled_from(ODD_SHAPES if is_odd and _rarely(draw, 10) else shapes))
    effect = draw(st.sampled_from(_EFFECTS_DRAWN if "g" in shape.roles else _EFFECTS_DRAWN[:-1]))
    has_eft = not _rarely(draw, 6)
    has_priority = _rarely(draw, 6)
    rows: list[tuple[str, ...]] = []
    wishes: list[tuple[Atom, ...]] = []
    for _ in range(draw(st.integers(0 if _rarely(draw, 40) else 1, 12))):
        row, wish = ["p"], []
        for values in shape.fields.values():
            if values:
                row.append(draw(st.sampled_from(values)))
            else:
                text, parts = draw(_rules())
                row.append(text)
                wish += parts
        if has_eft:
            row.append(draw(st.sampled_from(("allow",) * 8 + ("deny", "deny", "DENY"))))
        if has_priority:
            row.append(str(draw(st.integers(0, 3))))
        if is_odd and _rarely(draw, 150):
            row = row[:-1] if draw(st.booleans()) else [*row, "extra"]
        rows.append(tuple(row))
        wishes.append(tuple(wish))
    for name, value in shape.roles.items():
        rows += draw(_links(name, value))
    model = shape.model(effect, has_eft=has_eft, has_priority=has_priority)
    return World(shape, model, tuple(rows), tuple(wishes), draw(st.integers(0, 2**32)))


@st.composite
def _links(draw: st.DrawFn, name: str, value: str) -> list[tuple[str, ...]]:
    pool = SUBJECTS if name == "g" else PATHS + ACTIONS + TYPES
    pairs = draw(st.lists(st.tuples(st.sampled_from(pool), st.sampled_from(pool)), max_size=6))
    domains = [draw(st.sampled_from(DOMAINS))] if value.count("_") > 2 and "(" not in value else []
    return [(name, *pair, *domains) for pair in pairs]


DEFAULTS: Env = {
    "sub.age": 20, "sub.name": "alice", "sub.dept": "red", "sub.vip": False, "sub.tags": ["red"],
    "sub.boss.name": "bob", "obj.type": "doc", "obj.owner": "alice", "obj.level": 3, "obj.name": "o",
}  # fmt: skip


@dataclass(frozen=True)
class Request:
    """A request, and whether it was made to miss a rule in exactly one point."""

    values: tuple[Any, ...]
    is_near_miss: bool


class Requests:
    """Makes requests that satisfy a rule, miss one in one point, or are odd."""

    def __init__(self, world: World, odd_values: tuple[Any, ...] = hostile.ODD_VALUES) -> None:
        self._world = world
        self._odd_values = odd_values
        self._random = random.Random(world.seed)  # noqa: S311 - repeatable, not secret
        self._rules = [row for row in world.rows if row[0] == "p"]
        self._plain = "rule" not in world.shape.fields and ".name" not in world.shape.matcher

    def make(self, *, near: bool) -> Request:
        """A request that satisfies a rule or, if ``near``, misses one in one point; some are odd besides."""
        rng = self._random
        env = dict(DEFAULTS)
        tokens = self._base()
        if self._rules:
            number = rng.randrange(len(self._rules))
            self._satisfy(number, env, tokens)
            if near:
                self._spoil(number, env, tokens)
        if rng.random() < 0.07:
            env[rng.choice(list(env))] = rng.choice(self._odd_values)
        if rng.random() < 0.04:
            del env[rng.choice(list(env))]
        values = [self._value(token, env, tokens) for token in self._world.shape.tokens]
        if rng.random() < 0.04:
            values[rng.randrange(len(values))] = rng.choice(self._odd_values)
        if rng.random() < 0.01:
            values = values[:-1]
        return Request(tuple(values), near)

    def _base(self) -> dict[str, str]:
        rng = self._random
        return {
            "sub": rng.choice(SUBJECTS), "role": rng.choice(SUBJECTS), "act": rng.choice(ACTIONS),
            "obj": rng.choice(PATHS), "dom": rng.choice(DOMAINS),
        }  # fmt: skip

    def _satisfy(self, number: int, env: Env, tokens: dict[str, str]) -> None:
        fields = dict(zip(self._world.shape.fields, self._rules[number][1:], strict=False))
        tokens.update({name: value for name, value in fields.items() if name in tokens})
        if "type" in fields:
            env["obj.type"] = fields["type"]
        if "role" not in fields and "sub" in fields:
            env["sub.name"] = env["sub.boss.name"] = env["obj.owner"] = fields["sub"]
        if self._world.shape.pattern:
            tokens["obj"] = self._matching_path(fields.get("obj", ""))
        for atom in self._world.wishes[number]:
            env.update(atom.holds)

    def _matching_path(self, pattern: str) -> str:
        function = FunctionMap.load_function_map().get_functions()[self._world.shape.pattern]
        paths = list(ADDRESSES if self._world.shape.pattern == "ipMatch" else PATHS)
        self._random.shuffle(paths)
        for path in paths:
            with contextlib.suppress(Exception):
                if function(path, pattern):
                    return path
        return paths[0]

    def _spoil(self, number: int, env: Env, tokens: dict[str, str]) -> None:
        rng = self._random
        wishes = [atom for atom in self._world.wishes[number] if atom.fails]
        if wishes and rng.random() < 0.6:
            env.update(rng.choice(wishes).fails)
        elif "type" in self._world.shape.fields and rng.random() < 0.5:
            env["obj.type"] += "x"
        else:
            tokens["act"] += "x"

    def _value(self, token: str, env: Env, tokens: dict[str, str]) -> Any:
        has_attributes = f"r.{token}." in self._world.shape.matcher or "rule" in self._world.shape.fields
        if token not in {"sub", "obj"} or not has_attributes:
            return tokens[token]
        rng = self._random
        style: Callable[..., Any] = rng.choice(hostile.ODD_STYLES if rng.random() < 0.08 else hostile.STYLES)
        prefix = f"{token}."
        values = {path.removeprefix(prefix): value for path, value in env.items() if path.startswith(prefix)}
        nested = {name: value for name, value in values.items() if "." not in name}
        if "boss.name" in values:
            nested["boss"] = rng.choice((hostile.Bag, dict))(name=values["boss.name"])
        return style(**nested)
