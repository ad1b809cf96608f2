"""From a checked syntax tree to the source of a Python test.

The source is put together from a fixed vocabulary. All that comes from a policy is attribute names, which the
parser has proved to be identifiers; every literal travels apart, as a slot, and never enters the source. So
rules that differ in their literals alone share one source and one code object.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Final, TypeVar, cast

from simpleeval import DISALLOW_METHODS, DISALLOW_PREFIXES, MAX_STRING_LENGTH

from pdp.engine.compiled import patterns
from pdp.engine.compiled.errors import NotCompilableError
from pdp.engine.compiled.roles import DomainRoles, Roles
from pdp.engine.compiled.sharing import Sharing, Unnamed, name_of

_T = TypeVar("_T")
DICT_NAMES: Final = frozenset(dir(dict))
SYMBOLS: Final[dict[type[ast.cmpop], str]] = {
    ast.Eq: "==",
    ast.NotEq: "!=",
    ast.Lt: "<",
    ast.LtE: "<=",
    ast.Gt: ">",
    ast.GtE: ">=",
    ast.In: "in",
    ast.NotIn: "not in",
}
TEST: Final = "test"
LOAD: Final = "load"
SCALARS: Final = (str, bool, int, float, type(None))

Fields = Sequence[str]
"""The fields of a rule, without its policy type."""


@dataclass(frozen=True, slots=True)
class Literal:
    """A value known from the text alone."""

    value: object

    def fill(self, _row: Fields) -> object:
        """The value."""
        return self.value


@dataclass(frozen=True, slots=True)
class Column:
    """A policy field: its value differs by row."""

    index: int

    def fill(self, row: Fields) -> object:
        """The row's text in that field."""
        return row[self.index]


@dataclass(frozen=True, slots=True)
class Pattern:
    """A pattern function, its pattern a literal or a policy field."""

    name: str
    source: Literal | Column

    def fill(self, row: Fields) -> object:
        """The prepared test.

        Raises:
            NotCompilableError: pycasbin fails on the pattern.
        """
        return patterns.prepare(self.name, str(self.source.fill(row)))


@dataclass(frozen=True, slots=True)
class Link:
    """A role function over the role links of one revision."""

    roles: Roles | DomainRoles

    def fill(self, _row: Fields) -> object:
        """The function."""
        return self.roles.has_link


Slot = Literal | Column | Pattern | Link


@dataclass(frozen=True, slots=True)
class Scope:
    """What names mean.

    Attributes:
        request: request token -> position.
        policy: policy token -> position.
        roles: role function -> its closure.
        functions: the pattern functions that still have their built-in meaning.
    """

    request: Mapping[str, int]
    policy: Mapping[str, int]
    roles: Mapping[str, Roles | DomainRoles]
    functions: frozenset[str] = patterns.NAMES


