"""Keyed pseudonyms: one identifier always gives the same one, and without the key none leads back to it.

A pseudonym is `~<key id>:<base64url(HMAC-SHA-256(key, field || 0x00 || identifier)[:16])>` (RFC 2104, RFC 4648):
stable under one key, so that what concerns one person can be found together wherever it is told, and unlinkable to
the person or across fields without it. A plain hash would not do: identifiers are few and guessable, so anyone could
hash them all and compare (GDPR article 4(5); ENISA, Pseudonymisation techniques and best practices, 2019, 5.1).
"""

from binascii import b2a_base64
from dataclasses import dataclass, field
from hashlib import sha256

from pdp.signing.errors import KeyFileError

_PSEUDONYM_BYTES = 16
_PSEUDONYM_CHARS = 22
_MIN_KEY_BYTES = 32
_HMAC_BLOCK = 64
_URL_SAFE = bytes.maketrans(b"+/", b"-_")
_INNER = bytes(byte ^ 0x36 for byte in range(256))
_OUTER = bytes(byte ^ 0x5C for byte in range(256))


@dataclass(frozen=True, slots=True)
class PseudonymKey:
    """A secret of 32 to 64 bytes under a short id that appears in each pseudonym it makes."""

    key_id: str
    secret: bytes = field(repr=False)
    _inner: bytes = field(init=False, repr=False, compare=False)
    _outer: bytes = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not _MIN_KEY_BYTES <= len(self.secret) <= _HMAC_BLOCK or not self.key_id.isalnum():
            raise KeyFileError("a pseudonym key has an alphanumeric id and 32 to 64 bytes")
        block = self.secret.ljust(_HMAC_BLOCK, b"\0")
        object.__setattr__(self, "_inner", block.translate(_INNER))
        object.__setattr__(self, "_outer", block.translate(_OUTER))

    def hmac(self, message: bytes) -> bytes:
        """HMAC-SHA-256 (RFC 2104), written out: two plain hashes cost half of the library's one call."""
        return sha256(self._outer + sha256(self._inner + message).digest()).digest()

    def pseudonym(self, name: str, identifier: str) -> str:
        """The pseudonym of an identifier of the named field."""
        digest = self.hmac(f"{name}\0{identifier}".encode(errors="surrogatepass"))[:_PSEUDONYM_BYTES]
        text = b2a_base64(digest, newline=False)[:_PSEUDONYM_CHARS].translate(_URL_SAFE)
        return f"~{self.key_id}:{text.decode()}"
