"""The same policies and requests in Cedar, by ``cedarpy``: policies and entities parsed ahead."""

from __future__ import annotations

import json
from collections.abc import Callable

import cedarpy

from tests.bench.engine.policies import Case


def decide(case: Case, which: str) -> Callable[[], bool]:
    """A call that decides one request of a case."""
    policies = cedarpy.PolicySet.from_str("\n".join(_policy(case.name, row) for row in case.rows if row[0] == "p"))
    request, entities = _request(case, which)
    parsed = cedarpy.Entities.from_json_str(json.dumps(entities))
    return lambda: bool(cedarpy.is_authorized(request, policies, parsed).allowed)


def _policy(name: str, row: tuple[str, ...]) -> str:
    if name == "rbac":
        return f'permit(principal in Role::"{row[1]}", action == Action::"{row[3]}", resource == Data::"{row[2]}");'
    condition = row[1].replace("r.sub.", "principal.").replace("r.obj.", "resource.").replace("'", '"')
    return f'permit(principal, action == Action::"{row[3]}", resource is {row[2]}) when {{ {condition} }};'


def _entity(kind: str, identifier: str, attributes: dict[str, object], parents: list[object]) -> dict[str, object]:
    return {"uid": {"type": kind, "id": identifier}, "attrs": attributes, "parents": parents}


def _request(case: Case, which: str) -> tuple[dict[str, object], list[dict[str, object]]]:
    subject, resource, action = case.requests[which]
    if case.name == "rbac":
        role = {"type": "Role", "id": subject.replace("user", "role")}
        entities = [_entity("User", subject, {}, [role])]
        return _named("User", subject, action, "Data", resource), entities
    attributes = {"id": subject.id, "age": subject.age, "region": subject.region}
    entities = [
        _entity("User", subject.id, attributes, []),
        _entity(resource.type, "one", {"region": resource.region}, []),
    ]
    return _named("User", subject.id, action, resource.type, "one"), entities


def _named(kind: str, principal: str, action: str, resource_kind: str, resource: str) -> dict[str, object]:
    return {
        "principal": {"type": kind, "id": principal},
        "action": {"type": "Action", "id": action},
        "resource": {"type": resource_kind, "id": resource},
        "context": {},
    }
