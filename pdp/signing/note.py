"""C2SP signed notes with Ed25519 keys: the text form of every signature made here.

A note is text ending in a newline, a blank line, and one or more lines `— <key name> <base64(key id || signature)>`.
The key id is SHA-256(name || 0x0A || 0x01 || public key)[:4]; 0x01 stands for Ed25519. A verifier key (vkey) is
`name+hex(key id)+base64(0x01 || public key)`; a signing key is `PRIVATE+KEY+` and the same with the 32-byte seed.
"""

from base64 import b64decode, b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from pdp.signing.errors import NoteError

_ED25519 = b"\x01"
_KEY_BYTES = 33
_SIGNATURE_BYTES = 4 + 64
_MAX_NOTE = 1_000_000
_PRIVATE = "PRIVATE+KEY+"
_MARK = "\N{EM DASH} "


def _check_name(name: str) -> str:
    if not name or "+" in name or any(c.isspace() or not c.isprintable() for c in name):
        raise NoteError("a key name is not empty and has no space, control character or plus sign")
    return name


def decode_base64(text: str, what: str) -> bytes:
    """Strict base64: one text for each value, as the signed note specification demands.

    Raises:
        NoteError: it is anything else.
    """
    try:
        value = b64decode(text, validate=True)
    except ValueError:
        raise NoteError(f"{what} is not base64") from None
    if b64encode(value).decode() != text:
        raise NoteError(f"{what} is not canonical base64")
    return value


def _key_id(name: str, public: bytes) -> bytes:
    return sha256(name.encode() + b"\n" + _ED25519 + public).digest()[:4]


def _parse_key(text: str, what: str) -> tuple[str, str, bytes]:
    parts = text.strip().split("+", 2)
    if len(parts) != 3:  # noqa: PLR2004  name, id, key
        raise NoteError(f"a {what} key has the form name+id+key")
    key = decode_base64(parts[2], f"the {what} key")
    if len(key) != _KEY_BYTES or key[:1] != _ED25519:
        raise NoteError(f"the {what} key is not an Ed25519 key")
    return _check_name(parts[0]), parts[1], key[1:]


@dataclass(frozen=True, slots=True)
class Verifier:
    """A public key under a name.

    Attributes:
        name: the key name, such as a log's origin or the person who approves.
        public: the 32 bytes of the Ed25519 public key.
    """

    name: str
    public: bytes

    @classmethod
    def from_vkey(cls, vkey: str) -> "Verifier":
        """Parse `name+hex(key id)+base64(type || key)`.

        Raises:
            NoteError: malformed, another key type, or a key id that does not belong to the key.
        """
        name, key_id, public = _parse_key(vkey, "verifier")
        verifier = cls(name, public)
        if verifier.key_id.hex() != key_id.lower():
            raise NoteError("the key id does not belong to the verifier key")
        return verifier

    @property
    def key_id(self) -> bytes:
        """The four bytes that tell keys of one name apart."""
        return _key_id(self.name, self.public)

    @property
    def vkey(self) -> str:
        """The key in its text form, safe to publish."""
        return f"{self.name}+{self.key_id.hex()}+{b64encode(_ED25519 + self.public).decode()}"

    def accepts(self, body: bytes, signature: bytes) -> bool:
        """Whether the 64-byte signature is this key's over the body."""
        try:
            Ed25519PublicKey.from_public_bytes(self.public).verify(signature, body)
        except (InvalidSignature, ValueError):
            return False
        return True


