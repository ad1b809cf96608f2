"""What records that were read under one schema say under another.

A candidate on trial decides by the records that the revision in force had read. Where both declare an attribute
alike, what was read of it is what the candidate would have read. Where the candidate permits more values than the
revision in force, a value that was found good is good to it as well, and one that was not may be: nothing is known.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from pdp.core.decision import POSITION, RESOURCE, SESSION, SUBJECT, Entity
from pdp.core.entities import Entities
from pdp.core.policy import PolicySnapshot
from pdp.core.request import Request
from pdp.core.schema import Attribute, Schema


class CommonGround:
    """Tells which requests a candidate can decide by records read under another schema.

    Attributes:
        apart: attributes that rules of the candidate could not rely on, as ``entity.name``; of a resource with its
            type in front. Sorted.
    """

    def __init__(self, live: Schema, candidate: PolicySnapshot) -> None:
        """Compare the schema that records are read under with a candidate's."""
        self._live = live
        self._candidate = candidate
        self._readable = {
            (entity, kind): frozenset(_readable(live, candidate.schema, entity, kind))
            for entity, kind in _kinds(candidate.schema)
        }
        self._wider = {
            (entity, kind): frozenset(_readable(live, candidate.schema, entity, kind, wider=True))
            for entity, kind in _kinds(candidate.schema)
        }
        self.apart = tuple(sorted(self._apart()))

    def bears(self, request: Request, entities: Entities) -> bool:
        """Say whether the candidate would decide a request by these records as by its own reading of the store."""
        live, schema, kind = self._live, self._candidate.schema, request.resource.type
        if kind not in live.resources or request.action not in live.actions:
            # The revision in force refuses what it has no name for before anything is read.
            return False
        if request.subject.type not in live.subject_types:
            return False
        if kind not in schema.resources or request.action not in schema.actions:
            return True
        if not self._usable(SUBJECT, "", ("roles",), entities):
            return False
        held = entities.subject.view.__dict__.get("roles") if entities.subject else None
        if not isinstance(held, tuple):
            return True
        needs = self._candidate.plan(held, request.action, kind).stored_needs
        bound = tuple(schema.bindings) if request.session else ()
        return self._usable(SESSION, "", bound, entities) and all(
            self._usable(need.entity, kind if need.entity is RESOURCE else "", need.names, entities) for need in needs
        )

    def _usable(self, entity: Entity, kind: str, names: tuple[str, ...], entities: Entities) -> bool:
        record = entities.of(entity)
        if record is None:
            return True
        alike, wider = self._readable[entity, kind], self._wider[entity, kind]
        return all(name in alike or (name in wider and name not in record.problems) for name in names)

    def _apart(self) -> Iterator[str]:
        for (entity, kind), alike in self._readable.items():
            for name in self._candidate.schema.attributes_of(entity, kind):
                if name not in alike:
                    yield f"{kind or entity}.{name}"


def _kinds(schema: Schema) -> Iterator[tuple[Entity, str]]:
    yield from ((entity, "") for entity in POSITION if entity is not RESOURCE)
    yield from ((RESOURCE, kind) for kind in schema.resources)


def _readable(live: Schema, candidate: Schema, entity: Entity, kind: str, *, wider: bool = False) -> Iterator[str]:
    """Give the attributes that both declare alike, or, with ``wider``, for which the candidate permits more."""
    if live.clock_skew != candidate.clock_skew:
        # From when on a value may decide was worked out by it, for all of them.
        return
    declared: Mapping[str, Attribute] = live.attributes_of(entity, kind)
    for name, attribute in candidate.attributes_of(entity, kind).items():
        known = declared.get(name)
        if known and (_read_alike(known, attribute) or (wider and _permits_more(known, attribute))):
            yield name


def _read_alike(known: Attribute, other: Attribute) -> bool:
    """Compare what reading goes by: how a value is shown, or whether writers may lower it, is none of that."""
    return replace(other, sensitivity=known.sensitivity, latch=known.latch) == known


def _permits_more(known: Attribute, other: Attribute) -> bool:
    same_range = replace(other, values=known.values, minimum=known.minimum, maximum=known.maximum)
    return (
        _read_alike(known, same_range)
        and (not other.values or (bool(known.values) and other.values >= known.values))
        and (other.minimum is None or (known.minimum is not None and other.minimum <= known.minimum))
        and (other.maximum is None or (known.maximum is not None and other.maximum >= known.maximum))
    )
