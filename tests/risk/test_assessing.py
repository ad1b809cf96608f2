"""A level set in the store: beside what others say, never below it, and taken back to the letter."""

from __future__ import annotations

import asyncio

import pytest

from pdp.attributes.windows import RedisRiskStore
from pdp.core.decision import Entity
from pdp.core.limits import Level
from pdp.core.request import EntityRef
from pdp.core.signals.events import Event
from pdp.core.signals.plan import Plan, Write
from pdp.ports import Assessment, Outcome, Standing
from tests.attributes.support import patient
from tests.risk.support import ALICE, DAY, ISSUER, LIMITS, START, World

NEVER = Standing(Level.LOW, Level.LOW, 0.0)
KEY = "attr:subject:user:alice"


def assessment(level: Level, at: float = START, found: Standing = NEVER, *, called: bool = True) -> Assessment:
    return Assessment(ALICE, level, called, found, at, (ISSUER, f"token-{at:.0f}"))


async def lower(world: World, level: Level, at: float) -> Level | None:
    standing = (await world.tally(LIMITS, at)).standing
    return await world.store.assess(LIMITS, assessment(level, at, standing, called=False))


async def idp(world: World, risk: int, at: float) -> Outcome:
    """Let an identity provider say by a signal what the person's risk is."""
    event = Event("caep/risk-level-change", {}, {}, at, at, "https://idp.example.com/", f"jti-{at}-{risk}")
    plan = Plan(Entity.SUBJECT, ALICE, (Write("risk", str(risk), latch=False),))
    return (await world.signals.apply(event, plan, 60.0)).outcome


def stored(world: World) -> dict[str, str]:
    fields = world.server.client().hgetall(KEY)
    found = {name.decode(): value.decode() for name, value in fields.items()}
    return {name: value for name, value in found.items() if name.startswith("risk")}


def version(world: World) -> int:
    return int(world.server.client().hget(KEY, "_version"))


async def test_a_level_is_set_with_its_source_and_a_new_version(world: World) -> None:
    before = version(world)
    assert await world.store.assess(LIMITS, assessment(Level.HIGH)) is Level.LOW
    assert stored(world) == {
        "risk": "90", "risk@issued_at": f"{START:.3f}", "risk@by": f"signal:{ISSUER} token-{START:.0f}",
    }  # fmt: skip
    assert version(world) > before
    assert (await world.tally(LIMITS, START)).standing == Standing(Level.HIGH, Level.HIGH, START)
    assert world.server.client().zscore("risk:due", "user:alice") == START + 15


async def test_the_same_level_again_writes_nothing_and_tells_nobody(world: World) -> None:
    await world.store.assess(LIMITS, assessment(Level.HIGH))
    before = version(world)
    assert await world.store.assess(LIMITS, assessment(Level.HIGH, START + 9)) is None
    assert version(world) == before
    # It is called for later, so it falls later.
    assert (await world.tally(LIMITS, START + 9)).standing.since == START + 9


async def test_of_workers_that_see_the_same_one_is_told(world: World) -> None:
    found = await asyncio.gather(*(world.store.assess(LIMITS, assessment(Level.HIGH)) for _ in range(8)))
    assert sorted(map(str, found)) == ["0"] + ["None"] * 7


async def test_a_lower_call_changes_nothing(world: World) -> None:
    await world.store.assess(LIMITS, assessment(Level.HIGH))
    assert await world.store.assess(LIMITS, assessment(Level.MEDIUM, START + 1)) is None
    assert await world.risk() == 90


async def test_a_fall_ends_where_nothing_of_ours_was(world: World) -> None:
    await world.store.assess(LIMITS, assessment(Level.HIGH))
    assert await lower(world, Level.MEDIUM, START + 1800) is Level.HIGH
    assert await world.risk() == 50
    assert await lower(world, Level.LOW, START + 3600) is Level.MEDIUM
    assert stored(world) == {}
    assert await world.risk() == 0
    assert world.server.client().zscore("risk:due", "user:alice") is None


async def test_a_fall_that_another_worker_overtook_does_not_take_place(world: World) -> None:
    await world.store.assess(LIMITS, assessment(Level.HIGH))
    found = (await world.tally(LIMITS, START)).standing
    await world.store.assess(LIMITS, assessment(Level.HIGH, START + 60))
    late = assessment(Level.MEDIUM, START + 1800, found, called=False)
    assert await world.store.assess(LIMITS, late) is None
    assert await world.risk() == 90


async def test_what_others_say_stands_again_to_the_letter(world: World) -> None:
    assert await idp(world, 50, START - 100) is Outcome.APPLIED
    theirs = stored(world)
    await world.store.assess(LIMITS, assessment(Level.HIGH))
    assert await world.risk() == 90
    await lower(world, Level.LOW, START + 3600)
    assert stored(world) == theirs


async def test_what_others_say_is_never_lowered(world: World) -> None:
    await idp(world, 100, START - 100)
    theirs = stored(world)
    assert await world.store.assess(LIMITS, assessment(Level.HIGH)) is Level.LOW
    assert stored(world) == theirs
    await lower(world, Level.LOW, START + 3600)
    assert stored(world) == theirs


async def test_a_graver_word_of_others_counts_at_once_even_if_it_is_late(world: World) -> None:
    await idp(world, 10, START - 100)
    await world.store.assess(LIMITS, assessment(Level.HIGH))
    # It happened before our own assessment and comes after it.
    assert await idp(world, 100, START - 1) is Outcome.APPLIED
    await lower(world, Level.MEDIUM, START + 1800)
    assert await world.risk() == 100


async def test_a_milder_word_of_others_is_put_right(world: World) -> None:
    await world.store.assess(LIMITS, assessment(Level.HIGH))
    await idp(world, 10, START + 1)
    assert await world.risk() == 10
    await world.store.assess(LIMITS, assessment(Level.HIGH, START + 15))
    assert await world.risk() == 90
    await lower(world, Level.LOW, START + 4000)
    assert await world.risk() == 10


@pytest.mark.parametrize("given", [{"roles": ["agent"]}, {"roles": ["agent"], "status": "active"}])
async def test_a_feed_that_writes_the_record_whole_does_not_lift_it(world: World, given: dict[str, object]) -> None:
    await world.store.assess(LIMITS, assessment(Level.HIGH))
    await world.writer.put(Entity.SUBJECT, ALICE, given, START + 60)
    assert await world.risk() == 90


async def test_nobody_is_put_on_record(world: World) -> None:
    nobody = EntityRef("user", "nobody")
    store: RedisRiskStore = world.store
    told = Assessment(nobody, Level.HIGH, True, NEVER, START, (ISSUER, "t"))
    assert await store.assess(LIMITS, told) is Level.LOW
    assert not world.server.client().exists("attr:subject:user:nobody")


async def test_a_restart_finds_everything_as_it_was(world: World) -> None:
    await world.store.assess(LIMITS, assessment(Level.HIGH))
    before = await world.tally(LIMITS, START)
    again = RedisRiskStore(patient(world.server.url), 60 * DAY, 5.0)
    await again.start()
    assert await again.due(START + 14, 10) == []
    assert await again.due(START + 15, 10) == [ALICE]
    # Who takes it puts it off for the others.
    assert await world.store.due(START + 15, 10) == []
    assert (await world.tally(LIMITS, START)) == before
    await again.stop()
