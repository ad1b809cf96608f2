"""Keyed pseudonyms: one identifier always gives the same one, and without the key none leads back to it.

A plain hash would not do: identifiers are few and guessable, so anyone could hash them all and compare
(GDPR article 4(5); ENISA, Pseudonymisation techniques and best practices, 2019, section 5.1).
"""

from __future__ import annotations

import hmac
import secrets
from functools import lru_cache
from pathlib import Path
from typing import Final

from pdp.core.errors import PdpError

_KEY_BYTES: Final = 32
_KEY_LIMIT: Final = 4096
_BYTES: Final = 16
_CACHED: Final = 65_536


class PseudonymKeyError(PdpError):
    """A pseudonym key that cannot be used; the message names its file and what is wrong, never its content."""


class Pseudonyms:
    """Gives pseudonyms under one key: the first 16 bytes of HMAC-SHA-256 (RFC 2104), as 32 hexadecimal digits.

    The 65,536 used last are remembered, so that a known identifier costs a look-up.

    Args:
        key: at least 32 secret bytes.

    Raises:
        PseudonymKeyError: the key is too short.
    """

    def __init__(self, key: bytes) -> None:
        if len(key) < _KEY_BYTES:
            raise PseudonymKeyError(f"a pseudonym key has at least {_KEY_BYTES} bytes; this one has {len(key)}")

        @lru_cache(_CACHED)
        def pseudonym(identifier: str) -> str:
            text = identifier.encode(errors="surrogatepass")
            return hmac.digest(key, text, "sha256")[:_BYTES].hex()

        self._pseudonym = pseudonym

    def __call__(self, identifier: str) -> str:
        """Give an identifier's pseudonym. Identifiers of different kinds are to carry their type, ``type:id``."""
        return self._pseudonym(identifier)


def load(key_file: Path | None) -> Pseudonyms:
    """Make pseudonyms under the bytes of a file, or under a new random key where there is none.

    Raises:
        PseudonymKeyError: the file cannot be read, or holds less than 32 or more than 4,096 bytes.
    """
    if key_file is None:
        return Pseudonyms(secrets.token_bytes(_KEY_BYTES))
    try:
        with key_file.open("rb") as file:
            key = file.read(_KEY_LIMIT + 1)
    except OSError as error:
        raise PseudonymKeyError(f"pseudonym key {key_file}: {error.strerror}") from error
    if not _KEY_BYTES <= len(key) <= _KEY_LIMIT:
        raise PseudonymKeyError(f"pseudonym key {key_file} does not have {_KEY_BYTES} to {_KEY_LIMIT} bytes")
    return Pseudonyms(key)
