"""Exact mode: plain Python operators, over values for which they must do what simpleeval does."""

from __future__ import annotations

import ast

from pdp.engine.compiled import safety
from pdp.engine.compiled.errors import NotCompilableError
from pdp.engine.compiled.writing import SYMBOLS, Literal, Writer, constant

HELPERS: dict[str, object] = {
    "P": safety.PRIMITIVES,
    "B": safety.check_base,
    "V": safety.PLAIN_CLASSES,
    "O": safety.check_operand,
    "U": safety.unsure,
}
_SEQUENCES = (ast.In, ast.NotIn)


class ExactWriter(Writer):
    """Writes tests that either give simpleeval's value or raise; on a raise the reference answers instead."""

    refusal = "U()"

    def guarded(self, source: str) -> str:
        """A base must pass simpleeval's inspection."""
        return f"B({source})"

    def compare(self, node: ast.Compare) -> str:
        """Comparisons chain as Python's do, which is what simpleeval does too."""
        parts = [self._operand(node.left)]
        for operator, comparator in zip(node.ops, node.comparators, strict=True):
            symbol = SYMBOLS.get(type(operator))
            if symbol is None:
                raise NotCompilableError(f"the operator {type(operator).__name__}")
            is_list = isinstance(comparator, ast.List)
            if is_list and not isinstance(operator, _SEQUENCES):
                raise NotCompilableError("a list used as a value")
            parts += [symbol, self._members(comparator) if is_list else self._operand(comparator)]
        return f"({' '.join(parts)})"

    def truth(self, node: ast.expr) -> str:
        """Any value is a condition; the caller turns away a result that is not a bool."""
        return self._operand(node)

    def text(self, node: ast.expr) -> str:
        """Only text is sure to pass through a pattern or role function unharmed."""
        source = self._operand(node)
        name = self.temp()
        return f"({name} if type({name} := {source}) is str else U())"

    def _members(self, node: ast.expr) -> str:
        found, value = constant(node)
        if not found:
            raise NotCompilableError("a list of other than literals")
        return self.slot(Literal(value))

    def _operand(self, node: ast.expr) -> str:
        source = self.load(node)
        if source is not None:
            name = self.temp()
            return f"({name} if type({name} := {source}) in P else O({name}))"
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Sub):
            return f"({self._operand(node.left)} - {self._operand(node.right)})"
        if isinstance(node, ast.BoolOp | ast.Compare | ast.Call) or (
            isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not)
        ):
            return self.test(node)
        known = None if isinstance(node, ast.List) else self.known(node)
        if known is None:
            raise NotCompilableError(f"the expression {type(node).__name__}")
        return self.slot(known)
