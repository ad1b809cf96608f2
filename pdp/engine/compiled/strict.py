"""Strict mode: each operator takes operands of one kind, and any other operand is an error, hence a deny.

Kinds are text, number (int or float, not bool, not NaN), bool and None. Where strict mode gives an answer at
all it is the answer of exact mode; it only raises more often.
"""

from __future__ import annotations

import ast
import enum
import operator
from collections.abc import Callable
from typing import Any, Final, NoReturn, cast

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

    # Members are single objects; the hash of their names takes a call each time.
    __hash__ = object.__hash__


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
    "int": int,
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
    gives_bool = True

    def guarded(self, source: str) -> str:
        """A base must be a dict or of a plain class."""
        return f"B({source})"

    def compare(self, node: ast.Compare) -> str:
        """Each pair of a chain is checked by itself."""
        operands = [node.left, *node.comparators]
        pairs = list(zip(operands, node.ops, operands[1:], strict=False))
        if len(pairs) == 1:
            return self._write_pair(*pairs[0])
        return f"({' and '.join(self.may_stop(lambda pair: self._write_pair(*pair), pairs))})"

    def _write_pair(self, left: ast.expr, operation: ast.cmpop, right: ast.expr) -> str:
        symbol = SYMBOLS.get(type(operation))
        if symbol is None:
            raise NotCompilableError(f"the operator {type(operation).__name__}")
        write = self._membership if "in" in symbol else self._pair
        return f"({write(left, symbol, right)})"

    def truth(self, node: ast.expr) -> str:
        """A value used as a condition must be a bool."""
        return self._of_kind(node, Kind.BOOL, "used as a condition")

    def text(self, node: ast.expr) -> str:
        """An argument must be text."""
        return self._of_kind(node, Kind.TEXT, "where text is due")

    def _of_kind(self, node: ast.expr, kind: Kind, place: str) -> str:
        found = self._kind(node)
        if found not in {kind, Kind.UNKNOWN}:
            raise NotCompilableError(f"{found.value} {place}")
        return self._guarded(node, found, kind)

    def _guarded(self, node: ast.expr, found: Kind, wanted: Kind) -> str:
        if found is not Kind.UNKNOWN:
            return self._value(node)
        return self.keep(wanted.value, node, lambda: self.load(node), _GUARDS[wanted], "E()")

    def pattern_call(self, name: str, test: str, argument: ast.expr) -> str:
        """A path must name one thing, and a text that a pattern tests must be one line."""
        check = "PATH" if name in patterns.PATH_NAMES else "LINE"
        return f"{test}({check}({self.text(argument)}))"

    def _kind(self, node: ast.expr) -> Kind:
        if self.reads(node):
            return Kind.UNKNOWN
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Sub):
            return Kind.NUMBER
        known = self.known(node)
        if known is None:
            raise NotCompilableError(f"the expression {type(node).__name__}")
        value = known.value if isinstance(known, Literal) else ""
        if isinstance(value, float) and not abs(value) < float("inf"):
            raise NotCompilableError("a number too large")
        return _KINDS[type(value)]

    def _value(self, node: ast.expr) -> str:
        if self.reads(node):
            return self.load(node)
        if isinstance(node, ast.BinOp):
            return self.keep("difference", node, lambda: self._subtract(node), "({0} := {1}) == {0}", "E()")
        return self.slot(cast("Literal | Column", self.known(node)))

    def _subtract(self, node: ast.BinOp) -> str:
        return " - ".join(self._of_kind(side, Kind.NUMBER, "in a subtraction") for side in (node.left, node.right))

    def _pair(self, left: ast.expr, symbol: str, right: ast.expr) -> str:
        first, second = self._kind(left), self._kind(right)
        kinds = {first, second}
        order = symbol not in {"==", "!="}
        if Kind.MEMBERS in kinds or (order and kinds & {Kind.BOOL, Kind.NONE}):
            raise NotCompilableError(f"{symbol} does not take {first.value} and {second.value}")
        if Kind.NONE in kinds:
            return self._none_test(left if second is Kind.NONE else right, symbol, kinds)
        if kinds == {Kind.UNKNOWN}:
            return self._unknown_pair(self.load(left), symbol, self.load(right))
        if Kind.UNKNOWN not in kinds and first is not second:
            raise NotCompilableError(f"{symbol} between {first.value} and {second.value}")
        kind = second if first is Kind.UNKNOWN else first
        return f"{self._guarded(left, first, kind)} {symbol} {self._guarded(right, second, kind)}"

    def _none_test(self, node: ast.expr, symbol: str, kinds: set[Kind]) -> str:
        word = "is" if symbol == "==" else "is not"
        if Kind.UNKNOWN not in kinds:
            return f"{self._value(node)} {word} None"
        name = self.temp()
        return f"{name} {word} None if (type({name} := {self.load(node)}) in S or {name} is None) else E()"

    def _unknown_pair(self, one: str, symbol: str, two: str) -> str:
        left, right, kind = self.temp(), self.temp(), self.temp()
        both = f"type({left} := {one}) is ({kind} := type({right} := {two})) and ({kind} is str or {kind} is int)"
        return f"{left} {symbol} {right} if {both} else {_FUNCTIONS[symbol]}({left}, {right})"

    def _membership(self, left: ast.expr, symbol: str, right: ast.expr) -> str:
        first, second = self._kind(left), self._kind(right)
        if first in {Kind.MEMBERS, Kind.NONE} or second not in {Kind.MEMBERS, Kind.UNKNOWN}:
            hint = ": write ('x',) with a comma" if second is Kind.TEXT else ""
            raise NotCompilableError(f"{symbol} does not take {first.value} and {second.value}{hint}")
        if second is Kind.MEMBERS:
            return self._among(left, first, symbol, right)
        one = self._value(left)
        name = self.temp()
        guard = f"type({name} := {one}) in S" if first is Kind.UNKNOWN else f"({name} := {one}) is {name}"
        members = self.keep("members", right, lambda: self.load(right), "type({0} := {1}) in C", "E()")
        return f"{name} {symbol} {members} if {guard} else E()"

    def _among(self, left: ast.expr, first: Kind, symbol: str, right: ast.expr) -> str:
        known = self.known(right)
        members = known.value if isinstance(known, Literal) and isinstance(known.value, tuple) else ()
        kinds = {_KINDS[type(member)] for member in members}
        if len(kinds) != 1 or not kinds <= _GUARDS.keys():
            raise NotCompilableError("a list of literals must hold one kind of value, and at least one")
        kind = kinds.pop()
        if first not in {kind, Kind.UNKNOWN}:
            raise NotCompilableError(f"{symbol} between {first.value} and a list of {kind.value}")
        return f"{self._guarded(left, first, kind)} {symbol} {self._value(right)}"
