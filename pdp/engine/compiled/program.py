"""From a loaded model and its rows to the compiled functions."""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from casbin.model import Model

from pdp.engine.compiled import patterns
from pdp.engine.compiled.builder import Builder, Definition
from pdp.engine.compiled.effects import EFFECTS
from pdp.engine.compiled.errors import NotCompilableError
from pdp.engine.compiled.exact import ExactWriter
from pdp.engine.compiled.functions import Function, FunctionWriter
from pdp.engine.compiled.pacing import Checkpoint, paced
from pdp.engine.compiled.plan import Dimension
from pdp.engine.compiled.roles import DomainRoles, Roles
from pdp.engine.compiled.strict import StrictWriter
from pdp.engine.compiled.syntax import Matcher, parse_matcher
from pdp.engine.compiled.templates import Test
from pdp.engine.compiled.writing import Fields, Scope

_COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)


class Sections(NamedTuple):
    """Which request, policy and matcher sections are evaluated together."""

    request: str = "r"
    policy: str = "p"
    matcher: str = "m"


@dataclass(frozen=True, slots=True)
class Program:
    """A compiled matcher over its rules.

    Attributes:
        builder: what the functions were made from.
        match: see :meth:`.functions.FunctionWriter.match`.
        decide: see :meth:`.functions.FunctionWriter.decide`.
    """

    builder: Builder
    match: Function
    decide: Function


def define(
    model: Model, sections: Sections, roles: dict[str, Roles | DomainRoles], custom: frozenset[str] = frozenset()
) -> Definition:
    """The definition of a matcher.

    Args:
        model: a loaded model.
        sections: which of its sections.
        roles: the closures of its role functions.
        custom: the names of functions the user has registered.

    Raises:
        NotCompilableError: the model cannot be compiled as a whole.
    """
    request, policy = _tokens(model, "r", sections.request), _tokens(model, "p", sections.policy)
    assertion = (model["m"] or {}).get(sections.matcher)
    if assertion is None:
        raise NotCompilableError(f"no matcher {sections.matcher}")
    matcher = parse_matcher(assertion.value, policy)
    _refuse_comprehensions(matcher)
    scope = Scope(
        {token: position for position, token in enumerate(request)},
        {token: position for position, token in enumerate(policy)},
        roles,
        patterns.NAMES - custom,
    )
    return Definition(request, policy, sections.policy, matcher, scope, EFFECTS[model["e"]["e"].value])


def _tokens(model: Model, section: str, key: str) -> list[str]:
    assertion = (model[section] or {}).get(key)
    if assertion is None:
        raise NotCompilableError(f"no section {key}")
    tokens: list[str] = assertion.tokens
    if len(set(tokens)) != len(tokens):
        raise NotCompilableError(f"{key} defines a token twice")
    return tokens


def _refuse_comprehensions(matcher: Matcher) -> None:
    # simpleeval counts the elements of comprehensions over all rows together.
    if any(isinstance(node, _COMPREHENSIONS) for node in ast.walk(matcher.tree)):
        raise NotCompilableError("a comprehension in the matcher")


def closures(
    model: Model, rows: Mapping[str, Sequence[Sequence[str]]], checkpoint: Checkpoint
) -> dict[str, Roles | DomainRoles]:
    """The closure of each role definition.

    Args:
        model: a loaded model.
        rows: role definition -> its links.
        checkpoint: called every few links.

    Raises:
        NotCompilableError: roles are conditional, or of a shape that the default role managers treat oddly.
    """
    found: dict[str, Roles | DomainRoles] = {}
    for key, assertion in (model["g"] or {}).items():
        width = assertion.value.count("_")
        if assertion.params_tokens:
            raise NotCompilableError(f"{key} has conditional roles")
        if width not in {2, 3} or width != len(assertion.tokens):
            raise NotCompilableError(f"{key} is neither _, _ nor _, _, _")
        links = [tuple(row[:width]) for row in paced(rows[key], checkpoint)]
        if not all(type(name) is str for link in paced(links, checkpoint) for name in link):
            raise NotCompilableError(f"{key} has a name that is not text")
        each = paced(links, checkpoint)
        found[key] = Roles(each) if width == 2 else DomainRoles(each)  # type: ignore[arg-type]  # noqa: PLR2004
    return found


def build_exact(
    definition: Definition,
    rows: Sequence[Fields],
    interpret: Callable[[Fields], Test],
    checkpoint: Checkpoint,
    previous: Program | None = None,
) -> Program:
    """Compile for exact mode; what does not compile is interpreted row by row."""
    builder = Builder(definition, ExactWriter, rows, _reusable(previous, definition))
    builder.file(interpret, checkpoint)
    writer = FunctionWriter(builder)
    return Program(builder, writer.match(), writer.decide())


def build_strict(
    definition: Definition, rows: Sequence[Fields], checkpoint: Checkpoint, previous: Program | None = None
) -> Program:
    """Compile for strict mode; rules that do not compile are among the builder's findings."""
    builder = Builder(definition, StrictWriter, rows, _reusable(previous, definition))
    builder.file(None, checkpoint)
    writer = FunctionWriter(builder)
    return Program(builder, writer.match(), writer.decide())


def _reusable(previous: Program | None, definition: Definition) -> Builder | None:
    if previous is None or not definition.same_matcher(previous.builder.definition):
        return None
    return previous.builder


def describe(dimensions: list[Dimension], definition: Definition) -> tuple[str, ...]:
    """Indexed conjuncts as text."""
    texts = []
    for dimension in dimensions:
        path = ".".join((definition.request[dimension.path.position], *dimension.path.attributes))
        field = definition.policy[dimension.column]
        text = f"{path} == {field}" if dimension.function == "==" else f"{dimension.function}({path}, {field})"
        texts.append(text if dimension.wildcard is None else f"({field} == {dimension.wildcard!r} || {text})")
    return tuple(texts)
