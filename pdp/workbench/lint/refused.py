"""What the strict loader refuses, as findings; and the mending of what is plainly a slip of spelling."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from pdp.core.errors import PolicyProblem
from pdp.policy.source import Source
from pdp.workbench.files import PolicyFiles, Span
from pdp.workbench.lint.findings import REFUSED, Edit, Finding

_WORD: Final = re.compile(r"[\w.*-]+")
_WRITE: Final = re.compile(r"write (&&|\|\||!|True|False)")
_CHOICE_OF_ONE: Final = re.compile(r"in\s*\(\s*('[^']*'|[0-9.]+|True|False)\s*\)")
_ONE: Final = "write == instead of in"


def check_loads(files: PolicyFiles) -> Iterator[Finding]:
    """Give a finding for each problem of the loader."""
    for problem in files.problems:
        source = files.sources.get(problem.file)
        offset = _offset(source, problem) if source else None
        length = 1
        fix: tuple[Edit, ...] = ()
        if source is not None and offset is not None:
            word = _WORD.match(source.text, offset)
            length = len(word[0]) if word else 1
            fix = _fix(source, offset, length, problem.help)
        yield Finding(REFUSED, problem.file, problem.line, problem.column, length, problem.problem, problem.help, fix)


def _offset(source: Source, problem: PolicyProblem) -> int | None:
    if not problem.line or not problem.column:
        return None
    before = source.text.split("\n")[: problem.line - 1]
    return sum(len(line) + 1 for line in before) + problem.column - 1


def _fix(source: Source, offset: int, length: int, help_: str) -> tuple[Edit, ...]:
    if written := _WRITE.fullmatch(help_):
        return (Edit(Span(source, offset, offset + length), written[1]),)
    if help_ == _ONE:
        start = source.text.rfind("in", 0, offset)
        if start >= 0 and (choice := _CHOICE_OF_ONE.match(source.text, start)):
            return (Edit(Span(source, start, choice.end()), f"== {choice[1]}"),)
    return ()
