"""Role closures against pycasbin's own role managers."""

from __future__ import annotations

import pytest
from casbin.rbac.default_role_manager import DomainManager, RoleManager
from hypothesis import given
from hypothesis import strategies as st

from pdp.engine.compiled.roles import MAX_LINKS, DomainRoles, Roles

NAMES = ("a", "b", "c", "d", "e", "*", "")
DOMAINS = ("d1", "d2", "*")
name = st.sampled_from(NAMES)
pairs = st.lists(st.tuples(name, name), max_size=12)


@given(pairs, name, name)
def test_links_are_those_of_the_role_manager(links: list[tuple[str, str]], one: str, other: str) -> None:
    manager = RoleManager(10)
    for link in links:
        manager.add_link(*link)
    assert Roles(links).has_link(one, other) is manager.has_link(one, other)


@given(
    st.lists(st.tuples(name, name, st.sampled_from(DOMAINS)), max_size=12),
    name,
    name,
    st.sampled_from((*DOMAINS, "d3")),
)
def test_links_in_domains_are_those_of_the_domain_manager(
    links: list[tuple[str, str, str]], one: str, other: str, domain: str
) -> None:
    manager = DomainManager(10)
    for link in links:
        manager.add_link(*link)
    assert DomainRoles(links).has_link(one, other, domain) is manager.has_link(one, other, domain)


def chain(length: int) -> list[tuple[str, str]]:
    return [(f"r{number}", f"r{number + 1}") for number in range(length)]


@pytest.mark.parametrize("length", [1, MAX_LINKS - 1, MAX_LINKS, MAX_LINKS + 1, 30])
def test_a_chain_reaches_as_far_as_in_pycasbin(length: int) -> None:
    manager = RoleManager(10)
    for link in chain(length):
        manager.add_link(*link)
    roles = Roles(chain(length))
    for number in range(length + 1):
        assert roles.has_link("r0", f"r{number}") is manager.has_link("r0", f"r{number}")


def test_names_whose_chains_are_cut_are_told() -> None:
    assert Roles(chain(MAX_LINKS)).truncated() == []
    assert Roles(chain(MAX_LINKS + 2)).truncated() == ["r0", "r1"]
    assert DomainRoles((*link, "d") for link in chain(MAX_LINKS + 1)).truncated() == ["r0"]
    # A second, shorter way to the same roles takes nothing away.
    assert Roles([*chain(MAX_LINKS + 1), ("r0", "r5")]).truncated() == []


def test_looking_for_cut_chains_pauses() -> None:
    pauses: list[int] = []
    Roles([(f"u{number}", "admin") for number in range(100)]).truncated(lambda: pauses.append(1))
    assert len(pauses) == 4


@pytest.mark.parametrize("links", [[("a", "a")], [("a", "b"), ("b", "a")], [("a", "b"), ("b", "c"), ("c", "a")]])
def test_circles_end(links: list[tuple[str, str]]) -> None:
    names = {name for link in links for name in link}
    assert Roles(links).reach("a") == names
    assert Roles(links).truncated() == []


def test_reached_sets_are_kept_for_names_of_the_policy_alone() -> None:
    roles = Roles([("a", "b")])
    assert roles.reach("a") is roles.reach("a")
    assert roles.reach("nobody") == {"nobody"}
    assert roles.names() == {"a", "b"}
    assert set(roles._reached) == {"a"}


def test_domains_are_apart() -> None:
    roles = DomainRoles([("a", "admin", "d1"), ("admin", "root", "d2")])
    assert roles.reach("a", "d1") == {"a", "admin"}
    assert roles.reach("a", "d2") == {"a"}
    assert roles.reach("admin", "d2") == {"admin", "root"}
    assert roles.reach("a", "nowhere") == {"a"}
