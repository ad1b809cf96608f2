"""Keys in files: secret ones that only their owner can read, and public ones to hand out."""

import os
import stat
from pathlib import Path

from pdp.signing.errors import KeyFileError, NoteError
from pdp.signing.note import Signer, Verifier


def load_signer(path: Path) -> Signer:
    """A signing key.

    Raises:
        KeyFileError: it cannot be read, others may read it, or it is not a key.
    """
    try:
        return Signer.from_text(read_secret(path))
    except NoteError as error:
        raise KeyFileError(f"{path}: {error}") from None


def load_verifier(path_or_vkey: str) -> Verifier:
    """A verifier key, given as text or as the path of a file that holds it.

    Raises:
        KeyFileError: no such file, or not a key.
    """
    text = path_or_vkey
    try:
        if "+" not in text or Path(text).is_file():
            text = Path(text).read_text("utf-8")
        return Verifier.from_vkey(text)
    except (OSError, UnicodeDecodeError, NoteError) as error:
        raise KeyFileError(f"{path_or_vkey}: {error}") from None


def read_secret(path: Path) -> str:
    """A key file's text.

    Raises:
        KeyFileError: it cannot be read, or others may read it.
    """
    try:
        with path.open(encoding="ascii") as file:
            if os.fstat(file.fileno()).st_mode & (stat.S_IROTH | stat.S_IWOTH | stat.S_IWGRP):
                raise KeyFileError(f"{path}: others may read or write this key; chmod 600 it")
            return file.read().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise KeyFileError(f"{path}: {getattr(error, 'strerror', 'not a text file')}") from None


def write_secret(path: Path, text: str) -> None:
    """Create a key file that only its owner can read; an existing one is never overwritten.

    Raises:
        FileExistsError: there is one.
    """
    fd = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600)
    with os.fdopen(fd, "w", encoding="ascii") as file:
        file.write(text + "\n")
