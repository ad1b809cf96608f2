"""What is configured of signals: whose are believed, whom they are about, and what they change. See signals.yaml."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from pdp.core.decision import Entity


class Member(enum.StrEnum):
    """A member of a complex subject (SSF 1.0) that has a record of its own here."""

    USER = "user"
    DEVICE = "device"
    SESSION = "session"

    @property
    def entity(self) -> Entity:
        """Whose record it is."""
        return Entity.SUBJECT if self is Member.USER else Entity(self.value)


class Moment(enum.StrEnum):
    """A time that an event gives to an attribute: that of the event, or the first whole second after it."""

    EVENT = "event"
    AFTER = "after"


@dataclass(frozen=True, slots=True)
class Identifier:
    """How a subject identifier of one format (RFC 9493) becomes an identifier of ours.

    Attributes:
        format: the identifier's format.
        key: which member of it identifies.
        type: the type of the entity, such as ``user``.
        match: other members, each with the only text it may have.
        prefix: what the text must start with, and loses.
        suffix: what it must end with, and loses.
        digest: whether the SHA-256 of what is left, in hexadecimal, takes its place: for identifiers with
            characters that no identifier here may have.
    """

    format: str
    key: str
    type: str
    match: Mapping[str, str] = field(default_factory=dict)
    prefix: str = ""
    suffix: str = ""
    digest: bool = False


@dataclass(frozen=True, slots=True)
class Transmitter:
    """Whose signals are believed, and how far.

    Attributes:
        name: ours for it.
        issuer: its ``iss``.
        audiences: what its tokens' ``aud`` may name us by.
        jwks_uri: where its keys are.
        algorithms: signature algorithms accepted from it.
        events: names of the event types it may send, besides those of the stream itself.
        identifiers: by member, how subjects are identified; the first that fits is taken.
        authorization: the name of the secret that a push must bring as its Authorization header; empty for none.
        poll_uri: where its events are polled; empty where it pushes.
        secret: the name of the secret that we bring to it as our Authorization header; empty for none.
        configuration_uri: its SSF metadata, for the management of streams; empty where there is none.
        critical: members of a complex subject that must be understood, or the event is refused.
        tenants: identifiers of the tenants that are ours; empty where tenants are not told apart.
    """

    name: str
    issuer: str
    audiences: frozenset[str]
    jwks_uri: str
    algorithms: frozenset[str]
    events: frozenset[str]
    identifiers: Mapping[Member, tuple[Identifier, ...]]
    authorization: str = ""
    poll_uri: str = ""
    secret: str = ""
    configuration_uri: str = ""
    critical: frozenset[str] = frozenset()
    tenants: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class FromClaim:
    """A value that an event carries.

    Attributes:
        path: where in the event.
        values: the value of ours for each of its texts; without one, the text or list as it is.
    """

    path: tuple[str, ...]
    values: Mapping[str, str] = field(default_factory=dict)


Given = str | FromClaim | Moment
"""What an attribute is set to: a text as it is stored, what the event carries, or a time."""


@dataclass(frozen=True, slots=True)
class SignalRule:
    """What an event of one type changes.

    Attributes:
        of: the member of the subject whose record changes; the rule is passed over where the event names none.
        when: what claims of the event must be, by path.
        given: new values, by attribute.
    """

    of: Member
    when: Mapping[tuple[str, ...], str]
    given: Mapping[str, Given]


@dataclass(frozen=True, slots=True)
class SignalRules:
    """All of signals.yaml.

    Attributes:
        transmitters: by issuer.
        rules: by event type; the first rule that applies is the one.
        token_age: seconds after its issue for which a token is accepted; for as long it is remembered as seen.
    """

    transmitters: Mapping[str, Transmitter] = field(default_factory=dict)
    rules: Mapping[str, tuple[SignalRule, ...]] = field(default_factory=dict)
    token_age: float = 7 * 86400.0


NO_SIGNALS: Final = SignalRules()
