"""A policy file's text: decoded strictly, with every position in it nameable as line and column.

What an editor would not show is refused: a byte order mark, control characters, and invisible or direction-changing
characters, with which a rule could read differently to a person than to this service (CVE-2021-42574).
"""

from __future__ import annotations

import re
from bisect import bisect_right
from functools import cached_property
from typing import Final

from pdp.core.errors import PolicyProblem
from pdp.policy.problems import Problems

_BOM: Final = b"\xef\xbb\xbf"
# Control characters but tab and line ends, a carriage return without its line feed, and everything that Unicode
# calls a format character, a line or paragraph separator, a non-character or a half of a surrogate pair.
_HIDDEN: Final = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u00ad\u0600-\u0605\u061c\u06dd\u070f\u08e2\u115f\u1160\u17b4\u17b5"
    "\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164\ud800-\udfff\ufdd0-\ufdef\ufe00-\ufe0f\ufeff\uffa0"
    "\ufff0-\uffff\U000110bd\U000110cd\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]|\r(?!\n)"
)
END_MARK: Final = "# end"


class Source:
    """The text of one file.

    Attributes:
        file: path relative to the policy folder, with ``/``.
        text: the decoded content.
    """

    def __init__(self, file: str, text: str) -> None:
        self.file = file
        self.text = text

    @cached_property
    def _line_starts(self) -> list[int]:
        return [0, *(found.end() for found in re.finditer("\n", self.text))]

    def at(self, offset: int) -> tuple[int, int]:
        """Give the 1-based line and column of a 0-based offset."""
        line = bisect_right(self._line_starts, offset)
        return line, offset - self._line_starts[line - 1] + 1

    def line(self, number: int) -> str:
        """Give the text of a 1-based line, without its end."""
        lines = self.text.split("\n")
        return lines[number - 1].removesuffix("\r") if 0 < number <= len(lines) else ""

    def problem(self, offset: int, problem: str, help_: str = "") -> PolicyProblem:
        """Make a problem that stands at an offset."""
        return PolicyProblem(self.file, *self.at(offset), problem, help_)


def decode(file: str, content: bytes, problems: Problems) -> Source | None:
    """Make text of a file's bytes; None if that is refused.

    Args:
        file: the name for messages.
        content: the bytes.
        problems: where to say why it is refused.
    """
    if content.startswith(_BOM):
        problems.add(PolicyProblem(file, 1, 1, "starts with a byte order mark", "save it as UTF-8 without BOM"))
        return None
    try:
        source = Source(file, content.decode("utf-8"))
    except UnicodeDecodeError as error:
        before = Source(file, content[: error.start].decode("utf-8"))
        problems.add(before.problem(len(before.text), "a byte that is not UTF-8", "save the file as UTF-8"))
        return None
    if found := _HIDDEN.search(source.text):
        problem = f"a character that is not visible, U+{ord(found[0]):04X}"
        problems.add(source.problem(found.start(), problem, "delete it"))
        return None
    return source


def require_end(source: Source, problems: Problems) -> bool:
    """Refuse a file that does not end in the end mark: it may have been cut short by a half-finished write."""
    lines = source.text.rstrip().rsplit("\n", 1)
    if lines[-1].rstrip() == END_MARK:
        return True
    line, _ = source.at(len(source.text.rstrip()))
    help_ = f"the last line of a complete file is {END_MARK!r}"
    problems.add(PolicyProblem(source.file, line, 1, "is cut short, or lacks its last line", help_))
    return False
