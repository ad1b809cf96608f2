"""The bytes of a file: what is text, what is hidden, what is complete, and what stands where."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdp.policy.problems import Problems
from pdp.policy.source import Source, decode
from tests.policy.example import FILES, RULES, problems_of

FILE = "policy/rules.csv"
PLACE = RULES.index("unhealthy")
LINE, COLUMN = 7, 3


def with_bytes(inserted: bytes) -> list[tuple[int, int, str]]:
    content = RULES.encode()
    found = problems_of({FILE: content[:PLACE] + inserted + content[PLACE:]})
    return [(it.line, it.column, it.problem) for it in found]


@pytest.mark.parametrize("inserted", [b"\xff", b"\xc3", b"\xed\xa0\x80", b"\xc0\xaf", b"\xf4\x90\x80\x80"])
def test_bytes_that_are_not_utf_8_are_refused_at_their_place(inserted: bytes) -> None:
    assert (LINE, COLUMN, "a byte that is not UTF-8") in with_bytes(inserted)


@pytest.mark.parametrize(
    "character",
    [*"\0\x01\x0b\x0c\x1b\x7f\x85\u00ad\u200b\u202e\u2066\u2028\ufeff\ufe0f\u3164\U000e0041", "\r"],
)
def test_characters_that_are_not_visible_are_refused_at_their_place(character: str) -> None:
    expected = (LINE, COLUMN, f"a character that is not visible, U+{ord(character):04X}")
    assert expected in with_bytes(character.encode())


def test_a_homoglyph_in_a_name_is_refused() -> None:
    found = problems_of({FILE: RULES.replace("supervisor,read", "s\u0443pervisor,read")})
    assert [it.problem for it in found] == ["the schema has no role 's\u0443pervisor'"]


def test_letters_of_any_script_may_stand_in_comments_and_in_the_basis() -> None:
    assert not problems_of({FILE: RULES.replace("PCI DSS 8.2.8", "PCI DSS §8.2.8 — “Sitzung” セッション")})


def test_a_byte_order_mark_is_refused() -> None:
    found = problems_of({FILE: b"\xef\xbb\xbf" + RULES.encode()})
    assert ("starts with a byte order mark", 1, 1) in [(it.problem, it.line, it.column) for it in found]


@pytest.mark.parametrize("name", ["policy/rules.csv", "schema.yaml", "obligations.yaml", "routes.yaml"])
def test_a_file_without_its_last_line_is_refused(name: str) -> None:
    found = problems_of({name: FILES[name].replace("# end\n", "")})
    assert [it.problem for it in found] == ["is cut short, or lacks its last line"]
    assert found[0].help == "the last line of a complete file is '# end'"


def test_blank_lines_after_the_end_mark_do_not_count() -> None:
    assert not problems_of({FILE: RULES + "\n  \n"})


def test_an_end_mark_followed_by_more_is_no_end() -> None:
    found = problems_of({FILE: RULES + "p,one-more,agent,read,log,True,allow,,basis\n"})
    assert [(it.line, it.problem) for it in found] == [(10, "is cut short, or lacks its last line")]


@given(st.text(st.sampled_from("ab\n\ré"), max_size=30), st.data())
def test_every_offset_has_a_line_and_a_column(text: str, data: st.DataObject) -> None:
    offset = data.draw(st.integers(0, len(text)))
    line, column = Source("x", text).at(offset)
    lines = text.split("\n")
    assert sum(len(it) + 1 for it in lines[: line - 1]) + column - 1 == offset
    assert 1 <= column <= len(lines[line - 1]) + 1


@given(st.binary(max_size=40))
def test_any_bytes_are_text_or_a_problem(content: bytes) -> None:
    problems = Problems()
    source = decode("x", content, problems)
    assert (source is None) == bool(problems)
    assert source is None or source.text.encode() == content
