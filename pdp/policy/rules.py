"""Rows of rules: read, and checked column by column against the schema and the obligations."""

from __future__ import annotations

import functools
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

from pdp.core.condition import ConditionError, Node, check, parse
from pdp.core.decision import Effect, Obligation
from pdp.core.policy import WILDCARD, Hierarchy, Rule
from pdp.core.schema import Schema
from pdp.policy.csv_reader import Field, read_rows
from pdp.policy.links import Link, read_link, role_names
from pdp.policy.problems import Problems, did_you_mean
from pdp.policy.source import Source

COLUMNS: Final = ("id", "role", "action", "resource", "condition", "eft", "obligations", "basis")
RULES_LIMIT: Final = 100_000
_ID: Final = re.compile(r"[a-z][a-z0-9-]{2,63}", re.ASCII)
_BASIS_LIMIT: Final = 500
_SOUND_LIMIT: Final = 16_384
_PTYPES: Final = ("p", "g", "g2", "g3")
# A text, kept as it is, or white space, of which one space is left.
_SPACING: Final = re.compile(r"""('[^'\n]*'|"[^"\n]*")|\s+""")


# Of a policy that is read again after a change, most conditions are the same as before.
_parsed: Final = functools.lru_cache(maxsize=16_384)(parse)


@functools.lru_cache(maxsize=4)
def _sound_under(_: str) -> set[tuple[str, frozenset[str]]]:
    """Give the conditions that are known to pass under a schema, with the resource types they were checked for."""
    return set()


class RuleRow(NamedTuple):
    """The fields of one ``p`` row, as written."""

    id: Field
    role: Field
    action: Field
    resource: Field
    condition: Field
    effect: Field
    obligations: Field
    basis: Field


@dataclass(frozen=True, slots=True)
class Table:
    """All rows of all files, in the order of the files' names."""

    rules: tuple[RuleRow, ...]
    links: tuple[Link, ...]


@dataclass(frozen=True, slots=True)
class Names:
    """What the columns of a rule may name."""

    schema: Schema
    hierarchy: Hierarchy
    obligations: Mapping[str, Obligation]

    def resource_types(self, resource: str) -> frozenset[str]:
        """Give the resource types that a rule's resource column covers."""
        covers = self.hierarchy.resources
        return frozenset(it for it in self.schema.resources if resource == WILDCARD or resource in covers[it])


def read_table(sources: Iterable[Source], problems: Problems) -> Table:
    """Read all rows; what is not a row of a known shape is reported and left out."""
    rules: list[RuleRow] = []
    links: list[Link] = []
    for source in sources:
        for row in read_rows(source, problems):
            match row[0].value:
                case "p":
                    rules.extend(_rule_row(row, problems))
                case "g" | "g2" | "g3":
                    links.extend(filter(None, [read_link(row, problems)]))
                case other:
                    problem = f"a row of an unknown kind, {other!r}"
                    problems.add(
                        source.problem(row[0].start, problem, "rows start with p, g, g2 or g3; comments with #")
                    )
    if len(rules) > RULES_LIMIT:
        _refuse(rules[RULES_LIMIT].id, problems, f"more than {RULES_LIMIT} rules")
    return Table(tuple(rules), tuple(links))


def build_rules(rows: Iterable[RuleRow], names: Names, problems: Problems) -> tuple[Rule, ...]:
    """Make rules of rows; a row with anything wrong is reported and left out."""
    reader = _Reader(names, problems)
    rules = [reader.rule(index, row) for index, row in enumerate(rows)]
    return tuple(rule for rule in rules if rule is not None)


def _rule_row(row: tuple[Field, ...], problems: Problems) -> list[RuleRow]:
    if len(row) == len(COLUMNS) + 1:
        return [RuleRow(*row[1:])]
    more = "a field that holds a comma stands in double quotes; " if len(row) > len(COLUMNS) else ""
    problem = f"a rule of {len(row)} fields instead of {len(COLUMNS) + 1}"
    problems.add(row[0].source.problem(row[0].start, problem, f"{more}p,{','.join(COLUMNS)}"))
    return []


def _refuse(field: Field, problems: Problems, problem: str, help_: str = "", index: int = 0) -> None:
    problems.add(field.source.problem(field.offset_of(index), problem, help_))


