"""CSV as RFC 4180 has it, strictly, with the position of every character of every field.

A field with a comma, a quote or a line end stands in double quotes, and a quote in it is doubled. White space around
a field does not count. A line that starts with ``#`` is a comment; blank lines are left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from pdp.policy.problems import Problems
from pdp.policy.source import Source

FIELD_LIMIT: Final = 8000
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


def read_rows(source: Source, problems: Problems) -> Iterator[tuple[Field, ...]]:
    """Give the rows of a file. A malformed line is reported and left out."""
    at, text = 0, source.text
    while at < len(text):
        end = _END_OF_LINE.search(text, at)
        line_end = end.end() if end else len(text)
        if text[at] == "#" or not text[at:line_end].strip():
            at = line_end
            continue
        row, after = _row(source, at, problems)
        if row is None:
            # Within a quoted field there is no telling where the next row starts: what an open quote swallowed is
            # reported once, not as a row of problems.
            at = max(line_end, after)
        else:
            yield row
            at = after


def _row(source: Source, at: int, problems: Problems) -> tuple[tuple[Field, ...] | None, int]:
    """Read one row; gives it, or None where it is malformed, and where to go on."""
    fields: list[Field] = []
    while True:
        found = _QUOTED.match(source.text, at) or _PLAIN.match(source.text, at)
        if not found:
            return None, _report(source, at, problems)
        raw = found[1]
        start = found.start(1) + len(raw) - len(raw.lstrip())
        quoted = source.text[found.start(1) - 1 : found.start(1)] == '"' and found.re is _QUOTED
        value = raw.strip().replace('""', '"') if quoted else raw.strip()
        if len(value) > FIELD_LIMIT:
            problems.add(source.problem(start, f"a field of more than {FIELD_LIMIT} characters"))
            return None, found.end()
        fields.append(Field(value, source, start, quoted))
        at = found.end()
        if source.text[at : at + 1] != ",":
            end = _END_OF_LINE.match(source.text, at)
            return tuple(fields), end.end() if end else at
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
