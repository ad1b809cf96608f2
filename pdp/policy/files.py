"""Reading a policy folder: each file once, as bytes, from inside the folder alone.

The digest and the rules are both made of these bytes, so that what is named is what is enforced.
"""

from __future__ import annotations

import contextlib
import os
import re
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from pdp.core.errors import PolicyProblem
from pdp.policy.problems import Problems

MODEL: Final = "model.conf"
SCHEMA: Final = "schema.yaml"
OBLIGATIONS: Final = "obligations.yaml"
ROUTES: Final = "routes.yaml"
SIGNALS: Final = "signals.yaml"
LIMITS: Final = "limits.yaml"
RULES: Final = "policy"
FILE_LIMIT: Final = 8 * 1024 * 1024
FOLDER_LIMIT: Final = 32 * 1024 * 1024
_COUNT_LIMIT: Final = 1000
_RULE_FILE: Final = re.compile(r"policy/[A-Za-z0-9][A-Za-z0-9._-]{0,99}\.csv", re.ASCII)
_FIXED: Final = (MODEL, SCHEMA, OBLIGATIONS, ROUTES)
_OPTIONAL: Final = (LIMITS, SIGNALS)
_COMPANION: Final = re.compile(r"(invariants|review|(tests|sample)/[A-Za-z0-9][A-Za-z0-9._-]{0,80})\.yaml", re.ASCII)
_COMPANION_FOLDERS: Final = ("", "tests", "sample")

Signature = tuple[tuple[str, int, int, int], ...]


def is_policy_file(path: str) -> bool:
    """Say whether a path, relative to a policy folder, is that of a file that rules are made of."""
    return path in _FIXED or path in _OPTIONAL or bool(_RULE_FILE.fullmatch(path))


def is_companion(path: str) -> bool:
    """Say whether a path is that of a file by which a policy is checked: a test, a sample or an invariant."""
    return bool(_COMPANION.fullmatch(path))


def read_folder(folder: Path, problems: Problems) -> Mapping[str, bytes]:
    """Read every policy file.

    Args:
        folder: holds model.conf, schema.yaml, obligations.yaml, routes.yaml, policy/*.csv and, where signals are
            received, signals.yaml, and where behaviour is watched, limits.yaml.
        problems: where to say what cannot be read.

    Returns:
        Contents by path relative to the folder; a file that is refused is left out.
    """
    if not folder.is_dir():
        problems.add(PolicyProblem(str(folder), 0, 0, "is no folder"))
        return {}
    contents: dict[str, bytes] = {}
    room = FOLDER_LIMIT
    present = (name for name in _OPTIONAL if os.path.lexists(folder / name))
    for name in (*_FIXED, *present, *_rule_files(folder, problems)):
        content = read_file(folder, name, problems)
        room -= len(content or b"")
        if room < 0:
            problems.add(PolicyProblem(RULES, 0, 0, f"all files together are larger than {FOLDER_LIMIT} bytes"))
            break
        if content is not None:
            contents[name] = content
    return contents


def read_companions(folder: Path, problems: Problems) -> Mapping[str, bytes]:
    """Read the files by which a policy is checked; there may be none. As ``read_folder`` otherwise."""
    contents: dict[str, bytes] = {}
    room = FOLDER_LIMIT
    for name in _companions(folder):
        content = read_file(folder, name, problems)
        room -= len(content or b"")
        if room < 0:
            problems.add(PolicyProblem(name, 0, 0, f"all companions together are larger than {FOLDER_LIMIT} bytes"))
            break
        if content is not None:
            contents[name] = content
    return contents


def read_file(folder: Path, name: str, problems: Problems) -> bytes | None:
    """Read one file of the folder; None, and a problem, if it is missing, too large or not a file inside it."""
    try:
        # A link is followed only if it stays inside (a Kubernetes ConfigMap is mounted as such links); what it
        # leads to is then opened as what it is: not through another link, and without waiting for a pipe's writer.
        path = (folder / name).resolve(strict=True)
        if not path.is_relative_to(folder.resolve(strict=True)):
            problems.add(PolicyProblem(name, 0, 0, "is a link that leads out of the policy folder"))
            return None
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        problems.add(PolicyProblem(name, 0, 0, "is missing", "every policy folder has it"))
        return None
    except (OSError, RuntimeError) as error:
        problems.add(PolicyProblem(name, 0, 0, f"cannot be read: {_words(error)}"))
        return None
    try:
        return _content(descriptor, name, problems)
    except OSError as error:
        problems.add(PolicyProblem(name, 0, 0, f"cannot be read: {_words(error)}"))
        return None
    finally:
        os.close(descriptor)


def signature(folder: Path, *, companions: bool = False) -> Signature:
    """Give what changes whenever a file is added, removed, replaced or written to, without reading any.

    Each entry is a path, its inode, its size in bytes and the time of its last change in nanoseconds (not
    of its modification, which copying tools set back).

    Args:
        folder: the policy folder.
        companions: whether the files by which the policy is checked count as well.
    """
    found = []
    names = (*_FIXED, *_OPTIONAL, *_listed(folder), *(_companions(folder) if companions else ()))
    for name in names:
        try:
            about = (folder / name).stat()
        except OSError:
            continue
        found.append((name, about.st_ino, about.st_size, about.st_ctime_ns))
    return tuple(found)


def _content(descriptor: int, name: str, problems: Problems) -> bytes | None:
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        problems.add(PolicyProblem(name, 0, 0, "is not a plain file"))
        return None
    content = b"".join(_pieces(descriptor, FILE_LIMIT + 1))
    if len(content) > FILE_LIMIT:
        problems.add(PolicyProblem(name, 0, 0, f"is larger than {FILE_LIMIT} bytes", "split it"))
        return None
    return content


def _pieces(descriptor: int, limit: int) -> Iterator[bytes]:
    while limit > 0 and (piece := os.read(descriptor, min(limit, 1 << 20))):
        limit -= len(piece)
        yield piece


def _rule_files(folder: Path, problems: Problems) -> tuple[str, ...]:
    names = _listed(folder)
    rules = tuple(name for name in names if _RULE_FILE.fullmatch(name))
    for name in sorted({*names}.difference(rules)):
        help_ = "name it with letters, digits, . _ - and .csv at the end, or move it elsewhere"
        problems.add(PolicyProblem(ascii(name)[1:-1], 0, 0, "is not a file of rules, and would not be read", help_))
    if not rules:
        problems.add(PolicyProblem(RULES, 0, 0, "holds no rules", "add a .csv file"))
    if len(rules) > _COUNT_LIMIT:
        problems.add(PolicyProblem(RULES, 0, 0, f"holds more than {_COUNT_LIMIT} files"))
    return rules[:_COUNT_LIMIT]


def _listed(folder: Path) -> tuple[str, ...]:
    """List what stands in the rules folder, without what editors leave there and notes for people."""
    try:
        names = [path.name for path in (folder / RULES).iterdir()]
    except OSError:
        return ()
    meant = (name for name in names if not name.startswith(".") and not name.endswith((".md", "~")))
    return tuple(sorted(f"{RULES}/{name}" for name in meant))


def _companions(folder: Path) -> tuple[str, ...]:
    names = []
    for place in _COMPANION_FOLDERS:
        with contextlib.suppress(OSError):
            names += [f"{place}/{path.name}".lstrip("/") for path in (folder / place).iterdir()]
    return tuple(sorted(filter(is_companion, names))[:_COUNT_LIMIT])


def _words(error: Exception) -> str:
    return error.strerror if isinstance(error, OSError) and error.strerror else type(error).__name__
