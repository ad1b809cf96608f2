"""A world to decide in: a fixed schema, policies of a few rows, and records made of stored text as in production."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any, Final

from pdp.core.decide import decide
from pdp.core.decision import Decision, Entity, Obligation
from pdp.core.entities import Entities
from pdp.core.policy import PolicySnapshot
from pdp.core.record import Record, parse_record
from pdp.core.request import Context, EntityRef, Request
from pdp.core.routes import RouteTable
from pdp.core.schema import Schema
from pdp.engine.reference import ReferenceMatcher
from pdp.policy.links import check_links
from pdp.policy.model import MODEL
from pdp.policy.obligations import read_obligations
from pdp.policy.problems import Problems
from pdp.policy.rules import Names, build_rules, read_table
from pdp.policy.schema import read_schema
from pdp.policy.source import Source
from tests.policy.example import LINKS, OBLIGATIONS, SCHEMA

NOW: Final = 1_700_000_000.5
EVERY_OBLIGATION: Final = frozenset({"mask", "watermark", "notify"})
Values = Mapping[str, Any]

SUBJECT: Final[Values] = {"roles": ["agent"], "region": "eu", "trained_until": int(NOW) + 86400}
DEVICE: Final[Values] = {"compliant": True, "score": 90}
SESSION: Final[Values] = {
    "subject": "alice",
    "device": "d-1",
    "risk": 10,
    "aal": 2,
    "auth_time": int(NOW) - 60,
    "amr": ["pwd", "otp"],
}
CUSTOMER: Final[Values] = {"region": "eu", "purposes": ["support"], "keep_until": int(NOW) + 3600}


@cache
def schema() -> Schema:
    """Give the schema of the example policy."""
    problems = Problems()
    found = read_schema(Source("schema.yaml", SCHEMA), problems)
    problems.raise_if_any()
    assert found is not None
    return found


@cache
def obligations() -> Mapping[str, Obligation]:
    """Give the obligations of the example policy."""
    problems = Problems()
    found = read_obligations(Source("obligations.yaml", OBLIGATIONS), problems)
    problems.raise_if_any()
    assert found is not None
    return found


def row(
    id_: str,
    condition: str,
    effect: str = "allow",
    role: str = "*",
    action: str = "read",
    resource: str = "customer",
    owed: str = "",
) -> str:
    """Give a rule as a line of a policy file."""
    quoted = condition.replace('"', '""')
    return f'p,{id_},{role},{action},{resource},"{quoted}",{effect},{owed},basis'


def policy(rows: Iterable[str], revision: str = "sha256:test") -> PolicySnapshot:
    """Make a revision of rows, checked as the loader checks them."""
    problems = Problems()
    table = read_table([Source("policy/x.csv", LINKS + "\n".join(rows))], problems)
    hierarchy = check_links(table.links, schema(), problems)
    problems.raise_if_any()
    assert hierarchy is not None
    rules = build_rules(table.rules, Names(schema(), hierarchy, obligations()), problems)
    problems.raise_if_any()
    matcher = ReferenceMatcher(rules, [link.names for link in table.links], MODEL)
    return PolicySnapshot(revision, rules, matcher, hierarchy, schema(), obligations(), RouteTable())


def text(value: Any) -> str:
    """Give a value as the attribute store holds it."""
    return value if isinstance(value, str) else json.dumps(value)


def record(
    entity: Entity, id_: str, values: Values, *, type_: str = "", issued_at: float = NOW - 1, version: int = 1
) -> Record:
    """Make a record of stored text."""
    kind = type_ or {Entity.SUBJECT: "user", Entity.RESOURCE: "customer"}.get(entity, entity.value)
    fields = {name: text(value) for name, value in values.items()}
    fields |= {"_version": str(version), "_issued_at": f"{issued_at:.3f}"}
    found = parse_record(EntityRef(kind, id_), schema().attributes_of(entity, kind), fields, schema().clock_skew)
    assert found is not None
    return found


def entities(**changes: Values | Record | None) -> Entities:
    """Give the four records, with values of some changed, or a record replaced, or (None) unknown."""
    made = {}
    for entity, id_, values in (
        (Entity.SUBJECT, "alice", SUBJECT),
        (Entity.DEVICE, "d-1", DEVICE),
        (Entity.SESSION, "s-1", SESSION),
        (Entity.RESOURCE, "c-1", CUSTOMER),
    ):
        change = changes.get(entity.value, {})
        made[entity.value] = record(entity, id_, {**values, **change}) if isinstance(change, Mapping) else change
    return Entities(**made)


def request(**changes: Any) -> Request:
    """Give a question that the example's records answer."""
    asked = {
        "subject": EntityRef("user", "alice"),
        "action": "read",
        "resource": EntityRef("customer", "c-1"),
        "context": context(),
        "session": "s-1",
        "device": "d-1",
    }
    return Request(**{**asked, **changes})


def context(**changes: Any) -> Context:
    """Give circumstances in which every obligation can be carried out."""
    return Context(**{"purpose": "support", "channel": "phone", "supported_obligations": EVERY_OBLIGATION, **changes})


def ask(
    rows: Iterable[str], asked: Request | None = None, known: Entities | None = None, now: float = NOW
) -> Decision:
    """Decide."""
    return decide(asked or request(), entities() if known is None else known, policy(rows), now)


def reasons(decision: Decision) -> list[str]:
    """Give a decision's causes as people read them."""
    return [str(cause) for cause in decision.causes]
