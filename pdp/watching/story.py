"""What becomes of one change of a record, as spans: heard of, decided anew, told."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from pdp.core.decision import Effect, Entity
from pdp.core.entities import refs
from pdp.core.errors import AttributesUnavailableError
from pdp.core.record import Record
from pdp.core.trace import Step, TraceParent, change_trace
from pdp.ports import Answer, Tracer
from pdp.watching.backlog import Mark

if TYPE_CHECKING:
    from pdp.watching.session import Ground

_MICROSECONDS: Final = 1e6


class Story:
    """The part of one session in the trace of a write; see ``pdp.core.trace``.

    Args:
        tracer: told.
        entity: whose record was written.
        version: what the write made it: the store's time in microseconds, where none was higher before.
        heard: when this process heard of it, in seconds since the epoch.

    Attributes:
        trace: where the spans of the decisions that are made anew belong.
        messages: how many of them the caller is told.
    """

    def __init__(self, tracer: Tracer, entity: Entity, version: int, heard: float) -> None:
        self._tracer = tracer
        self._entity = entity
        self._version = version
        self._heard = heard
        self._change = change_trace(entity, version)
        sampled = tracer.samples(self._change.trace_id)
        self.trace = TraceParent(self._change.trace_id, secrets.token_hex(8), sampled)
        self._made: tuple[int, float] = 0, heard
        self.messages = 0

    def decided(self, answers: Sequence[Answer | Exception], at: float) -> None:
        """Take note of the decisions. Denies are traced whether or not their trace is kept otherwise."""
        made = [it for it in answers if isinstance(it, Answer)]
        self._made = len(made), at
        if any(it.decision.effect is not Effect.ALLOW for it in made):
            self.trace = TraceParent(self.trace.trace_id, self.trace.span_id, sampled=True)

    def told(self, at: float) -> None:
        """Tell all, once the caller has been sent what there was to send; nothing, where there was nothing."""
        if not (self.messages and self.trace.sampled):
            return
        number, decided = self._made
        heard, made = secrets.token_hex(8), self.trace.span_id
        version = {f"pdp.attributes.{self._entity.value}.version": self._version}
        written = min(self._heard, self._version / _MICROSECONDS)
        self._step("pdp.attributes.invalidation", heard, self._change.write, written, self._heard, **version)
        self._step("pdp.watch.decide", made, heard, self._heard, decided, **{"pdp.watch.decisions": number})
        self._step("pdp.watch.tell", secrets.token_hex(8), made, decided, at, **{"pdp.watch.messages": self.messages})

    def _step(self, name: str, span: str, parent: str, started: float, ended: float, **facts: int) -> None:
        remote = parent == self._change.write
        self._tracer.ended(Step(name, self.trace.trace_id, span, parent, started, ended, remote, facts))


async def story_of(ground: Ground, marks: Sequence[Mark], deadline: float) -> Story | None:
    """Find which write it is that all of these are decided anew for; None where there is none, or nothing is traced.

    The record is read for it, and then they are decided by that.
    """
    policy, (_, cause, _, _), watch = ground.policies.current(), marks[0], marks[0].watch
    if ground.tracer is None or policy is None or cause.entity is None:
        return None
    entity, clocks = cause.entity, ground.clocks
    if any((mark.cause, mark.watch.targets.get(entity)) != (cause, watch.targets.get(entity)) for mark in marks):
        return None
    wanted = [pair for pair in refs(watch.request) if pair[0] is entity]
    heard = clocks.wall() - (clocks.elapsed() - min(mark.at for mark in marks))
    try:
        record: Record | None = getattr(await ground.attributes.load(wanted, policy.schema, deadline), entity.value)
    except AttributesUnavailableError:
        return None
    return Story(ground.tracer, entity, record.version, heard) if record else None
