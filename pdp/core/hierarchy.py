"""Inheritance of roles, actions and resource classes, as Casbin's ``g`` sections state it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

# Casbin's role manager follows at most this many links.
LINK_LIMIT: Final = 9


class HierarchyError(ValueError):
    """A hierarchy that is refused. ``path`` holds the names along the offending chain, from member to parent."""

    def __init__(self, problem: str, path: tuple[str, ...]) -> None:
        super().__init__(f"{problem}: " + " > ".join(path))
        self.path = path


def closure(links: Iterable[tuple[str, str]]) -> Mapping[str, frozenset[str]]:
    """Give for every name in ``links`` all names it inherits from, itself included.

    Args:
        links: pairs (member, parent).

    Raises:
        HierarchyError: on a cycle, or a chain of more than ``LINK_LIMIT`` links, where Casbin would silently stop.
    """
    parents: dict[str, set[str]] = {}
    for member, parent in links:
        parents.setdefault(member, set()).add(parent)
        parents.setdefault(parent, set())
    chains: dict[str, tuple[str, ...]] = {}
    for name in parents:
        _longest_chain(name, parents, chains, ())
    done: dict[str, frozenset[str]] = {}
    for name in sorted(parents, key=lambda name: len(chains[name])):
        done[name] = frozenset({name}).union(*(done[parent] for parent in parents[name]))
    return done


def _longest_chain(
    name: str, parents: Mapping[str, set[str]], chains: dict[str, tuple[str, ...]], path: tuple[str, ...]
) -> tuple[str, ...]:
    """Give the longest chain from a name upwards, each name's once, however many ways lead to it."""
    if name in path:
        raise HierarchyError("a cycle", (*path[path.index(name) :], name))
    if name not in chains:
        if len(path) > LINK_LIMIT:
            raise HierarchyError(f"a chain of more than {LINK_LIMIT} links", (*path, name))
        above = [_longest_chain(parent, parents, chains, (*path, name)) for parent in sorted(parents[name])]
        chains[name] = (name, *max(above, key=len, default=()))
    if len(chains[name]) - 1 > LINK_LIMIT:
        raise HierarchyError(f"a chain of more than {LINK_LIMIT} links", chains[name])
    return chains[name]