@dataclass(slots=True)
class Writer:
    """Writes tests in one mode; the modes differ in how they guard a value before it is used.

    Attributes:
        refusal: the source that turns a request away.
        scope: what names mean.
        sharing: which values are kept for further use; None if each test stands for itself.
        row: where values are kept, the rule that is being written: its fields are literals then.
        slots: the literals of the test so far, ``c0``, ``c1``, ...
        bases: positions of the request values that attributes are read from.
        gives_bool: whether every test gives a bool, if it gives anything.
    """

    refusal: ClassVar[str]
    gives_bool: ClassVar[bool]
    scope: Scope
    sharing: Sharing | None = None
    row: Fields = ()
    slots: list[Slot] = field(default_factory=list)
    bases: set[int] = field(default_factory=set)
    _temps: int = 0

    def slot(self, slot: Slot) -> str:
        """The name of a new slot."""
        self.slots.append(slot)
        return f"c{len(self.slots) - 1}"

    def temp(self) -> str:
        """The name of a new local variable."""
        self._temps += 1
        return f"t{self._temps}"

    def test(self, node: ast.expr) -> str:
        """The source of ``node`` as a condition."""
        if isinstance(node, ast.BoolOp):
            return self.keep(TEST, node, lambda: f"({self.joined(node.op, node.values)})")
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
            return f"(not {self.test(node.operand)})"
        if isinstance(node, ast.Compare):
            return self.keep(TEST, node, lambda: self.compare(node))
        if isinstance(node, ast.Call):
            return self.keep(TEST, node, lambda: self.call(node))
        return self.truth(node)

    def joined(self, operator: ast.boolop, nodes: Sequence[ast.expr]) -> str:
        """The source of conditions joined by an operator, of which all but the first may not be evaluated."""
        word = " and " if isinstance(operator, ast.And) else " or "
        return word.join(self.may_stop(self.test, nodes))

    def may_stop(self, write: Callable[[_T], str], nodes: Sequence[_T], sure: int = 1) -> list[str]:
        """The sources of expressions of which only the first (``sure``) are certain to be evaluated."""
        sources = [write(node) for node in nodes[:sure]]
        if self.sharing is None:
            return sources + [write(node) for node in nodes[sure:]]
        mark = self.sharing.leave_open()
        sources += [write(node) for node in nodes[sure:]]
        self.sharing.close(mark)
        return sources

    def keep(self, what: str, node: ast.expr, write: Callable[[], str], guard: str = "", otherwise: str = "") -> str:
        """The source of a value that may be wanted again.

        Args:
            what: tells apart values made of the same node.
            node: what it is the value of.
            write: writes it.
            guard: the test it has to pass, of ``{0}``, a variable, and ``{1}``, its source; empty for none.
            otherwise: the source where it does not pass, of ``{0}``.
        """
        if self.sharing is not None:
            kept = self._kept(self.sharing, what, node, write, guard, otherwise)
            if kept is not None:
                return kept
        source = write()
        if not guard:
            return source
        name = self.temp()
        return f"({name} if {guard.format(name, source)} else {otherwise.format(name)})"

    def _kept(
        self, sharing: Sharing, what: str, node: ast.expr, write: Callable[[], str], guard: str, otherwise: str
    ) -> str | None:
        fields = {token: self.row[column] for token, column in self.scope.policy.items()}
        try:
            key = f"{what} {name_of(node, fields)}"
        except Unnamed:
            return None
        return sharing.keep(key, write, guard, otherwise)

    def compare(self, node: ast.Compare) -> str:
        """The source of a comparison."""
        raise NotImplementedError

    def truth(self, node: ast.expr) -> str:
        """The source of a value used as a condition."""
        raise NotImplementedError

    def text(self, node: ast.expr) -> str:
        """The source of an argument that must be text."""
        raise NotImplementedError

    def guarded(self, source: str) -> str:
        """The source of a value that attributes are read from, guarded where the mode needs it."""
        return source

    def reads(self, node: ast.expr) -> bool:
        """Whether a node is a request value or an attribute of one."""
        while isinstance(node, ast.Attribute):
            check_attribute(node.attr)
            node = node.value
        return isinstance(node, ast.Name) and node.id in self.scope.request

    def load(self, node: ast.expr) -> str:
        """The source of a node that reads from the request."""
        if isinstance(node, ast.Attribute):
            return self.keep(LOAD, node, lambda: self._read(node))
        return f"r{self.scope.request[cast('ast.Name', node).id]}"

    def _read(self, node: ast.Attribute) -> str:
        base = self.load(node.value)
        if isinstance(node.value, ast.Name):
            position = self.scope.request[node.value.id]
            self.bases.add(position)
            return read(base, base, node.attr, None if self.sharing is None else f"n{position}")
        name = self.temp()
        return read(f"({name} := {self.guarded(base)})", name, node.attr)

    def known(self, node: ast.expr) -> Literal | Column | None:
        """A value known before any request: a literal, a tuple or list of them, a policy field."""
        if isinstance(node, ast.Name) and node.id in self.scope.policy:
            column = self.scope.policy[node.id]
            return Column(column) if self.sharing is None else Literal(self.row[column])
        found, value = constant(node)
        return Literal(value) if found else None

    def call(self, node: ast.Call) -> str:
        """The source of a call of a pattern or role function.

        Raises:
            NotCompilableError: it is any other function.
        """
        if node.keywords or not isinstance(node.func, ast.Name):
            raise NotCompilableError("a method call or a call with named arguments")
        name = node.func.id
        roles = self.scope.roles.get(name)
        if roles is not None:
            return self._role_call(name, roles, node.args)
        if name not in self.scope.functions or len(node.args) != 2:  # noqa: PLR2004
            raise NotCompilableError(f"a call of {name}")
        source = self.known(node.args[1])
        if source is None or (isinstance(source, Literal) and type(source.value) is not str):
            raise NotCompilableError(f"{name} with a pattern from the request")
        return self.pattern_call(name, self.slot(Pattern(name, source)), node.args[0])

    def pattern_call(self, _name: str, test: str, argument: ast.expr) -> str:
        """The source of a prepared pattern's test of an argument."""
        return f"{test}({self.text(argument)})"

    def _role_call(self, name: str, roles: Roles | DomainRoles, arguments: list[ast.expr]) -> str:
        if len(arguments) != (2 if isinstance(roles, Roles) else 3):
            raise NotCompilableError(f"{name} with {len(arguments)} arguments")
        function = self.slot(Link(roles))
        return f"{function}({', '.join(self.text(argument) for argument in arguments)})"


def check_attribute(name: str) -> None:
    """Refuse the attribute names that simpleeval refuses.

    Raises:
        NotCompilableError: it is one of them.
    """
    if name in DISALLOW_METHODS or name.startswith(tuple(DISALLOW_PREFIXES)) or not name.isidentifier():
        raise NotCompilableError(f"the attribute {name}")


def read(first: str, again: str, name: str, has_attributes: str | None = None) -> str:
    """The source that reads an attribute, or a key where the value is a dict.

    simpleeval tries the attribute first: a key named like a method of dict gives the method.
    """
    if name in DICT_NAMES:
        return f"{first}.{name}"
    return f"({again}.{name} if {has_attributes or f'type({first}) is not dict'} else {again}['{name}'])"


def constant(node: ast.expr) -> tuple[bool, object]:
    """Whether a node is a literal scalar, a negative number, or a tuple or list of those; and its value."""
    if isinstance(node, ast.Constant) and type(node.value) in SCALARS:
        short = not isinstance(node.value, str) or len(node.value) <= MAX_STRING_LENGTH
        return short, node.value
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        found, value = constant(node.operand)
        return (True, -value) if found and isinstance(value, int | float) else (False, None)
    if isinstance(node, ast.Tuple | ast.List):
        parts = [constant(part) for part in node.elts]
        if all(found and not isinstance(value, tuple) for found, value in parts):
            return True, tuple(value for _, value in parts)
    return False, None
