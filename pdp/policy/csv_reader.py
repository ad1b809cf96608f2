"""CSV as RFC 4180 has it, strictly, with the position of every character of every field.

A field with a comma, a quote or a line end stands in double quotes, and a quote in it is doubled. White space around
a field does not count. A line that starts with ``#`` is a comment; blank lines are left out.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple

from pdp.policy.problems import Problems
from pdp.policy.source import Source

FIELD_LIMIT: Final = 8000
# Lines that are remembered are no longer than this, which bounds the memory that they take.
_KNOWN_LENGTH: Final = 1000
_QUOTED: Final = re.compile(r'[ \t]*+"([^"]*+(?:""[^"]*+)*+)"[ \t]*+(?=[,\n]|\r\n|\Z)')
_PLAIN: Final = re.compile(r'[ \t]*+([^",\n\r]*+)(?=[,\n]|\r\n|\Z)')
_END_OF_LINE: Final = re.compile(r"\r?\n|\Z")


@dataclass(frozen=True, slots=True)
class Field:
    """One field.

    Attributes:
        value: its text, unquoted and stripped.
        source: the file.
        start: 0-based offset of its first character in the source's text.
        quoted: whether it stands in quotes, so that a quote in it takes two characters.
    """

    value: str
    source: Source
    start: int
    quoted: bool

    def offset_of(self, index: int) -> int:
        """Give the offset in the source's text of a character of the value."""
        return self.start + index + (self.value.count('"', 0, index) if self.quoted else 0)


class _Cell(NamedTuple):
    """A field before it is known where in a file it stands; ``start`` counts from where reading began."""

    value: str
    start: int
    quoted: bool


def read_rows(source: Source, problems: Problems) -> Iterator[tuple[Field, ...]]:
    """Give the rows of a file. A malformed line is reported and left out."""
    at, text = 0, source.text
    while at < len(text):
        end = _END_OF_LINE.search(text, at)
        line_end = end.end() if end else len(text)
        if text[at] == "#" or not text[at:line_end].strip():
            at = line_end
            continue
        row, after = _known_row(source, at, line_end) or _row(source, at, problems)
        if row is None:
            # Within a quoted field there is no telling where the next row starts: what an open quote swallowed is
            # reported once, not as a row of problems.
            at = max(line_end, after)
        else:
            yield row
            at = after


def _known_row(source: Source, at: int, line_end: int) -> tuple[tuple[Field, ...], int] | None:
    """Read a row that is a line by itself: of a policy that is read again, most are the same as before."""
    cells = _line(source.text[at:line_end]) if line_end - at <= _KNOWN_LENGTH else None
    if cells is None:
        return None
    return tuple([Field(value, source, at + start, quoted) for value, start, quoted in cells]), line_end


@functools.lru_cache(maxsize=16_384)
def _line(text: str) -> tuple[_Cell, ...] | None:
    cells, end = _cells(text, 0)
    return cells if end == len(text) else None


def _row(source: Source, at: int, problems: Problems) -> tuple[tuple[Field, ...] | None, int]:
    """Read one row; gives it, or None where it is malformed, and where to go on."""
    cells, end = _cells(source.text, at)
    if cells is None:
        return None, _report(source, end, problems)
    for cell in cells:
        if len(cell.value) > FIELD_LIMIT:
            problems.add(source.problem(cell.start, f"a field of more than {FIELD_LIMIT} characters"))
            return None, end
    return tuple(Field(it.value, source, it.start, it.quoted) for it in cells), end


def _cells(text: str, at: int) -> tuple[tuple[_Cell, ...] | None, int]:
    """Read the cells of a row; gives them, or None where one is malformed, and where the row, or that cell, is."""
    cells: list[_Cell] = []
    while True:
        found = _QUOTED.match(text, at) or _PLAIN.match(text, at)
        if not found:
            return None, at
        raw = found[1]
        start = found.start(1) + len(raw) - len(raw.lstrip())
        quoted = found.re is _QUOTED
        cells.append(_Cell(raw.strip().replace('""', '"') if quoted else raw.strip(), start, quoted))
        at = found.end()
        if text[at : at + 1] != ",":
            end = _END_OF_LINE.match(text, at)
            return tuple(cells), end.end() if end else at
        at += 1


def _report(source: Source, at: int, problems: Problems) -> int:
    """Say why no field can be read here, and where reading may go on."""
    text = source.text
    quote = text.index('"', at)
    if text[at:quote].strip():
        help_ = "put the whole field in double quotes and double those in it, or write '...' for a text"
        problems.add(source.problem(quote, "a double quote inside a field that is not quoted", help_))
        return quote
    closing = re.compile(r'[^"]*+(?:""[^"]*+)*+"').match(text, quote + 1)
    if not closing:
        problems.add(source.problem(quote, "a double quote that is never closed"))
        return len(text)
    problems.add(source.problem(closing.end(), "text after a closing double quote", "write a comma between fields"))
    return closing.end()
