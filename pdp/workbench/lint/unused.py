"""Findings on what is declared and takes part in no decision."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from pdp.core.condition.nodes import refs
from pdp.core.decision import Effect, Entity
from pdp.core.policy import WILDCARD
from pdp.policy.files import OBLIGATIONS, ROUTES, SCHEMA
from pdp.policy.source import Source
from pdp.workbench.files import Span
from pdp.workbench.lint.findings import (
    UNUSED_ACTION,
    UNUSED_ATTRIBUTE,
    UNUSED_OBLIGATION,
    UNUSED_ROLE,
    UNUSED_ROUTE,
    UNUSED_TYPE,
    Finding,
    found,
)
from pdp.workbench.lint.subject import Subject
from pdp.workbench.logic.formula import Among
from pdp.workbench.logic.reading import Path
from pdp.yaml_tree import Node, Scalar, Sequence, Table

_PURPOSE: Final[Path] = (Entity.CONTEXT, "purpose")


def check_unused(subject: Subject) -> Iterator[Finding]:
    """Look at every declaration."""
    yield from _roles(subject)
    yield from _actions_and_types(subject)
    yield from _attributes(subject)
    yield from _obligations(subject)
    yield from _routes(subject)


def _roles(subject: Subject) -> Iterator[Finding]:
    named = {rule.role for rule in subject.policy.rules if rule.effect is Effect.ALLOW}
    if WILDCARD in named:
        return
    document = _Document(subject, SCHEMA)
    closures = subject.policy.hierarchy.roles
    values = document.get("subject", "roles", "values")
    for item in values.items if isinstance(values, Sequence) else ():
        role = item.value if isinstance(item, Scalar) else None
        if isinstance(role, str) and not closures[role] & named:
            problem = f"no rule allows anything to the role {role!r}, nor to one it inherits"
            yield found(
                UNUSED_ROLE, document.span(item), problem, "write a rule for it, or take it out of the schema"
            )


def _actions_and_types(subject: Subject) -> Iterator[Finding]:
    allows = [rule for rule in subject.policy.rules if rule.effect is Effect.ALLOW]
    document = _Document(subject, SCHEMA)
    actions = {action for name in {rule.action for rule in allows} for action in subject.actions_by_group[name]}
    listed = document.get("actions")
    for item in listed.items if isinstance(listed, Sequence) else ():
        if isinstance(item, Scalar) and item.text not in actions:
            problem = f"no rule allows to {item.text} anything"
            yield found(UNUSED_ACTION, document.span(item), problem, "write a rule, or take it out of the schema")
    types = {type_ for name in {rule.resource for rule in allows} for type_ in subject.types_by_class[name]}
    declared = document.get("resources")
    for entry in declared.entries if isinstance(declared, Table) else ():
        if entry.key not in types:
            problem = f"no rule allows anything on a {entry.key}"
            span = document.key(entry.offset, entry.key)
            yield found(UNUSED_TYPE, span, problem, "write a rule, or take it out of the schema")


def _attributes(subject: Subject) -> Iterator[Finding]:
    schema = subject.policy.schema
    read = _read_attributes(subject)
    document = _Document(subject, SCHEMA)
    for entity in (Entity.SUBJECT, Entity.DEVICE, Entity.SESSION, Entity.CONTEXT):
        for name in sorted(schema.attributes_of(entity)):
            entry = document.entry(entity.value, name)
            if entry is not None and (entity, name, "") not in read:
                yield _unread(entry, f"{entity}.{name}")
    for type_, attributes in sorted(schema.resources.items()):
        for name in sorted(attributes):
            entry = document.entry("resources", type_, name)
            if entry is not None and (Entity.RESOURCE, name, type_) not in read:
                yield _unread(entry, f"{type_}.{name}")


def _unread(span: Span, path: str) -> Finding:
    problem = f"no rule that could apply reads {path}"
    return found(UNUSED_ATTRIBUTE, span, problem, "write the rule that needs it, or take it out of the schema")


def _read_attributes(subject: Subject) -> set[tuple[Entity, str, str]]:
    """Give every attribute that takes part in decisions, with its resource type where it has one."""
    schema = subject.policy.schema
    read = {(Entity.SUBJECT, "roles", ""), *((Entity.SESSION, name, "") for name in schema.bindings)}
    if schema.step_up:
        read |= {(Entity.SESSION, name, "") for name in (schema.step_up.level, *schema.step_up.times)}
    for rule in subject.policy.rules:
        for entity, name in refs(rule.condition):
            types = subject.types_of(rule) if entity is Entity.RESOURCE else ("",)
            read.update((entity, name, type_) for type_ in types)
    return read | _obliging_attributes(subject)


def _obliging_attributes(subject: Subject) -> set[tuple[Entity, str, str]]:
    """Give the attributes that obligations hand to enforcement points, such as ``subject.regions``."""
    found_: set[tuple[Entity, str, str]] = set()
    used = {name for rule in subject.policy.rules for name in rule.obligations}
    for name in used:
        for value in subject.policy.obligations[name].properties.values():
            entity, _, attribute = value.partition(".")
            if entity in set(map(str, Entity)):
                types = subject.policy.schema.resources if entity == Entity.RESOURCE else ("",)
                found_.update((Entity(entity), attribute, type_) for type_ in types)
    return found_


def _obligations(subject: Subject) -> Iterator[Finding]:
    used = {name for rule in subject.policy.rules for name in rule.obligations}
    document = _Document(subject, OBLIGATIONS)
    for name in sorted(set(subject.policy.obligations) - used):
        span = document.entry("obligations", name)
        if span is not None:
            yield found(UNUSED_OBLIGATION, span, f"no rule imposes {name}", "name it in a rule, or delete it")


def _routes(subject: Subject) -> Iterator[Finding]:
    document = _Document(subject, ROUTES)
    listed = document.get("routes")
    for item in listed.items if isinstance(listed, Sequence) else ():
        fields = {entry.key: entry.value for entry in item.entries} if isinstance(item, Table) else {}
        texts = {key: value.text for key, value in fields.items() if isinstance(value, Scalar)}
        type_ = texts["resource"].partition(":")[0]
        if not _allowable(subject, texts["action"], type_, texts.get("purpose", "")):
            purpose = f" for {texts['purpose']}" if "purpose" in texts else ""
            problem = f"nobody can ever {texts['action']} a {type_}{purpose}"
            span = document.span(fields["path"])
            yield found(UNUSED_ROUTE, span, problem, "write a rule that allows it, or delete the route")


def _allowable(subject: Subject, action: str, type_: str, purpose: str) -> bool:
    types = subject.scope(type_)
    scope = types.scope(action)
    stated = types.space.variables.get(_PURPOSE) if purpose else None
    with_purpose = [Among(stated.slot, stated.bit(purpose), stated.full)] if stated else []
    return any(scope.find_undenied(types.applies(rule), *with_purpose) is not None for rule in scope.permits)


class _Document:
    """A YAML file of the policy, to be looked things up in."""

    def __init__(self, subject: Subject, name: str) -> None:
        self._source: Source = subject.files.sources[name]
        self._root = subject.document(name)

    def get(self, *keys: str) -> Node | None:
        """Give the value at a path of keys."""
        node = self._root
        for key in keys:
            entries: Mapping[str, Node] = (
                {entry.key: entry.value for entry in node.entries} if isinstance(node, Table) else {}
            )
            node = entries.get(key)
        return node

    def entry(self, *keys: str) -> Span | None:
        """Give the place of a key at a path of keys."""
        table = self.get(*keys[:-1])
        for entry in table.entries if isinstance(table, Table) else ():
            if entry.key == keys[-1]:
                return self.key(entry.offset, entry.key)
        return None

    def key(self, offset: int, key: str) -> Span:
        """Give the place of a key."""
        return Span(self._source, offset, offset + len(key))

    def span(self, node: Node) -> Span:
        """Give the place of a single value."""
        length = len(node.text) if isinstance(node, Scalar) else 1
        quoted = self._source.text[node.offset] in "'\""
        return Span(self._source, node.offset, node.offset + length + 2 * quoted)
