"""What becomes of a change is one story: heard, decided anew, told, each a span that hangs on the one before it."""

from __future__ import annotations

import pytest

from pdp.core.decision import Entity
from pdp.core.trace import Step, change_trace
from pdp.watching import Told, Why
from tests.watching.world import CUSTOMER, DEVICE, SUBJECT, World, export, read, watching

NAMES = ["pdp.attributes.invalidation", "pdp.watch.decide", "pdp.watch.tell"]


class Spans:
    """Remembers steps; ``keep`` is whether it samples."""

    def __init__(self, *, keep: bool = True) -> None:
        self.keep = keep
        self.steps: list[Step] = []

    def samples(self, trace_id: str) -> bool:
        return self.keep

    def ended(self, step: Step) -> None:
        self.steps.append(step)


@pytest.fixture
def world() -> World:
    made = World()
    made.hub.tracer = Spans()
    return made


def spans_of(world: World) -> Spans:
    assert isinstance(world.hub.tracer, Spans)
    return world.hub.tracer


async def test_a_change_is_heard_decided_and_told_in_the_trace_of_its_write(world: World) -> None:
    async with watching(world) as stream:
        stream.session.register(1, export())
        await stream.settle()
        assert spans_of(world).steps == []
        world.write(DEVICE, managed="false")
        (event,) = [it for it in await stream.settle() if isinstance(it, Told)]
    heard, decided, told = spans_of(world).steps
    write = change_trace(Entity.DEVICE, heard.facts["pdp.attributes.device.version"])
    assert [step.name for step in (heard, decided, told)] == NAMES
    assert {step.trace_id for step in (heard, decided, told)} == {write.trace_id}
    assert (heard.parent, decided.parent, told.parent) == (write.write, heard.span_id, decided.span_id)
    assert [step.remote for step in (heard, decided, told)] == [True, False, False]
    # The decision is on record under the same trace, and its own span is a part of the making.
    assert event.answer.trace_id == write.trace_id
    assert event.answer.caller.trace is not None
    assert event.answer.caller.trace.span_id == decided.span_id


async def test_one_change_of_many_decisions_is_told_once(world: World) -> None:
    async with watching(world) as stream:
        for number in range(10):
            world.write((CUSTOMER[0], CUSTOMER[1]._replace(id=f"c-{number}")), region="eu")
            stream.session.register(number + 1, read(f"c-{number}"))
        await stream.settle()
        world.write(SUBJECT, roles="[]", region="eu")
        await stream.settle()
    heard, decided, told = spans_of(world).steps
    assert (heard.name, decided.facts, told.facts) == (
        "pdp.attributes.invalidation",
        {"pdp.watch.decisions": 10},
        {"pdp.watch.messages": 10},
    )


async def test_what_changes_nothing_is_no_story(world: World) -> None:
    async with watching(world) as stream:
        stream.session.register(1, read())
        await stream.settle()
        world.write(SUBJECT, roles='["agent"]', region="eu")
        await stream.settle()
    assert spans_of(world).steps == []


async def test_a_deny_is_traced_and_an_allow_by_sampling(world: World) -> None:
    world.hub.tracer = Spans(keep=False)
    async with watching(world) as stream:
        stream.session.register(1, export())
        await stream.settle()
        world.write(DEVICE, managed="false")
        await stream.settle()
        assert [step.name for step in spans_of(world).steps] == NAMES
        world.write(DEVICE, managed="true")
        (event,) = [it for it in await stream.settle() if isinstance(it, Told)]
    assert event.answer.decision.allowed
    assert len(spans_of(world).steps) == 3
    assert event.answer.caller.trace is not None
    assert not event.answer.caller.trace.sampled


async def test_without_a_tracer_a_decision_has_a_trace_of_its_own(world: World) -> None:
    world.hub.tracer = None
    async with watching(world) as stream:
        stream.session.register(1, export())
        await stream.settle()
        world.write(DEVICE, managed="false")
        (event,) = [it for it in await stream.settle() if isinstance(it, Told)]
    assert event.cause.why is Why.ATTRIBUTES
    assert event.answer.caller.trace is None
