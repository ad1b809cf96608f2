"""A caller is told what changes, why, and nothing else; and can go on where it was cut off."""

from __future__ import annotations

import asyncio

import pytest

from pdp.core.decision import Entity
from pdp.core.errors import InvalidRequestError
from pdp.core.request import EntityRef
from pdp.watching import (
    Cause,
    Cursor,
    Opened,
    Pong,
    Rejected,
    Resync,
    Told,
    TooManyWatchesError,
    WatchClosedError,
    WatchSettings,
    Why,
)
from tests.api.world import policy
from tests.watching.world import CUSTOMER, DEVICE, PEP, SESSION, SUBJECT, World, export, read, told, watching


async def test_a_request_is_answered_when_it_is_registered_and_on_record() -> None:
    world = World()
    async with watching(world) as stream:
        stream.session.register(7, read())
        opened, first = await stream.settle()
    assert opened == Opened(1, stream.session.epoch, resumed=False)
    assert isinstance(first, Told)
    assert (first.sequence, first.watch_id, first.cause) == (2, 7, Cause(Why.REGISTERED))
    assert first.answer.decision.allowed
    assert world.log.records == [first.answer]
    assert first.answer.caller.id == PEP.id


async def test_a_change_is_told_with_whose_it_was() -> None:
    world = World()
    async with watching(world) as stream:
        stream.session.register(1, export())
        await stream.settle()
        world.write(DEVICE, managed="false")
        (event,) = await stream.settle()
        assert isinstance(event, Told)
        assert not event.answer.decision.allowed
        assert event.cause == Cause(Why.ATTRIBUTES, Entity.DEVICE)
        assert event.answer == world.log.records[-1]
        world.write(DEVICE, managed="true")
        assert told(await stream.settle()) == {1: True}


async def test_a_change_that_alters_nothing_to_enforce_is_not_told() -> None:
    world = World()
    async with watching(world) as stream:
        stream.session.register(1, export())
        await stream.settle()
        world.write(DEVICE, managed="true")
        assert await stream.settle() == []
        assert len(world.log.records) == 2


async def test_only_what_reads_the_changed_entity_is_decided_anew() -> None:
    world = World()
    async with watching(world) as stream:
        for number in range(1, 201):
            ref = (Entity.SESSION, EntityRef("session", f"s-{number}"))
            world.write(ref, level="2", authenticated_at="1799999000")
            stream.session.register(number, export(session=f"s-{number}"))
        stream.session.register(500, read())
        assert len(told(await stream.settle())) == 201
        before = world.hub.decisions
        world.write((Entity.SESSION, EntityRef("session", "s-17")), level="1", authenticated_at="1799999000")
        assert told(await stream.settle()) == {17: False}
        assert world.hub.decisions == before + 1
        world.write((Entity.SESSION, EntityRef("session", "unwatched")), level="1")
        await stream.settle()
        assert world.hub.decisions == before + 1


async def test_an_entity_that_a_decision_does_not_read_costs_nothing() -> None:
    world = World()
    async with watching(world) as stream:
        stream.session.register(1, read()._replace(device="d-1"))
        await stream.settle()
        before = world.hub.decisions
        world.write(DEVICE, managed="false")
        await stream.settle()
        assert world.hub.decisions == before


async def test_an_entity_that_was_unknown_is_noticed_when_it_appears() -> None:
    world = World()
    world.attributes.remove(DEVICE)
    async with watching(world) as stream:
        stream.session.register(1, export())
        assert told(await stream.settle()) == {1: False}
        world.write(DEVICE, managed="true")
        assert told(await stream.settle()) == {1: True}


async def test_another_revision_is_told() -> None:
    world = World()
    async with watching(world) as stream:
        stream.session.register(1, read())
        await stream.settle()
        world.policies.snapshot = policy("sha256:" + "b" * 64)
        world.hub.policy_changed()
        assert await stream.settle() == []
        world.policies.snapshot = None
        world.hub.policy_changed()
        (event,) = await stream.settle()
        assert isinstance(event, Told)
        assert event.cause == Cause(Why.POLICY)
        assert not event.answer.decision.allowed


async def test_time_alone_is_told_and_costs_nothing_before_it_matters() -> None:
    world = World()
    schema = world.policies.snapshot.schema
    aged = schema.entities[Entity.SESSION]["level"]
    object.__setattr__(aged, "max_age", 100.0)
    try:
        world.write(SESSION, level="2", authenticated_at="1799999000")
        async with watching(world) as stream:
            stream.session.register(1, export())
            assert told(await stream.settle()) == {1: True}
            before = world.hub.decisions
            world.now += 59.0
            stream.session.ping(1)
            await stream.settle()
            assert world.hub.decisions == before
            world.now += 2.0
            stream.session.ping(2)
            events = await stream.settle()
            assert told(events) == {1: False}
            assert events[0].cause == Cause(Why.TIME)
            assert isinstance(events[-1], Pong)
    finally:
        object.__setattr__(aged, "max_age", None)


