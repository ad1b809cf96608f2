"""What is counted, on every redis-server there is, against a count by hand; and what is kept of it."""

from __future__ import annotations

import asyncio
import dataclasses
import itertools
import math
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pdp.attributes.windows import BUCKETS, RedisRiskStore
from pdp.core.decision import Effect
from pdp.core.errors import AttributesUnavailableError
from pdp.core.limits import Baseline, Feature, Level, Limits
from pdp.core.request import EntityRef
from pdp.ports import Assessment, Sighting
from tests.attributes.support import EXECUTABLES, Server, patient, running
from tests.risk.support import ALICE, DAY, LIMITS, START, World, read, seen, world_on

WINDOW = 960.0
APART = Feature("apart", WINDOW, distinct=True, effect=Effect.ALLOW, limits={Level.HIGH: 10})
EVERY = Feature("every", WINDOW, distinct=False, effect=Effect.ALLOW, limits={Level.HIGH: 10})
BOTH = Limits("risk", {Level.MEDIUM: 50, Level.HIGH: 90}, features=(APART, EVERY))
_numbers = itertools.count()
events = st.lists(st.tuples(st.integers(0, 700), st.integers(0, 6), st.integers(1, 3)), min_size=1, max_size=12)


@pytest.fixture(scope="module", params=sorted(EXECUTABLES))
def lasting(request: pytest.FixtureRequest) -> Iterator[Server]:
    with running(EXECUTABLES[request.param]) as one:
        yield one


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(events)
def test_windows_count_what_a_count_by_hand_does(lasting: Server, steps: list[tuple[int, int, int]]) -> None:
    async def check() -> None:
        store = RedisRiskStore(patient(lasting.url), 60 * DAY, 5.0)
        await store.start()
        subject, now, known = EntityRef("user", f"u-{next(_numbers)}"), START, []
        for gap, resource, times in steps:
            now += gap
            fresh = [(now - index, f"r-{resource}") for index in range(times)]
            known += fresh
            sighting = Sighting(subject, {"apart": fresh, "every": fresh})
            (tally,) = await store.count(BOTH, [sighting], now)
            width = WINDOW / BUCKETS
            last = {name: max(at for at, it in known if it == name) for _, name in known}
            in_buckets = [at for at, _ in known if math.floor(at / width) > math.floor(now / width) - BUCKETS]
            assert tally.values == {
                "apart": sum(at > now - WINDOW for at in last.values()),
                "every": len(in_buckets),
            }
            # A sliding count by buckets is never more than a bucket short, and counts nothing twice.
            assert sum(at > now - WINDOW + width for at, _ in known) <= tally.values["every"]
            assert tally.values["every"] <= sum(at > now - WINDOW for at, _ in known)
        await store.stop()

    asyncio.run(check())


async def test_two_workers_share_windows(world: World) -> None:
    other = RedisRiskStore(patient(world.server.url), 60 * DAY, 5.0)
    await other.start()
    await world.store.count(LIMITS, [read(30, START)], START)
    (tally,) = await other.count(LIMITS, [read(30, START, first=20)], START + 1)
    assert tally.values["records"] == 50
    assert (await world.tally(LIMITS, START + 1)).values == tally.values
    await other.stop()


async def test_workers_that_count_at_once_lose_nothing(world: World) -> None:
    event = [seen("denies", (START, "")) for _ in range(50)]
    await asyncio.gather(*(world.store.count(LIMITS, [one], START) for one in event))
    assert (await world.tally(LIMITS, START)).values["denies"] == 50


async def test_a_batch_of_many_subjects_is_counted_apart(world: World) -> None:
    people = [EntityRef("user", f"u-{number}") for number in range(40)]
    batch = [read(number, START, person) for number, person in enumerate(people)]
    tallies = await world.store.count(LIMITS, batch, START)
    assert [(it.subject, it.values["records"]) for it in tallies] == list(zip(people, range(40), strict=True))


async def test_the_highest_count_of_each_period_becomes_a_sample(world: World) -> None:
    for day, number in enumerate((20, 25, 22)):
        now = START + day * DAY
        await world.store.count(LIMITS, [read(number, now, first=100 * day)], now)
        await world.tally(LIMITS, now + 60)
    # The third day is not over: what it comes to is not known.
    assert (await world.tally(LIMITS, START + 2 * DAY)).samples["records"] == [20, 25]


