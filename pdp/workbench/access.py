"""Who can do something, and what somebody can do: evaluated over known entities; what stays open is listed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from pdp.core.condition import Node
from pdp.core.condition.nodes import conjuncts
from pdp.core.decision import Entity
from pdp.core.entities import Entities, problem_with
from pdp.core.policy import PolicySnapshot, Rule
from pdp.core.record import Record
from pdp.core.request import EntityRef, Request
from pdp.workbench.known import known_values, pinned
from pdp.workbench.logic.formula import State
from pdp.workbench.logic.scope import TypeScope

Records = Mapping[tuple[Entity, EntityRef], Record]
_ANY = "any"


@dataclass(frozen=True)
class Way:
    """One rule that can allow.

    Attributes:
        rule: the rule.
        when: parts of its condition that are still open.
        unless: denies that are still open, each with the parts of its condition that are.
    """

    rule: Rule
    when: tuple[str, ...]
    unless: tuple[tuple[str, tuple[str, ...]], ...]


@dataclass(frozen=True)
class Access:
    """That somebody can do something.

    Attributes:
        subject: who.
        session: in which known session; empty where none of theirs is known.
        action: what.
        resource_type: to what type of resource.
        resource: to which; empty for any of the type.
        ways: the rules that can allow it, at least one.
    """

    subject: EntityRef
    session: str
    action: str
    resource_type: str
    resource: str
    ways: tuple[Way, ...]


class Finder:
    """Finds accesses under one policy, among known records."""

    def __init__(self, policy: PolicySnapshot, records: Records, now: float) -> None:
        """Take note of what is known.

        Args:
            policy: the revision.
            records: the known records, by whose they are.
            now: seconds since the epoch.
        """
        self._policy = policy
        self._records = records
        self._now = now
        self._types: dict[str, TypeScope] = {}

    def who_can(self, action: str, resource_type: str, resource: str) -> Iterator[Access]:
        """Give everybody who can, in each of their known sessions.

        Args:
            action: an action of the schema.
            resource_type: a type of the schema.
            resource: the id of a known resource; empty for any of the type.
        """
        for subject in self._of(Entity.SUBJECT):
            for session in self._sessions(subject):
                yield from self._access(subject, session, action, resource_type, resource)

    def what_can(self, subject: EntityRef) -> Iterator[Access]:
        """Give everything that a known subject can do, in each known session, to each known resource.

        A type of which the rules read no attribute stands for all of its resources.
        """
        schema = self._policy.schema
        for session in self._sessions(subject):
            for resource_type in sorted(schema.resources):
                known = [ref.id for ref in self._of(Entity.RESOURCE) if ref.type == resource_type]
                for action in sorted(schema.actions):
                    some = known if self._reads_resource(subject, action, resource_type) else [""]
                    for resource in some:
                        yield from self._access(subject, session, action, resource_type, resource)

    def _of(self, entity: Entity) -> list[EntityRef]:
        return sorted(ref for owner, ref in self._records if owner is entity)

    def _sessions(self, subject: EntityRef) -> list[str]:
        name = next((it for it, owner in self._policy.schema.bindings.items() if owner is Entity.SUBJECT), "")
        own = [
            ref.id
            for ref in self._of(Entity.SESSION)
            if self._records[Entity.SESSION, ref].view.__dict__.get(name) == subject.id
        ]
        return own or [""]

    def _reads_resource(self, subject: EntityRef, action: str, resource_type: str) -> bool:
        roles = self._records[Entity.SUBJECT, subject].view.__dict__.get("roles", ())
        plan = self._policy.plan(roles, action, resource_type)
        return any(need.entity is Entity.RESOURCE for need in plan.stored_needs)

    def _access(
        self, subject: EntityRef, session: str, action: str, resource_type: str, resource: str
    ) -> Iterator[Access]:
        request = self._request(subject, session, action, resource_type, resource)
        entities = self._entities(request)
        roles = entities.subject.view.__dict__.get("roles", ()) if entities.subject else ()
        if not roles or self._unusable(entities, roles, action, resource_type):
            return
        known = known_values(request, entities, self._policy, self._now)
        settled = {path: value for path, value in known.items() if self._is_settled(path[0], path[1], entities)}
        scope = self._type_scope(resource_type).scope(action)
        start = pinned(scope.types.space, settled)
        denies = [scope.types.applies(rule).negated() for rule in scope.denies]
        find, applies = scope.types.searcher.find, scope.types.applies
        possible = [rule for rule in scope.permits if find(start, [applies(rule), *denies]) is not None]
        if possible:
            ways = tuple(_way(scope.types, scope.denies, rule, start) for rule in possible)
            yield Access(subject, session, action, resource_type, resource, ways)

    def _type_scope(self, resource_type: str) -> TypeScope:
        """Give the abstraction that tells apart whatever any record on a type of resource holds."""
        found = self._types.get(resource_type)
        if found is None:
            values = [
                ((entity, name), value)
                for (entity, ref), record in self._records.items()
                if entity is not Entity.RESOURCE or ref.type == resource_type
                for name, value in record.view.__dict__.items()
            ]
            found = TypeScope(self._policy, resource_type, values=values, now=int(self._now))
            self._types[resource_type] = found
        return found

    def _request(self, subject: EntityRef, session: str, action: str, resource_type: str, resource: str) -> Request:
        bound = next((it for it, owner in self._policy.schema.bindings.items() if owner is Entity.DEVICE), "")
        record = self._records.get((Entity.SESSION, EntityRef("session", session)))
        device = str(record.view.__dict__.get(bound, "")) if record else ""
        return Request(subject, action, EntityRef(resource_type, resource or _ANY), session=session, device=device)

    def _entities(self, request: Request) -> Entities:
        return Entities(
            self._records.get((Entity.SUBJECT, request.subject)),
            self._records.get((Entity.DEVICE, EntityRef("device", request.device))),
            self._records.get((Entity.SESSION, EntityRef("session", request.session))),
            self._records.get((Entity.RESOURCE, request.resource)),
        )

    def _unusable(self, entities: Entities, roles: tuple[str, ...], action: str, resource_type: str) -> bool:
        """Say whether a known record lacks what a decision would need of it."""
        for need in self._policy.plan(roles, action, resource_type).stored_needs:
            record = entities.of(need.entity)
            if record is not None and problem_with(need.entity, need.names, record, self._now):
                return True
        return False

    def _is_settled(self, entity: Entity, name: str, entities: Entities) -> bool:
        """Say whether a value is known: those of records, and the type of a resource, but nothing that is stated."""
        if entity is Entity.CONTEXT:
            return False
        return entities.of(entity) is not None or (entity is Entity.RESOURCE and name == "type")


def _way(types: TypeScope, denies: Iterable[Rule], rule: Rule, start: State) -> Way:
    # What a deny still depends on is said for the requests that the rule matches, and no others.
    matching = start.copy()
    types.searcher.narrow(matching, [types.applies(rule)])
    undecided = [(it.id, _open(types, it, matching)) for it in denies if types.applies(it).value(matching) is None]
    return Way(rule, _open(types, rule, start), tuple((id_, parts) for id_, parts in undecided if parts))


def _open(types: TypeScope, rule: Rule, state: State) -> tuple[str, ...]:
    def is_open(part: Node) -> bool:
        return types.condition(part).value(state) is None

    return tuple(rule.text[it.start : it.end] for it in conjuncts(rule.condition) if is_open(it))
