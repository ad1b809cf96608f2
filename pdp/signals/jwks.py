"""A transmitter's keys (RFC 7517): fetched from its ``jwks_uri``, kept, and fetched anew when they age or rotate.

Rules: keys are fetched ahead of need (``freshen``), so that no signal waits for that. An unknown key id is a reason
to look again, but not more often than the interval allows, however many tokens name unknown keys. One fetch at a time
for each address; whoever needs it waits for it. Keys that cannot be renewed go on being used for the grace, so that a
transmitter's outage does not stop its revocations. A key is only used for the algorithms of its type, so no public
key is ever taken for a shared secret.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import Any, Final

from joserfc.errors import JoseError
from joserfc.jwk import ECKey, Key, KeySet, OKPKey, RSAKey

from pdp.signals.errors import SetError, SetErrorCode, TransmitterError
from pdp.signals.http import TransmitterHttp
from pdp.signals.settings import SignalSettings

_RSA_BITS: Final = 2048
_KEY_LIMIT: Final = 100
_FRESH: Final = 0.75
# RFC 9864 names the curve; RFC 8037 did not.
_EDWARDS: Final = ("EdDSA", "Ed25519")
_CURVES: Final = {"ES256": "P-256", "ES384": "P-384", "ES512": "P-521"}


@dataclass(slots=True)
class _Held:
    keys: tuple[Key, ...] = ()
    fetched_at: float = float("-inf")
    tried_at: float = float("-inf")
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)


class KeySource:
    """Gives keys by address, key id and algorithm."""

    def __init__(self, http: TransmitterHttp, settings: SignalSettings) -> None:
        self._http = http
        self._settings = settings
        self._held: dict[str, _Held] = {}

    async def key(self, uri: str, kid: str | None, algorithm: str) -> Key:
        """Give the key that a token must be signed with.

        Args:
            uri: the transmitter's ``jwks_uri``.
            kid: the token's key id; without one, the only fitting key is meant.
            algorithm: the token's, one that is accepted.

        Raises:
            SetError: ``invalid_key`` where there is no such key or it is too weak; ``authentication_failed``, and
                transient, where the keys cannot be had.
        """
        held = self._held.setdefault(uri, _Held())
        asked_at = time.monotonic()
        if asked_at - held.fetched_at > self._settings.keys_age:
            await self._renew(uri, held, asked_at)
        if (found := _find(held.keys, kid, algorithm)) is None and await self._renew(uri, held, asked_at):
            found = _find(held.keys, kid, algorithm)
        if time.monotonic() - held.fetched_at > self._settings.keys_age + self._settings.keys_grace:
            raise SetError(SetErrorCode.AUTHENTICATION_FAILED, "the issuer's keys cannot be fetched", transient=True)
        if found is None:
            # Keys that could not be renewed may lack a new one: the fault may not be the token's.
            transient = held.tried_at > held.fetched_at
            raise SetError(SetErrorCode.INVALID_KEY, "the issuer has no such key", transient=transient)
        if isinstance(found, RSAKey) and found.raw_value.key_size < _RSA_BITS:
            raise SetError(SetErrorCode.INVALID_KEY, f"the RSA key has fewer than {_RSA_BITS} bits")
        return found

    async def freshen(self, uri: str) -> bool:
        """Fetch keys that are not there, or in the last quarter of their age; say whether they are there."""
        held = self._held.setdefault(uri, _Held())
        asked_at = time.monotonic()
        if asked_at - held.fetched_at > _FRESH * self._settings.keys_age:
            await self._renew(uri, held, asked_at)
        return held.fetched_at >= held.tried_at

    async def _renew(self, uri: str, held: _Held, asked_at: float) -> bool:
        """Fetch, unless somebody did since it was asked for or too short a time ago; say whether keys are new."""
        async with held.turn:
            if held.fetched_at > asked_at:
                return True
            if time.monotonic() - held.tried_at < self._settings.keys_interval:
                return False
            held.tried_at = time.monotonic()
            try:
                async with asyncio.timeout(self._settings.request_timeout):
                    held.keys = _read(await self._http.call("GET", uri))
            except (TransmitterError, TimeoutError):
                return False
            held.fetched_at = held.tried_at = time.monotonic()
            return True


def _read(document: Any) -> tuple[Key, ...]:
    """Read a key set; what is no public signature key is left out (RFC 7517, section 5)."""
    listed = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(listed, list) or len(listed) > _KEY_LIMIT:
        raise TransmitterError("the key set is not one")
    found = []
    for data in listed:
        if (
            not isinstance(data, dict)
            or data.get("use", "sig") != "sig"
            or data.get("kty") not in ("RSA", "EC", "OKP")
        ):
            continue
        try:
            found += KeySet.import_key_set({"keys": [data]}).keys
        except (JoseError, ValueError, TypeError, KeyError):
            continue
    return tuple(found)


def _find(keys: tuple[Key, ...], kid: str | None, algorithm: str) -> Key | None:
    fitting = [key for key in keys if _fits(key, algorithm)]
    if kid is None:
        return fitting[0] if len(fitting) == 1 else None
    return next((key for key in fitting if key.kid == kid), None)


def _fits(key: Key, algorithm: str) -> bool:
    names = _EDWARDS if algorithm in _EDWARDS else (algorithm,)
    if key.alg is not None and key.alg not in names:
        return False
    if algorithm in _EDWARDS:
        return isinstance(key, OKPKey) and key.curve_name == "Ed25519"
    if algorithm in _CURVES:
        return isinstance(key, ECKey) and key.curve_name == _CURVES[algorithm]
    return isinstance(key, RSAKey)