async def test_looking_teaches_nothing_and_days_off_are_no_samples(world: World) -> None:
    await world.store.count(LIMITS, [read(20, START)], START)
    assert (await world.tally(LIMITS, START + 3 * DAY)).samples["records"] == []
    await world.store.count(LIMITS, [read(10, START + 9 * DAY)], START + 9 * DAY)
    assert (await world.tally(LIMITS, START + 9 * DAY)).samples["records"] == [20]


async def test_what_is_beyond_a_limit_never_becomes_usual(world: World) -> None:
    for day in range(3):
        await world.store.count(LIMITS, [read(500, START + day * DAY, first=1000 * day)], START + day * DAY)
    assert (await world.tally(LIMITS, START + 2 * DAY)).samples["records"] == [100, 100]


async def test_samples_are_the_latest_and_as_many_as_are_kept(world: World) -> None:
    limits = dataclasses.replace(LIMITS, baseline=Baseline(DAY, periods=3, grace=2))
    for day in range(6):
        await world.store.count(limits, [read(day + 1, START + day * DAY, first=10 * day)], START + day * DAY)
    assert (await world.tally(limits, START + 5 * DAY)).samples["records"] == [3, 4, 5]


async def test_memory_is_bounded_for_each_subject(world: World) -> None:
    small = Feature("records", WINDOW, distinct=True, effect=Effect.ALLOW, limits={Level.HIGH: 10})
    limits = dataclasses.replace(LIMITS, features=(small, DENIES_ONLY))
    for step in range(60):
        now = START + 10 * step
        await world.store.count(limits, [read(200, now, first=200 * step), seen("denies", (now, ""))], now)
    client = world.server.client()
    assert client.zcard("risk:seen:records:user:alice") == small.capacity == 1000
    assert client.hlen("risk:state:user:alice") < 2 * BUCKETS + 10
    assert (await world.tally(limits, now)).values["records"] == 1000


DENIES_ONLY = Feature("denies", 120.0, distinct=False, effect=Effect.DENY, limits={Level.MEDIUM: 5})


async def test_everything_expires(world: World) -> None:
    await world.store.count(LIMITS, [read(5, START)], START)
    client = world.server.client()
    assert client.keys("risk:*")
    for key in client.keys("risk:*"):
        assert 0 < client.ttl(key) <= 60 * DAY
    assert client.ttl("risk:seen:records:user:alice") <= DAY + 1


async def test_the_store_holds_no_name_of_a_resource(world: World) -> None:
    await world.store.count(LIMITS, [read(3, START)], START)
    assert not [key for key in world.server.client().keys("*") if b"customer" in key]


async def test_the_documented_user_is_enough() -> None:
    documented = (Path(__file__).parents[2] / "docs" / "risk.md").read_text()
    rights = next(line for line in documented.splitlines() if line.startswith("ACL SETUSER risk reset on >… "))
    rights = rights.partition(">… ")[2]
    with running(EXECUTABLES[min(EXECUTABLES)], f"user risk on >pw resetkeys {rights}") as server:
        async with world_on(server):
            store = RedisRiskStore(patient(server.url, username="risk", password="pw"), 60 * DAY, 5.0)
            await store.start()
            (tally,) = await store.count(LIMITS, [read(1001, START)], START)
            assert tally.values["records"] == 1000
            for level, called in ((Level.HIGH, True), (Level.LOW, False)):
                standing = (await store.count(LIMITS, [Sighting(ALICE, {})], START + DAY * 2))[0].standing
                told = Assessment(ALICE, level, called, standing, START, ("urn:pdp:risk", "token"))
                assert await store.assess(LIMITS, told) is not None
                assert await store.raised(10) == ([ALICE] if called else [])
                assert await store.due(START + 20, 10) == ([ALICE] if called else [])
            await store.forget(LIMITS, ALICE)
            await store.stop()


async def test_a_store_that_is_gone_is_an_error_and_never_a_count(world: World) -> None:
    world.server.kill()
    with pytest.raises(AttributesUnavailableError, match="behaviour cannot be counted"):
        await world.store.count(LIMITS, [read(1, START)], START)


async def test_a_store_that_hangs_is_an_error_in_time(world: World) -> None:
    store = RedisRiskStore(patient(world.server.url), 60 * DAY, 0.05)
    await store.start()
    world.server.freeze()
    try:
        with pytest.raises(AttributesUnavailableError, match="TimeoutError"):
            await store.count(LIMITS, [Sighting(ALICE, {})], START)
    finally:
        world.server.thaw()
        await store.stop()
