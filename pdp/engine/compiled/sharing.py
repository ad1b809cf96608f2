"""Sub-expressions that several rules have in common: each is worth evaluating once.

Sub-expressions are told apart by name (hash-consing): two with the same name have the same value for the same
request. A writer that shares asks for every value by its name. :class:`Counting` notes how often each is asked
for; :class:`Keeping` then writes the ones that are asked for again into local variables, each evaluated where it is
first reached and nowhere else. So a value that fails still fails only where a rule reaches it.
"""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Final, Protocol

_SYMBOLS: Final[dict[type[ast.AST], str]] = {
    ast.And: "&&", ast.Or: "||", ast.Not: "!", ast.USub: "-", ast.Sub: "-", ast.Eq: "==", ast.NotEq: "!=",
    ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">=", ast.In: "in", ast.NotIn: "not in",
}  # fmt: skip
UNSET: Final = "..."
"""What a variable holds before its value is known, as source: no test has this value, and no attribute should."""


class Unnamed(Exception):  # noqa: N818 - not an error: the node is evaluated wherever it stands
    """A node that has no name: it is never shared."""


def name_of(node: ast.expr, fields: Mapping[str, str]) -> str:
    """The name of an expression.

    Args:
        node: the expression.
        fields: policy token -> the rule's text in that field.

    Raises:
        Unnamed: it is of a kind that is not compiled.
    """
    if isinstance(node, ast.Name):
        return repr(fields[node.id]) if node.id in fields else node.id
    if isinstance(node, ast.Attribute):
        return f"{name_of(node.value, fields)}.{node.attr}"
    if isinstance(node, ast.Constant):
        return repr(node.value)  # tells 1, 1.0, True and '1' apart
    if isinstance(node, ast.Tuple | ast.List):
        return f"{type(node).__name__}{_names(node.elts, fields)}"
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and not node.keywords:
        return f"{node.func.id}{_names(node.args, fields)}"
    return _name_of_operation(node, fields)


def _name_of_operation(node: ast.expr, fields: Mapping[str, str]) -> str:
    if isinstance(node, ast.BoolOp):
        return f"{_symbol(node.op)}{_names(node.values, fields)}"
    if isinstance(node, ast.UnaryOp):
        return f"{_symbol(node.op)}{_names([node.operand], fields)}"
    if isinstance(node, ast.BinOp):
        return f"{_symbol(node.op)}{_names([node.left, node.right], fields)}"
    if isinstance(node, ast.Compare):
        symbols = ",".join(map(_symbol, node.ops))
        return f"{symbols}{_names([node.left, *node.comparators], fields)}"
    raise Unnamed


def _names(nodes: Iterable[ast.expr], fields: Mapping[str, str]) -> str:
    return f"({', '.join([name_of(node, fields) for node in nodes])})"


def _symbol(operator: ast.AST) -> str:
    symbol = _SYMBOLS.get(type(operator))
    if symbol is None:
        raise Unnamed
    return symbol


class Sharing(Protocol):
    """What a writer that shares asks."""

    def keep(self, key: str, write: Callable[[], str], guard: str, otherwise: str) -> str | None:
        """The source of a value, None if it is not shared.

        Args:
            key: its name.
            write: writes it.
            guard: the test it has to pass, of ``{0}``, a variable, and ``{1}``, its source; empty for none.
            otherwise: the source where it does not pass.
        """

    def leave_open(self) -> frozenset[str]:
        """Mark the point up to which all that is written will be evaluated."""

    def close(self, mark: frozenset[str]) -> None:
        """Tell that what was written since the mark may not be evaluated."""


class Counting:
    """Counts how often each value is asked for, apart from what another shared value contains already."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()

    def keep(self, key: str, write: Callable[[], str], guard: str, otherwise: str) -> str | None:
        """Count, and look into the value the first time."""
        self.counts[key] += 1
        if self.counts[key] == 1:
            write()
        return guard + otherwise

    def leave_open(self) -> frozenset[str]:
        """Nothing to mark."""
        return frozenset()

    def close(self, mark: frozenset[str]) -> None:
        """Nothing was marked."""


class Keeping:
    """Keeps chosen values in variables.

    INVARIANT: ``_sure`` holds only variables that are set on every way to the point that is being written.

    Args:
        local: the values to keep for the rules of one block.
        common: those to keep for all of a request's blocks, which find them set or not.
    """

    def __init__(self, local: Iterable[str], common: Iterable[str]) -> None:
        self.common = {key: f"x{number}" for number, key in enumerate(common)}
        start = len(self.common)
        self._names = {key: f"x{start + number}" for number, key in enumerate(local)} | self.common
        self._written = set(self.common.values())
        self._sure: set[str] = set()
        self.tested: set[str] = set()
        """Variables that are looked at before it is sure that they are set."""

    def keep(self, key: str, write: Callable[[], str], guard: str, otherwise: str) -> str | None:
        """The variable where it is sure to be set; else the value, put into it."""
        name = self._names.get(key)
        if name is None or name in self._sure:
            return name
        before = set(self._sure)
        value = write()
        unless_set = ""
        if name in self._written:
            self._sure = before
            self.tested.add(name)
            unless_set = f"{name} is not {UNSET}"
        self._written.add(name)
        self._sure.add(name)
        if guard:
            test = guard.format(name, value)
            return f"({name} if {unless_set and unless_set + ' or '}{test} else {otherwise.format(name)})"
        return f"({name} if {unless_set} else ({name} := {value}))" if unless_set else f"({name} := {value})"

    def leave_open(self) -> frozenset[str]:
        """The variables that are sure to be set here."""
        return frozenset(self._sure)

    def close(self, mark: frozenset[str]) -> None:
        """Only those marked are sure to be set."""
        self._sure = set(mark)
