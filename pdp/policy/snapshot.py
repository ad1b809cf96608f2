"""A policy folder made into one immutable revision, or refused as a whole with everything that is wrong with it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from pdp.core.decision import Effect, Obligation
from pdp.core.errors import PolicyProblem
from pdp.core.limits import NO_LIMITS, Limits
from pdp.core.policy import Hierarchy, Matcher, PolicySnapshot, Rule
from pdp.core.schema import Schema
from pdp.core.signals.rules import NO_SIGNALS, SignalRules
from pdp.policy import files
from pdp.policy.digest import revision_of
from pdp.policy.limits import read_limits
from pdp.policy.links import check_links, check_use
from pdp.policy.model import MODEL, check_model
from pdp.policy.obligations import read_obligations
from pdp.policy.problems import Problems
from pdp.policy.routes import read_routes
from pdp.policy.rules import Names, Table, build_rules, read_table
from pdp.policy.schema import read_schema
from pdp.policy.signals import read_signals
from pdp.policy.source import Source, decode, require_end

EngineFactory = Callable[[tuple[Rule, ...], Sequence[tuple[str, str, str]], str], Matcher]
"""Makes an engine of the rules, of the links (``g``, ``g2`` or ``g3``; member; parent) and of the model's text."""


def load(folder: Path, engine_factory: EngineFactory) -> PolicySnapshot:
    """Read, check and assemble a policy folder.

    Args:
        folder: holds model.conf, schema.yaml, obligations.yaml, routes.yaml and policy/*.csv.
        engine_factory: makes the engine that matches the rules.

    Raises:
        PolicyInvalidError: with every problem found. Nothing of a folder with a problem is used.
    """
    problems = Problems()
    contents = files.read_folder(folder, problems)
    return assemble(contents, engine_factory, problems)


def assemble(contents: Mapping[str, bytes], engine_factory: EngineFactory, problems: Problems) -> PolicySnapshot:
    """Check and assemble the policy files, given by path relative to their folder.

    Args:
        contents: every file that could be read.
        engine_factory: as for ``load``.
        problems: what was wrong with reading them.

    Raises:
        PolicyInvalidError: with every problem found.
    """
    sources = _decode(contents, problems)
    if model := sources.get(files.MODEL):
        check_model(model, problems)
    schema = read_schema(source, problems) if (source := sources.get(files.SCHEMA)) else None
    obligations = read_obligations(source, problems) if (source := sources.get(files.OBLIGATIONS)) else None
    routes = read_routes(source, schema, problems) if (source := sources.get(files.ROUTES)) else None
    signals = _signals(sources.get(files.SIGNALS), schema, problems)
    limits = _limits(sources.get(files.LIMITS), schema, problems)
    table = read_table((source for name, source in sorted(sources.items()) if name.startswith(files.RULES)), problems)
    if schema is None or obligations is None:
        problems.raise_if_any()
        raise AssertionError("without a problem there is a schema")
    rules, hierarchy = _check_rules(table, schema, obligations, problems)
    problems.raise_if_any()
    if routes is None or hierarchy is None:
        raise AssertionError("without a problem there is everything")
    links = tuple(dict.fromkeys(link.names for link in table.links))
    matcher = engine_factory(rules, links, MODEL)
    revision = revision_of(contents)
    return PolicySnapshot(revision, rules, matcher, hierarchy, schema, obligations, routes, signals, limits)


def load_schema(path: Path) -> Schema:
    """Read a schema.yaml alone.

    Raises:
        PolicyInvalidError: with every problem found in it.
    """
    problems = Problems()
    content = files.read_file(path.parent, path.name, problems)
    sources = _decode({path.name: content} if content is not None else {}, problems)
    schema = read_schema(sources[path.name], problems) if path.name in sources else None
    problems.raise_if_any()
    if schema is None:
        raise AssertionError("without a problem there is a schema")
    return schema


def _signals(source: Source | None, schema: Schema | None, problems: Problems) -> SignalRules:
    """Read signals.yaml, which a policy need not have; without a schema nothing in it could be checked."""
    return read_signals(source, schema, problems) if source and schema else NO_SIGNALS


def _limits(source: Source | None, schema: Schema | None, problems: Problems) -> Limits:
    """Read limits.yaml, which a policy need not have either."""
    return read_limits(source, schema, problems) if source and schema else NO_LIMITS


def _decode(contents: Mapping[str, bytes], problems: Problems) -> dict[str, Source]:
    sources = {}
    for name, content in contents.items():
        if source := decode(name, content, problems):
            sources[name] = source
            # The model is compared as a whole, so a part of it never passes; any other file might.
            if name != files.MODEL:
                require_end(source, problems)
    return sources


def _check_rules(
    table: Table, schema: Schema, obligations: Mapping[str, Obligation], problems: Problems
) -> tuple[tuple[Rule, ...], Hierarchy | None]:
    hierarchy = check_links(table.links, schema, problems)
    if hierarchy is None:
        return (), None
    rules = build_rules(table.rules, Names(schema, hierarchy, obligations), problems)
    used = {"g2": {row.action.value for row in table.rules}, "g3": {row.resource.value for row in table.rules}}
    check_use(table.links, used, schema, problems)
    if not any(row.effect.value == Effect.ALLOW.value for row in table.rules):
        problems.add(PolicyProblem(files.RULES, 0, 0, "no rule allows anything", "an empty policy is a mistake"))
    return rules, hierarchy
