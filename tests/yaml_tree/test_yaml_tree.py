"""One language, whichever parser reads it. What a value means is tested through the policy files' reader."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdp import yaml_tree
from pdp.yaml_tree import Entry, Node, Scalar, Sequence, Table, YamlError, _by_the_book, read_tree
from tests.cases.case_files import POLICIES

FILES = sorted(POLICIES.rglob("*.yaml"))
_ODD = [
    "\t",
    "?",
    "? ",
    "|",
    ">#",
    "&a ",
    "*a",
    "!t ",
    "---\n",
    "...\n",
    "%YAML 1.1\n",
    ": ",
    "- ",
    "{",
    "]",
    "'",
    '"',
    "\n",
    "#",
]


def values(node: Node) -> Any:
    """Give a tree without its places: of a value that is empty, parsers place differently what is not there."""
    match node:
        case Scalar(text=text, value=value):
            return text, value
        case Sequence(items=items):
            return [values(item) for item in items]
        case Table(entries=entries):
            return [(entry.key, entry.offset, values(entry.value)) for entry in entries]
    raise TypeError(type(node))


def read(reader: Any, text: str) -> Any:
    try:
        return values(reader(text))
    except YamlError as error:
        return "refused", error.offset, error.problem


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_both_parsers_read_the_sample_alike_to_the_place(path: Path) -> None:
    text = path.read_text()
    assert read_tree(text) == _by_the_book(text)


@given(st.data(), st.sampled_from(FILES))
def test_what_one_parser_refuses_is_refused(data: st.DataObject, path: Path) -> None:
    text = path.read_text()
    at = data.draw(st.integers(0, len(text)))
    piece = text[at : at + 300]
    for _ in range(data.draw(st.integers(1, 3))):
        cut = data.draw(st.integers(0, len(piece)))
        piece = piece[:cut] + data.draw(st.sampled_from(_ODD)) + piece[cut:]
    assert read(read_tree, piece) == read(_by_the_book, piece)


@given(st.text(st.sampled_from("ab:-{}[],'\"#&*!|> \n\t?~1.\u00e9"), max_size=30))
def test_any_text_is_read_alike(text: str) -> None:
    assert read(read_tree, text) == read(_by_the_book, text)


def test_without_the_fast_parser_all_is_as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(yaml_tree, "_FAST", None)
    assert read_tree("a: [1, no]\n") == Table(
        0, (Entry("a", 0, Sequence(3, (Scalar(4, "1", 1), Scalar(7, "no", "no")))),)
    )


@pytest.mark.parametrize(
    ("text", "offset", "problem"),
    [
        ("a: 1\na: 2", 5, "the key 'a' stands twice in the same mapping"),
        ("a: &x 1", 3, "an anchor"),
        ("a: *x", 3, "an alias"),
        ("a: !x 1", 3, "a tag"),
        ("a: 1\n---\nb: 2", 5, "a second document"),
        ("%YAML 1.1\n---\na: 1", 0, "a YAML directive"),
        ("[[[[[[[[[[[[[[1]]]]]]]]]]]]]]", 13, "nested more than 12 deep"),
        ("{[a]: 1}", 1, "a key that is not a text"),
        ("", 0, "is empty"),
        ("a:\n\tb: 1", 3, "is not YAML: found character '\\t' that cannot start any token"),
        ("a: [what?]", 8, "is not YAML: expected ',' or ']', but got '?'"),
        ("a: \x01", 3, "is not YAML: a character that YAML does not permit"),
    ],
)
def test_what_surprises_is_refused_at_its_place(text: str, offset: int, problem: str) -> None:
    assert read(read_tree, text) == ("refused", offset, problem)
