"""Inheritance closed over, as far as Casbin follows it and no further."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdp.core.hierarchy import HierarchyError, closure

NAMES = st.sampled_from("abcdef")


def test_every_name_inherits_from_itself_and_all_above() -> None:
    assert closure([("a", "b"), ("b", "c"), ("d", "b")]) == {
        "a": {"a", "b", "c"},
        "b": {"b", "c"},
        "c": {"c"},
        "d": {"d", "b", "c"},
    }


@pytest.mark.parametrize(
    ("links", "path"),
    [
        ([("a", "a")], ("a", "a")),
        ([("a", "b"), ("b", "a")], ("a", "b", "a")),
        ([("x", "a"), ("a", "b"), ("b", "a")], ("a", "b", "a")),
    ],
)
def test_a_cycle_is_refused_with_its_path(links: list[tuple[str, str]], path: tuple[str, ...]) -> None:
    with pytest.raises(HierarchyError, match="a cycle") as caught:
        closure(links)
    assert caught.value.path == path


@pytest.mark.parametrize("order", [1, -1])
def test_a_chain_of_nine_links_is_followed_and_one_of_ten_refused(order: int) -> None:
    chain = list(itertools.pairwise(f"n{at}" for at in range(11)))
    assert len(closure(chain[:9][::order])["n0"]) == 10
    with pytest.raises(HierarchyError, match="a chain of more than 9 links") as caught:
        closure(chain[::order])
    assert caught.value.path[:2] == ("n0", "n1")


def test_a_lattice_costs_no_more_than_its_links() -> None:
    links = [
        (f"{level}.{low}", f"{level + 1}.{high}") for level in range(9) for low in range(20) for high in range(20)
    ]
    assert len(closure(links)["0.0"]) == 181


@given(st.lists(st.tuples(NAMES, NAMES), max_size=12))
def test_it_is_reachability_or_there_is_a_cycle(links: list[tuple[str, str]]) -> None:
    reach = {name: {name} for link in links for name in link}
    for _ in range(6):
        for member, parent in links:
            reach[member] |= reach[parent]
    cyclic = any(member in reach[parent] for member, parent in links)
    try:
        found = closure(links)
    except HierarchyError:
        assert cyclic
        return
    assert not cyclic
    assert found == reach
