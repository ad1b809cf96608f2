"""What the service needs from outside, and what each adapter promises.

A promise is more than a signature: it says who may call, how long it may take, what it raises, and who owns what is
passed. Adapters are called from one event loop.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from pdp.core.decision import Decision, Entity
from pdp.core.entities import Entities
from pdp.core.policy import PolicySnapshot
from pdp.core.request import EntityRef, Request
from pdp.core.schema import Schema
from pdp.core.trace import TraceParent

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
