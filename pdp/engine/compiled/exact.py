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
    gives_bool = False

    def guarded(self, source: str) -> str:
        """A base must pass simpleeval's inspection."""
        return f"B({source})"

    def compare(self, node: ast.Compare) -> str:
        """Comparisons chain as Python's do, which is what simpleeval does too."""
        symbols = [_symbol(operator) for operator in node.ops]
        operands = self.may_stop(self._operand_or_members, [node.left, *node.comparators], sure=2)
        pairs = zip(node.ops, node.comparators, strict=True)
        if any(isinstance(right, ast.List) and not isinstance(operator, _SEQUENCES) for operator, right in pairs):
            raise NotCompilableError("a list used as a value")
        if isinstance(node.left, ast.List):
            raise NotCompilableError("the expression List")
        rest = [word for pair in zip(symbols, operands[1:], strict=True) for word in pair]
        return f"({' '.join([operands[0], *rest])})"

    def truth(self, node: ast.expr) -> str:
        """Any value is a condition; the caller turns away a result that is not a bool."""
        return self._operand(node)

    def text(self, node: ast.expr) -> str:
        """Only text is sure to pass through a pattern or role function unharmed."""
        return self.keep("text", node, lambda: self._operand(node), "type({0} := {1}) is str", "U()")

    def _operand_or_members(self, node: ast.expr) -> str:
        if not isinstance(node, ast.List):
            return self._operand(node)
        found, value = constant(node)
        if not found:
            raise NotCompilableError("a list of other than literals")
        return self.slot(Literal(value))

    def _operand(self, node: ast.expr) -> str:
        if self.reads(node):
            return self.keep("operand", node, lambda: self.load(node), "type({0} := {1}) in P", "O({0})")
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Sub):
            return self.keep("difference", node, lambda: self._subtract(node))
        if isinstance(node, ast.BoolOp | ast.Compare | ast.Call) or (
            isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not)
        ):
            return self.test(node)
        known = None if isinstance(node, ast.List) else self.known(node)
        if known is None:
            raise NotCompilableError(f"the expression {type(node).__name__}")
        return self.slot(known)

    def _subtract(self, node: ast.BinOp) -> str:
        return f"({self._operand(node.left)} - {self._operand(node.right)})"


def _symbol(operator: ast.cmpop) -> str:
    symbol = SYMBOLS.get(type(operator))
    if symbol is None:
        raise NotCompilableError(f"the operator {type(operator).__name__}")
    return symbol
