"""From answers to levels: what counts, what follows, what is logged, and that nothing waits for it."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import time
from zoneinfo import ZoneInfo

import pytest

from pdp.core.decision import Effect
from pdp.core.limits import NO_LIMITS, Feature, Hours, Level
from pdp.core.policy import PolicySnapshot
from pdp.core.request import EntityRef
from pdp.risk import RiskMonitor, RiskSettings
from pdp.risk.meter import Meter
from tests.attributes.support import eventually
from tests.risk.support import DAY, LIMITS, START, Clock, Policies, Told, World, answer, observe, watching

OFF_HOURS = Feature("off", DAY, distinct=True, effect=Effect.ALLOW, off_hours=True, limits={Level.MEDIUM: 1})


def counted(*answers: object, limits: object = LIMITS) -> dict[str, int]:
    """Give how many of the answers count, by feature."""
    return {
        name: len(events) for sighting in Meter(limits).sightings(answers) for name, events in sighting.seen.items()
    }


def test_a_decision_counts_by_effect_action_and_resource() -> None:
    assert counted(answer("c-1"), answer("c-2"), answer("c-2")) == {"records": 2}
    assert counted(answer(action="update")) == {}
    assert counted(answer(effect=Effect.DENY), answer(effect=Effect.DENY, action="delete")) == {"denies": 2}
    # The same identifier of another type is another resource.
    assert counted(answer("1"), answer("1", kind="payment_card")) == {"records": 2}


def test_only_somebody_on_record_is_counted() -> None:
    assert counted(answer(known=False), answer(effect=Effect.DENY, known=False)) == {}
    refused = answer()._replace(request=None)
    assert counted(refused) == {}


def test_a_watched_decision_made_anew_is_nothing_the_subject_did() -> None:
    made_anew = [answer(effect=Effect.DENY, interface="watch_decisions"), answer(interface="watch_decisions")]
    assert counted(*made_anew) == {"records": 1}


def test_off_hours_count_what_is_outside_of_them() -> None:
    hours = Hours(ZoneInfo("UTC"), frozenset(range(5)), 9 * 60, 17 * 60)
    limits = dataclasses.replace(LIMITS, features=(OFF_HOURS,), hours=hours)
    assert counted(answer(at=START), limits=limits) == {}
    assert counted(answer(at=START + 9 * 3600), limits=limits) == {"off": 1}


async def test_reading_too_much_raises_and_time_lowers(world: World, caplog: pytest.LogCaptureFixture) -> None:
    clock, told = Clock(), Told()
    async with watching(world, clock, told=told, sweep=0.01) as monitor:
        await observe(monitor, (answer(f"c-{number}") for number in range(74)))
        assert await world.risk() == 0
        with caplog.at_level(logging.WARNING):
            await observe(monitor, [answer("c-74")])
            await eventually(lambda: len(told.changes) == 1)
            assert await world.risk() == 50
            await observe(monitor, (answer(f"c-{number}") for number in range(75, 100)))
            await eventually(lambda: len(told.changes) == 2)
            assert await world.risk() == 90
        # As long as the window holds a hundred records, half hours do not help: it is called for all the time.
        clock.now += DAY - 60
        while (await world.tally(LIMITS, clock.now)).standing.since < clock.now:
            await asyncio.sleep(0.005)
        assert await world.risk() == 90
        clock.now += 120 + 2 * LIMITS.step
        await eventually(lambda: told.levels()[-1] == ("HIGH", "LOW"))
        assert await world.risk() == 0
    raised = [record for record in caplog.records if record.event == "risk.raised"][-1]
    assert (raised.event, raised.subject, raised.level, raised.previous_level) == (
        "risk.raised", "pseudonym", "HIGH", "MEDIUM",
    )  # fmt: skip
    assert "records: 100 in 24h, limit 100" in raised.getMessage()
    assert "alice" not in " ".join(str(vars(record)) for record in caplog.records)
    assert monitor.counts()["raised"] == 2


async def test_a_level_falls_by_steps_once_nothing_crosses(world: World) -> None:
    clock, told = Clock(), Told()
    short = dataclasses.replace(LIMITS.features[0], window=600.0)
    limits = dataclasses.replace(LIMITS, features=(short,))
    async with watching(world, clock, limits, told, sweep=0.01) as monitor:
        await observe(monitor, (answer(f"c-{number}") for number in range(100)))
        await eventually(lambda: told.levels() == [("LOW", "HIGH")])
        # The sweep still finds it crossing until the window has passed, and so counts from there.
        for expected in (("HIGH", "MEDIUM"), ("MEDIUM", "LOW")):
            clock.now += 1801
            await eventually(lambda last=expected: told.levels()[-1] == last)
    assert [change.reason for change in told.changes[1:]] == ["no crossing for a while"] * 2
    assert len({change.id for change in told.changes}) == 3


async def test_habit_stops_who_reads_little_before_the_limit(world: World) -> None:
    clock, told = Clock(START - 10 * DAY), Told()
    async with watching(world, clock, told=told) as monitor:
        for day in range(10):
            clock.now = START + (day - 10) * DAY
            number = 12 + day % 4
            await observe(monitor, (answer(f"d{day}-{it}", at=clock.now) for it in range(number)))
        clock.now = START
        await observe(monitor, (answer(f"now-{it}", at=START) for it in range(60)))
        await eventually(lambda: told.levels() == [("LOW", "HIGH")])
    assert "usually 13." in told.changes[0].reason
    assert "10 samples" in told.changes[0].reason


async def test_two_workers_count_as_one_and_one_of_them_tells(world: World) -> None:
    clock, told = Clock(), Told()
    async with watching(world, clock, told=told) as one, watching(world, clock, told=told) as other:
        for number in range(100):
            (one if number % 2 else other).answered(answer(f"c-{number}"))
        await eventually(lambda: told.levels()[-1:] in ([("LOW", "HIGH")], [("MEDIUM", "HIGH")]))
        for monitor in (one, other):
            await observe(monitor, [answer("c-1"), answer("c-2")])
    assert [after for _, after in told.levels()].count("HIGH") == 1


async def test_what_others_write_over_it_is_put_right_by_the_sweep(world: World) -> None:
    clock = Clock()
    async with watching(world, clock, sweep=0.01) as monitor:
        await observe(monitor, (answer(f"c-{number}") for number in range(100)))
        client = world.server.client()
        key = "attr:subject:user:alice"
        await eventually(lambda: client.hget(key, "risk") == b"90")
        client.hset(key, mapping={"risk": "5", "risk@by": "signal:somebody else"})
        clock.now += 16
        await eventually(lambda: client.hget(key, "risk") == b"90", "it was not put right")


async def test_a_full_queue_drops_and_counts_what_it_drops(world: World) -> None:
    async with watching(world, Clock(), queue=10) as monitor:
        for number in range(25):
            monitor.answered(answer(f"c-{number}"))
        assert monitor.counts() == {"dropped": 15}
        await eventually(lambda: monitor.counts().get("counted") == 10)


async def test_a_store_that_is_gone_holds_nobody_up_and_comes_back(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    async with watching(world, Clock(), timeout=0.2) as monitor:
        world.server.kill()
        started = time.perf_counter()
        for number in range(1000):
            monitor.answered(answer(f"c-{number}"))
        assert time.perf_counter() - started < 1.0
        await eventually(lambda: monitor.counts().get("lost") == 1000)
        world.server.start()
        await observe(monitor, [answer("c-1")])
        # An outage is two lines in the log, however many batches are lost in it.
        assert [record.event for record in caplog.records] == ["risk.store_unavailable", "risk.store_available"]
        assert (await world.tally(LIMITS, START)).values["records"] == 1


@pytest.mark.parametrize("enabled", [True, False])
async def test_without_limits_or_switched_off_nothing_is_kept(world: World, enabled: bool) -> None:  # noqa: FBT001
    limits = NO_LIMITS if enabled else LIMITS
    async with watching(world, Clock(), limits, enabled=enabled) as monitor:
        monitor.answered(answer())
        assert monitor.counts() == {}
        assert not monitor._waiting
    assert not world.server.client().keys("risk:*")


async def test_a_new_revision_counts_from_then_on(world: World) -> None:
    policies = Policies(NO_LIMITS)
    monitor = RiskMonitor(policies, world.store, Told(), RiskSettings(pause=0.0), str, Clock())
    await monitor.start()
    monitor.answered(answer())
    policy = policies.policy
    assert isinstance(policy, PolicySnapshot)
    policies.policy = dataclasses.replace(policy, limits=LIMITS)
    monitor.policy_changed()
    await observe(monitor, [answer("c-2")])
    await monitor.stop()
    assert (await world.tally(LIMITS, START)).values["records"] == 1


async def test_levels_fall_after_the_limits_are_gone(world: World) -> None:
    policies, clock = Policies(LIMITS), Clock()
    monitor = RiskMonitor(policies, world.store, Told(), RiskSettings(pause=0.0, sweep=0.01), str, clock)
    await monitor.start()
    await observe(monitor, (answer(f"c-{number}") for number in range(100)))
    assert await world.risk() == 90
    policies.policy = None
    monitor.policy_changed()
    clock.now += 2 * LIMITS.step + 1
    await eventually(lambda: monitor.counts().get("lowered"))
    assert await world.risk() == 0
    await monitor.stop()


async def test_a_fault_of_ours_does_not_end_the_watch(world: World, caplog: pytest.LogCaptureFixture) -> None:
    async with watching(world, Clock()) as monitor:
        broken = answer()._replace(request=answer().request._replace(resource=None))
        monitor.answered(broken)
        await eventually(lambda: monitor.counts().get("lost") == 1)
        assert [record.event for record in caplog.records] == ["risk.fault"]
        await observe(monitor, [answer("c-1", subject=EntityRef("user", "bob"))])


@pytest.mark.parametrize(
    ("name", "value"),
    [("queue", 0), ("pause", 2.0), ("timeout", 0.0), ("retention", DAY), ("issuer", "two words"), ("jwks_path", "x")],
)
def test_settings_that_cannot_work_are_refused_by_name(name: str, value: object) -> None:
    with pytest.raises(ValueError, match=name):
        RiskSettings(**{name: value})
