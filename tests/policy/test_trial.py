"""A candidate on trial: it decides what was asked, is never heard, and its differences are counted by kind."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from pdp.core.decision import Effect
from pdp.core.policy import PolicySnapshot
from pdp.policy.trial import Change, Counts, Difference, Trial
from pdp.ports import Caller
from tests.api.world import policy
from tests.service.test_service import ALICE, World


def caller() -> Caller:
    return Caller("", "evaluate", None, 10.0**9)


def tried(world: World, candidate: PolicySnapshot) -> tuple[Trial, list[Difference]]:
    told: list[Difference] = []
    live = world.policies.current()
    assert live is not None
    trial = Trial(replace(candidate, schema=live.schema), told.append)
    world.point.trial = trial
    return trial, told


def denying() -> PolicySnapshot:
    """The policy with no rule that matches."""
    return replace(policy("sha256:candidate"), matcher=lambda *_: ())


def owing_nothing() -> PolicySnapshot:
    return replace(policy("sha256:candidate"), rules=tuple(replace(it, obligations=()) for it in policy().rules))


@pytest.fixture
def world() -> World:
    return World()


async def ask(world: World, times: int = 1) -> list[Effect]:
    answers = [await world.point.evaluate(ALICE, caller()) for _ in range(times)]
    await asyncio.sleep(0)
    return [it.decision.effect for it in answers]


@pytest.mark.parametrize(
    ("candidate", "change"),
    [(denying(), Change.NEWLY_DENIED), (owing_nothing(), Change.OBLIGATIONS_CHANGED), (policy(), None)],
)
async def test_differences_are_counted_by_kind_and_change_no_answer(
    world: World, candidate: PolicySnapshot, change: Change | None
) -> None:
    trial, told = tried(world, candidate)
    assert await ask(world, 3) == [Effect.ALLOW] * 3
    expected = Counts(compared=3)
    if change:
        setattr(expected, change.value, 3)
    assert trial.counts == expected
    assert [it.change for it in told] == [change] * 3 if change else not told
    assert all(it.answer.decision.revision == policy().revision for it in told)


async def test_what_the_candidate_alone_allows_is_counted(world: World) -> None:
    world.policies.snapshot = replace(policy(), matcher=lambda *_: ())
    trial, told = tried(world, policy("sha256:candidate"))
    assert await ask(world) == [Effect.DENY]
    assert (trial.counts.newly_allowed, told[0].decision.effect) == (1, Effect.ALLOW)


async def test_a_batch_is_compared_question_by_question(world: World) -> None:
    trial, _ = tried(world, denying())
    await world.point.evaluate_many([ALICE] * 5, caller())
    await asyncio.sleep(0)
    assert trial.counts.newly_denied == 5


async def test_a_candidate_that_declares_what_it_reads_alike_is_compared(world: World) -> None:
    trial, told = tried(world, denying())
    trial.candidate = replace(trial.candidate, schema=replace(trial.candidate.schema, allow_lifetime=1.0))
    assert await ask(world) == [Effect.ALLOW]
    assert (trial.counts, len(told)) == (Counts(compared=1, newly_denied=1), 1)


async def test_a_candidate_that_reads_what_it_declares_otherwise_is_not_compared(world: World) -> None:
    trial, told = tried(world, denying())
    trial.candidate = replace(trial.candidate, schema=replace(trial.candidate.schema, clock_skew=1.0))
    assert await ask(world) == [Effect.ALLOW]
    assert (trial.counts, told) == (Counts(skipped=1), [])
    live = world.policies.current()
    assert live is not None
    ground = trial.ground(live)
    assert ground is not None
    assert "subject.roles" in ground.apart


async def test_a_flood_is_counted_whole_and_told_in_part(world: World) -> None:
    trial, told = tried(world, denying())
    await ask(world, 500)
    assert trial.counts.newly_denied == 500
    assert 50 <= len(told) < 500


async def test_the_answer_does_not_wait_for_the_candidate(world: World) -> None:
    trial, _ = tried(world, denying())
    await world.point.evaluate(ALICE, caller())
    assert trial.counts.compared == 0
    await asyncio.sleep(0)
    assert trial.counts.compared == 1


async def test_too_many_that_wait_are_skipped_and_said_to_be(world: World) -> None:
    trial, _ = tried(world, denying())
    await world.point.evaluate_many([ALICE] * 1500, caller())
    await asyncio.sleep(0)
    assert trial.counts.compared + trial.counts.skipped == 1500
    assert trial.counts.skipped == 1500 - 1024


async def test_without_a_trial_nothing_is_done(world: World) -> None:
    assert world.point.trial is None
    assert await ask(world) == [Effect.ALLOW]
