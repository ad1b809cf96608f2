"""Security event tokens (RFC 8417): what is checked before a word of one is believed.

Every check has its RFC 8935 error. The order matters: cheap and certain refusals come first, nothing is fetched for
a token whose issuer or algorithm is not configured, and no claim counts before the signature does, but the issuer,
which only chooses whose keys to check it with.
"""

from __future__ import annotations

import base64
import binascii
import json
import math
import re
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jws import JWSRegistry

from pdp.core.signals.events import Event, SignalInvalidError, name_of, time_of
from pdp.core.signals.rules import SignalRules, Transmitter
from pdp.signals.errors import SetError, SetErrorCode
from pdp.signals.jwks import KeySource
from pdp.signals.settings import SignalSettings

_TYPES: Final = ("secevent+jwt", "application/secevent+jwt")
_COMPACT: Final = re.compile(rb"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*")
_JTI_LIMIT: Final = 512
_NO_SUBJECT: Final[Mapping[str, Any]] = {"format": "opaque", "id": ""}


class Unverified(NamedTuple):
    """A token taken apart; nothing in it is believed yet."""

    raw: bytes
    header: Mapping[str, Any]
    claims: Mapping[str, Any]
    transmitter: Transmitter


class TokenVerifier:
    """Checks tokens against the transmitters that are configured.

    Args:
        keys: whose signatures.
        settings: bounds.
    """

    def __init__(self, keys: KeySource, settings: SignalSettings) -> None:
        self._keys = keys
        self._settings = settings

    def open(self, raw: bytes, rules: SignalRules) -> Unverified:
        """Take a token apart and find whose it claims to be.

        Raises:
            SetError: it is no token, or of an issuer or algorithm that is not accepted.
        """
        if len(raw) > self._settings.token_bytes:
            raise _invalid(f"larger than {self._settings.token_bytes} bytes")
        if not _COMPACT.fullmatch(raw):
            raise _invalid("not a signed JWT in compact serialization")
        header_part, claims_part, _ = raw.split(b".")
        header, claims = _object(header_part, "header"), _object(claims_part, "claims")
        typ = header.get("typ")
        if not isinstance(typ, str) or typ.lower() not in _TYPES:
            raise _invalid("typ is not secevent+jwt")
        if "crit" in header or "b64" in header:
            raise _invalid("the header asks for an extension that is not understood")
        issuer = claims.get("iss")
        transmitter = rules.transmitters.get(issuer) if isinstance(issuer, str) else None
        if transmitter is None:
            raise SetError(SetErrorCode.INVALID_ISSUER, "no transmitter is configured with this issuer")
        if str(header.get("alg")) not in transmitter.algorithms:
            # This refuses none and every HMAC: they can never be configured.
            raise SetError(SetErrorCode.INVALID_KEY, "the signature algorithm is not accepted")
        return Unverified(raw, header, claims, transmitter)

    async def verify(self, token: Unverified, rules: SignalRules, now: float) -> Event:
        """Check signature and claims.

        Args:
            token: what ``open`` gave.
            rules: what is configured.
            now: seconds since the epoch.

        Raises:
            SetError: says with its code what is wrong.
        """
        await self._check_signature(token)
        claims, transmitter = token.claims, token.transmitter
        audience = claims.get("aud")
        if transmitter.audiences.isdisjoint(_texts(audience)):
            raise SetError(SetErrorCode.INVALID_AUDIENCE, "aud does not name this receiver")
        if "sub" in claims or "exp" in claims:
            raise _invalid("sub and exp must not appear in a security event token")
        issued_at = self._issued_at(claims.get("iat"), now, rules.token_age)
        jti = claims.get("jti")
        if not isinstance(jti, str) or not 0 < len(jti) <= _JTI_LIMIT or not jti.isprintable():
            raise _invalid("jti is missing or not a short printable text")
        return self._event(claims, transmitter, issued_at, jti, now)

    async def _check_signature(self, token: Unverified) -> None:
        algorithm, kid = str(token.header["alg"]), token.header.get("kid")
        if kid is not None and not isinstance(kid, str):
            raise _invalid("kid is not a text")
        key = await self._keys.key(token.transmitter.jwks_uri, kid, algorithm)
        registry = JWSRegistry(algorithms=[algorithm], strict_check_header=False)
        registry.max_payload_length = self._settings.token_bytes
        registry.max_header_length = self._settings.token_bytes
        try:
            jws.deserialize_compact(token.raw, key, [algorithm], registry)
        except (JoseError, ValueError):
            raise SetError(SetErrorCode.AUTHENTICATION_FAILED, "the signature is not the issuer's") from None

    def _issued_at(self, iat: object, now: float, token_age: float) -> float:
        if isinstance(iat, bool) or not isinstance(iat, int | float) or not math.isfinite(iat):
            raise _invalid("iat is missing or not a number")
        if iat > now + self._settings.clock_skew:
            raise _invalid("iat lies in the future")
        if iat < now - token_age:
            raise _invalid("the token was issued too long ago")
        return float(iat)

    def _event(
        self, claims: Mapping[str, Any], transmitter: Transmitter, issued_at: float, jti: str, now: float
    ) -> Event:
        events = claims.get("events")
        if not isinstance(events, dict) or len(events) != 1:
            raise _invalid("events must hold exactly one event")
        ((uri, body),) = events.items()
        name = name_of(uri)
        if name is None or not (name in transmitter.events or name.startswith("ssf/")):
            raise SetError(SetErrorCode.ACCESS_DENIED, "the transmitter may not send events of this type")
        if not isinstance(body, dict):
            raise _invalid("the event is not an object")
        try:
            at = time_of(body, issued_at)
        except SignalInvalidError as error:
            raise _invalid(str(error)) from None
        if at > now + self._settings.clock_skew:
            raise _invalid("event_timestamp lies in the future")
        subject = claims.get("sub_id", _NO_SUBJECT if name.startswith("ssf/") else None)
        if not isinstance(subject, dict):
            raise _invalid("sub_id is missing or not an object")
        return Event(name, body, subject, at, issued_at, transmitter.issuer, jti)


def _object(part: bytes, what: str) -> Mapping[str, Any]:
    """Read a part of a token: a JSON object in which no name stands twice, at any depth."""
    try:
        text = base64.urlsafe_b64decode(part + b"=" * (-len(part) % 4)).decode()
        found = json.loads(text, object_pairs_hook=_once, parse_constant=_no_constant)
    except (binascii.Error, ValueError, RecursionError):
        raise _invalid(f"the {what} cannot be read") from None
    if not isinstance(found, dict):
        raise _invalid(f"the {what} cannot be read")
    return found


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(dict(pairs)) < len(pairs):
        raise ValueError("a name stands twice")
    return dict(pairs)


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _texts(value: object) -> list[str]:
    listed = value if isinstance(value, list) else [value]
    return [item for item in listed if isinstance(item, str)]


def _invalid(description: str) -> SetError:
    return SetError(SetErrorCode.INVALID_REQUEST, description)
