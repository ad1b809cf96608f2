"""Files of tests: found, decoded and made YAML trees, as strictly as any policy file."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from pdp.core.errors import PolicyProblem
from pdp.policy.files import read_file
from pdp.policy.problems import Problems
from pdp.policy.source import Source, decode, require_end
from pdp.policy.yaml_reader import read_yaml
from pdp.yaml_tree import Node

FOLDER: Final = "tests"
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}\.yaml", re.ASCII)


def files_of_tests(folder: Path, problems: Problems) -> tuple[str, ...]:
    """Give the files of tests, relative to the policy folder; report a name that would be passed over."""
    try:
        names = sorted(path.name for path in (folder / FOLDER).iterdir())
    except OSError:
        return ()
    meant = [name for name in names if not name.startswith(".") and not name.endswith((".md", "~"))]
    for name in meant:
        if not _NAME.fullmatch(name):
            problem = "is not a file of tests, and would not be read"
            problems.add(PolicyProblem(f"{FOLDER}/{ascii(name)[1:-1]}", 0, 0, problem, "name it .yaml"))
    return tuple(f"{FOLDER}/{name}" for name in meant if _NAME.fullmatch(name))


def read_document(folder: Path, name: str, problems: Problems) -> tuple[Source, Node] | None:
    """Read one file; None, and a problem, where it is refused."""
    content = read_file(folder, name, problems)
    source = decode(name, content, problems) if content is not None else None
    if source is None or not require_end(source, problems):
        return None
    root = read_yaml(source, problems)
    return None if root is None else (source, root)
