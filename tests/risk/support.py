"""The watch on behaviour on a real store, under the sample policy, with a clock that tests turn."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field

from pdp.attributes.store import RedisAttributeStore
from pdp.attributes.windows import RedisRiskStore
from pdp.attributes.writer import AttributeWriter, open_writer
from pdp.core.decision import ALLOW, AttributeUse, Decision, Effect, Entity
from pdp.core.limits import Baseline, Feature, Level, Limits
from pdp.core.policy import PolicySnapshot
from pdp.core.reasons import Cause, Reason
from pdp.core.request import EntityRef, Request
from pdp.ports import Answer, Caller, Sighting, Tally
from pdp.risk import RiskMonitor, RiskSettings
from pdp.risk.notices import Change
from tests.attributes.support import Server, eventually, patient
from tests.signals.support import sample

ALICE = EntityRef("user", "alice")
ISSUER = "urn:pdp:risk"
# A Wednesday, 10:00 UTC.
START = 1_767_780_000.0
DAY = 86400.0
RECORDS = Feature(
    "records",
    DAY,
    distinct=True,
    effect=Effect.ALLOW,
    actions=frozenset({"read"}),
    limits={Level.MEDIUM: 75, Level.HIGH: 100},
    usual=Level.HIGH,
    least=40,
)
DENIES = Feature("denies", 600.0, distinct=False, effect=Effect.DENY, limits={Level.MEDIUM: 5})
LIMITS = Limits(
    attribute="risk",
    values={Level.MEDIUM: 50, Level.HIGH: 90},
    step=1800.0,
    features=(RECORDS, DENIES),
    baseline=Baseline(DAY, periods=30, grace=5, score=0.999, factor=3.0),
)
_numbers = itertools.count()


@dataclass
class Clock:
    """A clock that stands until it is turned."""

    now: float = START

    def __call__(self) -> float:
        return self.now


def answer(
    resource: str = "c-1",
    *,
    at: float = START,
    subject: EntityRef = ALICE,
    action: str = "read",
    kind: str = "customer",
    effect: Effect = ALLOW,
    known: bool = True,
    interface: str = "evaluate",
) -> Answer:
    """Make an answer as the service gives it to observers."""
    uses = (AttributeUse(Entity.SUBJECT, 1, at),) if known else ()
    decision = Decision(effect, (Cause(Reason.PERMITTED, "some-rule"),), attributes=uses)
    request = Request(subject, action, EntityRef(kind, resource))
    caller = Caller("", interface, None, 0.0)
    return Answer(f"{next(_numbers):032x}", "0" * 32, at, request, caller, decision, 0.0, cached=True)


def seen(name: str, *events: tuple[float, str], subject: EntityRef = ALICE) -> Sighting:
    return Sighting(subject, {name: list(events)})


def read(number: int, at: float, subject: EntityRef = ALICE, first: int = 0) -> Sighting:
    """Make a sighting of that many different records read at once."""
    return seen("records", *((at, f"r-{index}") for index in range(first, first + number)), subject=subject)


class Policies:
    """Holds a policy in force: the sample's, with other limits."""

    def __init__(self, limits: Limits) -> None:
        self.policy: PolicySnapshot | None = dataclasses.replace(sample(), limits=limits)

    def current(self) -> PolicySnapshot | None:
        return self.policy


@dataclass
class Told:
    """Takes note of what receivers would be told."""

    changes: list[Change] = field(default_factory=list)

    def tell(self, _: Limits, change: Change) -> None:
        self.changes.append(change)

    def levels(self) -> list[tuple[str, str]]:
        return [(change.before.name, change.after.name) for change in self.changes]


@dataclass
class World:
    """A store, and who writes to it."""

    server: Server
    store: RedisRiskStore
    signals: RedisAttributeStore
    writer: AttributeWriter

    async def risk(self, subject: EntityRef = ALICE) -> object:
        """Give the subject's risk as decisions read it; None where it is not on record."""
        record = (await self.writer.read(Entity.SUBJECT, subject)).record
        return record and record.view.__dict__.get("risk")

    async def tally(self, limits: Limits, now: float, subject: EntityRef = ALICE) -> Tally:
        return (await self.store.count(limits, [Sighting(subject, {})], now))[0]


@contextlib.asynccontextmanager
async def world_on(server: Server, *, written: bool = True) -> AsyncIterator[World]:
    store = RedisRiskStore(patient(server.url), retention=60 * DAY, timeout=5.0)
    signals = RedisAttributeStore(patient(server.url))
    await store.start()
    await signals.start()
    try:
        async with open_writer(patient(server.url), sample().schema) as writer:
            if written:
                await writer.put(Entity.SUBJECT, ALICE, {"roles": ["agent"], "status": "active"}, START - DAY)
            yield World(server, store, signals, writer)
    finally:
        await signals.stop()
        await store.stop()


@contextlib.asynccontextmanager
async def watching(
    world: World, clock: Clock, limits: Limits = LIMITS, told: Told | None = None, **settings: object
) -> AsyncIterator[RiskMonitor]:
    """Run a monitor, as one worker does."""
    options = {"pause": 0.0, "sweep": 3600.0, **settings}
    monitor = RiskMonitor(
        Policies(limits), world.store, told or Told(), RiskSettings(**options), lambda _: "pseudonym", clock
    )
    await monitor.start()
    try:
        yield monitor
    finally:
        await monitor.stop()


async def observe(monitor: RiskMonitor, answers: Iterable[Answer]) -> None:
    """Let a monitor take note of answers, and wait until it has counted them."""
    listed = list(answers)
    before = monitor.counts().get("counted", 0)
    for one in listed:
        monitor.answered(one)
    await eventually(lambda: monitor.counts().get("counted", 0) >= before + len(listed), "not counted")
