"""One compiled test per distinct condition text, shared by the rows that carry it and by later revisions."""

from __future__ import annotations

import ast
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pdp.engine.compiled.errors import NotCompilableError
from pdp.engine.compiled.syntax import Matcher, conjuncts, parse_condition, substitute
from pdp.engine.compiled.writing import Fields, Link, Literal, Scope, Slot, Writer, constant

if TYPE_CHECKING:
    from pdp.engine.compiled.templates import Templates, Test


@dataclass(frozen=True, slots=True)
class Path:
    """A request value or an attribute of one: ``r_obj.type`` is ``Path(1, ("type",))``."""

    position: int
    attributes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Equality:
    """A leading conjunct ``path == "text"`` or ``path in ("text", ...)`` of a condition."""

    path: Path
    texts: tuple[str, ...]


@dataclass(slots=True)
class Condition:
    """What is left of the matcher for the rows with one condition text.

    Attributes:
        parses: whether pycasbin could parse the row's expression at all; if not, reaching the row raises.
        problem: why it was not compiled, empty if it was.
        source: the source of the test; empty when it holds always.
        slots: the literals of the test.
        leading: the equalities it starts with.
        bases: positions of the request values that attributes are read from.
        lasts: whether its tests hold for later revisions: a role function is bound to the role links of its own.
    """

    parses: bool = True
    problem: str = ""
    source: str = ""
    slots: tuple[Slot, ...] = ()
    leading: tuple[Equality, ...] = ()
    bases: frozenset[int] = frozenset()
    lasts: bool = True
    _shared: Test | None = field(default=None)

    def bind(self, row: Fields, templates: Templates) -> Test | None:
        """The test for one row; None when it holds always.

        Raises:
            NotCompilableError: the row holds a pattern that pycasbin fails on.
        """
        if not self.source:
            return None
        if self._shared is not None:
            return self._shared
        values = [slot.fill(row) for slot in self.slots]
        test = templates.factory(self.source, len(values))(*values)
        if all(isinstance(slot, Literal) for slot in self.slots):
            self._shared = test
        return test


class Conditions:
    """Compiles the residual conjuncts of one matcher, once per distinct text of its ``eval`` fields.

    Args:
        matcher: the matcher.
        residual: its conjuncts that the index does not answer.
        scope: what names mean.
        writer: the mode's writer.
        refuse: says why a condition's text is refused as text, empty if it is not.
    """

    def __init__(
        self,
        matcher: Matcher,
        residual: list[ast.expr],
        scope: Scope,
        writer: Callable[[Scope], Writer],
        refuse: Callable[[str], str],
    ) -> None:
        self._refuse = refuse
        self._rules = matcher.rules
        self._residual = residual
        self._scope = scope
        self._writer = writer
        self._by_text: dict[tuple[str, ...], Condition] = {}
        self._older: dict[tuple[str, ...], Condition] = {}
        first = residual[0] if residual else None
        self._starts_with_rule = isinstance(first, ast.Name) and first.id in matcher.rules
        self._columns = [scope.policy[token] for token in matcher.rules.values()]
        named = {node.id for part in residual for node in ast.walk(part) if isinstance(node, ast.Name)}
        self._read = [*self._columns, *sorted(scope.policy[name] for name in named & scope.policy.keys())]

    def of(self, row: Fields) -> Condition:
        """The condition of a row."""
        texts = tuple([row[column] for column in self._columns])
        found = self._by_text.get(texts)
        if found is None:
            found = self._by_text[texts] = self._taken_over(texts) or self._compile(texts)
        return found

    def __len__(self) -> int:
        return len(self._by_text)

    def texts(self, row: Fields) -> tuple[str, ...]:
        """All of a row that its test depends on."""
        return tuple([row[column] for column in self._read])

    def parts(self, row: Fields) -> list[ast.expr]:
        """The conjuncts of a row's test, parsed anew.

        Raises:
            NotCompilableError: it was not compiled.
        """
        trees = [parse_condition(row[column]) for column in self._columns]
        return self._parts(dict(zip(self._rules, trees, strict=True)))

    def _parts(self, rules: dict[str, ast.expr]) -> list[ast.expr]:
        parts = [part for tree in self._residual for part in conjuncts(substitute(tree, rules))]
        return [part for part in parts if not _is_true(part)]

    def adopt(self, other: Conditions) -> None:
        """Take over what another revision of the same matcher has compiled, as it comes up."""
        self._older = other._by_text

    def let_go(self) -> None:
        """Forget the other revision, once every row is filed."""
        self._older = {}

    def _taken_over(self, texts: tuple[str, ...]) -> Condition | None:
        found = self._older.get(texts)
        return found if found is not None and found.lasts else None

    def _compile(self, texts: tuple[str, ...]) -> Condition:
        problem = next(filter(None, map(self._refuse, texts)), "")
        if problem:
            return Condition(problem=problem)
        try:
            trees = [parse_condition(text) for text in texts]
        except NotCompilableError as error:
            return Condition(parses=False, problem=str(error))
        rules = dict(zip(self._rules, trees, strict=True))
        try:
            return self._write(rules)
        except NotCompilableError as error:
            return Condition(problem=str(error))

    def _write(self, rules: dict[str, ast.expr]) -> Condition:
        writer = self._writer(self._scope)
        tests = [writer.test(part) for part in self._parts(rules)]
        return Condition(
            source=" and ".join(tests),
            slots=tuple(writer.slots),
            leading=self._leading(rules),
            bases=frozenset(writer.bases),
            lasts=not any(isinstance(slot, Link) for slot in writer.slots),
        )

    def _leading(self, rules: dict[str, ast.expr]) -> tuple[Equality, ...]:
        found: list[Equality] = []
        if self._starts_with_rule:
            for part in conjuncts(next(iter(rules.values()))):
                equality = literal_equality(part, self._scope)
                if equality is None:
                    break
                found.append(equality)
        return tuple(found)


def _is_true(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is True


def path_of(node: ast.expr, scope: Scope) -> Path | None:
    """The path a node reads from the request, None if it is no path."""
    if isinstance(node, ast.Name):
        position = scope.request.get(node.id)
        return None if position is None else Path(position)
    if isinstance(node, ast.Attribute):
        base = path_of(node.value, scope)
        return None if base is None else Path(base.position, (*base.attributes, node.attr))
    return None


def literal_equality(node: ast.expr, scope: Scope) -> Equality | None:
    """The equality a conjunct states between a path and literal texts, None if it is anything else."""
    if not isinstance(node, ast.Compare) or len(node.ops) != 1:
        return None
    left, right = node.left, node.comparators[0]
    path = path_of(left, scope)
    if path is None and isinstance(node.ops[0], ast.Eq):
        left, right = right, left
        path = path_of(left, scope)
    known, value = constant(right)
    if path is None or not known:
        return None
    texts = value if isinstance(node.ops[0], ast.In) and isinstance(value, tuple) else (value,)
    wanted = ast.In if isinstance(value, tuple) else ast.Eq
    if not isinstance(node.ops[0], wanted):
        return None
    strings = tuple(text for text in texts if type(text) is str)
    return Equality(path, tuple(dict.fromkeys(strings))) if strings and len(strings) == len(texts) else None
