"""No allow is held past the bound: late or lost changes, reloads, lost messages, reconnects, clock steps.

The service's part is the real decision point, hub and wire handler; the client's is the real cache and protocol. Only
time, the store and the network between them are the machine's.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from pdp.api.watch import SERVICE, WatchService
from pdp.client.cache import DecisionCache
from pdp.client.decision import Decision
from pdp.client.errors import UnansweredError
from pdp.client.protocol import BrokenStreamError, WatchProtocol
from pdp.client.question import Question
from pdp.core.decision import Entity
from pdp.core.entities import Entities
from pdp.core.request import EntityRef
from pdp.core.schema import Schema
from pdp.ports import Refs
from pdp.v1 import watch_pb2 as rpc
from pdp.watching import WatchSettings
from tests.api.world import call, policy
from tests.fakes.attributes import InMemoryAttributes, Target
from tests.watching.world import World

BOUND = 1.0
LIFETIME = 7.0
SESSIONS = ("s-1", "s-2")
_AGES = st.floats(0, 0.6) | st.floats(0, 8)


def question(session: str) -> Question:
    return Question(("user", "alice"), "export", ("customer", "c-1"), session, "d-1")


class NearCached(InMemoryAttributes):
    """Answers from memory until it is told of a change, as the real source does."""

    def __init__(self) -> None:
        super().__init__()
        self.memory: dict[Target, dict[str, str]] = {}
        self.usable = True

    def put(self, target: Target, version: int, issued_at: float, fields: dict[str, str]) -> None:
        whole = {"_version": str(version), "_issued_at": str(issued_at), **fields}
        self._stored[target] = whole

    def peek(self, refs: Refs, schema: Schema) -> Entities | None:
        if not self.usable or any(target not in self.memory for target in refs):
            return None
        return self._from(self.memory, refs, schema)

    async def load(self, refs: Refs, schema: Schema, _deadline: float) -> Entities:
        await asyncio.sleep(0)
        for target in refs:
            if target in self._stored and (target not in self.memory or not self.usable):
                self.memory[target] = dict(self._stored[target])
        found = self._from(self.memory, refs, schema)
        await asyncio.sleep(0)
        return found

    def _from(self, memory: dict[Target, dict[str, str]], refs: Refs, schema: Schema) -> Entities:
        kept, self._stored = self._stored, memory
        try:
            return Entities(**{target[0].value: self._record(target, schema) for target in refs})
        finally:
            self._stored = kept


class Network:
    """One stream between client and service; either direction may be held up, and all of it cut."""

    def __init__(self, service: WatchService) -> None:
        self.up: deque[bytes] = deque()
        self.down: deque[bytes] = deque()
        self._arrived: asyncio.Queue[bytes] = asyncio.Queue()
        handler = service.methods()[f"/{SERVICE}/WatchDecisions"].handler
        self._answers = handler(self._messages(), call())
        self._task = asyncio.create_task(self._run())

    async def _messages(self) -> AsyncIterator[bytes]:
        while True:
            yield await self._arrived.get()

    async def _run(self) -> None:
        async for answer in self._answers:
            self.down.append(answer)

    def arrive(self) -> None:
        self._arrived.put_nowait(self.up.popleft())

    @property
    def ended(self) -> bool:
        return self._task.done()

    async def cut(self) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        await self._answers.aclose()


class Machine(RuleBasedStateMachine):
    """``true`` is the time; every other clock is made of it."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.true = 0.0
        self.offset = 0.0
        self.untold: deque[tuple[float, Target]] = deque()
        self.truth: dict[str, list[tuple[float, bool]]] = {}
        self.made: dict[str, tuple[float, Decision | None]] = {}
        self.network: Network | None = None
        self.run(self._build())

    def run(self, work: object) -> object:
        return self.loop.run_until_complete(work)  # type: ignore[arg-type]

    async def _build(self) -> None:
        world = self.world = World(WatchSettings(grace=1e6, lag=1e6))
        world.attributes = NearCached()
        world.hub.attributes = world.attributes
        world.hub.point._attributes = world.attributes
        world.hub.point._policies = world.policies
        self.start = world.now
        self.managed, self.levels = True, dict.fromkeys(SESSIONS, 2)
        self._store((Entity.SUBJECT, EntityRef("user", "alice")), roles='["agent"]', region="eu")
        self._store((Entity.RESOURCE, EntityRef("customer", "c-1")), region="eu")
        self._store((Entity.DEVICE, EntityRef("device", "d-1")), managed="true")
        for session in SESSIONS:
            self._store((Entity.SESSION, EntityRef("session", session)), level="2", authenticated_at="1799999000")
        self.untold.clear()
        self.cache = DecisionCache(BOUND, LIFETIME, 10)
        self.protocol = WatchProtocol(self.cache, (), lambda it: it, self._answered)
        self.service = WatchService(world.hub)

    @initialize()
    def begin(self) -> None:
        self._now_true()

    def teardown(self) -> None:
        async def end() -> None:
            if self.network:
                await self.network.cut()
            for task in asyncio.all_tasks() - {asyncio.current_task()}:
                task.cancel()

        self.run(end())
        self.loop.close()

    # What the world does

    def _store(self, target: Target, **fields: str) -> None:
        self.world.attributes.put(target, next(self.world.versions), self.start - 9000, fields)
        self.untold.append((self.true, target))

    def _now_true(self) -> None:
        there = self.world.policies.snapshot is not None
        for session in SESSIONS:
            self.truth.setdefault(session, []).append(
                (self.true, there and self.managed and self.levels[session] >= 2)
            )

    @rule(managed=st.booleans())
    def write_device(self, *, managed: bool) -> None:
        self.managed = managed
        self._store((Entity.DEVICE, EntityRef("device", "d-1")), managed=str(managed).lower())
        self._now_true()

    @rule(session=st.sampled_from(SESSIONS), level=st.sampled_from([1, 2]))
    def write_session(self, session: str, level: int) -> None:
        self.levels[session] = level
        self._store((Entity.SESSION, EntityRef("session", session)), level=str(level), authenticated_at="1799999000")
        self._now_true()

    @rule()
    def reload_policy(self) -> None:
        self.world.policies.snapshot = None if self.world.policies.snapshot else policy()
        self._now_true()
        self.world.hub.policy_changed()

    @rule()
    def tell_a_change(self) -> None:
        if self.untold and not self.world.feed.lost:
            _, target = self.untold.popleft()
            self.world.attributes.memory.pop(target, None)
            self.world.feed.tell(target)

    @rule()
    def lose_tracking(self) -> None:
        self.world.feed.lost = True
        self.world.attributes.usable = False
        self.world.attributes.memory.clear()

    @rule()
    def regain_tracking(self) -> None:
        if self.world.feed.lost:
            self.world.feed.lost = False
            self.world.attributes.usable = True
            self.world.attributes.memory.clear()
            self.untold.clear()
            self.world.feed.tell_everything()

    @rule(seconds=_AGES)
    def time_passes(self, seconds: float) -> None:
        self.true += seconds
        self._set_clocks()

    @rule(step=st.floats(-100, 100))
    def the_services_clock_is_set(self, step: float) -> None:
        self.offset += step
        self._set_clocks()

    def _set_clocks(self) -> None:
        self.world.steady = self.true
        self.world.now = self.start + self.true + self.offset
        self._be_honest()

    def _be_honest(self) -> None:
        """What the feed says of its staleness: the truth."""
        self.world.feed.stale = self.true - self.untold[0][0] if self.untold else 0.0

    # What the network does

    @rule()
    def connect(self) -> None:
        self.run(self._connect())

    async def _connect(self) -> None:
        await self._cut()
        self.network = Network(self.service)
        self._send([self.protocol.opening()])

    @rule()
    def cut(self) -> None:
        self.run(self._cut())

    async def _cut(self) -> None:
        if self.network:
            await self.network.cut()
            self.protocol.ended()
            self.network = None

    @precondition(lambda self: self.network)
    @rule(index=st.integers(0, 5))
    def lose_a_message(self, index: int) -> None:
        if index < len(self.network.down):
            del self.network.down[index]

    @precondition(lambda self: self.network)
    @rule(count=st.integers(1, 5))
    def deliver_up(self, count: int) -> None:
        self._be_honest()
        for _ in range(min(count, len(self.network.up))):
            self.network.arrive()
        self.run(self._work())

    @precondition(lambda self: self.network)
    @rule(count=st.integers(1, 5))
    def deliver_down(self, count: int) -> None:
        self.run(self._deliver_down(count))

    async def _deliver_down(self, count: int) -> None:
        for _ in range(min(count, len(self.network.down))):
            message = rpc.WatchDecisionsResponse.FromString(self.network.down.popleft())
            try:
                self._send(self.protocol.receive(message, self.true))
            except BrokenStreamError:
                await self._cut()
                return

    @rule()
    def the_service_works(self) -> None:
        self._be_honest()
        self.run(self._work())

    async def _work(self) -> None:
        before = len(self.world.log.records)
        for _ in range(25):
            await asyncio.sleep(0)
        for answer in self.world.log.records[before:]:
            self.made[answer.id] = (self.true, None)

    def _send(self, commands: list[rpc.WatchDecisionsRequest]) -> None:
        if self.network:
            self.network.up.extend(command.SerializeToString() for command in commands)

    # What the client does

    def _answered(self, _watch_id: int, outcome: Decision | UnansweredError) -> None:
        assert isinstance(outcome, Decision), outcome

    @rule(session=st.sampled_from(SESSIONS))
    def ask(self, session: str) -> None:
        if self.protocol.open:
            self._send(self.protocol.ask(question(session), self.true)[1])

    @rule()
    def ping(self) -> None:
        if self.protocol.open:
            self._send([self.protocol.ping(self.true)])

    @rule()
    def give_up_what_is_idle(self) -> None:
        if self.protocol.open:
            for _ in range(2):
                self.cache.idle()

    # What must hold

    @invariant()
    def no_allow_past_the_bound(self) -> None:
        for session in SESSIONS:
            held = self.cache.get(question(session), self.true)
            if held is None:
                continue
            if held.allowed:
                assert self._allowed_since(session, self.true - BOUND), "an allow outlived its bound"
            if held.id in self.made:
                assert self.true <= self.made[held.id][0] + held.lifetime + 1e-6, "a decision outlived its validity"

    def _allowed_since(self, session: str, since: float) -> bool:
        history = self.truth.get(session, [])
        earlier = [allowed for at, allowed in history if at <= since - 1e-6]
        later = [allowed for at, allowed in history if at > since - 1e-6]
        return any(earlier[-1:]) or any(later)

    @invariant()
    def versions_never_go_back(self) -> None:
        seen: dict[tuple[Entity, str], int] = {}
        for answer in self.world.log.records:
            for use in answer.decision.attributes:
                key = (use.entity, answer.request.session)
                assert use.version >= seen.get(key, 0)
                seen[key] = use.version

    @rule()
    def when_all_is_quiet_the_client_is_right(self) -> None:
        self.run(self._quieten())
        for session in SESSIONS:
            held = self.cache.get(question(session), self.true)
            # A deny for want of means is not held.
            assert (held is not None and held.allowed) == self.truth[session][-1][1]

    async def _quieten(self) -> None:
        self.regain_tracking()
        while self.untold:
            self.tell_a_change()
        if not self.network or self.network.ended or not self.protocol.open:
            await self._connect()
        for attempt in range(8):
            self._be_honest()
            if not self.network:
                await self._connect()
            if self.protocol.open:
                for session in SESSIONS if attempt > 3 else ():
                    self._send(self.protocol.ask(question(session), self.true)[1])
                self._send([self.protocol.ping(self.true)])
            for _ in range(3):
                while self.network and self.network.up:
                    self.network.arrive()
                await self._work()
                while self.network and self.network.down:
                    await self._deliver_down(1)


TestBound = pytest.mark.filterwarnings("ignore::ResourceWarning")(Machine.TestCase)
TestBound.settings = settings(max_examples=30, stateful_step_count=50, deadline=None)
