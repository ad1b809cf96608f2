"""What the service needs from outside, and what each adapter promises.

A promise is more than a signature: it says who may call, how long it may take, what it raises, and who owns what is
passed. Adapters are called from one event loop.
"""

from __future__ import annotations

import enum
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Final, NamedTuple, Protocol

from pdp.core.decision import Decision, Entity
from pdp.core.entities import Entities
from pdp.core.limits import Level, Limits
from pdp.core.policy import PolicySnapshot
from pdp.core.record import Record
from pdp.core.request import EntityRef, Request
from pdp.core.schema import Schema
from pdp.core.signals.events import Event
from pdp.core.signals.plan import Plan
from pdp.core.trace import Step, TraceParent

Refs = Sequence[tuple[Entity, EntityRef]]


class Caller(NamedTuple):
    """Who asks, and under which trace.

    Attributes:
        id: the proved identity of the enforcement point (a SPIFFE id), or empty on a connection without one.
        interface: through which door the question came, such as ``evaluate`` or ``ext_authz``.
        trace: the caller's span, if it sent one.
        deadline: when the answer is due, in seconds of the event loop's clock.
    """

    id: str
    interface: str
    trace: TraceParent | None
    deadline: float


class Answer(NamedTuple):
    """A decision as it is given out and put on record.

    Attributes:
        id: names the decision; 32 hexadecimal digits, unique.
        trace_id: 32 hexadecimal digits: the caller's trace, or a new one.
        time: when it was made, in seconds since the epoch.
        request: the question; None where the call was refused before it named one.
        caller: who asked.
        decision: the answer.
        duration: seconds from the parsed request to the decision, attribute reads included.
        cached: whether every attribute came from memory.
    """

    id: str
    trace_id: str
    time: float
    request: Request | None
    caller: Caller
    decision: Decision
    duration: float
    cached: bool


class PolicySource(Protocol):
    """Holds the policy revision in force."""

    def current(self) -> PolicySnapshot | None:
        """Give the revision in force; None until a first one was accepted. Never waits, never raises."""


class AttributeSource(Protocol):
    """The policy information point."""

    def peek(self, refs: Refs, schema: Schema) -> Entities | None:
        """Give the records from memory, without waiting.

        Returns:
            The records, where every one of them is held, was read under this very schema, and is vouched for by a
            live lease; None otherwise, and then ``load`` is to be awaited. Never raises.
        """

    async def load(self, refs: Refs, schema: Schema, deadline: float) -> Entities:
        """Read the records, from memory where that is allowed and from the store otherwise.

        Args:
            refs: what to read; a reference that the store does not hold gives None in its place.
            schema: the declarations to read them by.
            deadline: when to give up, in seconds of the event loop's clock.

        Raises:
            AttributesUnavailableError: the store did not answer in time, or not properly. Nothing is cached then.
        """


class ChangeListener(Protocol):
    """Whoever is to hear of changes in the attribute store. No method may wait or raise."""

    def changed(self, entity: str, kind: str, identifier: str) -> None:
        """Take note that an entity's record was written, deleted, or has expired; reads give the new one already."""

    def everything_changed(self) -> None:
        """Take note that any record may have changed: the store was emptied, or was out of sight until now."""


class ChangeFeed(Protocol):
    """Tells of every change in the attribute store, whether or not the record is held in memory."""

    def follow(self, listener: ChangeListener) -> None:
        """Tell a listener of all changes from now on."""

    def staleness(self) -> float | None:
        """Give for how many seconds changes may have gone untold; None while they are not told at all."""


class DecisionLog(Protocol):
    """The audit trail of decisions."""

    async def append(self, answers: Sequence[Answer]) -> None:
        """Put answers on record, as durably as the log is set to, before it returns.

        Raises:
            AuditUnavailableError: at least one of them is not on record; none of them may be answered as an allow.
        """


class Observer(Protocol):
    """Traces and metrics. Called after an answer is on record, on the path of the request."""

    def answered(self, answer: Answer) -> None:
        """Take note of an answer. Must not wait, must not raise."""


class Tracer(Protocol):
    """Traces of what is not a decision. Neither method waits or raises."""

    def samples(self, trace_id: str) -> bool:
        """Say whether a trace is one of those kept whatever is in it."""

    def ended(self, step: Step) -> None:
        """Take note of a step that is to be in its trace."""


class Trial(Protocol):
    """A candidate policy revision that decides the same requests beside the one in force, unheard."""

    def answered(self, answer: Answer, policy: PolicySnapshot, entities: Entities) -> None:
        """Take note of an answer, the revision that gave it and the records it rests on. Must not wait or raise.

        Called on the path of the request, before the answer is on record.
        """


class Outcome(enum.StrEnum):
    """What became of a signal that was accepted."""

    APPLIED = "applied"
    """A record was changed."""
    KEPT = "kept"
    """There is no record; it is kept for one that may come."""
    OUTDATED = "outdated"
    """Something newer is on record, or a latch stands as high."""
    MISMATCH = "mismatch"
    """The session named is not of the subject or device named, so the subject is nobody here."""
    NOTED = "noted"
    """Nothing was to be changed."""
    DUPLICATE = "duplicate"
    """Its token was seen before."""


WRITTEN: Final = (Outcome.APPLIED, Outcome.KEPT)
"""Outcomes by which a record was changed, or one that may come."""


