"""Files of tests: found, decoded and made YAML trees, as strictly as any policy file."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Final

import yaml

from pdp.core.errors import PolicyProblem
from pdp.policy.files import read_file
from pdp.policy.problems import Problems
from pdp.policy.source import Source, decode, require_end
from pdp.policy.yaml_reader import SIZE_LIMIT, Node, _Composer, read_yaml

FOLDER: Final = "tests"
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}\.yaml", re.ASCII)
_FAST: Final[Any] = getattr(yaml, "CSafeLoader", None)


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
    root = _compose(source.text) or read_yaml(source, problems)
    return None if root is None else (source, root)


def _compose(text: str) -> Node | None:
    """Compose a document by libyaml, which takes a tenth of the time; None where anything at all is odd.

    What is odd is read again by ``read_yaml``, which refuses it and says where and why.
    """
    if _FAST is None or len(text) > SIZE_LIMIT:
        return None
    try:
        return _FastComposer(text).document()
    except Exception:  # noqa: BLE001 - whatever it is, the strict reader says it better
        return None


class _FastComposer(_Composer):
    def __init__(self, text: str) -> None:
        super().__init__("")
        self._length = len(text)
        self._events = map(_plain, yaml.parse(text, Loader=_FAST))


def _plain(event: Any) -> Any:
    """Give an event as the other parser would: libyaml's says of a plain scalar that its style is empty, not None."""
    if isinstance(event, yaml.ScalarEvent) and not event.style:
        event.style = None
    return event