async def test_a_pong_follows_what_was_due_when_its_ping_came() -> None:
    world = World()
    async with watching(world) as stream:
        stream.session.register(1, export())
        await stream.settle()
        world.write(DEVICE, managed="false")
        stream.session.ping(9)
        change, pong = await stream.settle()
        assert isinstance(change, Told)
        assert pong == Pong(change.sequence + 1, 9, 0.01)
        world.feed.lost = True
        stream.session.ping(10)
        (pong,) = await stream.settle()
        assert pong.age is None


async def test_a_pong_waits_for_every_batch_that_was_due() -> None:
    world = World(WatchSettings(batch=1))
    async with watching(world) as stream:
        for watch_id in (1, 2, 3):
            stream.session.register(watch_id, export())
        await stream.settle()
        world.write(DEVICE, managed="false")
        stream.session.ping(9)
        events = await stream.settle()
        assert told(events[:3]) == {1: False, 2: False, 3: False}
        assert isinstance(events[3], Pong)


async def test_a_fault_is_tried_again_ever_less_often() -> None:
    world = World()
    async with watching(world) as stream:
        world.attributes.fail = True
        stream.session.register(1, read())
        assert told(await stream.settle()) == {1: False}
        tries = []
        for _ in range(10):
            world.now += 1.0
            stream.session.ping(1)
            await stream.settle()
            tries.append(len(world.log.records))
        assert tries == [2, 2, 3, 3, 3, 3, 4, 4, 4, 4]
        world.attributes.fail = False
        world.now += 60.0
        stream.session.ping(1)
        assert told(await stream.settle()) == {1: True}


async def test_a_change_while_it_is_decided_is_not_lost() -> None:
    world = World()
    async with watching(world) as stream:
        stream.session.register(1, export())
        await stream.settle()
        world.attributes.delay = 0.02
        world.write(DEVICE, managed="true")
        await asyncio.sleep(0.01)
        world.write(SESSION, level="1", authenticated_at="1799999000")
        await asyncio.sleep(0.1)
        assert told(await stream.settle()) == {1: False}


async def test_a_store_that_was_out_of_sight_has_everything_decided_anew() -> None:
    world = World()
    async with watching(world) as stream:
        stream.session.register(1, read())
        stream.session.register(2, export())
        await stream.settle()
        world.feed.lost = True
        world.write(DEVICE, managed="false")
        assert await stream.settle() == []
        world.feed.lost = False
        world.feed.tell_everything()
        (event,) = await stream.settle()
        assert (event.watch_id, event.cause) == (2, Cause(Why.STORE))


async def test_a_malformed_request_is_refused_and_others_are_not() -> None:
    world = World()
    async with watching(world) as stream:
        stream.session.register(1, read("no such id!"))
        stream.session.register(2, read())
        _, refused, answered = await stream.settle()
    assert isinstance(refused, Rejected)
    assert isinstance(refused.error, InvalidRequestError)
    assert told([answered]) == {2: True}


async def test_there_is_a_bound_on_what_is_watched() -> None:
    world = World(WatchSettings(max_watches=2, max_total=3, max_streams=2))
    async with watching(world) as one, watching(world) as two:
        for watch_id in (1, 2, 3):
            one.session.register(watch_id, read())
            two.session.register(watch_id, read())
        refused = [event for stream in (one, two) for event in await stream.settle() if isinstance(event, Rejected)]
        assert [type(event.error) for event in refused] == [TooManyWatchesError] * 3
        one.session.unregister(1)
        two.session.register(3, read())
        assert told(await two.settle()) == {3: True}
        with pytest.raises(WatchClosedError):
            world.open()


async def test_a_registration_again_is_answered_again_and_may_name_another_request() -> None:
    world = World()
    async with watching(world) as stream:
        stream.session.register(1, read())
        await stream.settle()
        stream.session.register(1, read())
        assert told(await stream.settle()) == {1: True}
        stream.session.register(1, read(subject="nobody"))
        assert told(await stream.settle()) == {1: False}
        world.write(SUBJECT, roles='["agent"]', region="us")
        assert await stream.settle() == []


async def test_what_is_no_longer_watched_is_no_longer_decided() -> None:
    world = World()
    async with watching(world) as stream:
        stream.session.register(1, read())
        await stream.settle()
        before = world.hub.decisions
        stream.session.unregister(1)
        stream.session.unregister(99)
        world.write(CUSTOMER, region="us")
        assert await stream.settle() == []
        assert world.hub.decisions == before
        assert world.hub.stats().watches == 0
        assert not world.hub._index


async def test_one_who_comes_back_is_told_what_it_missed_and_nothing_else() -> None:
    world = World()
    async with watching(world) as stream:
        stream.session.register(1, export())
        stream.session.register(2, read())
        await stream.settle()
        cursor = Cursor(stream.session.epoch, stream.session.sequence)
    world.write(DEVICE, managed="false")
    async with watching(world, cursor) as again:
        opened, event = await again.settle()
        assert opened == Opened(cursor.sequence + 1, cursor.epoch, resumed=True)
        assert told([event]) == {1: False}


