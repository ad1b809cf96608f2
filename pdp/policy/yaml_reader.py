"""Policy files in YAML: a tree of values, or a problem with its place."""

from __future__ import annotations

import functools
from typing import Final

from pdp.policy.problems import Problems
from pdp.policy.source import Source
from pdp.yaml_tree import Node, YamlError, read_tree

SIZE_LIMIT: Final = 512 * 1024

# Of a policy that is read again after a change, most files are the same as before.
_document: Final = functools.lru_cache(maxsize=16)(read_tree)


def read_yaml(source: Source, problems: Problems) -> Node | None:
    """Read the one document of a file; None, and a problem, if it is not the YAML of ``pdp.yaml_tree``."""
    if len(source.text) > SIZE_LIMIT:
        problems.add(source.problem(0, f"is larger than {SIZE_LIMIT} characters"))
        return None
    try:
        return _document(source.text)
    except YamlError as error:
        problems.add(source.problem(error.offset, error.problem, error.help))
        return None
