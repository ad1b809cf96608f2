"""Watched decisions over the real decision point, with a store whose changes are told as a test says."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator

from pdp.core.decision import Entity
from pdp.core.request import Context, EntityRef, Request
from pdp.ports import Caller, ChangeListener
from pdp.service import Clocks, PolicyDecisionPoint
from pdp.watching import Cursor, Event, Told, WatchHub, WatchSession, WatchSettings
from tests.api.world import NOW, Log, Policies
from tests.fakes.attributes import InMemoryAttributes, Target

PEP = Caller("spiffe://example.org/pep", "watch_decisions", None, 0.0)
SUBJECT = (Entity.SUBJECT, EntityRef("user", "alice"))
SESSION = (Entity.SESSION, EntityRef("session", "s-1"))
DEVICE = (Entity.DEVICE, EntityRef("device", "d-1"))
CUSTOMER = (Entity.RESOURCE, EntityRef("customer", "c-1"))


class Feed:
    """Tells of changes as they are made; while ``lost``, it does not."""

    def __init__(self) -> None:
        self.listeners: list[ChangeListener] = []
        self.lost = False
        self.stale: float | None = 0.01

    def follow(self, listener: ChangeListener) -> None:
        self.listeners.append(listener)

    def staleness(self) -> float | None:
        return None if self.lost else self.stale

    def tell(self, target: Target) -> None:
        for listener in self.listeners:
            listener.changed(target[0].value, *target[1])

    def tell_everything(self) -> None:
        for listener in self.listeners:
            listener.everything_changed()


class World:
    """A hub and all it stands on. ``now`` is the wall clock, ``steady`` the one that never steps."""

    def __init__(self, settings: WatchSettings | None = None) -> None:
        self.now, self.steady = NOW, 0.0
        self.policies, self.log = Policies(), Log()
        self.attributes, self.feed = InMemoryAttributes(), Feed()
        numbers = itertools.count(1)
        self.clocks = Clocks(lambda: self.now, lambda: self.steady, lambda: f"{next(numbers):032x}")
        point = PolicyDecisionPoint(self.policies, self.attributes, self.log, self.clocks)
        self.hub = WatchHub(
            point, self.policies, self.attributes, self.feed, self.clocks, settings or WatchSettings()
        )
        self.versions = itertools.count(1)
        self.write(SUBJECT, roles='["agent"]', region="eu")
        self.write(CUSTOMER, region="eu")
        self.write(DEVICE, managed="true")
        self.write(SESSION, level="2", authenticated_at=str(int(NOW) - 60))

    def write(self, target: Target, **fields: str) -> None:
        self.attributes.put(target, next(self.versions), self.now - 40, fields)
        if not self.feed.lost:
            self.feed.tell(target)

    def open(self, cursor: Cursor | None = None, caller: Caller = PEP) -> tuple[WatchSession, bool]:
        return self.hub.open(caller, cursor)


def read(customer: str = "c-1", subject: str = "alice") -> Request:
    context = Context("billing", supported_obligations=frozenset({"mask"}))
    return Request(EntityRef("user", subject), "read", EntityRef("customer", customer), context)


def export(customer: str = "c-1", session: str = "s-1") -> Request:
    return Request(EntityRef("user", "alice"), "export", EntityRef("customer", customer), Context(), session, "d-1")


class Stream:
    """Iterates a session's events beside the test."""

    def __init__(self, session: WatchSession, after: int | None = None) -> None:
        self.session = session
        self.events: list[Event] = []
        self._iteration = session.events(after)
        self._task = asyncio.create_task(self._run())

    async def _run(self) -> None:
        async for event in self._iteration:
            self.events.append(event)

    @property
    def ended(self) -> bool:
        return self._task.done()

    async def settle(self) -> list[Event]:
        """Give what was told since the last time, once nothing more is to be done."""
        for _ in range(5):
            await asyncio.sleep(0)
        # It has nothing to do once it waits for work.
        while not (self.ended or self.session._work._waiters):
            await asyncio.sleep(0.001)
        told, self.events = self.events, []
        return told

    async def cut(self) -> None:
        """Break off, as a lost connection does."""
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task
        await self._iteration.aclose()


@contextlib.asynccontextmanager
async def watching(world: World, cursor: Cursor | None = None) -> AsyncIterator[Stream]:
    session, resumed = world.open(cursor)
    stream = Stream(session, cursor.sequence if cursor and resumed else None)
    try:
        yield stream
    finally:
        await stream.cut()


def told(events: list[Event]) -> dict[int, bool]:
    """Give the effect told last of each watch."""
    return {event.watch_id: event.answer.decision.allowed for event in events if isinstance(event, Told)}
