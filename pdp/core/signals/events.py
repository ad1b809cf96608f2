"""The events of OpenID CAEP 1.0, OpenID RISC 1.0 and the Shared Signals Framework 1.0, and what each must carry.

An event type is named here by profile and last part, such as ``caep/session-revoked``, for
``https://schemas.openid.net/secevent/caep/event-type/session-revoked``.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from pdp.core.errors import PdpError

_URI: Final = re.compile(r"https://schemas\.openid\.net/secevent/(caep|risc|ssf)/event-type/([a-z-]{1,64})", re.ASCII)
VERIFICATION: Final = "ssf/verification"
STREAM_UPDATED: Final = "ssf/stream-updated"
CONTROL: Final = frozenset({VERIFICATION, STREAM_UPDATED})
CAEP: Final = frozenset(
    {
        "caep/assurance-level-change",
        "caep/credential-change",
        "caep/device-compliance-change",
        "caep/risk-level-change",
        "caep/session-established",
        "caep/session-presented",
        "caep/session-revoked",
        "caep/token-claims-change",
    }
)
RISC: Final = frozenset(
    {
        "risc/account-credential-change-required",
        "risc/account-disabled",
        "risc/account-enabled",
        "risc/account-purged",
        "risc/credential-compromise",
        "risc/identifier-changed",
        "risc/identifier-recycled",
        "risc/opt-in",
        "risc/opt-out-cancelled",
        "risc/opt-out-effective",
        "risc/opt-out-initiated",
        "risc/recovery-activated",
        "risc/recovery-information-changed",
        "risc/sessions-revoked",
    }
)
KNOWN: Final = CAEP | RISC | CONTROL
_TEXT: Final = frozenset[str]()
# What an event must say to mean anything, and the words it may use where the specification gives a list.
_REQUIRED: Final[Mapping[str, Mapping[str, frozenset[str]]]] = {
    "caep/assurance-level-change": {"namespace": _TEXT, "current_level": _TEXT},
    "caep/credential-change": {
        "credential_type": _TEXT,
        "change_type": frozenset({"create", "revoke", "update", "delete"}),
    },
    "caep/device-compliance-change": {"current_status": frozenset({"compliant", "not-compliant"})},
    "caep/risk-level-change": {"principal": _TEXT, "current_level": frozenset({"LOW", "MEDIUM", "HIGH"})},
    "risc/credential-compromise": {"credential_type": _TEXT},
    STREAM_UPDATED: {"status": frozenset({"enabled", "paused", "disabled"})},
}
# Seconds of the year 5138: a larger number can only be milliseconds.
_MILLISECONDS: Final = 1e11
_LATEST: Final = 253402300799


class SignalInvalidError(PdpError):
    """An event that does not conform to its definition; says how, without repeating a value of it."""


class Event(NamedTuple):
    """One event, as its transmitter stated it.

    Attributes:
        type: its name, such as ``caep/session-revoked``.
        claims: what it carries, as JSON values.
        subject: the subject identifier (RFC 9493), simple or complex.
        at: when it happened, in seconds since the epoch.
        issued_at: when its token was issued, in seconds since the epoch.
        issuer: who says so.
        id: the token's ``jti``, unique to the issuer.
    """

    type: str
    claims: Mapping[str, Any]
    subject: Mapping[str, Any]
    at: float
    issued_at: float
    issuer: str
    id: str


def name_of(uri: str) -> str | None:
    """Give an event type's name, or None for a type of no profile that is spoken here."""
    found = _URI.fullmatch(uri)
    name = f"{found[1]}/{found[2]}" if found else ""
    return name if name in KNOWN else None


def uri_of(name: str) -> str:
    """Give the URI of an event type's name."""
    profile, _, last = name.partition("/")
    return f"https://schemas.openid.net/secevent/{profile}/event-type/{last}"


def check_claims(name: str, claims: Mapping[str, Any]) -> None:
    """Refuse an event without what makes it one of its type.

    Raises:
        SignalInvalidError: names the claim.
    """
    for claim, words in _REQUIRED.get(name, {}).items():
        value = claims.get(claim)
        if not isinstance(value, str) or not value or (words and value not in words):
            raise SignalInvalidError(f"{claim} is missing or has a value that the event's definition does not")
    if name == "caep/token-claims-change" and not (isinstance(claims.get("claims"), dict) and claims["claims"]):
        raise SignalInvalidError("claims is missing or is no object")


def time_of(claims: Mapping[str, Any], issued_at: float) -> float:
    """Say when an event happened: its ``event_timestamp``, in seconds or (tolerated) milliseconds, or ``issued_at``.

    Raises:
        SignalInvalidError: the time is not a number, or none that a calendar has.
    """
    stated = claims.get("event_timestamp")
    if stated is None:
        return issued_at
    if isinstance(stated, bool) or not isinstance(stated, int | float) or not math.isfinite(stated):
        raise SignalInvalidError("event_timestamp is not a number")
    seconds = stated / 1000 if stated > _MILLISECONDS else stated
    if not 0 <= seconds <= _LATEST:
        raise SignalInvalidError("event_timestamp is out of range")
    return float(seconds)


def claim_at(claims: Mapping[str, Any], path: tuple[str, ...]) -> Any:
    """Give the claim at a path, such as ``("claims", "role")``; None where there is none."""
    value: Any = claims
    for name in path:
        value = value.get(name) if isinstance(value, Mapping) else None
    return value


NO_CLAIMS: Final[Mapping[str, Any]] = MappingProxyType({})
