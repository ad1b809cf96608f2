"""A policy folder with its text at hand: the revision it makes, or what is wrong, and where everything stands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from pdp.core.condition import Node, parse
from pdp.core.condition.nodes import walk
from pdp.core.errors import PolicyInvalidError, PolicyProblem
from pdp.core.policy import Matcher, MatchError, PolicySnapshot, Rule
from pdp.core.record import View
from pdp.policy import EngineFactory, assemble
from pdp.policy.csv_reader import Field
from pdp.policy.files import RULES, read_folder
from pdp.policy.problems import Problems
from pdp.policy.rules import RuleRow, read_table
from pdp.policy.source import Source, decode


@dataclass(frozen=True)
class Span:
    """A stretch of a file's text, as half-open offsets."""

    source: Source
    start: int
    end: int


@dataclass(frozen=True)
class PolicyFiles:
    """A policy folder as it was read once.

    Attributes:
        folder: where it is.
        sources: the decoded files by path relative to the folder.
        policy: the revision; None where the folder is refused.
        problems: why it is refused.
    """

    folder: Path
    sources: Mapping[str, Source]
    policy: PolicySnapshot | None
    problems: tuple[PolicyProblem, ...]

    @cached_property
    def rule_sources(self) -> tuple[Source, ...]:
        """Give the files of rules, in the order of their names."""
        return tuple(source for name, source in sorted(self.sources.items()) if name.startswith(f"{RULES}/"))

    @cached_property
    def rows(self) -> tuple[RuleRow, ...]:
        """Give the rules as written, in the order of the revision's."""
        return read_table(self.rule_sources, Problems()).rules

    def field(self, rule: Rule, name: str) -> Span:
        """Give the place of a column of a rule, such as ``role``."""
        return _span(getattr(self.rows[rule.index], name))

    def part(self, rule: Rule, node: Node) -> Span:
        """Give the place of a part of a rule's condition."""
        field = self.rows[rule.index].condition
        at = next(number for number, it in enumerate(walk(rule.condition)) if it is node)
        written = list(walk(parse(field.value)))[at]
        return Span(field.source, field.offset_of(written.start), field.offset_of(written.end))


def read_policy(folder: Path, engine_factory: EngineFactory | None = None) -> PolicyFiles:
    """Read a policy folder, whatever is wrong with it.

    Args:
        folder: the folder.
        engine_factory: makes the engine of the revision; without one, nothing can be decided by it.
    """
    problems = Problems()
    contents = read_folder(folder, problems)
    sources = {name: source for name, it in contents.items() if (source := decode(name, it, Problems()))}
    try:
        policy = assemble(contents, engine_factory or _no_engine, problems)
    except PolicyInvalidError as error:
        return PolicyFiles(folder, sources, None, error.problems)
    return PolicyFiles(folder, sources, policy, ())


def _span(field: Field) -> Span:
    return Span(field.source, field.start, field.offset_of(len(field.value)))


def _no_engine(rules: tuple[Rule, ...], links: Sequence[tuple[str, str, str]], model: str) -> Matcher:
    del rules, links, model
    return _match_nothing


def _match_nothing(
    role: str, action: str, subject: View, device: View, session: View, resource: View, context: View
) -> Sequence[int]:
    """Refuse to match: the policy was read to look at, not to decide by.

    Raises:
        MatchError: always.
    """
    del role, action, subject, device, session, resource, context
    raise MatchError((), "this revision was read without an engine")
