"""From Casbin's expression text to Python syntax trees, by the same rewriting as pycasbin 2.8 (``core_enforcer``).

pycasbin puts a rule's condition into the matcher as text and parses the whole anew for each row. Here matcher
and condition are parsed apart, once, which gives the same tree only for a condition that stays inside the
parentheses it is put in. ``1==2) or (1==1`` does not; :func:`parse_condition` proves it for each.
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass

from casbin.util import util

from pdp.engine.compiled.errors import NotCompilableError

_NOT = re.compile(r"!(?!=)")
_PLACEHOLDER = "__rule_{}__"
_WRAP = "_"
_MAX_DEPTH = 60
_NESTING = ("(", "[", "{", ".", "-", "~", "+", "not", "if", "lambda", "*")


def rewrite(text: str) -> str:
    """Casbin's operators as Python's, by pycasbin's own three substitutions."""
    return _NOT.sub("not ", text.replace("&&", "and").replace("||", "or"))


@dataclass(frozen=True, slots=True)
class Matcher:
    """A parsed matcher.

    Attributes:
        tree: the expression; each ``eval(p.x)`` is a ``Name`` found in ``rules``.
        rules: placeholder name -> the policy token whose text stands there.
        text: the matcher as pycasbin holds it, before operator rewriting.
    """

    tree: ast.expr
    rules: dict[str, str]
    text: str


def parse_matcher(text: str, policy_tokens: list[str]) -> Matcher:
    """Parse a matcher whose tokens are already escaped (``r.sub`` as ``r_sub``), as a loaded model holds it.

    Raises:
        NotCompilableError: pycasbin would fail on it, or evaluate something other than one expression.
    """
    names = util.get_eval_value(text)
    unknown = [name for name in names if name not in policy_tokens]
    if unknown:
        raise NotCompilableError(f"eval({unknown[0]}) names no policy field")
    placeholders = [_PLACEHOLDER.format(number) for number in range(len(names))]
    tree = _expression(rewrite(util.replace_eval(text, list(placeholders))).strip())
    found = [node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and node.id in placeholders]
    if sorted(found) != sorted(placeholders):
        raise NotCompilableError("eval(...) stands inside a literal")
    return Matcher(tree, dict(zip(placeholders, names, strict=True)), text)


def _expression(text: str) -> ast.expr:
    body = _parse(text).body
    if len(body) != 1 or not isinstance(body[0], ast.Expr):
        raise NotCompilableError("not a single expression")
    if sum(map(text.count, _NESTING)) > _MAX_DEPTH:
        _check_depth(body[0].value)
    return body[0].value


def _parse(text: str) -> ast.Module:
    try:
        return ast.parse(text)
    except (SyntaxError, ValueError, MemoryError, RecursionError) as error:
        raise NotCompilableError(f"does not parse: {type(error).__name__}") from None


def _check_depth(tree: ast.AST) -> None:
    level: list[ast.AST] = [tree]
    for _ in range(_MAX_DEPTH):
        level = [child for node in level for child in ast.iter_child_nodes(node)]
        if not level:
            return
    raise NotCompilableError("nested too deeply")


def parse_condition(text: str) -> ast.expr:
    """Parse the text of an ``eval`` field, and prove that it stays inside the parentheses it is put in.

    Raises:
        NotCompilableError: it does not parse, or reaches outside of its parentheses.
    """
    source = rewrite(f"{_WRAP}({util.escape_assertion(text)})")
    call = _expression(source)
    alone = (
        isinstance(call, ast.Call)
        and isinstance(call.func, ast.Name)
        and call.func.id == _WRAP
        and call.func.col_offset == 0
        and len(call.args) == 1
        and not call.keywords
        and not isinstance(call.args[0], ast.Starred)
    )
    if not alone or not isinstance(call, ast.Call):
        raise NotCompilableError("not a single expression that stays inside its parentheses")
    # A comma at the end is none of a call's business, but makes a tuple in plain parentheses.
    return _expression(rewrite(f"({util.escape_assertion(text)})")) if "," in text else call.args[0]


def conjuncts(tree: ast.expr) -> list[ast.expr]:
    """The operands of a top-level ``and``, flattened, in order of evaluation."""
    if isinstance(tree, ast.BoolOp) and isinstance(tree.op, ast.And):
        return [part for value in tree.values for part in conjuncts(value)]
    return [tree]


def substitute(tree: ast.expr, rules: dict[str, ast.expr]) -> ast.expr:
    """The tree with each placeholder replaced; shared subtrees are never written to afterwards."""
    if isinstance(tree, ast.Name):
        return rules.get(tree.id, tree)
    if isinstance(tree, ast.BoolOp):
        return ast.BoolOp(tree.op, [substitute(value, rules) for value in tree.values])
    if isinstance(tree, ast.UnaryOp):
        return ast.UnaryOp(tree.op, substitute(tree.operand, rules))
    if any(isinstance(node, ast.Name) and node.id in rules for node in ast.walk(tree)):
        raise NotCompilableError("eval(...) is used as a value")
    return tree
