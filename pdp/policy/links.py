"""Inheritance (``g``), groups of actions (``g2``) and classes of resources (``g3``): read, checked, closed over."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from pdp.core.decision import Entity
from pdp.core.hierarchy import HierarchyError, closure
from pdp.core.policy import Hierarchy
from pdp.core.schema import Schema
from pdp.policy.csv_reader import Field
from pdp.policy.fields import DOTTED_NAME
from pdp.policy.problems import Problems, did_you_mean

_KINDS: Final = {"g": "role", "g2": "action", "g3": "resource type"}
_GROUPS: Final = {"g2": "group of actions", "g3": "class of resources"}


@dataclass(frozen=True, slots=True)
class Link:
    """One ``g``, ``g2`` or ``g3`` row: the member is also a parent."""

    ptype: str
    member: Field
    parent: Field

    @property
    def names(self) -> tuple[str, str, str]:
        """Give the row as an engine takes it."""
        return self.ptype, self.member.value, self.parent.value

    def report(self, field: Field, problems: Problems, problem: str, help_: str = "") -> None:
        """Say what is wrong with one of the row's fields."""
        problems.add(field.source.problem(field.start, problem, help_))


def read_link(row: tuple[Field, ...], problems: Problems) -> Link | None:
    """Read a row whose first field is g, g2 or g3; None if it is malformed."""
    ptype = row[0].value
    if len(row) != 3:  # noqa: PLR2004 - the type, the member, the parent
        problem = f"a {ptype} row of {len(row)} fields instead of 3"
        problems.add(row[0].source.problem(row[0].start, problem, f"{ptype},member,parent"))
        return None
    return Link(ptype, row[1], row[2])


def role_names(schema: Schema) -> frozenset[str]:
    """Give every role a subject may hold."""
    return schema.attributes_of(Entity.SUBJECT)["roles"].values


def check_links(links: Iterable[Link], schema: Schema, problems: Problems) -> Hierarchy | None:
    """Check all links against the schema and give what each name inherits from; None where that has no answer."""
    distinct = _once(links, problems)
    known = {"g": role_names(schema), "g2": schema.actions, "g3": frozenset(schema.resources)}
    closures = []
    for ptype, names in known.items():
        mine = [link for link in distinct if link.ptype == ptype]
        _check_names(mine, names, problems)
        closures.append(_closed(mine, names, problems))
    roles, actions, resources = closures
    return None if roles is None or actions is None or resources is None else Hierarchy(roles, actions, resources)


def check_use(links: Iterable[Link], used: Mapping[str, Collection[str]], schema: Schema, problems: Problems) -> None:
    """Refuse a group or class that no rule uses, by itself or through a larger one: most often a misspelt name.

    Args:
        links: all links.
        used: names that stand in rules, for each of g2 and g3.
        schema: the declarations; a name in it needs no use.
        problems: where to say so.
    """
    links = tuple(links)
    known = {"g2": schema.actions, "g3": frozenset(schema.resources)}
    for ptype, group in _GROUPS.items():
        mine = [link for link in links if link.ptype == ptype]
        needed = {*used[ptype], *known[ptype], *(link.member.value for link in mine)}
        for link in mine:
            if link.parent.value not in needed:
                help_ = did_you_mean(link.parent.value, used[ptype]) or "delete the row"
                link.report(link.parent, problems, f"no rule uses the {group} {link.parent.value!r}", help_)


def _once(links: Iterable[Link], problems: Problems) -> list[Link]:
    found: dict[tuple[str, str, str], Link] = {}
    for link in links:
        if (first := found.setdefault(link.names, link)) is not link:
            line, _ = first.member.source.at(first.member.start)
            link.report(link.member, problems, f"the same link as in {first.member.source.file}:{line}")
    return list(found.values())


def _check_names(links: list[Link], names: Collection[str], problems: Problems) -> None:
    groups = {link.parent.value for link in links}
    for link in links:
        kind = _KINDS[link.ptype]
        may_be = names if link.ptype == "g" else {*names, *groups}
        if link.member.value not in may_be:
            problem = f"the schema has no {kind} {link.member.value!r}"
            link.report(link.member, problems, problem, did_you_mean(link.member.value, may_be))
        if link.ptype == "g" and link.parent.value not in names:
            problem = f"the schema has no role {link.parent.value!r}"
            link.report(link.parent, problems, problem, did_you_mean(link.parent.value, names))
        elif not DOTTED_NAME.fullmatch(link.parent.value) and link.parent.value not in names:
            link.report(
                link.parent, problems, f"{link.parent.value!r} is not a name", "lower-case letters, digits, _"
            )


def _closed(links: list[Link], names: Iterable[str], problems: Problems) -> Mapping[str, frozenset[str]] | None:
    try:
        found = closure((link.member.value, link.parent.value) for link in links)
    except HierarchyError as error:
        at = next(link for link in links if (link.member.value, link.parent.value) == error.path[:2])
        at.report(at.member, problems, str(error))
        return None
    return MappingProxyType({name: frozenset({name}) for name in names} | dict(found))
