"""Policy bundles: one file that holds a policy folder, a manifest of it, and signatures over the manifest.

The first member of the archive, ``manifest.note``, is a C2SP signed note whose text is the manifest::

    pdp-policy-bundle/1
    revision sha256:<the digest of the policy files>
    serial <a number that never falls from one release to the next; 0 where none is kept>
    <SHA-256 of the file, hexadecimal> <size in bytes> <path>

with a line a file in the order of their paths; the files follow in that order. Besides the policy files there may be
those by which it is checked: tests, samples and invariants, which are no part of the revision. Equal policies make
equal bundles, byte for byte. Nothing of a bundle is used unless everything in it is exactly what the manifest says,
and nothing is ever extracted to disk.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pdp.core.errors import PolicyInvalidError, PolicyProblem
from pdp.policy import files
from pdp.policy.archive import ArchiveError, pack, unpack
from pdp.policy.digest import revision_of
from pdp.policy.problems import Problems
from pdp.signing.errors import NoteError
from pdp.signing.note import Signer, Verifier, add_signature, signed_names, signers_of, split_note

MANIFEST: Final = "manifest.note"
_FORMAT: Final = "pdp-policy-bundle/1"
_NOTE_LIMIT: Final = 512 * 1024
_HEAD: Final = re.compile(rf"{_FORMAT}\nrevision (sha256:[0-9a-f]{{64}})\nserial (0|[1-9][0-9]{{0,17}})\n", re.ASCII)
_ENTRY: Final = re.compile(r"([0-9a-f]{64}) (0|[1-9][0-9]{0,8}) ([A-Za-z0-9._/-]{1,200})", re.ASCII)


@dataclass(frozen=True, slots=True)
class Trust:
    """Whose signatures make a bundle acceptable.

    Attributes:
        keys: the keys that count. A key that is revoked is simply not among them.
        needed: how many different signers, each with a key and a name of its own, must have signed; 0 accepts
            bundles without signatures, and folders.
    """

    keys: tuple[Verifier, ...] = ()
    needed: int = 0


@dataclass(frozen=True, slots=True)
class Bundle:
    """What a bundle says, its archive having been checked against its manifest.

    Attributes:
        revision: the digest of its policy files.
        serial: its place among the releases.
        files: contents by path: policy files, and those by which the policy is checked.
        note: the signed note as it stands in the archive.
    """

    revision: str
    serial: int
    files: Mapping[str, bytes]
    note: str

    def signers(self, keys: Sequence[Verifier]) -> tuple[Verifier, ...]:
        """Give those of the keys that signed the manifest, each once.

        Raises:
            PolicyInvalidError: a signature under one of the keys' names and ids is wrong.
        """
        try:
            return signers_of(self.note, keys)
        except NoteError as error:
            raise refused(str(error)) from None

    @property
    def claimed(self) -> tuple[str, ...]:
        """The names in the signature lines, which nobody has checked."""
        return signed_names(self.note)


def read_files(folder: Path) -> Mapping[str, bytes]:
    """Read what a bundle of a policy folder holds.

    Raises:
        PolicyInvalidError: with every file that cannot be read.
    """
    problems = Problems()
    found = {**files.read_folder(folder, problems), **files.read_companions(folder, problems)}
    problems.raise_if_any()
    return found


def build(contents: Mapping[str, bytes], serial: int = 0) -> bytes:
    """Make an unsigned bundle of files, given by path. Equal files and serials make equal bytes.

    Raises:
        PolicyInvalidError: a bundle cannot hold them.
    """
    lines = [
        f"{hashlib.sha256(contents[path]).hexdigest()} {len(contents[path])} {path}" for path in sorted(contents)
    ]
    text = "\n".join((_FORMAT, f"revision {_revision(contents)}", f"serial {serial}", *lines)) + "\n"
    _check(text, contents)
    return _archive(text + "\n", contents)


def sign(bundle: bytes, signer: Signer) -> bytes:
    """Add a signature to a bundle; signatures that are there already stay.

    Raises:
        PolicyInvalidError: it is no bundle.
    """
    opened = open_bundle(bundle)
    return _archive(add_signature(opened.note, signer), opened.files)


def verify(bundle: bytes, trust: Trust) -> Bundle:
    """Open a bundle and hold it to the signatures that are demanded.

    Raises:
        PolicyInvalidError: it is no bundle, something in it is not as its manifest says, or too few of the keys
            signed it.
    """
    opened = open_bundle(bundle)
    signed = {key.name for key in opened.signers(trust.keys)}
    if len(signed) < trust.needed:
        others = sorted(set(opened.claimed) - signed)
        unknown = f"; signed under names whose keys are not known here: {', '.join(others)}" if others else ""
        names = f" ({', '.join(sorted(signed))})" if signed else ""
        noun = "signature" if trust.needed == 1 else "signatures"
        raise refused(f"{trust.needed} {noun} of known keys needed, {len(signed)} found{names}{unknown}")
    return opened


def open_bundle(bundle: bytes) -> Bundle:
    """Read a bundle and check every byte of it against its manifest, whoever signed it.

    Raises:
        PolicyInvalidError: it is no bundle, or something in it is not as its manifest says.
    """
    try:
        members = unpack(bundle)
    except ArchiveError as error:
        raise refused(str(error)) from None
    if not members or members[0][0] != MANIFEST or len(members[0][1]) > _NOTE_LIMIT:
        raise refused(f"its first member is not {MANIFEST}")
    try:
        note = members[0][1].decode()
        text, _ = split_note(note)
    except UnicodeDecodeError:
        raise refused(f"{MANIFEST} is not UTF-8") from None
    except NoteError as error:
        raise refused(f"{MANIFEST}: {error}") from None
    contents = dict(members[1:])
    if [path for path, _ in members[1:]] != sorted(contents):
        raise refused("its members are not in order, each once")
    revision, serial = _check(text, contents)
    return Bundle(revision, serial, contents, note)


def refused(problem: str) -> PolicyInvalidError:
    """Make the error that says why a bundle is not used."""
    return PolicyInvalidError((PolicyProblem("bundle", 0, 0, problem),))


def _check(text: str, contents: Mapping[str, bytes]) -> tuple[str, int]:
    """Hold files to a manifest; give the revision and the serial."""
    head = _HEAD.match(text)
    if head is None:
        raise refused(f"its manifest is not of the format {_FORMAT}")
    entries = [_ENTRY.fullmatch(line) for line in text[head.end() :].split("\n")[:-1]]
    listed = [entry[3] for entry in entries if entry]
    if len(listed) != len(entries) or listed != sorted(contents):
        raise refused("its files are not those of its manifest, each once and in order")
    for entry in filter(None, entries):
        path, content = entry[3], contents[entry[3]]
        if not (files.is_policy_file(path) or files.is_companion(path)):
            raise refused(f"{path} is not a file of a policy folder")
        if (hashlib.sha256(content).hexdigest(), str(len(content))) != (entry[1], entry[2]):
            raise refused(f"{path} is not what its manifest says")
    if _revision(contents) != head[1]:
        raise refused("its files are not of the revision that its manifest names")
    return head[1], int(head[2])


def _revision(contents: Mapping[str, bytes]) -> str:
    return revision_of({path: it for path, it in contents.items() if files.is_policy_file(path)})


def _archive(note: str, contents: Mapping[str, bytes]) -> bytes:
    try:
        return pack(((MANIFEST, note.encode()), *sorted(contents.items())))
    except ArchiveError as error:
        raise refused(str(error)) from None
