"""Rows of a plain Casbin policy made into rules of ours.

An object becomes a resource of the type ``object`` with the object's name as its id, a subject of a rule becomes a
role, and people become attribute records that hold these roles. So a request (sub, obj, act) is asked as
user:sub, act, object:obj, and is answered alike.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from pdp.core.condition import ConditionError, Node, parse
from pdp.core.decision import Effect
from pdp.workbench.migrate.conditions import AttributeKinds, translate
from pdp.workbench.migrate.model import CasbinModel

TYPE: Final = "object"
_SUBJECT_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:@/+=~-]{0,254}", re.ASCII)
_LITERAL: Final = re.compile(r"[A-Za-z0-9 _:@/+=.,-]*", re.ASCII)
_NOT_IN_NAME: Final = re.compile(r"[^a-z0-9]+")
_ANY: Final = "*"
_EVERYBODY: Final = "everybody"


@dataclass(frozen=True)
class Note:
    """Something a person must look at. ``line`` is the policy's, 1-based; 0 where the model is meant."""

    line: int
    text: str
    lost: bool


@dataclass(frozen=True)
class ImportedRule:
    """One rule: its columns, its condition, whether it allows, and the line it comes from."""

    role: str
    action: str
    condition: str
    effect: Effect
    line: int


@dataclass
class Result:
    """What could be carried over, and notes on the rest.

    Attributes:
        rules: the rules, in the order of the policy.
        inherits: pairs of a role and one it inherits.
        people: roles by the person's id.
        roles: every role.
        actions: every action.
        kinds: what is known of the attributes that conditions read.
        notes: what changed its shape, and what was lost.
    """

    rules: list[ImportedRule] = field(default_factory=list)
    inherits: list[tuple[str, str]] = field(default_factory=list)
    people: dict[str, list[str]] = field(default_factory=dict)
    roles: set[str] = field(default_factory=set)
    actions: set[str] = field(default_factory=set)
    kinds: AttributeKinds = field(default_factory=AttributeKinds)
    notes: list[Note] = field(default_factory=list)


def convert(model: CasbinModel, policy: str) -> Result:
    """Convert the rows of a policy.

    Args:
        model: what the columns mean.
        policy: Casbin's CSV.
    """
    converter = _Converter(model)
    rows = list(_rows(policy))
    converter.links(rows)
    for line, row in rows:
        if row[0] == "p":
            converter.rule(line, row[1:])
        elif row[0] != "g":
            converter.lose(line, f"a row of the kind {row[0]!r} has no counterpart")
    converter.shortcuts()
    return converter.result


def _rows(policy: str) -> Iterable[tuple[int, list[str]]]:
    for number, line in enumerate(policy.splitlines(), 1):
        if line.strip() and not line.lstrip().startswith("#"):
            yield number, [part.strip() for part in next(csv.reader([line], skipinitialspace=True))]


