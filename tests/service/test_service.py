"""The decision point over its ports: enrich, decide, record, answer; and no allow where one of them fails."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest

from pdp.core.decision import Effect
from pdp.core.errors import AuditUnavailableError, InvalidRequestError
from pdp.core.reasons import Cause, Reason
from pdp.core.request import Context, EntityRef, Request
from pdp.core.trace import TraceParent
from pdp.ports import Answer, Caller
from pdp.service import Clocks, PolicyDecisionPoint
from tests.api.world import NOW, REVISION, Attributes, Policies, policy

ALICE = Request(
    EntityRef("user", "alice"),
    "read",
    EntityRef("customer", "c-1"),
    Context("billing", supported_obligations=frozenset({"mask"})),
    "s-1",
    "d-1",
)
DENIED = ALICE._replace(subject=EntityRef("user", "bob"))


def caller(deadline: float = 10**9) -> Caller:
    return Caller("spiffe://example.org/pep", "evaluate", None, deadline)


@dataclass
class Log:
    """Remembers what was put on record, and in which order with what else happened."""

    happened: list[str]
    answers: list[Answer] = field(default_factory=list)
    failing: bool = False

    async def append(self, answers: Sequence[Answer]) -> None:
        if self.failing:
            raise AuditUnavailableError("disk_full")
        self.answers.extend(answers)
        self.happened.append("recorded")


@dataclass
class Watching:
    """An observer."""

    happened: list[str]
    answers: list[Answer] = field(default_factory=list)

    def answered(self, answer: Answer) -> None:
        self.answers.append(answer)
        self.happened.append("observed")


class World:
    """A decision point and all that stands around it."""

    def __init__(self) -> None:
        self.happened: list[str] = []
        self.policies, self.attributes = Policies(), Attributes()
        self.log, self.watching = Log(self.happened), Watching(self.happened)
        numbers = itertools.count()
        clocks = Clocks(lambda: NOW, lambda: float(next(numbers)), lambda: f"{next(numbers):032x}")
        self.point = PolicyDecisionPoint(self.policies, self.attributes, self.log, clocks, [self.watching])


@pytest.fixture
def world() -> World:
    return World()


async def test_the_answer_is_the_pure_decision_put_on_record_before_it_is_observed(world: World) -> None:
    answer = await world.point.evaluate(ALICE, caller())
    assert answer.decision.allowed
    assert answer.decision.revision == REVISION
    assert world.log.answers == [answer] == world.watching.answers
    assert world.happened == ["recorded", "observed"]


async def test_every_answer_has_an_id_of_its_own_and_the_callers_trace(world: World) -> None:
    trace = TraceParent("a" * 32, "b" * 16, sampled=True)
    first, second = [await world.point.evaluate(ALICE, caller()._replace(trace=trace)) for _ in range(2)]
    assert first.id != second.id
    assert first.trace_id == second.trace_id == "a" * 32
    alone = await world.point.evaluate(ALICE, caller())
    assert alone.trace_id not in ("a" * 32, alone.id)


async def test_a_malformed_request_is_an_error_and_nothing_is_on_record(world: World) -> None:
    with pytest.raises(InvalidRequestError, match=r"subject\.id"):
        await world.point.evaluate(ALICE._replace(subject=EntityRef("user", "al ice")), caller())
    with pytest.raises(InvalidRequestError):
        await world.point.evaluate_many([ALICE, ALICE._replace(action="Read!")], caller())
    assert world.log.answers == []


async def test_off_the_record_there_is_no_allow(world: World) -> None:
    world.log.failing = True
    for answer in [
        await world.point.evaluate(ALICE, caller()),
        *await world.point.evaluate_many([ALICE, DENIED], caller()),
        (await world.point.explain(ALICE, caller()))[0],
    ]:
        assert not answer.decision.allowed
        assert answer.decision.causes == (Cause(Reason.AUDIT_UNAVAILABLE),)
        assert answer.decision.obligations == ()


async def test_without_a_policy_or_attributes_there_is_no_allow(world: World) -> None:
    world.policies.snapshot = None
    answer = await world.point.evaluate(ALICE, caller())
    assert (answer.decision.causes, answer.decision.revision) == ((Cause(Reason.POLICY_UNAVAILABLE),), "")
    world.policies.snapshot = policy()
    world.attributes.broken = True
    answer = await world.point.evaluate(ALICE, caller())
    assert answer.decision.causes == (Cause(Reason.ATTRIBUTES_UNAVAILABLE),)
    explained, explanation = await world.point.explain(ALICE, caller())
    assert (explained.decision.causes, explanation.rules) == ((Cause(Reason.ATTRIBUTES_UNAVAILABLE),), ())
    assert len(world.log.answers) == 3


async def test_attributes_that_come_too_late_are_a_deny_that_says_so(world: World) -> None:
    world.attributes.slow = frozenset({"alice"})
    answer = await world.point.evaluate(ALICE, caller(asyncio.get_running_loop().time() + 0.02))
    assert answer.decision.causes == (Cause(Reason.DEADLINE_EXCEEDED),)
    assert answer.decision.fault


async def test_attributes_from_the_store_decide_like_those_from_memory(world: World) -> None:
    held = await world.point.evaluate(ALICE, caller())
    world.attributes.slow = frozenset({"alice"})
    world.attributes.released.set()
    read = await world.point.evaluate(ALICE, caller())
    assert (held.cached, read.cached) == (True, False)
    assert held.decision == read.decision


async def test_a_batch_answers_each_as_alone_and_records_all_at_once(world: World) -> None:
    requests = [ALICE, DENIED, ALICE._replace(action="export")]
    alone = [(await world.point.evaluate(request, caller())).decision for request in requests]
    world.happened.clear()
    together = await world.point.evaluate_many(requests, caller())
    assert [answer.decision for answer in together] == alone
    assert [effect.decision.effect for effect in together] == [Effect.ALLOW, Effect.DENY, Effect.DENY]
    assert world.happened == ["recorded", "observed", "observed", "observed"]


async def test_a_batch_reads_what_it_must_and_answers_in_order(world: World) -> None:
    world.attributes.slow = frozenset({"alice"})
    requests = [ALICE, DENIED] * 20
    asked = asyncio.create_task(world.point.evaluate_many(requests, caller()))
    await asyncio.sleep(0)
    assert not world.happened
    world.attributes.released.set()
    answers = await asked
    assert [answer.request for answer in answers] == requests
    assert [answer.cached for answer in answers] == [False, True] * 20
    assert world.happened == ["recorded"] + ["observed"] * 40


async def test_what_memory_answers_does_not_wait_for_what_must_be_read(world: World) -> None:
    world.attributes.slow = frozenset({"alice"})
    answer, unread, fault = await world.point.evaluate_held([DENIED, ALICE, ALICE._replace(action="Read!")], caller())
    assert isinstance(answer, Answer)
    assert answer.decision == (await world.point.evaluate(DENIED, caller())).decision
    assert unread is None
    assert isinstance(fault, InvalidRequestError)
    assert [answer.request for answer in world.log.answers] == [DENIED, DENIED]


async def test_nothing_answered_from_memory_puts_nothing_on_record(world: World) -> None:
    world.policies.snapshot = None
    assert await world.point.evaluate_held([ALICE], caller()) == [None]
    assert not world.happened


async def test_an_explanation_explains_the_decision_that_would_be_given(world: World) -> None:
    for request in (ALICE, DENIED, ALICE._replace(action="export")):
        answer, explanation = await world.point.explain(request, caller())
        alone = await world.point.evaluate(request, caller())
        assert answer.decision == explanation.decision == alone.decision
        assert explanation.rules


async def test_a_refusal_is_on_record_with_as_much_as_is_known(world: World) -> None:
    bare = await world.point.refuse(caller(), Cause(Reason.PATH_AMBIGUOUS), None)
    about = await world.point.refuse(caller(), Cause(Reason.IDENTITY_MISSING), ALICE)
    assert [answer.request for answer in world.log.answers] == [None, ALICE]
    assert not bare.decision.allowed
    assert not about.decision.allowed
    assert about.decision.valid_until <= about.time


async def test_a_decision_is_made_under_one_revision_though_it_changes_meanwhile(world: World) -> None:
    world.attributes.slow = frozenset({"alice"})
    asked = asyncio.create_task(world.point.evaluate(ALICE, caller()))
    await asyncio.sleep(0)
    world.policies.snapshot = policy("sha256:" + "b" * 64)
    world.attributes.released.set()
    assert (await asked).decision.revision == REVISION
    assert (await world.point.evaluate(ALICE, caller())).decision.revision == "sha256:" + "b" * 64


async def test_a_cancelled_question_leaves_no_answer_behind(world: World) -> None:
    world.attributes.slow = frozenset({"alice"})
    asked = asyncio.create_task(world.point.evaluate(ALICE, caller()))
    await asyncio.sleep(0)
    asked.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asked
    assert world.log.answers == []
