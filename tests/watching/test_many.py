"""Ten thousand watched decisions on one stream: a revoked session costs what it rests on, and no more."""

from __future__ import annotations

from pdp.core.decision import Entity
from pdp.core.request import EntityRef
from pdp.watching import Told
from tests.api.world import policy
from tests.watching.world import World, export, read, told, watching

WATCHES = 10_000
SESSIONS = 1_000


async def test_one_revoked_session_has_only_its_own_decisions_made_anew() -> None:
    world = World()
    for number in range(SESSIONS):
        ref = (Entity.SESSION, EntityRef("session", f"s-{number}"))
        world.write(ref, level="2", authenticated_at="1799999000")
    async with watching(world) as stream:
        for number in range(WATCHES):
            stream.session.register(number + 1, export(session=f"s-{number % SESSIONS}"))
        assert sum(told(await stream.settle()).values()) == WATCHES
        before, records = world.hub.decisions, len(world.log.records)
        assert before == WATCHES
        world.write((Entity.SESSION, EntityRef("session", "s-17")), level="1", authenticated_at="1799999000")
        events = await stream.settle()
        mine = {number + 1 for number in range(WATCHES) if number % SESSIONS == 17}
        assert told(events) == dict.fromkeys(mine, False)
        assert world.hub.decisions - before == len(mine) == 10
        assert len(world.log.records) - records == len(mine)


async def test_a_new_revision_is_decided_by_in_parts_that_let_others_work() -> None:
    world = World()
    async with watching(world) as stream:
        for number in range(2_000):
            stream.session.register(number + 1, read(f"c-{number}"))
        await stream.settle()
        world.policies.snapshot = policy("sha256:" + "b" * 64)
        world.hub.policy_changed()
        stream.session.register(9_000, read())
        before = world.hub.decisions
        events = await stream.settle()
        assert world.hub.decisions - before == 2_001
        assert [event.watch_id for event in events if isinstance(event, Told)] == [9_000]
