"""Inheritance, groups and classes: what a name covers, and what is no hierarchy."""

from __future__ import annotations

import itertools

import pytest

from tests.policy.example import LINKS, build, problems_of, refused

FILE = "policy/links.csv"


def with_links(*links: str) -> dict[str, str]:
    return {FILE: LINKS.replace("# end\n", "".join(f"{link}\n" for link in links) + "# end\n")}


def test_each_name_covers_itself_and_what_it_inherits_from() -> None:
    hierarchy = build().hierarchy
    assert hierarchy.roles == {"agent": {"agent"}, "auditor": {"auditor"}, "supervisor": {"supervisor", "agent"}}
    assert hierarchy.actions["read"] == {"read", "use"}
    assert hierarchy.actions["delete"] == {"delete"}
    assert hierarchy.resources["card"] == {"card", "regional"}
    assert hierarchy.resources["log"] == {"log"}


def test_groups_may_be_in_groups() -> None:
    changes = with_links("g2,use,touch")
    changes["policy/more.csv"] = "p,touch-log,auditor,touch,log,True,allow,,basis\n# end\n"
    assert build(changes).hierarchy.actions["list"] == {"list", "use", "touch"}


@pytest.mark.parametrize(
    ("old", "new", "needle", "problem"),
    [
        ("g,supervisor,agent", "g,superviser,agent", "superviser", "no role 'superviser'"),
        ("g,supervisor,agent", "g,supervisor,agnet", "agnet", "no role 'agnet'"),
        ("g,supervisor,agent", "g,supervisor", "g,supervisor\n", "a g row of 2 fields"),
        ("g,supervisor,agent", "g,supervisor,agent,eu", "g,supervisor", "a g row of 4 fields"),
        ("g,supervisor,agent", "g3,supervisor,agent", "supervisor", "no resource type 'supervisor'"),
        ("g2,list,use", "g2,lst,use", "lst", "no action 'lst'"),
        ("g2,list,use", "g2,list,usee", "usee", "no rule uses the group of actions 'usee'"),
        ("g2,list,use", "g2,list,Use", "Use", "'Use' is not a name"),
        ("g2,list,use", "g2,list,", "\ng3,customer", "'' is not a name"),
        ("g2,list,use", "g2,read,use", "read,use\ng3", "the same link as in policy/links.csv:2"),
        ("g2,list,use", "g2,list,list", "list,list", "a cycle: list > list"),
        ("g2,list,use", "g2,use,read", "", "a cycle"),
        ("g3,card,regional", "g3,card,region", "region\n", "no rule uses the class of resources 'region'"),
        ("g3,card,regional", "g5,card,regional", "g5", "a row of an unknown kind, 'g5'"),
    ],
)
def test_is_refused(old: str, new: str, needle: str, problem: str) -> None:
    if needle:
        refused(FILE, old, new, needle, problem)
    else:
        found = problems_of({FILE: LINKS.replace(old, new)})
        assert [(it.line, it.column) for it in found if problem in it.problem] == [(2, 4)]


def chain(length: int) -> dict[str, str]:
    links = ["g2,delete,a0", *(f"g2,a{at},a{at + 1}" for at in range(length - 1))]
    changes = with_links(*links)
    changes["policy/more.csv"] = f"p,chained,agent,a{length - 1},log,True,allow,,basis\n# end\n"
    return changes


def test_a_chain_as_long_as_casbin_follows_is_accepted() -> None:
    assert "a8" in build(chain(9)).hierarchy.actions["delete"]


def test_a_chain_that_casbin_would_cut_is_refused_where_it_starts() -> None:
    found = problems_of(chain(10))
    assert [(it.file, it.line) for it in found] == [(FILE, 6)]
    assert "a chain of more than 9 links: delete > a0 > a1" in found[0].problem


def test_a_lattice_is_closed_in_no_time() -> None:
    levels = [[f"n{level}_{at}" for at in range(8)] for level in range(8)]
    links = [f"g2,{low},{high}" for lows, highs in itertools.pairwise(levels) for low in lows for high in highs]
    changes = with_links(*(f"g2,delete,{name}" for name in levels[0]), *links)
    rules = "".join(f"p,rule-{at},agent,{name},log,True,allow,,basis\n" for at, name in enumerate(levels[-1]))
    changes["policy/more.csv"] = rules + "# end\n"
    assert len(build(changes).hierarchy.actions["delete"]) == 65