class Signer:
    """An Ed25519 private key under a name. Its repr tells the name alone."""

    __slots__ = ("_private", "verifier")

    def __init__(self, name: str, private: Ed25519PrivateKey) -> None:
        self._private = private
        self.verifier = Verifier(_check_name(name), private.public_key().public_bytes_raw())

    def __repr__(self) -> str:
        return f"Signer({self.verifier.name!r})"

    @classmethod
    def generate(cls, name: str) -> "Signer":
        """A new random key."""
        return cls(name, Ed25519PrivateKey.generate())

    @classmethod
    def from_text(cls, text: str) -> "Signer":
        """Parse `PRIVATE+KEY+name+hex(key id)+base64(type || seed)`.

        Raises:
            NoteError: malformed, or a key id that does not belong to the key.
        """
        if not text.startswith(_PRIVATE):
            raise NoteError("a signing key starts with PRIVATE+KEY+")
        name, key_id, seed = _parse_key(text.removeprefix(_PRIVATE), "signing")
        signer = cls(name, Ed25519PrivateKey.from_private_bytes(seed))
        if signer.verifier.key_id.hex() != key_id.lower():
            raise NoteError("the key id does not belong to the signing key")
        return signer

    def text(self) -> str:
        """The key in its text form. It is a secret."""
        secret = b64encode(_ED25519 + self._private.private_bytes_raw()).decode()
        return f"{_PRIVATE}{self.verifier.name}+{self.verifier.key_id.hex()}+{secret}"

    def sign(self, body: str) -> str:
        """The note: the body, which ends in a newline, and this key's signature.

        Raises:
            NoteError: the body does not end in a newline.
        """
        if not body.endswith("\n"):
            raise NoteError("the text of a note ends in a newline")
        signature = b64encode(self.verifier.key_id + self._private.sign(body.encode())).decode()
        return f"{body}\n{_MARK}{self.verifier.name} {signature}\n"


def open_note(note: str, verifiers: Sequence[Verifier]) -> str:
    """The body of a note that at least one of the keys signed; signatures of unknown keys are passed over.

    Raises:
        NoteError: malformed, a known key's signature is wrong, or no known key signed.
    """
    if not signers_of(note, verifiers):
        raise NoteError("no known key signed this note")
    return split_note(note)[0]


def signers_of(note: str, verifiers: Sequence[Verifier]) -> tuple[Verifier, ...]:
    """Those of the keys that signed the note, each once, in the order in which they are given here.

    Signatures of unknown keys are passed over.

    Raises:
        NoteError: malformed, or a known key's signature is wrong.
    """
    body, lines = split_note(note)
    known = {(verifier.name, verifier.key_id): verifier for verifier in verifiers}
    signed: dict[bytes, Verifier] = {}
    for name, key_id, signature in map(_parse_signature, lines):
        verifier = known.get((name, key_id))
        if verifier is None:
            continue
        if not verifier.accepts(body.encode(), signature):
            raise NoteError(f"the signature of {name} is wrong")
        signed[verifier.public] = verifier
    return tuple(verifier for verifier in known.values() if signed.get(verifier.public) is verifier)


def add_signature(note: str, signer: Signer) -> str:
    """The note with one more signature; where the key signed it already, that signature stands alone.

    Raises:
        NoteError: it is no note.
    """
    body, lines = split_note(note)
    own = signer.sign(body).rpartition("\n\n")[2].removesuffix("\n")
    return f"{body}\n" + "".join(f"{line}\n" for line in dict.fromkeys((*lines, own)))


def signed_names(note: str) -> tuple[str, ...]:
    """The names in the signature lines, each once and unchecked.

    Raises:
        NoteError: it is no note.
    """
    return tuple(dict.fromkeys(_parse_signature(line)[0] for line in split_note(note)[1]))


def split_note(note: str) -> tuple[str, list[str]]:
    """The body, which ends in a newline, and the signature lines, of which an unsigned draft has none.

    Raises:
        NoteError: it is no note.
    """
    if len(note) > _MAX_NOTE or any(ord(c) < ord(" ") and c != "\n" for c in note):
        raise NoteError("a note has no control characters and at most a million characters")
    head, separator, tail = note.rpartition("\n\n")
    if not separator or not (tail.endswith("\n") or not tail):
        raise NoteError("a note has a text, a blank line and signature lines")
    return head + "\n", tail.split("\n")[:-1]


def _parse_signature(line: str) -> tuple[str, bytes, bytes]:
    name, _, encoded = line.removeprefix(_MARK).partition(" ")
    if not line.startswith(_MARK):
        raise NoteError("a signature line starts with an em dash and a space")
    signature = decode_base64(encoded, "a signature")
    if len(signature) < 5:  # noqa: PLR2004  key id and at least one byte: other key types sign differently
        raise NoteError("a signature is too short")
    return _check_name(name), signature[:4], signature[4:]