async def test_events_that_did_not_arrive_are_told_as_they_are_now() -> None:
    world = World()
    async with watching(world) as stream:
        stream.session.register(1, export())
        await stream.settle()
        cursor = Cursor(stream.session.epoch, stream.session.sequence)
        world.write(DEVICE, managed="false")
        assert told(await stream.settle()) == {1: False}
    async with watching(world, cursor) as again:
        assert told(await again.settle()) == {1: False}


@pytest.mark.parametrize("cursor", [Cursor("f" * 32, 1), None])
async def test_an_unknown_epoch_begins_anew(cursor: Cursor | None) -> None:
    world = World()
    _, resumed = world.open(cursor)
    assert not resumed


async def test_an_epoch_is_of_no_use_to_anyone_else() -> None:
    world = World()
    async with watching(world) as stream:
        cursor = Cursor(stream.session.epoch, stream.session.sequence)
        other, resumed = world.open(cursor, PEP._replace(id="spiffe://example.org/other"))
        assert (other is stream.session, resumed) == (False, False)
        assert not stream.ended


async def test_a_sequence_that_was_never_told_begins_anew() -> None:
    world = World()
    async with watching(world) as stream:
        await stream.settle()
        _, resumed = world.open(Cursor(stream.session.epoch, 99))
        assert not resumed


async def test_a_stream_that_is_taken_over_ends() -> None:
    world = World()
    async with watching(world) as stream:
        stream.session.register(1, read())
        await stream.settle()
        cursor = Cursor(stream.session.epoch, stream.session.sequence)
        async with watching(world, cursor) as again:
            await again.settle()
            assert stream.ended
            world.write(CUSTOMER, region="us")
            assert told(await again.settle()) == {1: False}


async def test_a_session_is_kept_for_a_while_and_then_forgotten() -> None:
    world = World(WatchSettings(grace=0.05))
    async with watching(world) as stream:
        stream.session.register(1, read())
        await asyncio.sleep(0.1)
        assert world.hub.stats().sessions == 1
        cursor = Cursor(stream.session.epoch, stream.session.sequence)
    assert world.hub.stats().sessions == 1
    await asyncio.sleep(0.1)
    assert (world.hub.stats().sessions, world.hub.stats().watches) == (0, 0)
    assert not world.open(cursor)[1]


async def test_one_who_cannot_keep_up_is_told_to_ask_for_all_anew() -> None:
    world = World()
    async with watching(world) as stream:
        stream.session.register(1, read())
        await stream.settle()
        cursor = Cursor(stream.session.epoch, stream.session.sequence)
        world.write(CUSTOMER, region="us")
        world.steady += 6.0
        (event,) = await stream.settle()
        assert isinstance(event, Resync)
        assert world.hub.stats().watches == 0
    # Whoever did not get that message must not go on as if nothing had happened.
    assert not world.open(cursor)[1]


async def test_time_spent_away_is_not_held_against_a_caller() -> None:
    world = World()
    async with watching(world) as stream:
        stream.session.register(1, read())
        await stream.settle()
        cursor = Cursor(stream.session.epoch, stream.session.sequence)
    world.write(CUSTOMER, region="us")
    world.steady += 20.0
    async with watching(world, cursor) as again:
        assert told(await again.settle()) == {1: False}


async def test_a_stop_ends_every_stream_and_lets_no_other_begin() -> None:
    world = World()
    async with watching(world) as stream:
        await stream.settle()
        world.hub.drain()
        await stream.settle()
        assert stream.ended
        with pytest.raises(WatchClosedError):
            world.open()


async def test_one_request_that_breaks_does_not_break_the_others() -> None:
    world = World()
    whole = world.attributes.peek

    def peek(refs: object, schema: object) -> object:
        if "c-broken" in str(refs):
            raise ValueError("secret")
        return whole(refs, schema)  # type: ignore[arg-type]

    world.attributes.peek = peek  # type: ignore[method-assign, assignment]
    async with watching(world) as stream:
        stream.session.register(1, read("c-broken"))
        stream.session.register(2, read())
        events = await stream.settle()
        assert told(events) == {2: True}
        assert [type(event.error) for event in events if isinstance(event, Rejected)] == [ValueError]


async def test_off_the_record_nothing_stays_allowed() -> None:
    world = World()
    async with watching(world) as stream:
        stream.session.register(1, export())
        await stream.settle()
        world.log.broken = True
        world.write(DEVICE, managed="true")
        assert told(await stream.settle()) == {1: False}
        world.log.broken = False
        world.now += 2
        stream.session.ping(1)
        assert told(await stream.settle()) == {1: True}


async def test_timers_that_are_void_take_no_memory() -> None:
    world = World()
    async with watching(world) as stream:
        for number in range(500):
            world.attributes.fail = number % 2 == 0
            stream.session.register(1, read())
            await stream.settle()
        assert len(stream.session._due) < 80
