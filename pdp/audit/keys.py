"""The keys of a log, read from one folder of files that only their owner can read.

signing.key          the Ed25519 key that signs checkpoints (PRIVATE+KEY+name+id+base64)
log.vkey             its public half: give it to whoever is to verify
pseudonym-<id>.key   base64 of 32 bytes; new records use the one whose id sorts last
encryption-<id>.key  the same for encryption at rest; without one the log is not encrypted
"""

import secrets
from base64 import b64decode, b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pdp.audit.sealing import KEY_BYTES, KeyRing
from pdp.signing.errors import KeyFileError
from pdp.signing.keyfiles import load_signer, read_secret, write_secret
from pdp.signing.note import Signer, Verifier
from pdp.signing.pseudonyms import PseudonymKey

SIGNING, VKEY = "signing.key", "log.vkey"
PSEUDONYM, ENCRYPTION = "pseudonym", "encryption"


@dataclass(frozen=True, slots=True)
class AuditKeys:
    """The keys of a log.

    Attributes:
        signer: signs checkpoints; its name is the log's name.
        pseudonyms: the pseudonym keys by id.
        ring: the encryption keys; None leaves new segments unencrypted.
    """

    signer: Signer
    pseudonyms: Mapping[str, PseudonymKey] = field(default_factory=dict)
    ring: KeyRing | None = None

    @property
    def pseudonym(self) -> PseudonymKey | None:
        """The pseudonym key of new records."""
        return _newest(self.pseudonyms)


def load_keys(folder: Path) -> AuditKeys:
    """Read a folder of keys.

    Raises:
        KeyFileError: the signing key is missing, or a file is malformed or readable by others.
    """
    signer = load_signer(folder / SIGNING)
    return AuditKeys(signer, load_pseudonyms(folder), load_ring(folder))


def load_ring(folder: Path) -> KeyRing | None:
    """The encryption keys of a folder, if there are any."""
    found = _numbered(folder, ENCRYPTION)
    return KeyRing(max(found), found) if found else None


def load_pseudonyms(folder: Path) -> dict[str, PseudonymKey]:
    """The pseudonym keys of a folder by id."""
    return {key_id: PseudonymKey(key_id, secret) for key_id, secret in _numbered(folder, PSEUDONYM).items()}


def load_pseudonym(folder: Path) -> PseudonymKey | None:
    """The pseudonym key of new records, if there is one.

    Raises:
        KeyFileError: a file is malformed or readable by others.
    """
    return _newest(load_pseudonyms(folder))


def generate_signing(folder: Path, name: str) -> Verifier:
    """Create `signing.key` and `log.vkey`."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    signer = Signer.generate(name)
    write_secret(folder / SIGNING, signer.text())
    (folder / VKEY).write_text(signer.verifier.vkey + "\n", encoding="ascii")
    return signer.verifier


def generate_secret(folder: Path, kind: str) -> Path:
    """Create the next `pseudonym-<n>.key` or `encryption-<n>.key`; from then on it is the current one."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    numbers = [int(key_id) for key_id in _numbered(folder, kind) if key_id.isdigit()]
    path = folder / f"{kind}-{max(numbers, default=0) + 1:04d}.key"
    write_secret(path, b64encode(secrets.token_bytes(KEY_BYTES)).decode())
    return path


def _newest(pseudonyms: Mapping[str, PseudonymKey]) -> PseudonymKey | None:
    return pseudonyms[max(pseudonyms)] if pseudonyms else None


def _numbered(folder: Path, kind: str) -> dict[str, bytes]:
    found = {}
    for path in sorted(folder.glob(f"{kind}-*.key")):
        key_id = path.stem.removeprefix(f"{kind}-")
        try:
            secret = b64decode(read_secret(path), validate=True)
        except ValueError:
            raise KeyFileError(f"{path}: not base64") from None
        if len(secret) != KEY_BYTES or not key_id.isalnum():
            raise KeyFileError(f"{path}: a key is 32 bytes and its id alphanumeric")
        found[key_id] = secret
    return found
