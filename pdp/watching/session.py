"""One caller's watched requests, and the events that keep the caller right about them.

Rules:
- What changes is marked and decided later, by whoever iterates the events: a caller who is slow, or away for a
  while, costs no memory, and of many changes of one request is told the last.
- An event that may not have arrived is made up for by deciding and telling anew, not by keeping it. One that cannot
  be told anew ends the epoch for whoever missed it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable, Sequence
from heapq import heapify, heappop, heappush
from itertools import chain
from typing import Final, Protocol

from pdp.core.entities import refs
from pdp.core.errors import InvalidRequestError, PdpError
from pdp.core.request import Request, validate
from pdp.core.trace import TraceParent
from pdp.ports import Answer, AttributeSource, Caller, ChangeFeed, PolicySource, Tracer
from pdp.service import Clocks, PolicyDecisionPoint
from pdp.watching.backlog import Backlog, Mark
from pdp.watching.events import Cause, Event, Opened, Pong, Rejected, Resync, Told, Why
from pdp.watching.settings import WatchSettings
from pdp.watching.story import Story, story_of
from pdp.watching.watch import Watch, turning_time

_ANSWER_SECONDS: Final = 2.0
# Parts of a batch are decided side by side, so that reads from the store overlap.
_PARTS: Final = 4
# The wall clock may be set: a timer is looked at again at least this often.
_LONGEST_NAP: Final = 1.0
_SLACK: Final = 64
_TIME: Final = Cause(Why.TIME)


class TooManyWatchesError(PdpError):
    """As many requests are watched as the settings allow."""


class Ground(Protocol):
    """What sessions stand on: the parts of the service, and an index of who watches what."""

    point: PolicyDecisionPoint
    policies: PolicySource
    attributes: AttributeSource
    feed: ChangeFeed
    clocks: Clocks
    settings: WatchSettings
    tracer: Tracer | None
    decisions: int

    def enter(self, session: WatchSession, watch: Watch) -> bool:
        """Take a watch into the index; False where there is no room."""

    def leave(self, watch: Watch) -> None:
        """Take it out."""

    def parted(self, session: WatchSession) -> None:
        """Take note that nobody iterates a session's events any more."""


