"""YAML without its surprises, every value with its place."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdp.policy.problems import Problems
from pdp.policy.source import Source
from pdp.policy.yaml_reader import read_yaml
from pdp.yaml_tree import Node, Scalar, Sequence, Table


def plain(node: Node) -> Any:
    match node:
        case Scalar(value=value):
            return value
        case Sequence(items=items):
            return [plain(item) for item in items]
        case Table(entries=entries):
            return {entry.key: plain(entry.value) for entry in entries}
    raise TypeError(type(node))


def read(text: str) -> tuple[Any, list[tuple[int, int, str]]]:
    problems = Problems()
    node = read_yaml(Source("x.yaml", text), problems)
    found = [(it.line, it.column, it.problem) for it in problems.in_order()]
    return (None if node is None else plain(node)), found


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("true", True),
        ("false", False),
        ("~", None),
        ("yes", "yes"),
        ("no", "no"),
        ("on", "on"),
        ("True", "True"),
        ("12", 12),
        ("-3", -3),
        ("0.5", 0.5),
        ("007", "007"),
        ("0x1f", "0x1f"),
        ("1_000", "1_000"),
        ("1e3", "1e3"),
        ("1:30", "1:30"),
        (".nan", ".nan"),
        ("'12'", "12"),
        ('"true"', "true"),
        ("2024-01-01", "2024-01-01"),
        ("|\n  12\n", "12\n"),
        ("---\na\n...\n", "a"),
    ],
)
def test_a_scalar_means_one_thing(text: str, value: object) -> None:
    found, problems = read(f"{text}\n")
    assert (found, type(found), problems) == (value, type(value), [])


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a: &x 1\nb: *x\n", (1, 4, "an anchor")),
        ("a: 1\nb: *x\n", (2, 4, "an alias")),
        ("a: !!python/object/apply:os.system [x]\n", (1, 4, "a tag")),
        ("a: !x 1\n", (1, 4, "a tag")),
        ("a: 1\nb: 2\na: 3\n", (3, 1, "the key 'a' stands twice")),
        ("a: {b: 1, b: 2}\n", (1, 11, "the key 'b' stands twice")),
        ("? [a]\n: b\n", (1, 3, "a key that is not a text")),
        ("a\n---\nb\n", (2, 1, "a second document")),
        ("%YAML 1.1\n---\na\n", (1, 1, "a YAML directive")),
        ("", (1, 1, "is empty")),
        ("# only a comment\n", (1, 1, "is empty")),
        ("a: [1\n", (2, 1, "is not YAML")),
        ("a: b: c\n", (1, 5, "is not YAML")),
        ("a:\n\t- b\n", (2, 1, "is not YAML")),
        ("[" * 14 + "]" * 14, (1, 14, "nested more than 12 deep")),
        ("x" * 600_000, (1, 1, "is larger than")),
    ],
)
def test_is_refused_at_its_place(text: str, problem: tuple[int, int, str]) -> None:
    value, problems = read(text)
    assert value is None
    assert [it[:2] for it in problems] == [problem[:2]]
    assert problem[2] in problems[0][2]


def test_a_nesting_bomb_costs_no_more_than_its_first_levels() -> None:
    value, problems = read("[" * 400_000)
    assert value is None
    assert len(problems) == 1


@given(st.text(st.sampled_from("ab:- {}[],'\"\n#&*!|>?%@`\t1.é\u2028\ufeff"), max_size=40))
def test_any_text_is_read_or_refused(text: str) -> None:
    value, problems = read(text)
    assert (value is None and len(problems) == 1) or not problems