class Applied(NamedTuple):
    """What became of a signal, and the version that the record it changed has now; 0 where it changed none."""

    outcome: Outcome
    version: int


class SignalStore(Protocol):
    """Where signals change attributes."""

    async def apply(self, event: Event, plan: Plan, token_age: float) -> Applied:
        """Carry out what an event changes and remember its token, in one atomic step.

        Args:
            event: the event; its issuer and id name the token, which has an effect once.
            plan: what it changes. An older value never overrides a newer one, and nothing lowers a latch.
            token_age: seconds for which the token is to be remembered.

        Raises:
            AttributesUnavailableError: the store did not take it, or not answer; it may be applied again.
        """


class Turns(Protocol):
    """Work that one process of many is to do at a time."""

    async def take(self, name: str, holder: str, seconds: float) -> int:
        """Take a turn at some work, or go on with it.

        Args:
            name: of the work.
            holder: who asks; unique among all processes.
            seconds: for how long, from when the store is asked; 0 gives the turn back.

        Returns:
            The number of the term, which is another, and higher, whenever the turn begins anew; 0 where somebody else
            has it.

        Raises:
            AttributesUnavailableError: the store does not answer. Whether the turn was taken is not known.
        """


FeedValue = bool | int | float | str | Sequence[str]


class AttributeChange(NamedTuple):
    """A record as it is now.

    Attributes:
        entity: whose; None where changes may have been missed, and the record of every entity asked for follows.
        ref: the same.
        record: None where the entity is not on record.
    """

    entity: Entity | None
    ref: EntityRef | None
    record: Record | None


class AttributeStore(Protocol):
    """Where feeds write attributes. ``given`` are values by attribute name; ``by`` is the feed's proved identity.

    What a feed says counts only where nothing newer is stored. Every method raises ``InvalidRequestError`` where the
    schema does not allow what is given, and ``AttributesUnavailableError`` where the store does not answer.
    """

    async def put(
        self,
        schema: Schema,
        entity: Entity,
        ref: EntityRef,
        given: Mapping[str, FeedValue],
        issued_at: float,
        by: str,
    ) -> int:
        """Make these the entity's attributes; give the record's version."""

    async def patch(
        self,
        schema: Schema,
        entity: Entity,
        ref: EntityRef,
        given: Mapping[str, FeedValue],
        issued_at: float,
        by: str,
    ) -> int:
        """Change some attributes; give the record's version, 0 where the entity is not on record."""

    async def delete(self, schema: Schema, entity: Entity, ref: EntityRef, issued_at: float, by: str) -> int:
        """Make the entity unknown; give the version of what marks that, 0 where it was not on record."""

    async def read(self, schema: Schema, entity: Entity, ref: EntityRef) -> Record | None:
        """Give the record as the store holds it; None where the entity is not on record."""

    def watch(self, schema: Schema, targets: tuple[tuple[Entity, EntityRef], ...]) -> AsyncIterator[AttributeChange]:
        """Give each target's record, and again whenever it changes, for as long as it is iterated."""


class Sighting(NamedTuple):
    """What was decided of late about one subject.

    Attributes:
        subject: whom.
        seen: by feature, each decision that counts: when, in seconds since the epoch, and a digest of the resource.
    """

    subject: EntityRef
    seen: Mapping[str, Sequence[tuple[float, str]]]


class Standing(NamedTuple):
    """How a subject stands.

    Attributes:
        level: the level as it was last told and set.
        peak: the level that was called for last; it falls from there.
        since: when that was, in seconds since the epoch; 0 where it never was.
    """

    level: Level
    peak: Level
    since: float


class Tally(NamedTuple):
    """What a subject does, over all workers.

    Attributes:
        subject: whom.
        values: by feature, the count over its window.
        samples: by feature, the highest counts of past periods, oldest first.
        standing: how the subject stands.
    """

    subject: EntityRef
    values: Mapping[str, int]
    samples: Mapping[str, Sequence[int]]
    standing: Standing


class Assessment(NamedTuple):
    """A level to be set.

    Attributes:
        subject: whose.
        level: the level.
        called: whether behaviour calls for it now; otherwise it is what is left of an earlier one.
        found: how the subject stood when it was assessed; a fall takes place only if that is still so.
        at: when, in seconds since the epoch.
        by: who says so: issuer and id of the token that tells others.
    """

    subject: EntityRef
    level: Level
    called: bool
    found: Standing
    at: float
    by: tuple[str, str]


class RiskStore(Protocol):
    """Where behaviour is counted, shared by all workers.

    Every method raises ``AttributesUnavailableError`` where the store does not answer.
    """

    async def count(self, limits: Limits, sightings: Sequence[Sighting], now: float) -> list[Tally]:
        """Add what was seen, which may be nothing, and give each subject's counts, in the order given."""

    async def assess(self, limits: Limits, assessment: Assessment) -> Level | None:
        """Set a level, and the attribute that follows from it, in one atomic step.

        What others say of the attribute is never lowered, and is again what it says when nothing of ours stands.

        Returns:
            The level before, where it changed by this; None where it did not. Of several workers that see the same,
            one is given it.
        """

    async def due(self, now: float, most: int) -> list[EntityRef]:
        """Give subjects whose level is to be looked at again."""
