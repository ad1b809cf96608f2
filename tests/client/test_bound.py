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
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

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
from pdp.core.trace import Step
from pdp.ports import Refs
from pdp.v1 import watch_pb2 as rpc
from pdp.watching import WatchSettings
from tests.api.world import call, policy
from tests.fakes.attributes import InMemoryAttributes, Target
from tests.watching.world import World

BOUND = 1.0
LIFETIME = 7.0
SESSIONS = ("s-1", "s-2")
# What may happen, each as often as it is named here.
_STEPS: list[tuple[str, dict[str, object]]] = [
    *[("all_is_exchanged_and_time_passes", {"seconds": seconds}) for seconds in (0.05, 0.2, 0.4, 0.6, 0.6, 1.1)],
    *[("all_but_the_last_is_exchanged", {"then": then}) for then in ("lose", "lose", "cut", "cut", "keep")],
    *[("write_device", {"managed": managed, "told": told}) for managed in (True, False) for told in (True, False)],
    *[("write_session", {"session": "s-1", "level": level, "told": True}) for level in (1, 2)],
    *[("write_session", {"session": "s-2", "level": level, "told": False}) for level in (1, 2)],
    *[
        ("some_is_exchanged_and_time_passes", {"count": n, "seconds": seconds})
        for n in (2, 3)
        for seconds in (0.4, 0.7)
    ],
    *[("time_passes", {"seconds": seconds}) for seconds in (0.05, 0.4, 8.0)],
    *[("the_services_clock_is_set", {"step": step}) for step in (-90.0, 40.0)],
    *[("ask", {"session": session}) for session in SESSIONS],
    *[("lose_a_message", {"index": index}) for index in (0, 2)],
    *[("deliver_up", {"count": 2}), ("deliver_down", {"count": 1}), ("the_service_works", {}), ("tell_a_change", {})],
    *[("reload_policy", {}), ("lose_tracking", {}), ("regain_tracking", {}), ("connect", {}), ("cut", {})],
    *[("give_up_what_is_idle", {}), ("when_all_is_quiet_the_client_is_right", {})],
]


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


class Unheard:
    """A tracer that forgets what it is told."""

    def samples(self, trace_id: str) -> bool:
        return True

    def ended(self, step: Step) -> None:
        """Forget it."""


