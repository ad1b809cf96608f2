"""What the checks look at: the files, the policy, and the abstraction of each resource type, made once."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property

from pdp.core.condition.nodes import refs
from pdp.core.decision import Entity
from pdp.core.policy import WILDCARD, PolicySnapshot, Rule
from pdp.policy.problems import Problems
from pdp.policy.yaml_reader import read_yaml
from pdp.workbench.files import PolicyFiles
from pdp.workbench.lint.settings import Settings
from pdp.workbench.logic.scope import TypeScope
from pdp.yaml_tree import Node


class Subject:
    """A policy to be looked at.

    Attributes:
        files: the folder's text.
        policy: the revision.
        settings: what counts as sensitive and as posture.
    """

    def __init__(self, files: PolicyFiles, policy: PolicySnapshot, settings: Settings) -> None:
        self.files = files
        self.policy = policy
        self.settings = settings
        self._scopes: dict[str, TypeScope] = {}
        self._documents: dict[str, Node | None] = {}

    def document(self, file: str) -> Node | None:
        """Give the content of one of the YAML files."""
        if file not in self._documents:
            self._documents[file] = read_yaml(self.files.sources[file], Problems())
        return self._documents[file]

    def scope(self, resource_type: str) -> TypeScope:
        """Give the abstraction for a resource type."""
        found = self._scopes.get(resource_type)
        if found is None:
            found = self._scopes[resource_type] = TypeScope(self.policy, resource_type)
        return found

    def scopes_of(self, rule: Rule) -> tuple[TypeScope, ...]:
        """Give the abstractions for every type a rule covers; one only, where the type makes no difference to it."""
        types = self.types_of(rule)
        if all(entity is not Entity.RESOURCE for entity, _ in refs(rule.condition)):
            types = types[:1]
        return tuple(map(self.scope, types))

    def types_of(self, rule: Rule) -> tuple[str, ...]:
        """Give the resource types a rule covers."""
        return self.types_by_class[rule.resource]

    def actions_of(self, rule: Rule) -> tuple[str, ...]:
        """Give the actions a rule covers."""
        return self.actions_by_group[rule.action]

    @cached_property
    def roles(self) -> tuple[str, ...]:
        """Give every role a subject can hold."""
        return tuple(sorted(self.policy.schema.attributes_of(Entity.SUBJECT)["roles"].values))

    @cached_property
    def types_by_class(self) -> Mapping[str, tuple[str, ...]]:
        """Give the resource types of each class, and of ``*``."""
        return _members(tuple(sorted(self.policy.schema.resources)), self.policy.hierarchy.resources)

    @cached_property
    def actions_by_group(self) -> Mapping[str, tuple[str, ...]]:
        """Give the actions of each group, and of ``*``."""
        return _members(tuple(sorted(self.policy.schema.actions)), self.policy.hierarchy.actions)


def _members(names: tuple[str, ...], closures: Mapping[str, frozenset[str]]) -> dict[str, tuple[str, ...]]:
    """Give the names that each group stands for, ``*`` for all of them."""
    found: dict[str, list[str]] = {}
    for name in names:
        for group in closures[name]:
            found.setdefault(group, []).append(name)
    return {WILDCARD: names} | {group: tuple(members) for group, members in found.items()}
