"""HTTP routes: from a request line to an action on a resource. The path is canonicalised once; ambiguous is refused.

Rules. A path that two servers could read differently is not decided on: an encoded slash, backslash, NUL, dot or
percent sign, a double slash, a dot segment, a fragment, a parameter after ``;``, bytes that are not ASCII. A path
that fits no route, or two equally well, is refused as well.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from pdp.core.request import EntityRef

_SEGMENT: Final = re.compile(r"[A-Za-z0-9._~!$&'()*+,=:@-]+", re.ASCII)
_ESCAPE: Final = re.compile(r"%([0-9A-Fa-f]{2})")
_PLACEHOLDER: Final = re.compile(r"\{([a-z][a-z0-9_]*)\}")
_LENGTH_LIMIT: Final = 4096


class AmbiguousPathError(ValueError):
    """A path that is refused because it does not have one plain reading."""


@dataclass(frozen=True, slots=True)
class Route:
    """One entry of routes.yaml.

    Attributes:
        method: the HTTP method, upper case.
        template: path segments; ``{name}`` stands for exactly one segment.
        action: the action it maps to.
        resource_type: the resource's type.
        resource_id: the resource's id; ``{name}`` is filled in from the path.
        purpose: the purpose, where the route implies one; else empty.
        extensions: ext_authz context extensions that must be present with these values.
    """

    method: str
    template: tuple[str, ...]
    action: str
    resource_type: str
    resource_id: str
    purpose: str = ""
    extensions: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RouteMatch:
    """What a request line asks for."""

    action: str
    resource: EntityRef
    purpose: str = ""


@dataclass(frozen=True, slots=True)
class RouteTable:
    """All routes, indexed by method and number of segments."""

    routes: Mapping[tuple[str, int], tuple[Route, ...]] = field(default_factory=dict)

    @classmethod
    def of(cls, routes: tuple[Route, ...]) -> RouteTable:
        """Index routes."""
        table: dict[tuple[str, int], tuple[Route, ...]] = {}
        for route in routes:
            key = (route.method, len(route.template))
            table[key] = (*table.get(key, ()), route)
        return cls(table)

    def match(self, method: str, path: str, extensions: Mapping[str, str]) -> RouteMatch | None:
        """Find what a request line asks for; None if no route fits.

        Raises:
            AmbiguousPathError: if the path has no single plain reading, or fits two routes.
        """
        segments = canonical_segments(path)
        found: list[tuple[Route, Mapping[str, str]]] = []
        for route in self.routes.get((method, len(segments)), ()):
            bound = _bind(route.template, segments)
            if bound is not None and route.extensions.items() <= extensions.items():
                found.append((route, bound))
        if not found:
            return None
        # A literal segment is more particular than a placeholder; a required extension more than none.
        ranked = sorted(found, key=lambda pair: _particular(pair[0]), reverse=True)
        if len(ranked) > 1 and _particular(ranked[0][0]) == _particular(ranked[1][0]):
            raise AmbiguousPathError("the path fits two routes")
        route, bound = ranked[0]
        resource_id = _PLACEHOLDER.sub(lambda found: bound[found[1]], route.resource_id)
        return RouteMatch(route.action, EntityRef(route.resource_type, resource_id), route.purpose)


def canonical_segments(path: str) -> tuple[str, ...]:
    """Split a request target into decoded path segments, without its query.

    Raises:
        AmbiguousPathError: on anything that another reader could take differently.
    """
    path = path.partition("?")[0]
    if len(path) > _LENGTH_LIMIT or not path.startswith("/"):
        raise AmbiguousPathError("the path is relative or too long")
    if path == "/":
        return ()
    return tuple(_segment(raw) for raw in path[1:].split("/"))


def _segment(raw: str) -> str:
    decoded = _ESCAPE.sub(lambda found: chr(int(found[1], 16)), raw)
    if not _SEGMENT.fullmatch(decoded) or decoded in (".", ".."):
        raise AmbiguousPathError("a path segment is empty, a dot segment, or has a character that is not plain")
    if decoded != raw and any(not found.isalnum() and found not in "-_~:@" for found in _escaped(raw)):
        raise AmbiguousPathError("a character is escaped that other readers would not unescape")
    return decoded


def _escaped(raw: str) -> str:
    return "".join(chr(int(code, 16)) for code in _ESCAPE.findall(raw))


def _bind(template: tuple[str, ...], segments: tuple[str, ...]) -> Mapping[str, str] | None:
    bound: dict[str, str] = {}
    for pattern, segment in zip(template, segments, strict=True):
        if placeholder := _PLACEHOLDER.fullmatch(pattern):
            bound[placeholder[1]] = segment
        elif pattern != segment:
            return None
    return bound


def _particular(route: Route) -> tuple[int, int]:
    return sum(not _PLACEHOLDER.fullmatch(segment) for segment in route.template), len(route.extensions)
