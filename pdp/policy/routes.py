"""routes.yaml: which HTTP request means which action on which resource."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from pdp.core.decision import Entity
from pdp.core.routes import Route, RouteTable
from pdp.core.schema import Schema
from pdp.policy.fields import Fields
from pdp.policy.problems import Problems
from pdp.policy.source import Source
from pdp.policy.yaml_reader import read_yaml
from pdp.yaml_tree import Node

_METHODS: Final = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
_SEGMENT: Final = re.compile(r"(?!\.{1,2}$)[A-Za-z0-9._~!$&'()*+,=:@-]+|\{[a-z][a-z0-9_]*\}", re.ASCII)
_PLACEHOLDER: Final = re.compile(r"\{([a-z][a-z0-9_]*)\}")
# Literal characters of an identifier (core.request) between placeholders.
_ID_TEMPLATE: Final = re.compile(r"(?:[A-Za-z0-9._:@/+=~-]|\{[a-z][a-z0-9_]*\})+", re.ASCII)
_LENGTH_LIMIT: Final = 2048


def read_routes(source: Source, schema: Schema | None, problems: Problems) -> RouteTable | None:
    """Read the routes; None if the file is no YAML. Without a schema, the names in it are not checked."""
    root = read_yaml(source, problems)
    if root is None:
        return None
    fields = Fields(source, problems)
    listed = fields.document(root, ("routes",)).get("routes")
    reader = _Reader(fields, schema)
    found = [(node, reader.route(node)) for node in (fields.items(listed) if listed else ())]
    routes = [(node, route) for node, route in found if route is not None]
    _check_apart(fields, source, routes)
    return RouteTable.of(tuple(route for _, route in routes))


class _Reader:
    def __init__(self, fields: Fields, schema: Schema | None) -> None:
        self._fields = fields
        self._schema = schema

    def route(self, node: Node) -> Route | None:
        given = self._fields.record(node, ("method", "path", "action", "resource"), ("purpose", "extensions"))
        method = self._fields.choice(given["method"], _METHODS, "an HTTP method") if "method" in given else None
        template = self._template(given["path"]) if "path" in given else None
        action = self._action(given["action"]) if "action" in given else None
        resource = self._resource(given["resource"], template) if "resource" in given else None
        purpose = self._purpose(given["purpose"]) if "purpose" in given else ""
        extensions = self._fields.texts(given["extensions"]) if "extensions" in given else {}
        if method is None or template is None or action is None or resource is None or purpose is None:
            return None
        return Route(method, template, action, *resource, purpose, extensions)

    def _template(self, node: Node) -> tuple[str, ...] | None:
        path = self._fields.text(node)
        if path is None:
            return None
        if not path.startswith("/") or len(path) > _LENGTH_LIMIT:
            self._fields.refuse(node, "a path starts with / and is not longer than 2048 characters")
            return None
        segments = () if path == "/" else tuple(path[1:].split("/"))
        for segment in segments:
            if not _SEGMENT.fullmatch(segment):
                help_ = "plain characters without escapes, or {name} for the whole of it"
                self._fields.refuse(node, f"{segment!r} is not a path segment", help_)
                return None
        names = _PLACEHOLDER.findall(path)
        if len(names) != len(set(names)):
            self._fields.refuse(node, "a placeholder stands twice in the path")
            return None
        return segments

    def _action(self, node: Node) -> str | None:
        if self._schema is None:
            return self._fields.text(node)
        return self._fields.choice(node, self._schema.actions, "an action of the schema")

    def _resource(self, node: Node, template: tuple[str, ...] | None) -> tuple[str, str] | None:
        text = self._fields.text(node)
        if text is None:
            return None
        type_, colon, id_ = text.partition(":")
        if not colon or not _ID_TEMPLATE.fullmatch(id_):
            self._fields.refuse(node, "a resource is written type:id", "such as customer:{id}")
            return None
        if self._schema is not None and type_ not in self._schema.resources:
            self._fields.refuse(node, f"the schema has no resource type {type_!r}")
            return None
        if template is not None and not self._filled(node, id_, template):
            return None
        return type_, id_

    def _filled(self, node: Node, id_: str, template: tuple[str, ...]) -> bool:
        """Check that the path fills the id in, and that two paths never make the same id."""
        bound = {segment[1:-1] for segment in template if _PLACEHOLDER.fullmatch(segment)}
        for name in _PLACEHOLDER.findall(id_):
            if name not in bound:
                self._fields.refuse(node, f"the path has no placeholder {{{name}}}")
                return False
        between = _PLACEHOLDER.split(id_)[2:-1:2]
        if any("/" not in text for text in between):
            # A segment may hold any other character, so 'a.b' + 'c' and 'a' + 'b.c' would be one resource.
            self._fields.refuse(node, "two placeholders could run into each other", "put a / between them")
            return False
        return True

    def _purpose(self, node: Node) -> str | None:
        if self._schema is None:
            return self._fields.text(node)
        declared = self._schema.attributes_of(Entity.CONTEXT).get("purpose")
        return self._fields.choice(node, declared.values if declared else (), "a purpose of the schema")


def _check_apart(fields: Fields, source: Source, routes: list[tuple[Node, Route]]) -> None:
    """Refuse routes of equal rank that fit the same request: it would be denied as ambiguous."""
    groups: dict[tuple[str, int, int, int], list[tuple[Node, Route]]] = {}
    for node, route in routes:
        literals = sum(not _PLACEHOLDER.fullmatch(segment) for segment in route.template)
        key = (route.method, len(route.template), literals, len(route.extensions))
        for earlier, other in groups.setdefault(key, []):
            if _overlap(route, other):
                line, _ = source.at(earlier.offset)
                fields.refuse(node, f"fits the same requests as the route of line {line}", "make one more particular")
                break
        groups[key].append((node, route))


def _overlap(one: Route, other: Route) -> bool:
    pairs = zip(one.template, other.template, strict=True)
    paths = all(a == b or _PLACEHOLDER.fullmatch(a) or _PLACEHOLDER.fullmatch(b) for a, b in pairs)
    return paths and _compatible(one.extensions, other.extensions)


def _compatible(one: Mapping[str, str], other: Mapping[str, str]) -> bool:
    return all(one[name] == other[name] for name in one.keys() & other.keys())
