"""A candidate revision on trial: it decides real requests beside the one in force, and nobody hears its answers."""

from __future__ import annotations

import asyncio
import enum
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from pdp.core.decide import decide, judge
from pdp.core.decision import Decision, Effect
from pdp.core.entities import Entities
from pdp.core.policy import PolicySnapshot
from pdp.core.request import Request
from pdp.core.schema import Schema
from pdp.policy.ground import CommonGround
from pdp.ports import Answer

_WAITING_LIMIT: Final = 1024
_TOLD_PER_SECOND: Final = 50


class Change(enum.StrEnum):
    """How the candidate's answer differs."""

    NEWLY_ALLOWED = "newly_allowed"
    NEWLY_DENIED = "newly_denied"
    OBLIGATIONS_CHANGED = "obligations_changed"


@dataclass(slots=True)
class Counts:
    """What a trial came to so far.

    Attributes:
        compared: requests that both revisions decided.
        newly_allowed: denied by the one in force, allowed by the candidate.
        newly_denied: allowed by the one in force, denied by the candidate.
        obligations_changed: allowed by both, under other obligations.
        skipped: not compared: the candidate's rules read what it declares otherwise, or too many requests waited.
    """

    compared: int = 0
    newly_allowed: int = 0
    newly_denied: int = 0
    obligations_changed: int = 0
    skipped: int = 0


@dataclass(frozen=True, slots=True)
class Difference:
    """A request that the candidate decides otherwise.

    Attributes:
        change: how.
        answer: what was answered.
        decision: what the candidate would have answered.
    """

    change: Change
    answer: Answer
    decision: Decision


@dataclass(slots=True)
class Trial:
    """Implements ``pdp.ports.Trial``. Requests are decided anew after their answer is on its way.

    Attributes:
        candidate: the revision on trial. Where it declares attributes as the one in force does, its schema is to be
            that very object; where it does not, requests are compared as far as what was read says enough.
        tell: told of differences, of so many a second at most; all of them are counted. Must not raise.
        counts: what it came to so far.
    """

    candidate: PolicySnapshot
    tell: Callable[[Difference], None]
    counts: Counts = field(default_factory=Counts)
    _ground: tuple[Schema, PolicySnapshot, CommonGround] | None = None
    _waiting: int = 0
    _second: int = 0
    _told: int = 0

    def ground(self, live: PolicySnapshot) -> CommonGround | None:
        """Give what the candidate can be compared on; None where it declares everything as the one in force does."""
        schema, candidate = live.schema, self.candidate
        if schema is candidate.schema:
            return None
        if self._ground is None or self._ground[0] is not schema or self._ground[1] is not candidate:
            self._ground = (schema, candidate, CommonGround(schema, candidate))
        return self._ground[2]

    def answered(self, answer: Answer, policy: PolicySnapshot, entities: Entities) -> None:
        """Have the candidate decide the same request on the same ground, soon."""
        if self._waiting >= _WAITING_LIMIT:
            self.counts.skipped += 1
            return
        self._waiting += 1
        asyncio.get_running_loop().call_soon(self._compare, answer, policy, entities)

    def _compare(self, answer: Answer, policy: PolicySnapshot, entities: Entities) -> None:
        self._waiting -= 1
        if answer.request is None:
            return
        decision = self._decide(answer.request, policy, entities, answer.time)
        if decision is None:
            self.counts.skipped += 1
            return
        self.counts.compared += 1
        change = change_between(answer.decision, decision)
        if change is None:
            return
        setattr(self.counts, change.value, getattr(self.counts, change.value) + 1)
        if self._may_tell():
            self.tell(Difference(change, answer, decision))

    def _decide(self, request: Request, policy: PolicySnapshot, entities: Entities, now: float) -> Decision | None:
        ground = self.ground(policy)
        if ground is None:
            return decide(request, entities, self.candidate, now)
        # Whether a step-up would help is left open: it takes values that nobody has read.
        return judge(request, entities, self.candidate, now) if ground.bears(request, entities) else None

    def _may_tell(self) -> bool:
        second = int(time.monotonic())
        if second != self._second:
            self._second, self._told = second, 0
        self._told += 1
        return self._told <= _TOLD_PER_SECOND


def change_between(before: Decision, after: Decision) -> Change | None:
    """Say how an answer changes what a caller may do; a deny for another reason changes nothing."""
    if before.effect is not after.effect:
        return Change.NEWLY_ALLOWED if after.effect is Effect.ALLOW else Change.NEWLY_DENIED
    if before.effect is Effect.ALLOW and before.obligations != after.obligations:
        return Change.OBLIGATIONS_CHANGED
    return None
