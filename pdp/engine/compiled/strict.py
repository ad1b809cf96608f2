"""Strict mode: each operator takes operands of one kind, and any other operand is an error, hence a deny.

Kinds are text, number (int or float, not bool, not NaN), bool and None. Where strict mode gives an answer at
all it is the answer of exact mode; it only raises more often.
"""

from __future__ import annotations

import ast
import enum
import operator
from collections.abc import Callable
from typing import Any, Final, NoReturn

from pdp.engine.compiled import patterns
from pdp.engine.compiled.errors import KindMismatchError, NotCompilableError
from pdp.engine.compiled.safety import CONTAINERS, PLAIN_CLASSES, is_plain
from pdp.engine.compiled.writing import SYMBOLS, Column, Literal, Writer

NUMBERS: Final = frozenset({int, float})
TYPES: Final = frozenset({str, int, float, bool})
_BAD_PATH: Final = ("//", "/./", "/../", "\n", "\0")


class Kind(enum.Enum):
    """The kind of an operand, as far as the text of a condition tells."""

    TEXT = "text"
    NUMBER = "number"
    BOOL = "bool"
    NONE = "None"
    MEMBERS = "a list of literals"
    UNKNOWN = "unknown"


_KINDS: Final[dict[type, Kind]] = {
    str: Kind.TEXT,
    int: Kind.NUMBER,
    float: Kind.NUMBER,
    bool: Kind.BOOL,
    type(None): Kind.NONE,
    tuple: Kind.MEMBERS,
}


def mismatch(*_: object) -> NoReturn:
    """Refuse an operand of the wrong kind."""
    raise KindMismatchError("an operand of another kind")


def _compare(function: Callable[[Any, Any], Any], *, order: bool) -> Callable[[object, object], bool]:
    def compare(left: object, right: object) -> bool:
        kinds = type(left), type(right)
        if NUMBERS.issuperset(kinds) and left == left and right == right:  # noqa: PLR0124
            return bool(function(left, right))
        if kinds == (str, str) or (kinds == (bool, bool) and not order):
            return bool(function(left, right))
        return mismatch()

    return compare


def check_class(value: object) -> object:
    """Return a value that attributes are read from, if it is a dict or of a plain class.

    Raises:
        KindMismatchError: it is neither, so that reading it might run code that pycasbin would not run.
    """
    return value if type(value) is dict or is_plain(type(value)) else mismatch()


def path_text(value: str) -> str:
    """A path that names one thing: no empty, ``.`` or ``..`` segment, no line end, no NUL."""
    if any(bad in value for bad in _BAD_PATH) or value.endswith(("/..", "/.")) or value.startswith(("../", "./")):
        raise KindMismatchError("an ambiguous path")
    return value


def line_text(value: str) -> str:
    """A text of one line: ``$`` in a regular expression would pass over a line end."""
    return mismatch() if "\n" in value else value


HELPERS: dict[str, object] = {
    "N": NUMBERS,
    "S": TYPES,
    "C": CONTAINERS,
    "E": mismatch,
    "B": check_class,
    "V": PLAIN_CLASSES,
    "PATH": path_text,
    "LINE": line_text,
    "F0": _compare(operator.eq, order=False),
    "F1": _compare(operator.ne, order=False),
    "F2": _compare(operator.lt, order=True),
    "F3": _compare(operator.le, order=True),
    "F4": _compare(operator.gt, order=True),
    "F5": _compare(operator.ge, order=True),
}
_FUNCTIONS: Final = dict(zip(("==", "!=", "<", "<=", ">", ">="), ("F0", "F1", "F2", "F3", "F4", "F5"), strict=True))
_GUARDS: Final = {
    Kind.TEXT: "type({0} := {1}) is str",
    Kind.NUMBER: "type({0} := {1}) in N and {0} == {0}",
    Kind.BOOL: "type({0} := {1}) is bool",
}


