"""A small world to ask about: the real decision point over a policy, records and a log held in memory."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field

from pdp.core.condition import evaluate, parse
from pdp.core.decision import Effect, Entity, Obligation
from pdp.core.entities import Entities
from pdp.core.errors import AttributesUnavailableError, AuditUnavailableError
from pdp.core.policy import Hierarchy, MatchError, PolicySnapshot, Rule
from pdp.core.record import Record, View, parse_record
from pdp.core.request import EntityRef
from pdp.core.routes import Route, RouteTable
from pdp.core.schema import AssuranceLevel, Attribute, Kind, Schema, Sensitivity, StepUpRules
from pdp.ports import Answer, Refs
from pdp.server.rpc import Call, Peer
from pdp.service import Clocks, PolicyDecisionPoint

NOW = 1_800_000_000.25
PEP = "spiffe://example.org/pep"
REVISION = "sha256:" + "a" * 64

SCHEMA = Schema(
    frozenset({"user"}),
    frozenset({"read", "export"}),
    {
        Entity.SUBJECT: {
            "roles": Attribute("roles", Kind.LIST, sensitivity=Sensitivity.CLEAR),
            "region": Attribute("region", Kind.STRING, sensitivity=Sensitivity.PSEUDONYM),
            "salary": Attribute("salary", Kind.INT, required=False, sensitivity=Sensitivity.OMIT),
        },
        Entity.DEVICE: {"managed": Attribute("managed", Kind.BOOL, sensitivity=Sensitivity.CLEAR)},
        Entity.SESSION: {
            "level": Attribute("level", Kind.INT, sensitivity=Sensitivity.CLEAR),
            "authenticated_at": Attribute("authenticated_at", Kind.TIME, sensitivity=Sensitivity.CLEAR),
        },
        Entity.CONTEXT: {
            "purpose": Attribute("purpose", Kind.STRING, frozenset({"billing", "fraud"})),
            "network": Attribute("network", Kind.STRING, frozenset({"office", "home"})),
        },
    },
    {"customer": {"region": Attribute("region", Kind.STRING, sensitivity=Sensitivity.PSEUDONYM)}, "page": {}},
    step_up=StepUpRules("level", ("authenticated_at",), (AssuranceLevel(2, "urn:example:aal:2"),)),
)

_RULES = (
    ("read-customer", "read", "customer", "r.subject.region == r.resource.region && r.context.purpose == 'billing'"),
    ("export-customer", "export", "customer", "r.session.level >= 2 && r.device.managed"),
    ("read-page", "read", "page", "r.subject.salary > 10 || r.subject.region == 'eu'"),
)

OBLIGATIONS = {"mask-pan": Obligation("mask-pan", "mask", mandatory=True, properties={"fields": "pan,iban"})}

ROUTES = RouteTable.of(
    (
        Route("GET", ("customers", "{id}"), "read", "customer", "{id}", purpose="billing"),
        Route("POST", ("customers", "{id}", "export"), "export", "customer", "{id}"),
        Route("GET", ("pages", "{id}"), "read", "page", "{id}"),
        Route("GET", ("tenant", "{id}"), "read", "page", "{id}", extensions={"tenant": "blue"}),
    )
)

RECORDS = {
    "user:alice": {"roles": '["agent"]', "region": "eu", "salary": "7"},
    "user:bob": {"roles": '["agent"]', "region": "us"},
    "device:d-1": {"managed": "true"},
    "session:s-1": {"level": "1", "authenticated_at": "1799999000"},
    "session:s-2": {"level": "2", "authenticated_at": "1799999000"},
    "customer:c-1": {"region": "eu"},
    "page:home": {},
}


def policy(revision: str = REVISION) -> PolicySnapshot:
    """A policy snapshot whose one role, agent, may do what ``_RULES`` say; reading a customer owes a mask."""
    rules = tuple(
        Rule(index, name, "agent", action, resource, text, parse(text), Effect.ALLOW,
             ("mask-pan",) if name == "read-customer" else (), "test", "rules.csv", index + 1)
        for index, (name, action, resource, text) in enumerate(_RULES)
    )  # fmt: skip

    def match(
        role: str, action: str, subject: View, device: View, session: View, resource: View, context: View
    ) -> Sequence[int]:
        by_entity = dict(zip(Entity, (subject, device, session, resource, context), strict=True))
        kind = resource.__dict__["type"]
        candidates = [rule for rule in rules if (rule.role, rule.action, rule.resource) == (role, action, kind)]
        try:
            return [
                rule.index
                for rule in candidates
                if evaluate(rule.condition, lambda entity, name: getattr(by_entity[entity], name))
            ]
        except AttributeError:
            raise MatchError(tuple(rule.index for rule in candidates), "unset") from None

    return PolicySnapshot(revision, rules, match, Hierarchy(), SCHEMA, OBLIGATIONS, ROUTES)


@dataclass
class Policies:
    """A policy source whose revision a test may take away or change."""

    snapshot: PolicySnapshot | None = field(default_factory=policy)

    def current(self) -> PolicySnapshot | None:
        return self.snapshot


@dataclass
class Attributes:
    """An attribute source over ``RECORDS``. Ids in ``slow`` wait for ``released``; ``broken`` has nothing to say."""

    broken: bool = False
    slow: frozenset[str] = frozenset()
    released: asyncio.Event = field(default_factory=asyncio.Event)

    def peek(self, refs: Refs, schema: Schema) -> Entities | None:
        if self.broken or any(ref.id in self.slow for _, ref in refs):
            return None
        return _entities(refs, schema)

    async def load(self, refs: Refs, schema: Schema, deadline: float) -> Entities:
        if self.broken:
            raise AttributesUnavailableError
        try:
            async with asyncio.timeout_at(deadline):
                await self.released.wait()
        except TimeoutError:
            raise AttributesUnavailableError from None
        return _entities(refs, schema)


def _entities(refs: Refs, schema: Schema) -> Entities:
    return Entities(**{entity.value: _record(entity, ref, schema) for entity, ref in refs})


def _record(entity: Entity, ref: EntityRef, schema: Schema) -> Record | None:
    stored = RECORDS.get(str(ref))
    if stored is None:
        return None
    fields = {"_version": "3", "_issued_at": str(int(NOW) - 40), **stored}
    return parse_record(ref, schema.attributes_of(entity, ref.type), fields, 5.0)


@dataclass
class Log:
    """A decision log in memory; ``broken`` refuses every record."""

    records: list[Answer] = field(default_factory=list)
    broken: bool = False

    async def append(self, answers: Sequence[Answer]) -> None:
        if self.broken:
            raise AuditUnavailableError
        self.records.extend(answers)


@dataclass
class World:
    """The decision point and all it stands on."""

    policies: Policies = field(default_factory=Policies)
    attributes: Attributes = field(default_factory=Attributes)
    log: Log = field(default_factory=Log)

    def __post_init__(self) -> None:
        ids = itertools.count(1)
        clocks = Clocks(lambda: NOW, lambda: 0.0, lambda: f"{next(ids):032x}")
        self.pdp = PolicyDecisionPoint(self.policies, self.attributes, self.log, clocks)


def call(method: str = "", *, caller: str | None = PEP, metadata: dict[str, str] | None = None) -> Call:
    """A call due in two seconds. Made inside a running event loop."""
    due = asyncio.get_running_loop().time() + 2.0
    return Call(method, Peer("127.0.0.1:1", caller, encrypted=caller is not None), metadata or {}, due)
