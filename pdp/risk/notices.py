"""What receivers are told: a CAEP 1.0 risk-level-change in a signed security event token (RFC 8417)."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any, Final, NamedTuple

from joserfc import jwk, jws
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, OKPKey, RSAKey
from joserfc.jws import JWSRegistry

from pdp.core.errors import PdpError
from pdp.core.limits import Level, Receiver
from pdp.core.request import EntityRef
from pdp.core.signals.events import uri_of
from pdp.core.signals.rules import Identifier

_TYPE: Final = "secevent+jwt"
_EVENT: Final = "caep/risk-level-change"
_KEY_LIMIT: Final = 65_536
_LEAST_RSA_BITS: Final = 2048
_KINDS: Final = {"EC": "ES256", "RSA": "RS256", "OKP": "EdDSA"}


class SigningKeyError(PdpError):
    """A signing key that cannot be used; names its file and what is wrong, never its content."""


class Change(NamedTuple):
    """A subject's level that changed.

    Attributes:
        subject: whose.
        before: the level until now.
        after: the level from now on.
        reason: which feature, and by how much.
        at: when, in seconds since the epoch.
        id: unique; the ``jti`` of each receiver's token starts with it.
    """

    subject: EntityRef
    before: Level
    after: Level
    reason: str
    at: float
    id: str


class Notices:
    """Makes tokens.

    Args:
        issuer: their ``iss``.
        file: the private key, PEM.

    Raises:
        SigningKeyError: the key cannot be read, or is none to sign with.
    """

    def __init__(self, issuer: str, file: Path) -> None:
        self._issuer = issuer
        self._key = _read_key(file)
        self._kid = self._key.thumbprint()
        self._algorithm = _KINDS[self._key.key_type]
        self._registry = JWSRegistry(algorithms=[self._algorithm], strict_check_header=False)

    def token(self, receiver: Receiver, change: Change) -> bytes:
        """Make the token that tells a receiver of a change, in compact serialization."""
        header = {"typ": _TYPE, "alg": self._algorithm, "kid": self._kid}
        payload = json.dumps(self._claims(receiver, change)).encode()
        return jws.serialize_compact(header, payload, self._key, [self._algorithm], self._registry).encode()

    def key_set(self) -> bytes:
        """Give the JWK Set (RFC 7517) by which receivers verify tokens: the public key."""
        public = {**self._key.as_dict(private=False), "kid": self._kid, "use": "sig", "alg": self._algorithm}
        return json.dumps({"keys": [public]}).encode()

    def _claims(self, receiver: Receiver, change: Change) -> dict[str, Any]:
        event = {
            "principal": "USER",
            "current_level": change.after.name,
            "previous_level": change.before.name,
            "risk_reason": change.reason,
            "event_timestamp": round(change.at, 3),
            "initiating_entity": "policy",
        }
        return {
            "iss": self._issuer,
            "jti": f"{change.id}-{receiver.name}",
            "iat": math.floor(change.at),
            "aud": receiver.audience,
            "sub_id": {"format": "complex", "user": _identified(change.subject, receiver.subject)},
            "events": {uri_of(_EVENT): event},
        }


def _identified(subject: EntityRef, by: Identifier) -> dict[str, str]:
    """Write a subject as an identifier of RFC 9493."""
    return {"format": by.format, **by.match, by.key: f"{by.prefix}{subject.id}{by.suffix}"}


def _read_key(file: Path) -> ECKey | RSAKey | OKPKey:
    try:
        with file.open("rb") as opened:
            pem = opened.read(_KEY_LIMIT)
    except OSError as error:
        raise SigningKeyError(f"signing key {file}: {error.strerror}") from None
    for kind in (ECKey, RSAKey, OKPKey):
        try:
            key = kind.import_key(pem)
        except (JoseError, ValueError, TypeError):
            continue
        if not key.is_private:
            raise SigningKeyError(f"signing key {file}: is a public key")
        _require_strength(key, file)
        return key
    raise SigningKeyError(f"signing key {file}: is no PEM of an EC, RSA or Ed25519 private key")


def _require_strength(key: jwk.Key, file: Path) -> None:
    curve = key.as_dict(private=False).get("crv")
    if isinstance(key, RSAKey) and key.private_key and key.private_key.key_size < _LEAST_RSA_BITS:
        raise SigningKeyError(f"signing key {file}: an RSA key needs at least {_LEAST_RSA_BITS} bits")
    if curve not in (None, "P-256", "Ed25519"):
        raise SigningKeyError(f"signing key {file}: the curve must be P-256 or Ed25519")
