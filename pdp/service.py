"""The policy decision point: enrich, decide, record, answer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final, NamedTuple

from pdp.core.decide import decide, refuse
from pdp.core.decision import Decision
from pdp.core.entities import Entities, refs
from pdp.core.errors import AttributesUnavailableError, AuditUnavailableError, InvalidRequestError
from pdp.core.explain import Explanation, explain
from pdp.core.policy import PolicySnapshot
from pdp.core.reasons import Cause, Reason
from pdp.core.request import Request, validate
from pdp.ports import Answer, AttributeSource, Caller, DecisionLog, Observer, PolicySource, Trial

_READS_AT_ONCE: Final = 4
"""Requests of a batch that read attributes at once: each may take a connection to the store of its own."""


@dataclass(frozen=True, slots=True)
class Clocks:
    """Sources of time and identifiers, given from outside so that the service itself is deterministic.

    Attributes:
        wall: seconds since the epoch.
        elapsed: seconds of a clock that never steps.
        new_id: 32 hexadecimal digits, unique.
    """

    wall: Callable[[], float]
    elapsed: Callable[[], float]
    new_id: Callable[[], str]


class _Ground(NamedTuple):
    """What one decision rests on."""

    policy: PolicySnapshot
    entities: Entities
    cached: bool


class _NoGroundError(Exception):
    """There is nothing to decide by: which is a deny, and says why."""

    def __init__(self, reason: Reason, revision: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.revision = revision


class PolicyDecisionPoint:
    """Answers authorization questions. Every answer is on record before it is returned.

    Attributes:
        trial: a candidate revision on trial; None where there is none, and then it costs nothing.
    """

    def __init__(
        self,
        policies: PolicySource,
        attributes: AttributeSource,
        log: DecisionLog,
        clocks: Clocks,
        observers: Sequence[Observer] = (),
    ) -> None:
        self._policies = policies
        self._attributes = attributes
        self._log = log
        self._clocks = clocks
        self._observers = tuple(observers)
        self.trial: Trial | None = None

    async def evaluate(self, request: Request, caller: Caller) -> Answer:
        """Answer one request.

        Raises:
            InvalidRequestError: the request is malformed; there is no decision on it.
        """
        validate(request)
        held = self._answer_held(request, caller, self._clocks.wall(), self._trace_id(caller))
        answer = held or await self._answer(request, caller)
        return (await self._record([answer]))[0]

    async def evaluate_many(self, requests: Sequence[Request], caller: Caller) -> list[Answer]:
        """Answer several requests, each as ``evaluate`` would, and put them on record together.

        Raises:
            InvalidRequestError: one of them is malformed; none is answered.
        """
        for request in requests:
            validate(request)
        now, trace_id = self._clocks.wall(), self._trace_id(caller)
        held = [self._answer_held(request, caller, now, trace_id) for request in requests]
        unread = [index for index, answer in enumerate(held) if answer is None]
        read: dict[int, Answer] = {}
        for start in range(0, len(unread), _READS_AT_ONCE):
            some = unread[start : start + _READS_AT_ONCE]
            found = await asyncio.gather(*(self._answer(requests[index], caller) for index in some))
            read.update(zip(some, found, strict=True))
        return await self._record([answer or read[index] for index, answer in enumerate(held)])

    async def evaluate_held(
        self, requests: Sequence[Request], caller: Caller
    ) -> list[Answer | InvalidRequestError | None]:
        """Answer those requests whose attributes are in memory, and put them on record together.

        Returns:
            For each request its answer, or what is wrong with it; None where attributes must be read first, and
            ``evaluate`` is to be asked.
        """
        now = self._clocks.wall()
        outcomes = [self._outcome(request, caller, now) for request in requests]
        recorded = iter(await self._record([outcome for outcome in outcomes if isinstance(outcome, Answer)]))
        return [next(recorded) if isinstance(outcome, Answer) else outcome for outcome in outcomes]

    async def explain(self, request: Request, caller: Caller) -> tuple[Answer, Explanation]:
        """Answer one request and take the answer apart. The decision is the one ``evaluate`` would give.

        Raises:
            InvalidRequestError: the request is malformed.
        """
        validate(request)
        started = self._clocks.elapsed()
        try:
            ground = await self._ground(request, caller.deadline)
        except _NoGroundError as error:
            explanation, cached = Explanation(self._refusal(error), ()), False
        else:
            explanation = explain(request, ground.entities, ground.policy, self._clocks.wall())
            cached = ground.cached
        answer = self._dress(request, caller, explanation.decision, started, cached=cached)
        recorded = (await self._record([answer]))[0]
        return recorded, replace(explanation, decision=recorded.decision)

    async def refuse(self, caller: Caller, cause: Cause, about: Request | None) -> Answer:
        """Deny, and put on record, a call that never became a decidable request.

        Args:
            caller: who asked.
            cause: why it is refused.
            about: as much of the request as is known, or None.
        """
        policy = self._policies.current()
        decision = refuse(policy.revision if policy else "", self._clocks.wall(), cause)
        return (await self._record([self._dress(about, caller, decision, self._clocks.elapsed(), cached=True)]))[0]

    def _outcome(self, request: Request, caller: Caller, now: float) -> Answer | InvalidRequestError | None:
        try:
            validate(request)
        except InvalidRequestError as error:
            return error
        return self._answer_held(request, caller, now, self._trace_id(caller))

    def _answer_held(self, request: Request, caller: Caller, now: float, trace_id: str) -> Answer | None:
        """Answer from memory, without waiting; None where something is not there."""
        clocks = self._clocks
        started = clocks.elapsed()
        policy = self._policies.current()
        if policy is None:
            return None
        entities = self._attributes.peek(refs(request), policy.schema)
        if entities is None:
            return None
        decision = decide(request, entities, policy, now)
        answer = Answer(clocks.new_id(), trace_id, now, request, caller, decision, clocks.elapsed() - started, True)
        if self.trial is not None:
            self.trial.answered(answer, policy, entities)
        return answer

    async def _answer(self, request: Request, caller: Caller) -> Answer:
        started = self._clocks.elapsed()
        try:
            ground = await self._ground(request, caller.deadline)
        except _NoGroundError as error:
            return self._dress(request, caller, self._refusal(error), started, cached=False)
        decision = decide(request, ground.entities, ground.policy, self._clocks.wall())
        answer = self._dress(request, caller, decision, started, cached=ground.cached)
        if self.trial is not None:
            self.trial.answered(answer, ground.policy, ground.entities)
        return answer

    async def _ground(self, request: Request, deadline: float) -> _Ground:
        """Find the revision and the records to decide by: one of each, used throughout."""
        policy = self._policies.current()
        if policy is None:
            raise _NoGroundError(Reason.POLICY_UNAVAILABLE, "")
        wanted = refs(request)
        if held := self._attributes.peek(wanted, policy.schema):
            return _Ground(policy, held, cached=True)
        try:
            read = await self._attributes.load(wanted, policy.schema, deadline)
        except AttributesUnavailableError:
            late = asyncio.get_running_loop().time() >= deadline
            reason = Reason.DEADLINE_EXCEEDED if late else Reason.ATTRIBUTES_UNAVAILABLE
            raise _NoGroundError(reason, policy.revision) from None
        return _Ground(policy, read, cached=False)

    def _refusal(self, error: _NoGroundError) -> Decision:
        return refuse(error.revision, self._clocks.wall(), Cause(error.reason))

    def _dress(
        self, request: Request | None, caller: Caller, decision: Decision, started: float, *, cached: bool
    ) -> Answer:
        clocks = self._clocks
        took = clocks.elapsed() - started
        return Answer(clocks.new_id(), self._trace_id(caller), clocks.wall(), request, caller, decision, took, cached)

    def _trace_id(self, caller: Caller) -> str:
        return caller.trace.trace_id if caller.trace else self._clocks.new_id()

    async def _record(self, answers: list[Answer]) -> list[Answer]:
        """Put answers on record, or turn them all into denies: an allow off the record is never given."""
        if not answers:
            return answers
        try:
            await self._log.append(answers)
        except AuditUnavailableError:
            answers = [self._withheld(answer) for answer in answers]
        for observer in self._observers:
            for answer in answers:
                observer.answered(answer)
        return answers

    def _withheld(self, answer: Answer) -> Answer:
        cause = Cause(Reason.AUDIT_UNAVAILABLE)
        return answer._replace(decision=refuse(answer.decision.revision, answer.time, cause))
