"""Polling: what comes is handled once and acknowledged; what goes wrong is tried again, and nothing is lost."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from pdp.core.decision import Entity
from pdp.core.request import EntityRef
from pdp.ports import Turns
from pdp.signals import Poller
from tests.attributes.support import Server, eventually
from tests.signals.support import DEVICE, LAPTOP, OPAQUE, SESSION, World, receiving, rules_of, signals_text, with_line
from tests.signals.transmitter import CAEP, Transmitter

REVOKED, COMPLIANCE = CAEP + "session-revoked", CAEP + "device-compliance-change"


def polled(transmitter: Transmitter, secret: str = "") -> str:
    """Give a signals.yaml that has the transmitter polled."""
    text = with_line(signals_text(transmitter), f"poll_uri: {transmitter.url}/poll")
    return with_line(text, f"secret: {secret}") if secret else text


@contextlib.asynccontextmanager
async def polling(
    server: Server, transmitter: Transmitter, secret: str = "", **settings: object
) -> AsyncIterator[World]:
    text = polled(transmitter, secret)
    made = receiving(server, transmitter, text=text, retry_delay=0.2, poll_timeout=5.0, **settings)
    async with made as world, running(world):
        yield world


@contextlib.asynccontextmanager
async def running(world: World, turns: Turns | None = None) -> AsyncIterator[Poller]:
    poller = Poller(world.policies, world.receiver, world.http, world.settings, turns or world.store)
    task = asyncio.create_task(poller.run())
    try:
        yield poller
    finally:
        task.cancel()
        await asyncio.wait([task])


async def test_events_are_applied_and_acknowledged(server: Server, transmitter: Transmitter) -> None:
    jtis = [
        transmitter.enqueue_event(REVOKED, OPAQUE),
        transmitter.enqueue_event(COMPLIANCE, DEVICE, {"current_status": "not-compliant"}),
    ]
    async with polling(server, transmitter) as world:
        await eventually(lambda: not transmitter.pending)
        assert sorted(transmitter.acknowledged) == sorted(jtis)
        assert await world.attribute(SESSION, "revoked") is True
        assert await world.attribute(LAPTOP, "compliant") is False


async def test_a_long_poll_brings_an_event_at_once(server: Server, transmitter: Transmitter) -> None:
    async with polling(server, transmitter) as world:
        await eventually(lambda: any(path == "/poll" for _, path, _ in transmitter.requests))
        jti = transmitter.enqueue_event(REVOKED, OPAQUE)
        await eventually(lambda: transmitter.acknowledged == [jti])
        assert await world.attribute(SESSION, "revoked") is True
        polls = [body for _, path, body in transmitter.requests if path == "/poll"]
        assert all(body["returnImmediately"] is False for body in polls)
        assert len(polls) <= 3


async def test_a_refused_token_is_reported_with_its_code(server: Server, transmitter: Transmitter) -> None:
    wrong = transmitter.enqueue(transmitter.token(REVOKED, OPAQUE, aud="elsewhere"))
    rubbish = transmitter.enqueue(b"rubbish")
    right = transmitter.enqueue_event(REVOKED, OPAQUE)
    async with polling(server, transmitter):
        await eventually(lambda: not transmitter.pending)
        assert transmitter.acknowledged == [right]
        assert {jti: it["err"] for jti, it in transmitter.refused.items()} == {
            wrong: "invalid_audience",
            rubbish: "invalid_request",
        }
        assert all(it["description"] for it in transmitter.refused.values())


async def test_many_come_in_several_answers(server: Server, transmitter: Transmitter) -> None:
    for number in range(7):
        transmitter.enqueue_event(REVOKED, {"format": "opaque", "id": f"s-{number}"})
    async with polling(server, transmitter, poll_events=3) as world:
        await eventually(lambda: len(transmitter.acknowledged) == 7)
        assert {body["maxEvents"] for _, path, body in transmitter.requests if path == "/poll"} == {3}
        keys = world.server.client().keys("attr:session:session:s-*")
        assert len(keys) == 7


async def test_an_outage_is_waited_out_and_nothing_is_lost(server: Server, transmitter: Transmitter) -> None:
    transmitter.down = True
    jti = transmitter.enqueue_event(REVOKED, OPAQUE)
    async with polling(server, transmitter) as world:
        await eventually(lambda: sum(path == "/poll" for _, path, _ in transmitter.requests) >= 3)
        assert await world.attribute(SESSION, "revoked") is False
        transmitter.down = False
        await eventually(lambda: transmitter.acknowledged == [jti])
        assert await world.attribute(SESSION, "revoked") is True


async def test_without_a_store_nothing_is_acknowledged(server: Server, transmitter: Transmitter) -> None:
    async with polling(server, transmitter) as world:
        await eventually(lambda: any(path == "/poll" for _, path, _ in transmitter.requests))
        world.server.kill()
        jti = transmitter.enqueue_event(REVOKED, {"format": "opaque", "id": "s-kept"})
        await eventually(lambda: sum(world.receiver.counts().values()) >= 2)
        assert transmitter.acknowledged == []
        assert jti not in transmitter.refused
        world.server.start()
        await eventually(lambda: transmitter.acknowledged == [jti])
        kept = (Entity.SESSION, EntityRef("session", "s-kept"))
        await world.writer.put(*kept, {"revoked": False})
        assert await world.attribute(kept, "revoked") is True


async def test_polls_are_counted_by_what_became_of_them(server: Server, transmitter: Transmitter) -> None:
    transmitter.down = True
    async with receiving(server, transmitter, text=polled(transmitter), retry_delay=0.2) as world:
        (name,) = {it.name for it in world.policies.policy.signals.transmitters.values() if it.poll_uri}
        async with running(world) as poller:
            await eventually(lambda: poller.counts().get((name, "failed"), 0) >= 2)
            transmitter.down = False
            transmitter.enqueue_event(REVOKED, OPAQUE)
            await eventually(lambda: (name, "done") in poller.counts())
            world.server.kill()
            transmitter.enqueue_event(REVOKED, {"format": "opaque", "id": "s-held"})
            await eventually(lambda: (name, "held_back") in poller.counts())
            world.server.start()
        assert set(poller.counts()) == {(name, outcome) for outcome in ("failed", "done", "held_back")}


async def test_an_acknowledgement_that_is_lost_is_made_good(server: Server, transmitter: Transmitter) -> None:
    """The transmitter sends the token again; it is a duplicate, and acknowledged again."""
    async with polling(server, transmitter) as world:
        claims = transmitter.claims(REVOKED, OPAQUE)
        token = transmitter.token(REVOKED, OPAQUE, jti=claims["jti"])
        for _ in range(2):
            transmitter.enqueue(token, claims["jti"])
            await eventually(lambda: not transmitter.pending)
        assert sorted(outcome for _, _, outcome in world.receiver.counts()) == ["applied", "duplicate"]


async def test_the_secret_is_brought_along(server: Server, transmitter: Transmitter, tmp_path: Path) -> None:
    transmitter.secret = "Bearer of-the-receiver"
    jti = transmitter.enqueue_event(REVOKED, OPAQUE)
    async with polling(server, transmitter, "api", secrets=tmp_path):
        await asyncio.sleep(0.05)
        assert transmitter.acknowledged == []
        (tmp_path / "api").write_text("Bearer of-the-receiver")
        await eventually(lambda: transmitter.acknowledged == [jti])


async def test_who_is_polled_may_not_push(server: Server, transmitter: Transmitter) -> None:
    async with polling(server, transmitter) as world:
        with pytest.raises(Exception, match="access_denied"):
            await world.receiver.receive(transmitter.token(REVOKED, OPAQUE), "")


async def test_a_change_of_the_file_is_followed(server: Server, transmitter: Transmitter) -> None:
    async with polling(server, transmitter) as world:
        with Transmitter() as other:
            signals = rules_of(polled(other))
            jti = other.enqueue_event(REVOKED, OPAQUE)
            assert world.policies.policy is not None
            world.policies.policy = dataclasses.replace(world.policies.policy, signals=signals)
            await eventually(lambda: other.acknowledged == [jti])


@pytest.mark.parametrize("answer", [[], {"sets": []}, {"sets": {"a": 5}}])
async def test_an_answer_that_is_none_is_no_harm(server: Server, transmitter: Transmitter, answer: object) -> None:
    transmitter.answer_poll = answer
    async with polling(server, transmitter):
        await eventually(lambda: sum(path == "/poll" for _, path, _ in transmitter.requests) >= 2)
        transmitter.answer_poll = None
        jti = transmitter.enqueue_event(REVOKED, OPAQUE)
        await eventually(lambda: jti in transmitter.acknowledged)
