"""A policy folder, or a bundle, in a git repository at a branch, tag or commit."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Hashable, Iterator
from pathlib import Path
from typing import Final

from pdp.core.errors import PolicyProblem
from pdp.policy import files
from pdp.policy.archive import ARCHIVE_LIMIT
from pdp.policy.bundle import Trust, refused, verify
from pdp.policy.origins.origin import Contents, PolicyUnavailableError

_COMMIT: Final = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}", re.ASCII)
_REF: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_./+-]{0,199}", re.ASCII)
_PATH: Final = re.compile(r"([A-Za-z0-9_][A-Za-z0-9_.-]*(/[A-Za-z0-9_][A-Za-z0-9_.-]*)*)?", re.ASCII)
_PLAIN: Final = ("100644", "100755")
# No helper programs of a repository's choosing, no question to a terminal, no transport that runs commands.
_SAFE: Final = ("-c", "core.hooksPath=/dev/null", "-c", "core.fsmonitor=false", "-c", "protocol.ext.allow=never")
_ENVIRONMENT: Final = {"GIT_TERMINAL_PROMPT": "0", "GIT_ALLOW_PROTOCOL": "https:ssh:file", "LC_ALL": "C"}


class GitOrigin:
    """Implements ``Origin`` on a git repository.

    Objects are fetched into a bare repository of its own, gone when the process ends; nothing is checked out.
    """

    settles = False

    def __init__(
        self, url: str, ref: str, path: str, trust: Trust, *, interval: float = 10.0, timeout: float = 60.0
    ) -> None:
        """Take note of the place; nothing is fetched yet.

        Args:
            url: as ``git fetch`` takes it.
            ref: a branch, tag or whole commit id.
            path: the policy folder or the bundle in the repository; empty means its root.
            trust: whose signatures are needed. A folder in a repository has none.
            interval: seconds between two questions.
            timeout: seconds that one command may take.

        Raises:
            ValueError: the ref or the path is not one.
        """
        if not _REF.fullmatch(ref) or ".." in ref or not _PATH.fullmatch(path) or url.startswith("-"):
            raise ValueError(
                "give git+URL#REF or git+URL#REF:PATH, with a plain ref and a path inside the repository"
            )
        self.name = f"{re.sub(r'//[^/@]*@', '//', url)}#{ref}" + (f":{path}" if path else "")
        self.interval = interval
        self._url, self._ref, self._path = url, ref, path
        self._trust = trust
        self._timeout = timeout
        self._store = tempfile.TemporaryDirectory(prefix="pdp-git-", ignore_cleanup_errors=True)

    def probe(self) -> Hashable:
        """Ask which commit the ref is at."""
        if _COMMIT.fullmatch(self._ref):
            return self._ref
        listed = self._git("ls-remote", "--", self._url, self._ref, f"{self._ref}^{{}}").decode().split("\n")[:-1]
        found = {name: commit for commit, _, name in (line.partition("\t") for line in listed)}
        for name in (f"refs/heads/{self._ref}", f"refs/tags/{self._ref}^{{}}", f"refs/tags/{self._ref}", self._ref):
            if name in found:
                return found[name]
        raise PolicyUnavailableError(self.name, "the repository has no such branch or tag")

    def read(self) -> Contents:
        """Fetch the commit, and read the folder or the bundle in it."""
        commit = str(self.probe())
        if not (Path(self._store.name) / "HEAD").exists():
            self._git("init", "--quiet", "--bare", ".")
        self._git("fetch", "--quiet", "--no-tags", "--depth=1", "--no-recurse-submodules", "--", self._url, commit)
        place = f"{commit}:{self._path}"
        try:
            kind = self._git("cat-file", "-t", place).strip()
        except PolicyUnavailableError:
            raise refused(f"{self.name}: there is no {self._path or 'root'} in commit {commit[:12]}") from None
        return self._bundle(place) if kind == b"blob" else self._folder(place)

    def _bundle(self, place: str) -> Contents:
        size = int(self._git("cat-file", "-s", place))
        if size > ARCHIVE_LIMIT:
            raise refused(f"is larger than {ARCHIVE_LIMIT} bytes")
        archive = self._git("cat-file", "blob", place)
        return Contents.of(verify(archive, self._trust), archive)

    def _folder(self, place: str) -> Contents:
        if self._trust.needed:
            raise refused(f"{self.name} is a folder, which carries no signatures; name a bundle in the repository")
        entries = dict(self._entries(place))
        problems = [
            PolicyProblem(path, 0, 0, "is not a plain file, or too large")
            for path, (mode, size, _) in entries.items()
            if mode not in _PLAIN or size > files.FILE_LIMIT
        ]
        if not entries or sum(size for _, size, _ in entries.values()) > files.FOLDER_LIMIT:
            problems.append(
                PolicyProblem(self.name, 0, 0, f"holds no policy, or more than {files.FOLDER_LIMIT} bytes")
            )
        if problems:
            return Contents({}, problems=tuple(problems))
        return Contents({path: self._git("cat-file", "blob", blob) for path, (_, _, blob) in entries.items()})

    def _entries(self, place: str) -> Iterator[tuple[str, tuple[str, int, str]]]:
        """Give mode, size in bytes and object of each file of a policy folder, by path."""
        for line in self._git("ls-tree", "-r", "-z", "-l", place).split(b"\0")[:-1]:
            about, _, name = line.partition(b"\t")
            mode, _, blob, size = about.decode().split()
            path = name.decode("utf-8", "replace")
            if files.is_policy_file(path) or files.is_companion(path):
                yield path, (mode, int(size) if size.isdigit() else 0, blob)

    def _git(self, *arguments: str) -> bytes:
        program = shutil.which("git")
        if program is None:
            raise PolicyUnavailableError(self.name, "there is no git command")
        kept = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
        try:
            done = subprocess.run(  # noqa: S603 - our own arguments; the address stands after --
                [program, *_SAFE, *arguments],
                cwd=self._store.name,
                env={**kept, **_ENVIRONMENT},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=self._timeout,
                check=True,
            )
        except subprocess.TimeoutExpired:
            raise PolicyUnavailableError(
                self.name, f"git {arguments[0]} took more than {self._timeout:g} s"
            ) from None
        except subprocess.CalledProcessError as error:
            raise PolicyUnavailableError(
                self.name, f"git {arguments[0]} failed: {_last_line(error.stderr)}"
            ) from None
        return done.stdout


def _last_line(output: bytes) -> str:
    """Give the last line that git wrote, without any credentials of an address in it."""
    lines = output.decode("utf-8", "replace").strip().splitlines() or ["without a word"]
    return re.sub(r"//[^/@\s]*@", "//", lines[-1])[:200]
