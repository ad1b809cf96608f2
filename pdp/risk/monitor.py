"""Decisions as a signal: takes note of answers off the path of requests, counts, assesses, acts and tells."""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections import Counter, deque
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from typing import Final, Protocol

from pdp.core.errors import AttributesUnavailableError
from pdp.core.limits import NO_LIMITS, Crossing, Level, Limits, crossings, fallen
from pdp.core.request import EntityRef
from pdp.ports import Answer, Assessment, PolicySource, RiskStore, Sighting, Tally
from pdp.risk.baselines import usual
from pdp.risk.meter import Meter
from pdp.risk.notices import Change
from pdp.risk.settings import RiskSettings

# Subjects to a round trip: what the loop is kept busy with at a stretch is a few milliseconds at most.
_AT_ONCE: Final = 16
# How often it is put on record that a level is called for still: a subject that goes on crossing does so every time.
_CALLED_AGAIN: Final = 5.0
_log: Final = logging.getLogger(__name__)


class Telling(Protocol):
    """Whoever tells receivers of changes."""

    def tell(self, limits: Limits, change: Change) -> None:
        """See to it that every receiver hears of a change. Must not wait, must not raise."""


class RiskMonitor:
    """Implements ``pdp.ports.Observer``. Make it, ``start`` it on the event loop of the service, ``stop`` it there.

    Args:
        policies: whose limits.yaml is in force.
        store: where behaviour is counted.
        telling: who tells receivers.
        settings: bounds.
        pseudonym: what stands in logs for a subject.
        clock: seconds since the epoch.
    """

    def __init__(
        self,
        policies: PolicySource,
        store: RiskStore,
        telling: Telling,
        settings: RiskSettings,
        pseudonym: Callable[[str], str],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._policies = policies
        self._store = store
        self._telling = telling
        self._settings = settings
        self._pseudonym = pseudonym
        self._clock = clock
        self._limits = self._falling = NO_LIMITS
        self._meter = Meter(NO_LIMITS)
        # Without limits there is no room, so that an answer costs one comparison.
        self._room = 0
        self._waiting: deque[Answer] = deque()
        self._wake = asyncio.Event()
        self._asleep = True
        self._blind = False
        self._counts: Counter[str] = Counter()
        self._tasks: list[asyncio.Task[None]] = []

    def answered(self, answer: Answer) -> None:
        """Take note of an answer; see ``Observer``."""
        if len(self._waiting) < self._room:
            self._waiting.append(answer)
            if self._asleep:
                self._asleep = False
                self._wake.set()
        elif self._room:
            self._counts["dropped"] += 1

    def counts(self) -> Mapping[str, int]:
        """Give what happened since the start.

        ``counted`` decisions, ``dropped`` for want of room and ``lost`` to a store that did not answer; ``raised``
        and ``lowered`` levels.
        """
        return dict(self._counts)

    async def start(self) -> None:
        """Begin to count."""
        self.policy_changed()
        self._tasks = [asyncio.create_task(self._count()), asyncio.create_task(self._sweep())]

    async def stop(self) -> None:
        """End; what waits is not counted."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def policy_changed(self) -> None:
        """Count by the limits of the revision in force from now on."""
        policy = self._policies.current()
        limits = policy.limits if policy and self._settings.enabled else NO_LIMITS
        if limits is self._limits:
            return
        # Who is above LOW when the limits go falls by them all the same, or would stay there for good.
        self._falling = limits if limits.features else replace(self._limits, features=())
        self._limits, self._meter = limits, Meter(limits)
        self._room = self._settings.queue if limits.features else 0
        self._wake.set()

    async def _count(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._waiting:
                answers = [self._waiting.popleft() for _ in range(min(len(self._waiting), self._settings.batch))]
                await self._guarded(self._take(answers), len(answers))
                await asyncio.sleep(self._settings.pause)
            self._asleep = True

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(self._settings.sweep)
            if self._falling.attribute:
                await self._guarded(self._look_again(), 0)

    async def _guarded(self, work: Coroutine[None, None, None], answers: int) -> None:
        try:
            await work
            self._counts["counted"] += answers
            self._note_store(None)
        except AttributesUnavailableError as error:
            self._counts["lost"] += answers
            self._note_store(error)
        except Exception:  # noqa: BLE001 - said below
            self._counts["lost"] += answers
            # A fault of ours must not end the watch.
            _log.exception("behaviour could not be assessed", extra={"event": "risk.fault"})

    def _note_store(self, error: AttributesUnavailableError | None) -> None:
        """Say once that the store does not answer, and once that it does again, however long it lasts."""
        if (error is not None) is self._blind:
            return
        self._blind = error is not None
        if error:
            _log.error("%s", error, extra={"event": "risk.store_unavailable"})
        else:
            lost = self._counts["lost"]
            _log.warning("behaviour is counted again", extra={"event": "risk.store_available", "lost": lost})

    async def _take(self, answers: Sequence[Answer]) -> None:
        """Count answers, and assess everybody they are about."""
        await self._weigh(self._limits, self._meter.sightings(answers), again=False)

    async def _look_again(self) -> None:
        """Assess whose level may have to fall, or may have been written over."""
        due = await self._store.due(self._clock(), _AT_ONCE)
        await self._weigh(self._falling, [Sighting(subject, {}) for subject in due], again=True)

    async def _weigh(self, limits: Limits, sightings: Sequence[Sighting], *, again: bool) -> None:
        rest = iter(sightings)
        while some := list(islice(rest, _AT_ONCE)):
            now = self._clock()
            for tally in await self._store.count(limits, some, now):
                await self._judge(limits, tally, now, again=again)

    async def _judge(self, limits: Limits, tally: Tally, now: float, *, again: bool) -> None:
        """Set the level that behaviour calls for, or what is left of an earlier one, as of when it was counted."""
        found = crossings(limits, tally.values, usual(limits, tally))
        standing = tally.standing
        wanted = found[0].level if found else Level.LOW
        called = bool(found) and wanted >= standing.level
        level = wanted if called else max(wanted, fallen(standing.peak, standing.since, now, limits.step))
        if level == standing.level and not again and not (called and now - standing.since >= _CALLED_AGAIN):
            return
        token = secrets.token_hex(16)
        by = (self._settings.issuer, token)
        before = await self._store.assess(limits, Assessment(tally.subject, level, called, standing, now, by))
        if before is not None:
            self._announce(limits, tally.subject, Change(tally.subject, before, level, _reason(found), now, token))

    def _announce(self, limits: Limits, subject: EntityRef, change: Change) -> None:
        what = "raised" if change.after > change.before else "lowered"
        self._counts[what] += 1
        _log.warning(
            "risk %s: %s",
            what,
            change.reason,
            extra={
                "event": f"risk.{what}",
                "subject": self._pseudonym(str(subject)),
                "level": change.after.name,
                "previous_level": change.before.name,
            },
        )
        self._telling.tell(limits, change)


def _reason(found: Sequence[Crossing]) -> str:
    """Say which features, and by how much each."""
    return "; ".join(map(str, found)) or "no crossing for a while"
