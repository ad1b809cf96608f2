"""The attribute schema: which attributes exist, what values they take, how old they may be, who may see them."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field

from pdp.core.decision import Entity

Value = bool | int | float | str | tuple[str, ...]


class Kind(enum.StrEnum):
    """The type of an attribute's value. ``TIME`` is a whole number of seconds since the epoch."""

    BOOL = "bool"
    INT = "int"
    NUMBER = "number"
    STRING = "string"
    LIST = "list"
    TIME = "time"


class Sensitivity(enum.StrEnum):
    """How a value may leave the service: as it is, as a keyed pseudonym, or not at all."""

    CLEAR = "clear"
    PSEUDONYM = "pseudonym"
    OMIT = "omit"


@dataclass(frozen=True, slots=True)
class Attribute:
    """One declared attribute.

    Attributes:
        name: as written in a condition after the entity, and as the field of the stored record.
        kind: the type of its value.
        values: for strings and list items, the permitted ones; empty means any.
        minimum: least permitted number, inclusive; for a list, the least number of items.
        maximum: greatest permitted number, inclusive.
        required: whether a record without it is unusable to a decision that reads it.
        default: what stands in where an attribute that is not required is absent.
        max_age: seconds after its issue for which it may decide; None means until replaced.
        sensitivity: how its value may be shown.
        past: whether the time it holds is that of something that has happened, so that one ahead of the clock (by
            more than the clock skew) may not decide.
        latch: whether its stored value can only rise (false to true, a number or a time upwards): a writer that
            gives a lower one, or none, leaves it as it is.
    """

    name: str
    kind: Kind
    values: frozenset[str] = frozenset()
    minimum: float | None = None
    maximum: float | None = None
    required: bool = True
    default: Value | None = None
    max_age: float | None = None
    sensitivity: Sensitivity = Sensitivity.OMIT
    past: bool = False
    latch: bool = False


@dataclass(frozen=True, slots=True)
class AssuranceLevel:
    """A level of authentication a session can be raised to.

    Attributes:
        level: the value the level attribute takes.
        acr: the authentication context class reference that names it to an identity provider.
    """

    level: int
    acr: str


@dataclass(frozen=True, slots=True)
class StepUpRules:
    """What authenticating again does to a session, so that a step-up can be foreseen (RFC 9470).

    Attributes:
        level: the session attribute that holds the assurance level.
        times: session attributes that become the present time.
        levels: levels that can be reached, weakest first.
    """

    level: str
    times: tuple[str, ...]
    levels: tuple[AssuranceLevel, ...]


@dataclass(frozen=True, slots=True)
class Schema:
    """All declarations of schema.yaml.

    Attributes:
        subject_types: types a subject reference may have.
        actions: every action name.
        entities: attributes of subject, device, session and context, by name.
        resources: attributes by resource type; the types are those a request may name.
        bindings: session attributes that must equal the id of the request's subject or device.
        identifiers: how each entity's identifier may be shown.
        step_up: None where no step-up is offered.
        clock_skew: seconds by which a record's time of issue may lie ahead of our clock.
        allow_lifetime: the most seconds an allow may be relied on.
        deny_lifetime: the most seconds a deny may be relied on.
    """

    subject_types: frozenset[str]
    actions: frozenset[str]
    entities: Mapping[Entity, Mapping[str, Attribute]]
    resources: Mapping[str, Mapping[str, Attribute]]
    bindings: Mapping[str, Entity] = field(default_factory=dict)
    identifiers: Mapping[Entity, Sensitivity] = field(default_factory=dict)
    step_up: StepUpRules | None = None
    clock_skew: float = 5.0
    allow_lifetime: float = 60.0
    deny_lifetime: float = 5.0

    def attributes_of(self, entity: Entity, resource_type: str = "") -> Mapping[str, Attribute]:
        """Give the attributes of an entity; for a resource, those of its type (none for an unknown type)."""
        if entity is Entity.RESOURCE:
            return self.resources.get(resource_type, {})
        return self.entities.get(entity, {})
