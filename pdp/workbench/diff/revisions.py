"""What changed beside the rules: inheritance, groups, classes, obligations and the schema, in words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields

from pdp.core.decision import Entity
from pdp.core.policy import PolicySnapshot
from pdp.core.schema import Attribute, Schema

_PLAIN = ("bindings", "identifiers", "step_up", "clock_skew", "allow_lifetime", "deny_lifetime")


def other_changes(old: PolicySnapshot, new: PolicySnapshot) -> tuple[str, ...]:
    """Give everything that changed beside the rules."""
    return (*_hierarchy(old, new), *_obligations(old, new), *_schema(old.schema, new.schema), *_routes(old, new))


def _hierarchy(old: PolicySnapshot, new: PolicySnapshot) -> Iterator[str]:
    for kind, verb in (("roles", "inherits"), ("actions", "is in"), ("resources", "is in")):
        before: Mapping[str, frozenset[str]] = getattr(old.hierarchy, kind)
        after: Mapping[str, frozenset[str]] = getattr(new.hierarchy, kind)
        for name in sorted({*before, *after}):
            held, holds = before.get(name, frozenset({name})), after.get(name, frozenset({name}))
            yield from (f"{kind}: {name} no longer {verb} {it}" for it in sorted(held - holds))
            yield from (f"{kind}: {name} now {verb} {it}" for it in sorted(holds - held))


def _obligations(old: PolicySnapshot, new: PolicySnapshot) -> Iterator[str]:
    for name in sorted({*old.obligations, *new.obligations}):
        before, after = old.obligations.get(name), new.obligations.get(name)
        if before is None or after is None:
            yield f"obligation {name} {'added' if before is None else 'removed'}"
        elif before != after:
            parts = [it.name for it in fields(after) if getattr(before, it.name) != getattr(after, it.name)]
            words = (f"{part} {_shown(getattr(before, part))} -> {_shown(getattr(after, part))}" for part in parts)
            yield f"obligation {name}: {', '.join(words)}"


def _schema(old: Schema, new: Schema) -> Iterator[str]:
    for kind in ("subject_types", "actions"):
        yield from _names(kind, getattr(old, kind), getattr(new, kind))
    yield from _names("resource types", frozenset(old.resources), frozenset(new.resources))
    for entity in (Entity.SUBJECT, Entity.DEVICE, Entity.SESSION, Entity.CONTEXT):
        yield from _attributes(entity.value, old.attributes_of(entity), new.attributes_of(entity))
    for name in sorted(old.resources.keys() & new.resources.keys()):
        yield from _attributes(name, old.resources[name], new.resources[name])
    for name in _PLAIN:
        if getattr(old, name) != getattr(new, name):
            yield f"schema: {name} {_shown(getattr(old, name))} -> {_shown(getattr(new, name))}"


def _names(kind: str, old: frozenset[str], new: frozenset[str]) -> Iterator[str]:
    yield from (f"schema: {kind} without {name}" for name in sorted(old - new))
    yield from (f"schema: {kind} with {name}" for name in sorted(new - old))


def _attributes(owner: str, old: Mapping[str, Attribute], new: Mapping[str, Attribute]) -> Iterator[str]:
    for name in sorted({*old, *new}):
        before, after = old.get(name), new.get(name)
        if before is None or after is None:
            yield f"schema: {owner}.{name} {'added' if before is None else 'removed'}"
        elif before != after:
            parts = [it.name for it in fields(after) if getattr(before, it.name) != getattr(after, it.name)]
            words = (f"{part} {_shown(getattr(before, part))} -> {_shown(getattr(after, part))}" for part in parts)
            yield f"schema: {owner}.{name}: {', '.join(words)}"


def _routes(old: PolicySnapshot, new: PolicySnapshot) -> Iterator[str]:
    before = {str(it): it for group in old.routes.routes.values() for it in group}
    after = {str(it): it for group in new.routes.routes.values() for it in group}
    for key in sorted({*before, *after}):
        if key not in before or key not in after:
            route = after.get(key) or before[key]
            verb = "added" if key in after else "removed"
            path = "/" + "/".join(route.template)
            yield f"route {verb}: {route.method} {path}: {route.action} {route.resource_type}:{route.resource_id}"


def _shown(value: object) -> str:
    if isinstance(value, frozenset):
        return "[" + ", ".join(map(str, sorted(value))) + "]"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{name}: {it}" for name, it in sorted(value.items())) + "}"
    return str(value)
