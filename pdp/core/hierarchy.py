"""Inheritance of roles, actions and resource classes, as Casbin's ``g`` sections state it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

# Casbin's role manager follows at most this many links.
LINK_LIMIT: Final = 9


def closure(links: Iterable[tuple[str, str]]) -> Mapping[str, frozenset[str]]:
    """Give for every name in ``links`` all names it inherits from, itself included.

    Args:
        links: pairs (member, parent).

    Raises:
        ValueError: on a cycle, or a chain of more than ``LINK_LIMIT`` links, where Casbin would silently stop.
    """
    parents: dict[str, set[str]] = {}
    for member, parent in links:
        parents.setdefault(member, set()).add(parent)
        parents.setdefault(parent, set())
    done: dict[str, frozenset[str]] = {}
    for name in parents:
        _ancestors(name, parents, done, ())
    return done


def _ancestors(
    name: str, parents: Mapping[str, set[str]], done: dict[str, frozenset[str]], path: tuple[str, ...]
) -> frozenset[str]:
    if name in path:
        raise ValueError("a cycle: " + " > ".join((*path[path.index(name) :], name)))
    if len(path) > LINK_LIMIT:
        raise ValueError(f"a chain of more than {LINK_LIMIT} links: " + " > ".join((*path, name)))
    above = [_ancestors(parent, parents, done, (*path, name)) for parent in sorted(parents[name])]
    done[name] = frozenset({name}.union(*above))
    return done[name]
