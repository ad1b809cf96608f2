"""What of a matcher can be answered from an index.

Only leading conjuncts qualify: pycasbin evaluates left to right and stops at the first that is false, so a row
left out by the index is one that pycasbin, too, would have left without raising.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pdp.engine.compiled import patterns
from pdp.engine.compiled.conditions import Path, path_of
from pdp.engine.compiled.errors import NotCompilableError
from pdp.engine.compiled.roles import DomainRoles, Roles
from pdp.engine.compiled.syntax import Matcher, conjuncts
from pdp.engine.compiled.writing import DICT_NAMES, Scope, Writer, check_attribute

if TYPE_CHECKING:
    from collections.abc import Iterable


@dataclass(frozen=True, slots=True)
class Dimension:
    """One indexed conjunct: a test between a request path and a policy field.

    Attributes:
        path: where the request's value is read.
        column: the policy field's position.
        function: ``==``, a role function or a pattern function.
        domain: where the domain is read, for a role function with domains.
        wildcard: a field value that matches any request, None if there is none.
    """

    path: Path
    column: int
    function: str = "=="
    domain: Path | None = None
    wildcard: str | None = None


@dataclass(slots=True)
class Plan:
    """How a matcher is evaluated.

    Attributes:
        gates: leading conjuncts without policy fields, evaluated once per request.
        dimensions: leading conjuncts answered by the index.
        residual: all other conjuncts, in order, evaluated per row. Pattern conjuncts stay among them, for the
            index only narrows those down.
    """

    gates: list[ast.expr] = field(default_factory=list)
    dimensions: list[Dimension] = field(default_factory=list)
    residual: list[ast.expr] = field(default_factory=list)


def make_plan(matcher: Matcher, scope: Scope, writer: type[Writer]) -> Plan:
    """Split a matcher into gates, dimensions and the rest."""
    plan = Plan()
    parts = conjuncts(matcher.tree)
    for number, part in enumerate(parts):
        dimension = _dimension(part, scope)
        if dimension is not None:
            plan.dimensions.append(dimension)
            if dimension.function in patterns.FAILING_NAMES:
                # An index behind it would leave out rows on which pycasbin raises.
                plan.residual += parts[number:]
                break
            if dimension.function in patterns.NAMES:
                plan.residual.append(part)
        elif _is_gate(part, matcher, scope, writer):
            plan.gates.append(part)
        else:
            plan.residual += parts[number:]
            break
    return plan


def _is_gate(node: ast.expr, matcher: Matcher, scope: Scope, writer: type[Writer]) -> bool:
    names = {found.id for found in ast.walk(node) if isinstance(found, ast.Name)}
    if names & (scope.policy.keys() | matcher.rules.keys()):
        return False
    try:
        writer(scope).test(node)
    except NotCompilableError:
        return False
    return True


def _dimension(node: ast.expr, scope: Scope) -> Dimension | None:
    if isinstance(node, ast.Compare):
        return _equality(node, scope)
    if isinstance(node, ast.Call):
        return _call(node, scope)
    if isinstance(node, ast.BoolOp) and isinstance(node.op, ast.Or) and len(node.values) == 2:  # noqa: PLR2004
        one, other = node.values
        return _wildcard(one, other, scope) or _wildcard(other, one, scope)
    return None


def _sides(node: ast.expr) -> Iterable[tuple[ast.expr, ast.expr]]:
    if isinstance(node, ast.Compare) and len(node.ops) == 1 and isinstance(node.ops[0], ast.Eq):
        yield node.left, node.comparators[0]
        yield node.comparators[0], node.left


def _column(node: ast.expr, scope: Scope) -> int | None:
    return scope.policy.get(node.id) if isinstance(node, ast.Name) else None


def _key_path(node: ast.expr, scope: Scope) -> Path | None:
    path = path_of(node, scope)
    if path is None or any(name in DICT_NAMES for name in path.attributes):
        return None
    try:
        for name in path.attributes:
            check_attribute(name)
    except NotCompilableError:
        return None
    return path


def _equality(node: ast.expr, scope: Scope) -> Dimension | None:
    for one, other in _sides(node):
        path, column = _key_path(one, scope), _column(other, scope)
        if path is not None and column is not None:
            return Dimension(path, column)
    return None


def _call(node: ast.Call, scope: Scope) -> Dimension | None:
    if not isinstance(node.func, ast.Name) or node.keywords or len(node.args) < 2:  # noqa: PLR2004
        return None
    name = node.func.id
    path, column = _key_path(node.args[0], scope), _column(node.args[1], scope)
    if path is None or column is None:
        return None
    roles = scope.roles.get(name)
    if isinstance(roles, Roles) and len(node.args) == 2:  # noqa: PLR2004
        return Dimension(path, column, name)
    if isinstance(roles, DomainRoles) and len(node.args) == 3:  # noqa: PLR2004
        domain = _key_path(node.args[2], scope)
        return None if domain is None else Dimension(path, column, name, domain)
    prefixed = name in scope.functions and name in patterns.INDEXED_NAMES and len(node.args) == 2  # noqa: PLR2004
    return Dimension(path, column, name) if prefixed and roles is None else None


def _wildcard(first: ast.expr, second: ast.expr, scope: Scope) -> Dimension | None:
    found = _dimension(second, scope)
    if found is None or found.wildcard is not None or found.function in patterns.NAMES:
        return None
    for one, other in _sides(first):
        text = other.value if isinstance(other, ast.Constant) else None
        if _column(one, scope) == found.column and type(text) is str:
            return Dimension(found.path, found.column, found.function, found.domain, text)
    return None
