"""The clients against a running service: answers are held, taken back as the store changes, and never outlive it."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading

import pytest

from pdp.client import (
    AccessDeniedError,
    AsyncClient,
    Client,
    ClientSettings,
    Decision,
    Question,
    UnansweredError,
)
from tests.client.live import DEVICE, MASKS, READ, Live, alive, settled


async def test_an_answer_is_held_and_costs_the_service_nothing(live: Live) -> None:
    async with AsyncClient(live.settings(), MASKS) as client:
        await settled(client)
        first = await client.check(READ)
        assert first.allowed
        assert all([(await client.check(READ)).id == first.id for _ in range(1000)])


async def test_a_revocation_lands_and_so_does_its_end(live: Live) -> None:
    changes: list[tuple[Question, Decision]] = []
    seen = asyncio.Event()

    def changed(question: Question, decision: Decision) -> None:
        changes.append((question, decision))
        seen.set()

    async with AsyncClient(live.settings(), MASKS, changed) as client, live.writer() as writer:
        await settled(client)
        await writer.patch(*DEVICE, {"compliant": False})
        await asyncio.wait_for(seen.wait(), 10)
        held = client.held(READ)
        assert held is None or not held.allowed
        assert not (await client.check(READ)).allowed
        seen.clear()
        await writer.patch(*DEVICE, {"compliant": True})
        await asyncio.wait_for(seen.wait(), 10)
        assert (await client.check(READ)).allowed
    assert [(question, decision.allowed) for question, decision in changes] == [(READ, False), (READ, True)]


async def test_without_a_service_there_is_no_answer() -> None:
    async with AsyncClient(ClientSettings(("127.0.0.1:1",), timeout=0.5), MASKS) as client:
        with pytest.raises(UnansweredError):
            await client.check(READ)
        with pytest.raises(UnansweredError):
            await client.authorize(READ)
    with pytest.raises(UnansweredError, match="not started"):
        await AsyncClient(ClientSettings(("127.0.0.1:1",))).check(READ)


async def test_a_dead_target_is_made_up_for_by_the_next() -> None:
    with alive() as live:
        settings = live.settings(targets=("127.0.0.1:1", live.service.grpc), staleness=0)
        async with AsyncClient(settings, MASKS) as client:
            for _ in range(6):
                assert (await client.check(READ)).allowed


async def test_a_service_that_dies_is_relied_on_no_longer_than_the_bound() -> None:
    with alive() as live:
        async with AsyncClient(live.settings(timeout=0.3, staleness=0.5), MASKS) as client:
            await settled(client)
            live.service.process.kill()
            live.service.process.wait()
            await asyncio.sleep(0.6)
            assert client.held(READ) is None
            with pytest.raises(UnansweredError):
                await client.check(READ)


async def test_a_store_out_of_sight_ends_what_is_held_within_the_bound() -> None:
    with alive() as live:
        async with AsyncClient(live.settings(staleness=1.0), MASKS) as client:
            await settled(client)
            live.store.freeze()
            try:
                await asyncio.sleep(1.1)
                assert client.held(READ) is None
                assert not (await client.check(READ)).allowed
            finally:
                live.store.thaw()
            async with asyncio.timeout(20):
                while not (await client.check(READ)).allowed:
                    await asyncio.sleep(0.05)


async def test_an_obligation_nobody_can_carry_out_is_a_deny(live: Live) -> None:
    async with AsyncClient(live.settings()) as client:
        with pytest.raises(AccessDeniedError) as caught:
            await client.authorize(READ)
        assert caught.value.decision.reasons[0].code == "OBLIGATION_UNSUPPORTED"


async def test_data_is_shown_as_the_decision_lets_it_be(live: Live) -> None:
    async with AsyncClient(live.settings(), MASKS) as client:
        grant = await client.authorize(READ)
        shown = grant.show({"name": "Ada", "national_id": "AB123456C", "date_of_birth": "1815-12-10"})
        assert shown == {"name": "Ada", "national_id": "*****456C", "date_of_birth": "1815"}


async def test_a_malformed_question_is_an_error(live: Live) -> None:
    async with AsyncClient(live.settings(), MASKS) as client:
        await client.watching()
        with pytest.raises(UnansweredError, match=r"subject\.id"):
            await client.check(READ._replace(subject=("user", "no such id")))


def test_blocking_code_shares_one_client_among_threads(live: Live) -> None:
    with Client(live.settings(), MASKS) as client:
        client.watching(10)
        outcomes: list[bool] = []

        def work() -> None:
            outcomes.extend(client.check(READ).allowed for _ in range(200))

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert outcomes == [True] * 800
        assert client.authorize(READ).show({"national_id": "AB123456C"}) == {"national_id": "*****456C"}
        with pytest.raises(AccessDeniedError):
            client.authorize(READ._replace(subject=("user", "nobody")))


def test_the_client_needs_nothing_of_the_service() -> None:
    program = """
import sys, pdp.client
parts = {name.split(".")[0] for name in sys.modules} | {name for name in sys.modules if name.startswith("pdp.")}
unwanted = {"redis", "casbin", "yaml", "pydantic", "opentelemetry", "uvicorn", "typer", "rich", "httpx",
            "pdp.service", "pdp.api", "pdp.server", "pdp.attributes", "pdp.policy", "pdp.engine", "pdp.config"}
print(sorted(parts & unwanted))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
