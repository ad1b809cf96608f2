"""What speaks against a revision, found once for all who would ask.

Workers on one machine take up the same revision at the same time, and its tests take seconds of a processor: one of
them runs the tests, the others wait for what it finds. A verdict is of everything that was judged, to the byte, and
holds for an hour. It is believed only where nobody else could have written it, and never in place of one that could
not be had.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import logging
import os
import stat
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Final

from pdp.core.errors import PolicyProblem
from pdp.core.policy import PolicySnapshot
from pdp.policy.digest import revision_of
from pdp.policy.origins.origin import Contents

_LOG: Final = logging.getLogger(__name__)
_KEPT: Final = 20
_FRESH: Final = 3600.0
_OTHERS: Final = stat.S_IWGRP | stat.S_IWOTH

Judge = Callable[[Contents, PolicySnapshot], tuple[PolicyProblem, ...]]


class UndecidedError(Exception):
    """Judging came to nothing, by no fault of what was judged; ``problem`` says why it may not come into force."""

    def __init__(self, problem: PolicyProblem) -> None:
        super().__init__(str(problem))
        self.problem = problem


class Verdicts:
    """Judges each revision once for all processes that share a folder. Implements ``pdp.policy.Gate``.

    Args:
        folder: where verdicts are kept; nobody but this user may be able to write there.
        judge: gives what speaks against a revision; raises ``UndecidedError`` where it cannot tell.
    """

    def __init__(self, folder: Path, judge: Judge) -> None:
        self._folder = folder
        self._judge = judge

    def __call__(self, contents: Contents, snapshot: PolicySnapshot) -> tuple[PolicyProblem, ...]:
        """Give what speaks against a revision; waits while another process finds it out."""
        try:
            with self._locked() as private:
                path = self._folder / f"{revision_of(contents.files).removeprefix('sha256:')}.json"
                known = _read(path) if private else None
                if known is None:
                    known = self._judge(contents, snapshot)
                    if private:
                        self._keep(path, known)
                return known
        except UndecidedError as error:
            return (error.problem,)

    @contextlib.contextmanager
    def _locked(self) -> Iterator[bool]:
        """Have the folder alone; say whether what stands in it can be believed."""
        with contextlib.ExitStack() as stack:
            private = False
            try:
                for folder in (self._folder.parent, self._folder):
                    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
                descriptor = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
                stack.callback(os.close, descriptor)
                fcntl.flock(descriptor, fcntl.LOCK_EX)
                private = _is_private(self._folder)
            except OSError as error:
                _LOG.warning(
                    "%s cannot be used: %s", self._folder, error.strerror, extra={"event": "policy.verdicts"}
                )
            yield private

    def _keep(self, path: Path, found: tuple[PolicyProblem, ...]) -> None:
        try:
            descriptor, part = tempfile.mkstemp(dir=self._folder, prefix=".part-")
            with os.fdopen(descriptor, "w", encoding="ascii") as file:
                json.dump([asdict(problem) for problem in found], file)
            Path(part).replace(path)
            for old in sorted(self._folder.glob("*.json"), key=lambda it: it.stat().st_mtime)[:-_KEPT]:
                old.unlink(missing_ok=True)
        except OSError as error:
            _LOG.warning("a verdict is not kept: %s", error.strerror, extra={"event": "policy.verdicts"})


def _is_private(folder: Path) -> bool:
    """Say whether nobody else can change what stands in a folder, or put another in its place."""
    found = (folder.stat(follow_symlinks=False), folder.parent.stat())
    return all(it.st_uid == os.geteuid() and not it.st_mode & _OTHERS for it in found)


def _read(path: Path) -> tuple[PolicyProblem, ...] | None:
    try:
        if not 0 <= time.time() - path.stat().st_mtime < _FRESH:
            return None
        return tuple(PolicyProblem(**it) for it in json.loads(path.read_bytes()))
    except (OSError, ValueError, TypeError):
        return None