class _Converter:
    def __init__(self, model: CasbinModel) -> None:
        self.result = Result()
        self._model = model
        self._names: dict[str, str] = {}
        self._taken: set[str] = set()

    def lose(self, line: int, text: str) -> None:
        """Take note of something that is not carried over."""
        self.result.notes.append(Note(line, text, lost=True))

    def links(self, rows: list[tuple[int, list[str]]]) -> None:
        """Tell roles from people: what others inherit, or what rules are for, is a role."""
        links = [(line, row[1], row[2]) for line, row in rows if row[0] == "g" and len(row) == 3]  # noqa: PLR2004
        for line, row in rows:
            if row[0] == "g" and len(row) != 3:  # noqa: PLR2004 - g, member, role
                self.lose(line, "roles in a domain have no counterpart: make the domain an attribute")
        ruled = {self._column(row[1:], 0): line for line, row in rows if row[0] == "p"}
        parents = {parent for _, _, parent in links}
        roles = parents | set(ruled)
        for line, member, parent in links:
            if member in roles:
                self.result.inherits.append((self._role(member, line), self._role(parent, line)))
            elif _SUBJECT_ID.fullmatch(member):
                self.result.people.setdefault(member, []).append(self._role(parent, line))
            else:
                self.lose(line, f"{member!r} cannot be a subject's id")
        for name, line in ruled.items():
            if name not in parents and name != _ANY:
                self._person(name, line)

    def _person(self, name: str, line: int) -> None:
        """Take somebody whom a rule names for a person who holds a role of that name."""
        role = self._role(name, line)
        if _SUBJECT_ID.fullmatch(name):
            self.result.people.setdefault(name, []).append(role)
            self.result.notes.append(
                Note(line, f"rules for {name!r} are rules for the role {role!r}, which that person holds", lost=False)
            )

    def rule(self, line: int, row: list[str]) -> None:
        """Carry a rule over."""
        eft = self._named(row, "eft") or Effect.ALLOW.value
        if eft == Effect.DENY.value and not self._model.denies:
            self.lose(line, "the model takes no notice of denies, so this one never had an effect")
            return
        if eft not in (Effect.ALLOW.value, Effect.DENY.value):
            self.lose(line, f"{eft!r} is neither allow nor deny")
            return
        resource = self._object(line, self._column(row, 1))
        parts = list(self._model.conditions)
        if self._model.evaluated:
            parts.append(self._named(row, self._model.evaluated))
        condition = None if resource is None else self._condition(line, parts, resource)
        if condition is None and eft == Effect.DENY.value:
            # A deny that were left out would allow what it forbade.
            self.lose(line, "the deny is carried over without its condition, so it denies more")
            condition = "True"
        if condition is not None:
            role, action = self._role(self._column(row, 0), line), self._action(line, self._column(row, 2))
            self.result.rules.append(ImportedRule(role, action, condition, Effect(eft), line))

    def shortcuts(self) -> None:
        """Carry over what the matcher allows without a rule."""
        denies = any(rule.effect is Effect.DENY for rule in self.result.rules)
        for text in self._model.shortcuts:
            if denies:
                # In Casbin whoever it is about matches every row, the denies among them.
                self.lose(0, f"{text} matches every rule, denies included; write what it should allow")
                continue
            condition = self._condition(0, [text])
            if condition is not None:
                self.result.rules.append(ImportedRule(_ANY, _ANY, condition, Effect.ALLOW, 0))
        if any(rule.role == _ANY for rule in self.result.rules):
            self.result.roles.add(_EVERYBODY)
            text = f"a rule for everybody is for everybody who holds some role; {_EVERYBODY!r} is one to give"
            self.result.notes.append(Note(0, text, lost=False))

    def _column(self, row: list[str], position: int) -> str:
        """Give what a row says of the subject, the object or the action; ``*`` where the model compares nothing."""
        column = self._model.compared.get(self._model.request[position])
        return self._named(row, column) if column else _ANY

    def _named(self, row: list[str], column: str) -> str:
        at = self._model.columns.index(column) if column in self._model.columns else len(row)
        return row[at] if at < len(row) else ""

    def _object(self, line: int, name: str) -> str | None:
        """Give the condition that the request is about an object, none for any; None where it cannot be said."""
        if name == _ANY:
            return ""
        if not _LITERAL.fullmatch(name):
            self.lose(line, f"the object {name!r} is a pattern, or has characters that no condition can hold")
            return None
        return f"r.resource.id == '{name}'"

    def _condition(self, line: int, parts: list[str], resource: str = "") -> str | None:
        try:
            texts = ([resource] if resource else []) + [translate(part, self._model.request) for part in parts]
            nodes: list[Node] = [parse(text) for text in texts]
        except ConditionError as error:
            self.lose(line, f"a condition that cannot be carried over ({error.problem}): {' && '.join(parts)}")
            return None
        for node in nodes:
            self.result.kinds.learn(node)
        bracketed = [f"({text})" if "||" in text and len(texts) > 1 else text for text in texts]
        return " && ".join(bracketed) or "True"

    def _role(self, name: str, line: int) -> str:
        role = _ANY if name == _ANY else self._renamed(name, line, "role")
        if role != _ANY:
            self.result.roles.add(role)
        return role

    def _action(self, line: int, name: str) -> str:
        if name == _ANY:
            return _ANY
        action = self._renamed(name, line, "action")
        self.result.actions.add(action)
        return action

    def _renamed(self, name: str, line: int, what: str) -> str:
        key = f"{what} {name}"
        if key not in self._names:
            plain = _NOT_IN_NAME.sub("_", name.lower()).strip("_") or "unnamed"
            plain = plain if plain[0].isalpha() else f"{what}_{plain}"
            number, chosen = 2, plain
            while f"{what} {chosen}" in self._taken:
                chosen, number = f"{plain}_{number}", number + 1
            self._names[key] = chosen
            self._taken.add(f"{what} {chosen}")
            if chosen != name:
                self.result.notes.append(Note(line, f"the {what} {name!r} is called {chosen!r} here", lost=False))
        return self._names[key]
