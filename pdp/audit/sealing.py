"""Encryption at rest: AES-256-GCM per record under a key of its own, so that one record can be disclosed alone.

Each segment has a random data key, stored in its header wrapped by a key-encryption key (a file the operator
rotates). A record's key is BLAKE2b(data key, seq || role); with a key per record the nonce can be constant (NIST
SP 800-38D asks for uniqueness per key). A segment is never reopened for writing after a crash, so no seq is sealed
twice under one data key. The stored form `BLAKE2b(record key) || ciphertext || tag` commits to the key, which GCM
alone does not, so a disclosed key cannot show another plaintext. Merkle leaves are over stored bytes: verification
needs no key.
"""

import os
from base64 import b64decode, b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from struct import Struct

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from pdp.audit.errors import FormatError
from pdp.signing.errors import KeyFileError

KEY_BYTES = 32
RECORD, TEMPLATE = 0, 1
_NONCE_BYTES = 12
_NONCE = bytes(_NONCE_BYTES)
_LABEL = Struct("<QB")


def _commitment(key: bytes) -> bytes:
    return blake2b(key, digest_size=32, person=b"pdp-audit-commit").digest()


def unseal_with(key: bytes, seq: int, role: int, sealed: bytes) -> bytes:
    """The plaintext of one sealed record or template.

    Raises:
        FormatError: the key is not the one committed to, or the bytes were changed.
    """
    if sealed[:32] != _commitment(key):
        raise FormatError("this key does not belong to the sealed record")
    try:
        return AESGCM(key).decrypt(_NONCE, sealed[32:], _LABEL.pack(seq, role))
    except InvalidTag:
        raise FormatError("the sealed record was changed") from None


class Sealer:
    """Seals and unseals the records of one segment."""

    __slots__ = ("_secret",)

    def __init__(self, data_key: bytes) -> None:
        self._secret = data_key

    def key(self, seq: int, role: int) -> bytes:
        """The key of one record (RECORD) or of the template defined just before it (TEMPLATE)."""
        return blake2b(_LABEL.pack(seq, role), digest_size=32, key=self._secret).digest()

    def side_key(self, label: bytes) -> bytes:
        """A key for what is kept beside the segment, such as its search index."""
        return blake2b(label, digest_size=32, key=self._secret, person=b"pdp-audit-side").digest()

    def seal(self, seq: int, role: int, plain: bytes) -> bytes:
        """The stored form, 48 bytes longer than the plaintext."""
        key = self.key(seq, role)
        return _commitment(key) + AESGCM(key).encrypt(_NONCE, plain, _LABEL.pack(seq, role))

    def unseal(self, seq: int, role: int, sealed: bytes) -> bytes:
        """The plaintext.

        Raises:
            FormatError: the bytes were changed or belong elsewhere.
        """
        return unseal_with(self.key(seq, role), seq, role, sealed)


@dataclass(frozen=True, slots=True)
class WrappedKey:
    """A data key as a segment's header holds it: the id of the key that wraps it, and nonce || ciphertext."""

    key_id: str
    wrapped: bytes

    def to_json(self) -> dict[str, str]:
        """The header's form."""
        return {"key": self.key_id, "wrapped": b64encode(self.wrapped).decode()}

    @classmethod
    def from_json(cls, value: Mapping[str, str]) -> "WrappedKey":
        """Read the header's form."""
        return cls(value["key"], b64decode(value["wrapped"], validate=True))


@dataclass(frozen=True, slots=True)
class KeyRing:
    """Key-encryption keys by id. New segments use `current`; the others only open older ones."""

    current: str
    keys: Mapping[str, bytes] = field(repr=False)

    def __post_init__(self) -> None:
        if self.current not in self.keys or any(len(key) != KEY_BYTES for key in self.keys.values()):
            raise KeyFileError("an encryption key is 32 bytes and the current one is among the known ones")

    def new_segment(self, context: str) -> tuple[WrappedKey, Sealer]:
        """A fresh data key, bound to the context (the segment's origin and base)."""
        data_key = os.urandom(KEY_BYTES)
        nonce = os.urandom(_NONCE_BYTES)
        wrapped = nonce + AESGCM(self.keys[self.current]).encrypt(nonce, data_key, context.encode())
        return WrappedKey(self.current, wrapped), Sealer(data_key)

    def open_segment(self, wrapped: WrappedKey, context: str) -> Sealer:
        """The sealer of an existing segment.

        Raises:
            KeyFileError: the key that wraps it is not here.
            FormatError: the wrapped key was changed or belongs to another segment.
        """
        key = self.keys.get(wrapped.key_id)
        if key is None:
            raise KeyFileError(f"the encryption key {wrapped.key_id!r} is not among the known keys")
        nonce, body = wrapped.wrapped[:_NONCE_BYTES], wrapped.wrapped[_NONCE_BYTES:]
        try:
            return Sealer(AESGCM(key).decrypt(nonce, body, context.encode()))
        except (InvalidTag, ValueError):
            raise FormatError("the segment's data key was changed") from None
