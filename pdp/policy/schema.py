"""schema.yaml: which entities there are, what is known of each, and for how long it may decide."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from pdp.core.decision import Entity
from pdp.core.schema import AssuranceLevel, Attribute, Kind, Schema, Sensitivity, StepUpRules
from pdp.policy.attributes import read_attributes
from pdp.policy.fields import DOTTED_NAME, Fields
from pdp.policy.problems import Problems
from pdp.policy.source import Source
from pdp.policy.yaml_reader import read_yaml
from pdp.yaml_tree import Node

_REQUIRED: Final = ("subject_types", "actions", "limits", "subject", "device", "session", "context", "resources")
_OPTIONAL: Final = ("identifiers", "step_up", "bindings")
_IDENTIFIED: Final = (Entity.SUBJECT, Entity.DEVICE, Entity.SESSION, Entity.RESOURCE)
_STATED: Final = ("purpose", "channel", "network")
_ALWAYS: Final = (
    Attribute("time", Kind.TIME, sensitivity=Sensitivity.CLEAR),
    Attribute("emergency", Kind.BOOL, sensitivity=Sensitivity.CLEAR),
)
# More than a minute of skew is a broken clock; an allow relied on for more than an hour is not verified continuously.
_LONGEST: Final = {"clock_skew": 60.0, "allow_lifetime": 3600.0, "deny_lifetime": 3600.0}
_ROLE: Final = re.compile(r"[a-z][a-z0-9_.-]{0,62}", re.ASCII)
_ACR: Final = re.compile(r"[A-Za-z0-9._:/~+-]{1,128}", re.ASCII)
_DOTTED_HELP: Final = "lower-case letters, digits, _ and ., starting with a letter"


def read_schema(source: Source, problems: Problems) -> Schema | None:
    """Read the schema; None, and at least one problem, if anything in it is wrong."""
    root = read_yaml(source, problems)
    if root is None:
        return None
    before = len(problems)
    schema = _Reader(Fields(source, problems)).schema(root)
    return schema if len(problems) == before else None


class _Reader:
    def __init__(self, fields: Fields) -> None:
        self._fields = fields

    def schema(self, root: Node) -> Schema:
        given = self._fields.document(root, _REQUIRED, _OPTIONAL)
        entities = {entity: self._entity(given, entity) for entity in (Entity.SUBJECT, Entity.DEVICE, Entity.SESSION)}
        entities[Entity.CONTEXT] = self._context(given)
        self._check_roles(given, entities[Entity.SUBJECT])
        session = entities[Entity.SESSION]
        limits = self._limits(given)
        return Schema(
            subject_types=frozenset(self._names(given, "subject_types")),
            actions=frozenset(self._names(given, "actions")),
            entities=MappingProxyType(entities),
            resources=self._resources(given),
            bindings=self._bindings(given, session),
            identifiers=self._identifiers(given),
            step_up=self._step_up(given["step_up"], session) if "step_up" in given else None,
            **limits,
        )

    def _names(self, given: Mapping[str, Node], key: str) -> tuple[str, ...]:
        return self._fields.names(given[key], DOTTED_NAME, _DOTTED_HELP) if key in given else ()

    def _entity(self, given: Mapping[str, Node], entity: Entity) -> Mapping[str, Attribute]:
        return read_attributes(self._fields, given[entity]) if entity in given else {}

    def _context(self, given: Mapping[str, Node]) -> Mapping[str, Attribute]:
        """Read what enforcement points state. Each is one of few words, and has no record that could age."""
        if Entity.CONTEXT not in given:
            return {}
        node = given[Entity.CONTEXT]
        declared = dict(read_attributes(self._fields, node, reserved=("time", "emergency")))
        for entry in self._fields.entries(node):
            attribute = declared.get(entry.key)
            if entry.key not in (*_STATED, "time", "emergency"):
                self._fields.refuse(
                    entry, f"a request's context has no {entry.key!r}", "one of " + ", ".join(_STATED)
                )
            elif attribute and (attribute.kind is not Kind.STRING or not attribute.values):
                self._fields.refuse(
                    entry, f"{entry.key} must be a string with values", "{type: string, values: [...]}"
                )
            elif attribute and attribute.max_age is not None:
                self._fields.refuse(entry, f"{entry.key} is stated anew with each request and has no age")
            elif attribute and (odd := [it for it in sorted(attribute.values) if not DOTTED_NAME.fullmatch(it)]):
                self._fields.refuse(entry, f"no request can state {odd[0]!r}", _DOTTED_HELP)
        return MappingProxyType(declared | {attribute.name: attribute for attribute in _ALWAYS})

    def _check_roles(self, given: Mapping[str, Node], subject: Mapping[str, Attribute]) -> None:
        if Entity.SUBJECT not in given:
            return
        roles = subject.get("roles")
        if roles is None or roles.kind is not Kind.LIST or not roles.values or not roles.required:
            problem = "a subject's roles must be declared, as a required list of known values"
            self._fields.refuse(given[Entity.SUBJECT], problem, "roles: {type: list, values: [agent, ...]}")
        elif odd := [role for role in sorted(roles.values) if not _ROLE.fullmatch(role)]:
            help_ = "lower-case letters, digits, _ . and -, starting with a letter"
            self._fields.refuse(given[Entity.SUBJECT], f"{odd[0]!r} is not a role's name", help_)

    def _resources(self, given: Mapping[str, Node]) -> Mapping[str, Mapping[str, Attribute]]:
        if "resources" not in given:
            return {}
        node = given["resources"]
        types = self._fields.named(node)
        if not types:
            self._fields.refuse(node, "no resource type is declared")
        return MappingProxyType({name: read_attributes(self._fields, it.value) for name, it in types.items()})

    def _identifiers(self, given: Mapping[str, Node]) -> Mapping[Entity, Sensitivity]:
        shown = self._fields.record(given["identifiers"], (), _IDENTIFIED) if "identifiers" in given else {}
        found = dict.fromkeys(_IDENTIFIED, Sensitivity.OMIT)
        for entity, node in shown.items():
            if word := self._fields.choice(node, tuple(Sensitivity), "a sensitivity"):
                found[Entity(entity)] = Sensitivity(word)
        return MappingProxyType(found)

    def _limits(self, given: Mapping[str, Node]) -> Mapping[str, float]:
        found = dict.fromkeys(_LONGEST, 0.0)
        if "limits" in given:
            for key, node in self._fields.record(given["limits"], tuple(_LONGEST)).items():
                found[key] = self._fields.duration(node, _LONGEST[key]) or 0.0
        return found

    def _bindings(self, given: Mapping[str, Node], session: Mapping[str, Attribute]) -> Mapping[str, Entity]:
        found: dict[str, Entity] = {}
        for entry in self._fields.entries(given["bindings"]) if "bindings" in given else ():
            attribute = session.get(entry.key)
            if attribute is None or attribute.kind is not Kind.STRING or not attribute.required:
                self._fields.refuse(entry, f"{entry.key!r} is not a required string of the session")
            if word := self._fields.choice(entry.value, (Entity.SUBJECT, Entity.DEVICE), "the subject or the device"):
                found[entry.key] = Entity(word)
        return MappingProxyType(found)

    def _step_up(self, node: Node, session: Mapping[str, Attribute]) -> StepUpRules | None:
        given = self._fields.record(node, ("level", "times", "levels"))
        ints = [name for name, attribute in session.items() if attribute.kind is Kind.INT]
        stamps = [name for name, attribute in session.items() if attribute.kind is Kind.TIME]
        level = (
            self._fields.choice(given["level"], ints, "a whole number of the session") if "level" in given else None
        )
        items = self._fields.items(given["times"]) if "times" in given else ()
        times = [self._fields.choice(item, stamps, "a time of the session") or "" for item in items]
        levels = self._levels(given["levels"], session[level]) if level and "levels" in given else ()
        return StepUpRules(level or "", tuple(times), levels)

    def _levels(self, node: Node, attribute: Attribute) -> tuple[AssuranceLevel, ...]:
        found: list[AssuranceLevel] = []
        for item in self._fields.items(node):
            given = self._fields.record(item, ("level", "acr"))
            if len(given) < 2:  # noqa: PLR2004 - both are needed; what is missing was reported
                continue
            level, acr = self._fields.whole(given["level"]), self._fields.name(given["acr"], _ACR, "an acr value")
            if level is None or acr is None:
                continue
            if found and level <= found[-1].level:
                self._fields.refuse(given["level"], "the levels do not rise", "the weakest first, each once")
            if not _within(attribute, level):
                self._fields.refuse(given["level"], f"outside the range of session.{attribute.name}")
            found.append(AssuranceLevel(level, acr))
        return tuple(found)


def _within(attribute: Attribute, number: float) -> bool:
    low = attribute.minimum is None or number >= attribute.minimum
    return low and (attribute.maximum is None or number <= attribute.maximum)