class WatchSession:
    """Made and ended by ``WatchHub``.

    Attributes:
        epoch: names it; a secret of its caller.
        caller: on whose behalf it decides.
        watches: by the caller's names.
        sequence: the number of the last event.
        turn: counts those who iterate the events; only the last of them does.
    """

    def __init__(self, ground: Ground, caller: Caller, epoch: str) -> None:
        self._ground = ground
        self.caller = caller
        self.epoch = epoch
        self.watches: dict[int, Watch] = {}
        self.sequence = 0
        self.turn = 0
        self._unrepeatable = 0
        self._backlog = Backlog(ground.clocks.elapsed)
        self._due: list[tuple[float, int]] = []
        self._notices: deque[Callable[[int], Event]] = deque()
        self._work = asyncio.Event()
        self._story: Story | None = None

    def can_resume(self, sequence: int) -> bool:
        """Say whether a caller to whom an event arrived, and none after it, can go on."""
        return self._unrepeatable <= sequence <= self.sequence

    def register(self, watch_id: int, request: Request) -> None:
        """Watch a request, and tell its answer; a fault of the request is told in its place."""
        watch = self.watches.get(watch_id)
        if watch is not None and watch.request != request:
            self.unregister(watch_id)
            watch = None
        if watch is None:
            watch = Watch(watch_id, request)
            if error := self._obstacle(watch):
                self._notices.append(lambda sequence: Rejected(sequence, watch_id, error))
                self._work.set()
                return
            self.watches[watch_id] = watch
        self._backlog.ask(watch)
        self._work.set()

    def unregister(self, watch_id: int) -> None:
        """Watch a request no more."""
        watch = self.watches.pop(watch_id, None)
        if watch is not None:
            self._backlog.drop(watch)
            self._ground.leave(watch)

    def ping(self, nonce: int) -> None:
        """Tell, after all that is due by now, how old the knowledge is."""
        self._mark_due()
        self._backlog.ping(nonce, self._ground.feed.staleness())
        self._work.set()

    def changed(self, watch: Watch, cause: Cause) -> None:
        """Have a watch decided anew."""
        self._backlog.change(watch, cause)
        self._work.set()

    def close(self) -> None:
        """End the iteration of events."""
        self.turn += 1
        self._work.set()

    def forget_all(self) -> None:
        """Watch nothing any more."""
        for watch_id in list(self.watches):
            self.unregister(watch_id)
        self._backlog.clear()
        self._due.clear()

    async def events(self, resumed_after: int | None = None) -> AsyncGenerator[Event]:
        """Give events as they come, until it is closed or iterated anew.

        Args:
            resumed_after: the number of the last event that arrived when it was iterated before.
        """
        self.turn += 1
        turn = self.turn
        self._work.set()
        try:
            self._begin(resumed_after)
            yield Opened(self._number(), self.epoch, resumed_after is not None)
            while self.turn == turn:
                self._work.clear()
                for event in await self._next_events(turn):
                    if self.turn == turn:
                        yield event
                if self._story:
                    self._story.told(self._ground.clocks.wall())
                    self._story = None
                await self._rest()
        finally:
            if self.turn == turn:
                self._ground.parted(self)

    def _begin(self, resumed_after: int | None) -> None:
        self._backlog.restart()
        for watch in self.watches.values():
            if resumed_after is not None and (watch.sequence > resumed_after or not watch.sequence):
                self._backlog.ask(watch)

    async def _next_events(self, turn: int) -> list[Event]:
        """Do a part of the work, and give what is to be told in its order."""
        self._mark_due()
        if self._backlog.lag() > self._ground.settings.lag:
            self.forget_all()
            self._notices.append(Resync)
        events = [self._numbered(self._notices.popleft()) for _ in range(len(self._notices))]
        marks = self._backlog.take(self._ground.settings.batch)
        if marks:
            answers = await self._decide(marks, turn)
            if self.turn != turn:
                return []
            pairs = zip(marks, answers, strict=True)
            told = [event for mark, answer in pairs if (event := self._outcome(mark, answer))]
            events += told
            if self._story:
                self._story.messages = len(told)
        events += [Pong(self._number(), ping.nonce, ping.staleness) for ping in self._backlog.pongs()]
        return events

    async def _decide(self, marks: list[Mark], turn: int) -> Sequence[Answer | Exception]:
        """Answer what is marked; if that is not for this iteration to tell any more, undo."""
        for mark in marks:
            mark.watch.deciding()
        answers: Sequence[Answer | Exception] = ()
        try:
            self._story = story = await story_of(self._ground, marks, self._due_by())
            answers = await self._answers([mark.watch.request for mark in marks], story.trace if story else None)
            if story:
                story.decided(answers, self._ground.clocks.wall())
        finally:
            if self.turn != turn or len(answers) != len(marks):
                self._backlog.put_back(mark for mark in marks if self.watches.get(mark.watch.id) is mark.watch)
        return answers

    def _due_by(self) -> float:
        return asyncio.get_running_loop().time() + _ANSWER_SECONDS

    async def _answers(self, requests: Sequence[Request], trace: TraceParent | None) -> Sequence[Answer | Exception]:
        """Answer several requests; an error that one of them meets is its own."""
        self._ground.decisions += len(requests)
        caller = self.caller._replace(deadline=self._due_by(), trace=trace or self.caller.trace)
        if len(requests) == 1:
            # What a revocation mostly is. Each task would cost it a turn of the loop, behind all other requests.
            return [await _alone(self._ground.point, requests[0], caller)]
        size = -(-len(requests) // _PARTS)
        parts = [requests[at : at + size] for at in range(0, len(requests), size)]
        return list(chain.from_iterable(await asyncio.gather(*(self._part(part, caller) for part in parts))))

    async def _part(self, requests: Sequence[Request], caller: Caller) -> Sequence[Answer | Exception]:
        await asyncio.sleep(0)
        point = self._ground.point
        try:
            return await point.evaluate_many(requests, caller)
        except Exception:  # noqa: BLE001 - which of them meets it is found out below
            return [await _alone(point, request, caller) for request in requests]

    def _outcome(self, mark: Mark, answer: Answer | Exception) -> Event | None:
        watch = mark.watch
        if self.watches.get(watch.id) is not watch:
            return None
        if isinstance(answer, Exception):
            self.unregister(watch.id)
            return self._numbered(lambda sequence: Rejected(sequence, watch.id, answer))
        told = watch.decided(answer.decision, asked=mark.cause.why is Why.REGISTERED)
        self._schedule(watch, answer)
        if not told:
            return None
        watch.sequence = self._number()
        return Told(watch.sequence, watch.id, answer, mark.cause)

    def _obstacle(self, watch: Watch) -> Exception | None:
        try:
            validate(watch.request)
        except InvalidRequestError as error:
            return error
        if len(self.watches) >= self._ground.settings.max_watches or not self._ground.enter(self, watch):
            return TooManyWatchesError("as many requests are watched as the service has room for")
        return None

    def _number(self) -> int:
        self.sequence += 1
        return self.sequence

    def _numbered(self, make: Callable[[int], Event]) -> Event:
        """Number an event that is not told anew."""
        self._unrepeatable = self._number()
        return make(self._unrepeatable)

    def _mark_due(self) -> None:
        now = self._ground.clocks.wall()
        while self._due and self._due[0][0] <= now:
            at, watch_id = heappop(self._due)
            watch = self.watches.get(watch_id)
            if watch is not None and watch.due == at:
                watch.due = 0.0
                self._backlog.change(watch, _TIME)

    def _schedule(self, watch: Watch, answer: Answer) -> None:
        ground = self._ground
        policy = ground.policies.current()
        if policy and policy.revision != answer.decision.revision:
            self._backlog.change(watch, Cause(Why.POLICY))
        entities = ground.attributes.peek(refs(watch.request), policy.schema) if policy else None
        turn = turning_time(watch.request, entities, policy, answer.time)
        if not watch.schedule(answer.decision, turn, answer.time, ground.settings.retry):
            return
        heappush(self._due, (watch.due, watch.id))
        if len(self._due) > 2 * len(self.watches) + _SLACK:
            self._due = [(it.due, it.id) for it in self.watches.values() if 0 < it.due < float("inf")]
            heapify(self._due)

    async def _rest(self) -> None:
        """Wait until there is something to do, letting others do theirs in any case."""
        if self._backlog or not self._due:
            await (asyncio.sleep(0) if self._backlog else self._work.wait())
            return
        nap = min(_LONGEST_NAP, max(0.0, self._due[0][0] - self._ground.clocks.wall()))
        timer = asyncio.get_running_loop().call_later(nap, self._work.set)
        try:
            await self._work.wait()
        finally:
            timer.cancel()


async def _alone(point: PolicyDecisionPoint, request: Request, caller: Caller) -> Answer | Exception:
    try:
        return await point.evaluate(request, caller)
    except Exception as error:  # noqa: BLE001 - it is the answer
        return error