class Machine(RuleBasedStateMachine):
    """``true`` is the time; every other clock is made of it."""

    batch = 1
    traced = False

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.true = 0.0
        self.offset = 0.0
        self.untold: deque[tuple[float, Target]] = deque()
        self.truth: dict[str, list[tuple[float, tuple[bool, ...]]]] = {}
        self.made: dict[str, tuple[float, Decision | None]] = {}
        self.network: Network | None = None
        self.run(self._build())

    def run(self, work: object) -> object:
        return self.loop.run_until_complete(work)  # type: ignore[arg-type]

    async def _build(self) -> None:
        world = self.world = World(WatchSettings(grace=1e6, lag=1e6, batch=self.batch))
        world.hub.tracer = Unheard() if self.traced else None
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
        """Begin where there is something to lose: connected, both answers held."""
        self._now_true()
        self.run(self._quieten())
        assert all(self.cache.get(question(session), self.true) for session in SESSIONS)

    def teardown(self) -> None:
        async def end() -> None:
            if self.network:
                await self.network.cut()
            for task in asyncio.all_tasks() - {asyncio.current_task()}:
                task.cancel()

        self.run(end())
        self.loop.close()

    @rule(steps=st.lists(st.sampled_from(_STEPS), min_size=4, max_size=12))
    def much_happens(self, steps: list[tuple[str, dict[str, object]]]) -> None:
        """One rule for all of it, so that what matters together happens together."""
        for name, arguments in steps:
            getattr(self, name)(**arguments)
            self.no_allow_past_the_bound()

    # What the world does

    def _store(self, target: Target, **fields: str) -> None:
        self.world.attributes.put(target, next(self.world.versions), self.start - 9000, fields)
        self.untold.append((self.true, target))

    def _now_true(self) -> None:
        there = self.world.policies.snapshot is not None
        for session in SESSIONS:
            said = (there, self.managed, self.levels[session] >= 2)
            self.truth.setdefault(session, []).append((self.true, said))

    def write_device(self, *, managed: bool, told: bool) -> None:
        self.managed = managed
        self._store((Entity.DEVICE, EntityRef("device", "d-1")), managed=str(managed).lower())
        self._now_true()
        self._tell_all(told=told)

    def write_session(self, session: str, level: int, *, told: bool) -> None:
        self.levels[session] = level
        self._store((Entity.SESSION, EntityRef("session", session)), level=str(level), authenticated_at="1799999000")
        self._now_true()
        self._tell_all(told=told)

    def _tell_all(self, *, told: bool) -> None:
        while told and self.untold and not self.world.feed.lost:
            self.tell_a_change()

    def reload_policy(self) -> None:
        self.world.policies.snapshot = None if self.world.policies.snapshot else policy()
        self._now_true()
        self.world.hub.policy_changed()

    def tell_a_change(self) -> None:
        if self.untold and not self.world.feed.lost:
            _, target = self.untold.popleft()
            self.world.attributes.memory.pop(target, None)
            self.world.feed.tell(target)

    def all_is_exchanged_and_time_passes(self, seconds: float) -> None:
        self.ping()
        self.run(self._exchange())
        self.time_passes(seconds)

    def all_but_the_last_is_exchanged(self, then: str) -> None:
        """A change is told by the service, and its news is lost."""
        self.deliver_up(5)
        if then == "lose" and self.network and self.network.down:
            self.network.down.popleft()
        elif then == "cut":
            self.run(self._connect())
        self.ping()
        self.run(self._exchange())

    def some_is_exchanged_and_time_passes(self, count: int, seconds: float) -> None:
        self.ping()
        self.deliver_up(5)
        self.deliver_down(count)
        self.true += seconds
        self._set_clocks()

    async def _exchange(self) -> None:
        for _ in range(3):
            self._be_honest()
            while self.network and self.network.up:
                self.network.arrive()
            await self._work()
            while self.network and self.network.down:
                await self._deliver_down(1)

    def lose_tracking(self) -> None:
        self.world.feed.lost = True
        self.world.attributes.usable = False
        self.world.attributes.memory.clear()

    def regain_tracking(self) -> None:
        if self.world.feed.lost:
            self.world.feed.lost = False
            self.world.attributes.usable = True
            self.world.attributes.memory.clear()
            self.untold.clear()
            self.world.feed.tell_everything()

    def time_passes(self, seconds: float) -> None:
        self.true += seconds
        self._set_clocks()
        self.ping()

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

    def connect(self) -> None:
        self.run(self._connect())

    async def _connect(self) -> None:
        await self._cut()
        self.network = Network(self.service)
        self._send([self.protocol.opening()])

    def cut(self) -> None:
        self.run(self._cut())

    async def _cut(self) -> None:
        if self.network:
            await self.network.cut()
            self.protocol.ended()
            self.network = None

    def lose_a_message(self, index: int) -> None:
        if self.network and index < len(self.network.down):
            del self.network.down[index]

    def deliver_up(self, count: int) -> None:
        self._be_honest()
        for _ in range(min(count, len(self.network.up)) if self.network else 0):
            self.network.arrive()
        self.run(self._work())

    def deliver_down(self, count: int) -> None:
        self.run(self._deliver_down(count))

    async def _deliver_down(self, count: int) -> None:
        for _ in range(min(count, len(self.network.down)) if self.network else 0):
            message = rpc.WatchDecisionsResponse.FromString(self.network.down.popleft())
            try:
                self._send(self.protocol.receive(message, self.true))
            except BrokenStreamError:
                await self._cut()
                return

    def the_service_works(self) -> None:
        self._be_honest()
        self.run(self._work())

    async def _work(self) -> None:
        before = len(self.world.log.records)
        for _ in range(60):
            await asyncio.sleep(0)
        for answer in self.world.log.records[before:]:
            self.made[answer.id] = (self.true, None)

    def _send(self, commands: list[rpc.WatchDecisionsRequest]) -> None:
        if self.network:
            self.network.up.extend(command.SerializeToString() for command in commands)

    # What the client does

    def _answered(self, _watch_id: int, outcome: Decision | UnansweredError) -> None:
        assert isinstance(outcome, Decision), outcome

    def ask(self, session: str) -> None:
        if self.protocol.open:
            self._send(self.protocol.ask(question(session), self.true)[1])

    def ping(self) -> None:
        if self.protocol.open:
            self._send([self.protocol.ping(self.true)])

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
        """Say whether all that an allow rests on was so at some time since then.

        Each record has its own age: of two that changed within the bound, one may be known already and one not.
        """
        history = self.truth.get(session, [])
        earlier = [said for at, said in history if at <= since - 1e-6]
        later = [said for at, said in history if at > since - 1e-6]
        return all(map(any, zip(*earlier[-1:], *later, strict=True)))

    @invariant()
    def versions_never_go_back(self) -> None:
        seen: dict[tuple[Entity, str], int] = {}
        for answer in self.world.log.records:
            for use in answer.decision.attributes:
                key = (use.entity, answer.request.session)
                assert use.version >= seen.get(key, 0)
                seen[key] = use.version

    def when_all_is_quiet_the_client_is_right(self) -> None:
        self.run(self._quieten())
        for session in SESSIONS:
            held = self.cache.get(question(session), self.true)
            # A deny for want of means is not held.
            assert (held is not None and held.allowed) == all(self.truth[session][-1][1])

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
            await self._exchange()


class Together(Machine):
    """The same where decisions are made several at once, and what led to them is traced."""

    batch = 4
    traced = True


TestBound = pytest.mark.filterwarnings("ignore::ResourceWarning")(Machine.TestCase)
TestBound.settings = settings(max_examples=100, stateful_step_count=8, deadline=None)
TestBoundTogether = pytest.mark.filterwarnings("ignore::ResourceWarning")(Together.TestCase)
TestBoundTogether.settings = settings(max_examples=50, stateful_step_count=8, deadline=None)
