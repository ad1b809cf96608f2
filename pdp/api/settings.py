"""Settings of the interfaces, each with its unit. Built by the composition root from the configuration."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

_FED: Final = ("subject", "device", "session", "resource")
_TYPED: Final = ("subject", "resource")


@dataclass(frozen=True, slots=True)
class ApiSettings:
    """Settings of the decision service.

    Attributes:
        answer_seconds: within how many seconds a question on a stream, or one over HTTP, is answered. A unary call
            brings its own deadline.
        stream_in_flight: how many questions of one stream are worked on at once; more wait unread.
    """

    answer_seconds: float = 2.0
    stream_in_flight: int = 64


@dataclass(frozen=True, slots=True)
class AttributeServiceSettings:
    """Who may write attributes through ``AttributeService``.

    Attributes:
        callers: for each SPIFFE id, the kinds of entity it may read and write: ``device``, ``session``, ``subject``,
            ``resource``, the last two also with a type, as in ``subject:user``. Empty switches the interface off.
        watched_entities: the most entities that one Watch may follow.
        watches: the most Watches at once in one process; each holds a connection to the store.
    """

    callers: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    watched_entities: int = 1000
    watches: int = 32

    def __post_init__(self) -> None:
        """Refuse settings that would admit nobody, or somebody else than is meant.

        Raises:
            ValueError: says which.
        """
        for peer, kinds in self.callers.items():
            if not peer.startswith("spiffe://"):
                raise ValueError("callers are named by their SPIFFE ids")
            for kind in kinds:
                entity, colon, type_ = kind.partition(":")
                if entity not in _FED or (colon and (entity not in _TYPED or not type_)):
                    raise ValueError(f"a kind of entity is one of {', '.join(_FED)}, subject:<type>, resource:<type>")


class Origin(enum.StrEnum):
    """Where Envoy may have learnt something about a request, and who vouches for it.

    ``CLAIM``: a claim of the JWT that Envoy verified. ``PRINCIPAL``: the client's certificate, verified by Envoy.
    ``EXTENSION``: Envoy's own configuration. ``HEADER``: a request header, for which nobody vouches but the Envoy
    that is trusted to have set it.
    """

    CLAIM = "claim"
    PRINCIPAL = "principal"
    EXTENSION = "extension"
    HEADER = "header"


@dataclass(frozen=True, slots=True)
class Source:
    """Where to read one thing about a request.

    Attributes:
        origin: the kind of place.
        name: the claim, the key of a context extension, or the header, whose case does not matter; for a principal
            the prefix it must have, and the rest of it is what is read.
    """

    origin: Origin
    name: str

    def __post_init__(self) -> None:
        """Bring a header's name to lower case, which is how Envoy sends it.

        Raises:
            ValueError: if there is no name. Only a principal's prefix may be empty.
        """
        if self.origin is Origin.HEADER:
            object.__setattr__(self, "name", self.name.lower())
        if not self.name and self.origin is not Origin.PRINCIPAL:
            raise ValueError(f"a source of origin {self.origin} needs a name")

    def __str__(self) -> str:
        """Give the written form that ``parse`` reads."""
        return f"{self.origin}:{self.name}"

    @classmethod
    def parse(cls, text: str) -> Source:
        """Read the written form, ``origin:name``, such as ``claim:sub`` or ``principal:spiffe://example.org/user/``.

        Raises:
            ValueError: if it has not that form.
        """
        origin, colon, name = text.partition(":")
        if origin not in Origin.__members__.values() or not colon:
            kinds = ", ".join(Origin)
            raise ValueError(f"{text!r} is not origin:name with an origin of {kinds}")
        return cls(Origin(origin), name)


@dataclass(frozen=True, slots=True)
class ExtAuthzSettings:
    """Settings of the ext_authz interface.

    Each of the things that Envoy may know of a request is read from the sources named for it. Sources that say
    nothing are passed over; two that say different things make the request ambiguous, and it is denied.

    Attributes:
        subject_type: the type of every subject.
        subject: sources of the subject's id. A request for which none has an answer is denied.
        session: sources of the session's id.
        device: sources of the device's id.
        purpose: sources of the purpose. A purpose that the route implies is taken in their place.
        channel: sources of the channel.
        network: sources of the kind of network.
        emergency_reason: sources of the reason for emergency access, which is claimed where there is one.
        supported_obligations: types of obligation that every upstream carries out.
        obligations_extension: the context extension, comma-separated, in which Envoy's configuration names types
            that the upstream of one route carries out besides.
        jwt_payload: what Envoy's jwt_authn filter calls the payload in its metadata (``payload_in_metadata``).
        header_peers: SPIFFE ids of the Envoys whose word is taken for the headers named above. From any other
            caller, and from one without an identity, headers are not read.
        headers_to_remove: names of headers taken off an allowed request, because an upstream that honours them
            would carry out another request than was decided on.
    """

    subject_type: str = "user"
    subject: tuple[Source, ...] = (Source(Origin.CLAIM, "sub"),)
    session: tuple[Source, ...] = (Source(Origin.CLAIM, "sid"),)
    device: tuple[Source, ...] = (Source(Origin.CLAIM, "device_id"),)
    purpose: tuple[Source, ...] = (Source(Origin.CLAIM, "purpose"), Source(Origin.EXTENSION, "purpose"))
    channel: tuple[Source, ...] = ()
    network: tuple[Source, ...] = ()
    emergency_reason: tuple[Source, ...] = ()
    supported_obligations: frozenset[str] = frozenset()
    obligations_extension: str = "supported_obligations"
    jwt_payload: str = "jwt_payload"
    header_peers: frozenset[str] = frozenset()
    headers_to_remove: tuple[str, ...] = (
        "x-envoy-original-path",
        "x-http-method",
        "x-http-method-override",
        "x-method-override",
        "x-original-url",
        "x-rewrite-url",
    )

    def __post_init__(self) -> None:
        """Refuse settings under which the wrong party would be believed.

        Raises:
            ValueError: says what is contradictory.
        """
        if not self.subject:
            raise ValueError("subject needs at least one source")
        if not all(peer.startswith("spiffe://") for peer in self.header_peers):
            raise ValueError("header_peers are SPIFFE ids")
        if any(name.lower().startswith(("x-pdp-", ":")) for name in self.headers_to_remove):
            # Envoy removes last: the upstream would not learn what it owes.
            raise ValueError("headers_to_remove must not name our own headers (x-pdp-...) or pseudo-headers")
        stated = (self.session, self.device, self.purpose, self.channel, self.network, self.emergency_reason)
        used = any(source.origin is Origin.HEADER for sources in (self.subject, *stated) for source in sources)
        if used and not self.header_peers:
            raise ValueError("a source is a header, but no peer is trusted with headers (header_peers)")
