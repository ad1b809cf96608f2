"""CSV as RFC 4180 has it, and nothing that only looks like it."""

from __future__ import annotations

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdp.policy.csv_reader import _line, read_rows
from pdp.policy.problems import Problems
from pdp.policy.source import Source


def read(text: str) -> tuple[list[list[str]], list[tuple[int, int, str]]]:
    problems = Problems()
    rows = [[field.value for field in row] for row in read_rows(Source("x.csv", text), problems)]
    return rows, [(it.line, it.column, it.problem) for it in problems.in_order()]


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("a,b\nc,d\n", [["a", "b"], ["c", "d"]]),
        ("a,b\r\nc,d", [["a", "b"], ["c", "d"]]),
        ('# note, with "quotes\n\n  \na', [["a"]]),
        (' a , "b" ,c \n', [["a", "b", "c"]]),
        ('"a,b","say ""x""","over\ntwo"\nd\n', [["a,b", 'say "x"', "over\ntwo"], ["d"]]),
        (",\n", [["", ""]]),
        ('""\n', [[""]]),
        ('"""",x\n', [['"', "x"]]),
        ('a,"# no comment\n# nor this"\n', [["a", "# no comment\n# nor this"]]),
        ("", []),
    ],
)
def test_rows(text: str, rows: list[list[str]]) -> None:
    assert read(text) == (rows, [])


@pytest.mark.parametrize(
    ("text", "rows", "problem"),
    [
        ('a,b"c\nd\n', [["d"]], (1, 4, "a double quote inside a field that is not quoted")),
        ('a,"b" c\nd\n', [["d"]], (1, 6, "text after a closing double quote")),
        ('a\nb,"c\nd\n', [["a"]], (2, 3, "a double quote that is never closed")),
        ('a,"b""\nd\n', [], (1, 3, "a double quote that is never closed")),
        (f"a,{'x' * 8001}\nd\n", [["d"]], (1, 3, "a field of more than 8000 characters")),
    ],
)
def test_a_malformed_line_is_reported_and_left_out(
    text: str, rows: list[list[str]], problem: tuple[int, int, str]
) -> None:
    assert read(text) == (rows, [problem])


FIELDS = st.text(st.sampled_from('abc ,"\n#;é'), max_size=8)


@given(st.lists(st.lists(FIELDS, min_size=1, max_size=4), max_size=5))
def test_what_a_csv_writer_writes_is_what_is_read(rows: list[list[str]]) -> None:
    written = io.StringIO()
    csv.writer(written, quoting=csv.QUOTE_ALL, lineterminator="\n").writerows(rows)
    assert read(written.getvalue()) == ([[field.strip() for field in row] for row in rows], [])


@given(st.lists(st.sampled_from([*'ab ,"\n#', "\r\n"]), max_size=40).map("".join))
def test_anything_is_read_or_refused_and_the_places_of_characters_are_right(text: str) -> None:
    source, problems = Source("x.csv", text), Problems()
    for row in read_rows(source, problems):
        for field in row:
            for index, character in enumerate(field.value):
                assert text[field.offset_of(index)] == character
    assert all(1 <= it.line <= text.count("\n") + 1 and it.column >= 1 for it in problems.in_order())


@given(st.lists(st.lists(st.sampled_from([*'ab ,"#']), max_size=12).map("".join), max_size=8))
def test_a_line_that_was_read_before_is_read_as_if_it_were_new(lines: list[str]) -> None:
    def fields(text: str) -> list[list[tuple[str, int, bool]]]:
        problems = Problems()
        rows = read_rows(Source("x.csv", text), problems)
        return [[(it.value, it.start, it.quoted) for it in row] for row in rows]

    text = "\n".join([*lines, *reversed(lines)])
    again = fields(text)
    assert fields(text) == again
    _line.cache_clear()
    assert fields(text) == again
    # Where it stands is where it stands this time.
    below = fields("# a comment\n" + text)
    assert below == [[(value, start + 12, quoted) for value, start, quoted in row] for row in again]


def test_long_lines_are_not_remembered() -> None:
    _line.cache_clear()
    assert read(f"a,{'x' * 1000}\n") == ([["a", "x" * 1000]], [])
    assert _line.cache_info().currsize == 0