class _Reader:
    def __init__(self, names: Names, problems: Problems) -> None:
        self._names = names
        self._problems = problems
        self._ids: dict[str, Field] = {}
        self._sound = _sound_under(repr(names.schema))
        self._types = functools.cache(names.resource_types)
        schema, hierarchy = names.schema, names.hierarchy
        self._roles = role_names(schema)
        self._actions = _covered(schema.actions, hierarchy.actions)
        self._resources = _covered(schema.resources, hierarchy.resources)

    def rule(self, index: int, row: RuleRow) -> Rule | None:
        before = len(self._problems)
        self._check_id(row.id)
        self._check_name(row.role, self._roles, "role")
        self._check_name(row.action, self._actions, "action or group of actions")
        known = self._check_name(row.resource, self._resources, "resource type or class")
        text, condition = self._condition(row.condition, row.resource.value if known else None)
        effect = self._effect(row.effect)
        obligations = self._obligations(row.obligations)
        self._check_basis(row.basis)
        if len(self._problems) > before or condition is None or effect is None:
            return None
        values = (row.id.value, row.role.value, row.action.value, row.resource.value)
        line, _ = row.id.source.at(row.id.start)
        file = row.id.source.file
        return Rule(index, *values, text, condition, effect, obligations, _spaced(row.basis.value), file, line)

    def _report(self, field: Field, problem: str, help_: str = "", index: int = 0) -> None:
        _refuse(field, self._problems, problem, help_, index)

    def _check_id(self, field: Field) -> None:
        if not _ID.fullmatch(field.value):
            help_ = "3 to 64 lower-case letters, digits and -, starting with a letter"
            self._report(field, f"{field.value!r} is not a rule's id", help_)
        elif (first := self._ids.setdefault(field.value, field)) is not field:
            line, _ = first.source.at(first.start)
            self._report(field, f"the id {field.value!r} is taken", f"by {first.source.file}:{line}")

    def _check_name(self, field: Field, names: Collection[str], what: str) -> bool:
        if field.value == WILDCARD or field.value in names:
            return True
        problem = f"the schema has no {what} {field.value!r}" if field.value else f"a {what} is missing"
        self._report(field, problem, did_you_mean(field.value, names))
        return False

    def _condition(self, field: Field, resource: str | None) -> tuple[str, Node | None]:
        text = _spaced(field.value)
        if not text:
            self._report(field, "the condition is empty", "write True for a rule without one")
            return text, None
        try:
            # Once as written, for the places of errors; once as it will be shown and evaluated.
            written = _parsed(field.value)
            node = written if text == field.value else _parsed(text)
            if resource is not None:
                self._check(field.value, written, self._types(resource))
        except ConditionError as error:
            self._report(field, f"condition: {error.problem}", error.help, error.offset)
            return text, None
        return text, node

    def _check(self, text: str, node: Node, types: frozenset[str]) -> None:
        """Check a condition; one that passed before is not looked at again."""
        if (text, types) in self._sound:
            return
        check(node, self._names.schema, types)
        if len(self._sound) >= _SOUND_LIMIT:
            self._sound.clear()
        self._sound.add((text, types))

    def _effect(self, field: Field) -> Effect | None:
        found = {effect.value: effect for effect in Effect}.get(field.value)
        if found is None:
            self._report(field, f"{field.value!r} is not an effect", "write allow or deny")
        return found

    def _obligations(self, field: Field) -> tuple[str, ...]:
        if not field.value:
            return ()
        found: dict[str, None] = {}
        at = 0
        for part in field.value.split(";"):
            name, index = part.strip(), at + len(part) - len(part.lstrip())
            at += len(part) + 1
            if name not in self._names.obligations:
                problem = f"obligations.yaml has no {name!r}" if name else "an obligation is missing beside ;"
                self._report(field, problem, did_you_mean(name, self._names.obligations), min(index, at - 1))
            elif name in found:
                self._report(field, f"the obligation {name!r} stands twice", "", index)
            found[name] = None
        return tuple(found)

    def _check_basis(self, field: Field) -> None:
        if not field.value:
            self._report(field, "the basis is empty", "name the regulation or risk that this rule serves")
        elif len(field.value) > _BASIS_LIMIT:
            self._report(field, f"a basis of more than {_BASIS_LIMIT} characters")


def _covered(names: Iterable[str], closed: Mapping[str, frozenset[str]]) -> frozenset[str]:
    """Give the names a rule may use for some: themselves and every group they are in."""
    return frozenset().union(*(closed[name] for name in names))


def _spaced(text: str) -> str:
    return _SPACING.sub(lambda found: found[1] or " ", text).strip()