class StrictWriter(Writer):
    """Writes tests that check the kind of each operand."""

    refusal = "E()"

    def guarded(self, source: str) -> str:
        """A base must be a dict or of a plain class."""
        return f"B({source})"

    def compare(self, node: ast.Compare) -> str:
        """Each pair of a chain is checked by itself."""
        pairs: list[str] = []
        left = node.left
        for operation, right in zip(node.ops, node.comparators, strict=True):
            symbol = SYMBOLS.get(type(operation))
            if symbol is None:
                raise NotCompilableError(f"the operator {type(operation).__name__}")
            pairs.append(self._membership(left, symbol, right) if "in" in symbol else self._pair(left, symbol, right))
            left = right
        return f"({' and '.join(pairs)})"

    def truth(self, node: ast.expr) -> str:
        """A value used as a condition must be a bool."""
        source, kind = self._operand(node)
        if kind is Kind.BOOL:
            return source
        if kind is not Kind.UNKNOWN:
            raise NotCompilableError(f"{kind.value} used as a condition")
        name = self.temp()
        return f"({name} if {_GUARDS[Kind.BOOL].format(name, source)} else E())"

    def text(self, node: ast.expr) -> str:
        """An argument must be text."""
        source, kind = self._operand(node)
        if kind is Kind.TEXT:
            return source
        if kind is not Kind.UNKNOWN:
            raise NotCompilableError(f"{kind.value} where text is due")
        name = self.temp()
        return f"({name} if {_GUARDS[Kind.TEXT].format(name, source)} else E())"

    def pattern_call(self, name: str, test: str, argument: ast.expr) -> str:
        """A path must name one thing, and a text that a pattern tests must be one line."""
        check = "PATH" if name in patterns.PATH_NAMES else "LINE"
        return f"{test}({check}({self.text(argument)}))"

    def _operand(self, node: ast.expr) -> tuple[str, Kind]:
        source = self.load(node)
        if source is not None:
            return source, Kind.UNKNOWN
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Sub):
            return self._difference(node), Kind.NUMBER
        known = self.known(node)
        if isinstance(known, Column):
            return self.slot(known), Kind.TEXT
        if known is None:
            raise NotCompilableError(f"the expression {type(node).__name__}")
        value = known.value
        if isinstance(value, float) and not abs(value) < float("inf"):
            raise NotCompilableError("a number too large")
        return self.slot(Literal(value)), _KINDS[type(value)]

    def _difference(self, node: ast.BinOp) -> str:
        names = [self.temp(), self.temp()]
        parts = []
        for name, side in zip(names, (node.left, node.right), strict=True):
            source, kind = self._operand(side)
            if kind not in {Kind.NUMBER, Kind.UNKNOWN}:
                raise NotCompilableError(f"{kind.value} in a subtraction")
            parts.append(_GUARDS[Kind.NUMBER].format(name, source))
        result = self.temp()
        guard = f"{parts[0]} and {parts[1]} and ({result} := {names[0]} - {names[1]}) == {result}"
        return f"({result} if {guard} else E())"

    def _pair(self, left: ast.expr, symbol: str, right: ast.expr) -> str:
        (one, first), (two, second) = self._operand(left), self._operand(right)
        kinds = {first, second}
        order = symbol not in {"==", "!="}
        if Kind.MEMBERS in kinds or (order and kinds & {Kind.BOOL, Kind.NONE}):
            raise NotCompilableError(f"{symbol} does not take {first.value} and {second.value}")
        if Kind.NONE in kinds:
            return self._none_test(one if second is Kind.NONE else two, symbol, {first, second})
        if kinds == {Kind.UNKNOWN}:
            return self._unknown_pair(one, symbol, two)
        if Kind.UNKNOWN not in kinds:
            if first is not second:
                raise NotCompilableError(f"{symbol} between {first.value} and {second.value}")
            return f"({one} {symbol} {two})"
        name = self.temp()
        if first is Kind.UNKNOWN:
            return f"({name} {symbol} {two} if {_GUARDS[second].format(name, one)} else E())"
        return f"({one} {symbol} {name} if {_GUARDS[first].format(name, two)} else E())"

    def _none_test(self, source: str, symbol: str, kinds: set[Kind]) -> str:
        word = "is" if symbol == "==" else "is not"
        if Kind.UNKNOWN not in kinds:
            return f"({source} {word} None)"
        name = self.temp()
        return f"({name} {word} None if (type({name} := {source}) in S or {name} is None) else E())"

    def _unknown_pair(self, one: str, symbol: str, two: str) -> str:
        left, right = self.temp(), self.temp()
        both = f"(type({left} := {one}) is str) & (type({right} := {two}) is str)"
        return f"({left} {symbol} {right} if {both} else {_FUNCTIONS[symbol]}({left}, {right}))"

    def _membership(self, left: ast.expr, symbol: str, right: ast.expr) -> str:
        (one, first), (two, second) = self._operand(left), self._operand(right)
        if first in {Kind.MEMBERS, Kind.NONE} or second not in {Kind.MEMBERS, Kind.UNKNOWN}:
            hint = ": write ('x',) with a comma" if second is Kind.TEXT else ""
            raise NotCompilableError(f"{symbol} does not take {first.value} and {second.value}{hint}")
        if second is Kind.MEMBERS:
            return self._among(one, first, symbol, two, right)
        name, members = self.temp(), self.temp()
        guard = f"type({name} := {one}) in S" if first is Kind.UNKNOWN else f"(({name} := {one}) is {name})"
        return f"({name} {symbol} {members} if ({guard}) & (type({members} := {two}) in C) else E())"

    def _among(self, one: str, first: Kind, symbol: str, two: str, right: ast.expr) -> str:
        known = self.known(right)
        members = known.value if isinstance(known, Literal) and isinstance(known.value, tuple) else ()
        kinds = {_KINDS[type(member)] for member in members}
        if len(kinds) != 1 or not kinds <= _GUARDS.keys():
            raise NotCompilableError("a list of literals must hold one kind of value, and at least one")
        kind = kinds.pop()
        if first not in {kind, Kind.UNKNOWN}:
            raise NotCompilableError(f"{symbol} between {first.value} and a list of {kind.value}")
        name = self.temp()
        return f"({name} {symbol} {two} if {_GUARDS[kind].format(name, one)} else E())"
