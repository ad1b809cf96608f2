"""What comes out: a decision, immutable, that says all it rests on."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from pdp.core.reasons import FAULTS, Cause


class Effect(enum.Enum):
    """Allow or deny. There is no third value: what cannot be decided is a deny."""

    ALLOW = "allow"
    DENY = "deny"


# Members that every decision compares with, bound once: looking one up on its class is slow before Python 3.12.
ALLOW: Final = Effect.ALLOW
DENY: Final = Effect.DENY


class Entity(enum.StrEnum):
    """Whose attributes a condition may read; the names are those used after ``r.`` in a condition."""

    __hash__ = str.__hash__  # see Reason

    SUBJECT = "subject"
    DEVICE = "device"
    SESSION = "session"
    RESOURCE = "resource"
    CONTEXT = "context"


SUBJECT: Final = Entity.SUBJECT
DEVICE: Final = Entity.DEVICE
SESSION: Final = Entity.SESSION
RESOURCE: Final = Entity.RESOURCE
CONTEXT: Final = Entity.CONTEXT
# Where an entity's record stands in ``entities.Entities``; the context has no record.
POSITION: Final = {SUBJECT: 0, DEVICE: 1, SESSION: 2, RESOURCE: 3}


@dataclass(frozen=True, slots=True)
class Obligation:
    """Something the enforcement point must do (or, if not mandatory, is advised to do) with this decision.

    Attributes:
        id: its name in obligations.yaml.
        type: what kind of handler carries it out, such as ``mask``.
        mandatory: whether a PEP that cannot do it must deny.
        properties: parameters of the type, text to text.
    """

    id: str
    type: str
    mandatory: bool = True
    properties: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class StepUp:
    """What authentication would turn this deny into an allow (RFC 9470 section 3).

    Attributes:
        acr_values: authentication context classes that suffice, weakest first; empty where the present one does.
        max_age: the greatest age of the authentication that suffices, in seconds; None where age is no obstacle.
    """

    acr_values: tuple[str, ...] = ()
    max_age: int | None = None


class AttributeUse(NamedTuple):
    """Which record of an entity's attributes a decision rests on.

    Attributes:
        entity: whose attributes.
        version: the record's version, which never goes back.
        issued_at: when the record was issued, in seconds since the epoch.
    """

    entity: Entity
    version: int
    issued_at: float


class Decision(NamedTuple):
    """The answer to one request.

    Attributes:
        effect: allow or deny.
        causes: why, at least one.
        rules: ids of the rules that determined the effect; empty where none did.
        obligations: what goes with the effect.
        revision: the policy revision's digest, ``sha256:...``.
        attributes: the records used.
        valid_until: until when an enforcement point may rely on this, in seconds since the epoch; equal to the
            time of the decision where it may not be reused.
        step_up: set on a deny that stronger or fresher authentication would turn into an allow.
    """

    effect: Effect
    causes: tuple[Cause, ...]
    rules: tuple[str, ...] = ()
    obligations: tuple[Obligation, ...] = ()
    revision: str = ""
    attributes: tuple[AttributeUse, ...] = ()
    valid_until: float = 0.0
    step_up: StepUp | None = None

    @property
    def allowed(self) -> bool:
        """Whether the effect is an allow."""
        return self.effect is ALLOW

    @property
    def fault(self) -> bool:
        """Whether this is a deny for want of the means to decide."""
        return any(cause.code in FAULTS for cause in self.causes)
