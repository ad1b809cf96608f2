"""The state folder: revisions that were in force, which one is held, which is on trial, and how each worker fares.

::

    revisions/<digest>.bundle   what was in force, as it came, signatures and all
    history.jsonl               what came into force when, and why
    pin                         the digest of the revision that is held whatever the source says
    candidate.bundle            the revision on trial beside the one in force
    status/<worker>.json        how the policy stands in each worker

Workers and commands share it. Every file is put in its place at once, and only what is verified anew is ever used.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import tempfile
import time
from collections.abc import Hashable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from pdp.core.errors import PdpError

_KEPT: Final = 20
_REVISION: Final = re.compile(r"sha256:([0-9a-f]{64})", re.ASCII)
_SOURCE: Final = "source"


class StateError(PdpError):
    """The state folder cannot be written, or does not hold what is asked for."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A revision's coming into force.

    Attributes:
        revision: which.
        serial: its place among the releases.
        at: when, in seconds since the epoch.
        cause: ``source``, ``rollback``, ``promote`` or ``restart``.
    """

    revision: str
    serial: int
    at: float
    cause: str


@dataclass(frozen=True, slots=True)
class Pin:
    """A revision that is held.

    Attributes:
        revision: which.
        cause: ``rollback`` or ``promote``.
        by: who asked for it.
        at: when, in seconds since the epoch.
    """

    revision: str
    cause: str
    by: str
    at: float


class StateFolder:
    """The folder. Every method may wait for the disk."""

    def __init__(self, folder: Path) -> None:
        """Take note of the folder; it is made when something is first written."""
        self._folder = folder
        self._history = folder / "history.jsonl"
        self._pin = folder / "pin"
        self._candidate = folder / "candidate.bundle"

    def mark(self) -> Hashable:
        """Give something that is another whenever a pin or a candidate was set or taken away."""
        return tuple(map(_about, (self._pin, self._candidate)))

    def enter(self, entry: Entry, archive: bytes) -> None:
        """Keep a revision and note that it came into force; once, however many workers say so.

        Raises:
            StateError: the folder cannot be written.
        """
        with self._locked():
            path = self._path(entry.revision)
            if not path.exists():
                self._write(path, archive)
            known = self.history()
            if known and known[-1].revision == entry.revision:
                return
            with self._history.open("a", encoding="ascii") as file:
                file.write(json.dumps(asdict(entry)) + "\n")
            self._forget([*known, entry])

    def history(self) -> list[Entry]:
        """Give what came into force, oldest first; what cannot be read of it is left out."""
        found = []
        with contextlib.suppress(OSError, UnicodeDecodeError):
            for line in self._history.read_text("ascii").splitlines():
                with contextlib.suppress(ValueError, TypeError):
                    found.append(Entry(**json.loads(line)))
        return found

    def previous(self, revision: str) -> Entry:
        """Give what was in force before a revision was, roll-backs not counted.

        Raises:
            StateError: there is none, or it is not kept any more.
        """
        steps = [it for it in self.history() if it.cause not in ("rollback", "restart")]
        places = [place for place, it in enumerate(steps) if it.revision == revision]
        earlier = [it for it in steps[: places[-1] if places else None] if it.revision != revision]
        kept = [it for it in earlier if self._path(it.revision).exists()]
        if not kept:
            raise StateError("there is no earlier revision to go back to")
        return kept[-1]

    def read(self, revision: str) -> bytes:
        """Give the bundle of a revision.

        Raises:
            StateError: it is not kept.
        """
        try:
            return self._path(revision).read_bytes()
        except OSError:
            raise StateError(f"revision {revision[:19]} is not kept in {self._folder}") from None

    def find(self, prefix: str) -> str:
        """Give the one kept revision whose digest starts so.

        Raises:
            StateError: there is none, or several.
        """
        digits = prefix.removeprefix("sha256:")
        names = sorted(path.stem for path in (self._folder / "revisions").glob("*.bundle"))
        found = [name for name in names if digits and name.startswith(digits)]
        if len(found) != 1:
            raise StateError(f"{len(found)} kept revisions start with {prefix!r}; `pdp policy status` lists them")
        return f"sha256:{found[0]}"

    def pin(self) -> Pin | None:
        """Give what is held.

        Raises:
            StateError: something is, and it cannot be read which.
        """
        try:
            return Pin(**json.loads(self._pin.read_text("ascii")))
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (OSError, ValueError, TypeError):
            raise StateError(f"{self._pin} cannot be read; `pdp policy rollback --release` takes it away") from None

    def hold(self, pin: Pin, archive: bytes | None = None) -> None:
        """Have a revision held by all workers.

        Args:
            pin: which, and why.
            archive: its bundle, where it is not kept yet.

        Raises:
            StateError: it is not kept, or the folder cannot be written.
        """
        with self._locked():
            if archive is not None:
                self._write(self._path(pin.revision), archive)
            self.read(pin.revision)
            self._write(self._pin, json.dumps(asdict(pin)).encode())

    def release(self, revision: str = "") -> bool:
        """Let all workers follow the source again; with a revision, only if that is what is held.

        Raises:
            StateError: the folder cannot be written.
        """
        with self._locked():
            if revision and (pin := self.pin()) and pin.revision != revision:
                return False
            held = self._pin.exists()
            self._pin.unlink(missing_ok=True)
            return held

    def candidate(self) -> bytes | None:
        """Give the bundle on trial, if there is one."""
        try:
            return self._candidate.read_bytes()
        except OSError:
            return None

    def propose(self, archive: bytes | None) -> None:
        """Put a bundle on trial, or, with None, end the trial.

        Raises:
            StateError: the folder cannot be written.
        """
        with self._locked():
            if archive is None:
                self._candidate.unlink(missing_ok=True)
            else:
                self._write(self._candidate, archive)

    def report(self, worker: str, status: Mapping[str, Any]) -> None:
        """Tell how the policy stands in a worker.

        Raises:
            StateError: the folder cannot be written.
        """
        with self._writing():
            content = json.dumps(dict(status)).encode()
            self._write(self._folder / "status" / f"{worker}.json", content, durable=False)

    def withdraw(self, worker: str) -> None:
        """Take away the report of a worker that ends."""
        with contextlib.suppress(OSError):
            (self._folder / "status" / f"{worker}.json").unlink()

    def reports(self) -> dict[str, dict[str, Any]]:
        """Give every worker's report."""
        found = {}
        for path in sorted((self._folder / "status").glob("*.json")):
            with contextlib.suppress(OSError, ValueError):
                found[path.stem] = json.loads(path.read_bytes())
        return found

    def _path(self, revision: str) -> Path:
        named = _REVISION.fullmatch(revision)
        if named is None:
            raise StateError("that is not the digest of a revision")
        return self._folder / "revisions" / f"{named[1]}.bundle"

    def _forget(self, known: list[Entry]) -> None:
        """Keep the last few revisions, and what is held; the history in proportion."""
        latest = list(dict.fromkeys(it.revision for it in reversed(known)))
        pin = self.pin()
        for revision in latest[_KEPT:]:
            if not (pin and pin.revision == revision):
                self._path(revision).unlink(missing_ok=True)
        if len(known) > _KEPT * _KEPT:
            lines = [json.dumps(asdict(it)) + "\n" for it in known[-_KEPT * 2 :]]
            self._write(self._history, "".join(lines).encode())

    def _write(self, path: Path, content: bytes, *, durable: bool = True) -> None:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor, part = tempfile.mkstemp(dir=path.parent, prefix=".part-")
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        Path(part).replace(path)

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        with self._writing():
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            with (self._folder / "lock").open("a") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                yield

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise StateError(f"{self._folder}: {error.strerror}") from None


def now_entry(revision: str, serial: int, cause: str = _SOURCE) -> Entry:
    """Make the entry of a revision that comes into force at present."""
    return Entry(revision, serial, time.time(), cause)


def _about(path: Path) -> tuple[int, int] | None:
    try:
        about = path.stat()
    except OSError:
        return None
    return about.st_ino, about.st_ctime_ns
