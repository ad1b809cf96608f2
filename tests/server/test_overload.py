"""More calls at once than the limit: shed at once, by name, while the others are answered."""

from __future__ import annotations

import asyncio

import grpc
import grpc.aio
import httpx

from pdp.server.rpc import Limits
from tests.server.conftest import Start
from tests.server.example import path

LIMIT = 3


async def test_calls_above_the_limit_are_shed_and_the_rest_answered(start: Start) -> None:
    server = start(limits=Limits(concurrent_calls=LIMIT, default_deadline=10.0))
    async with grpc.aio.insecure_channel(server.address) as channel:
        sleep = channel.unary_unary(path("Sleep"))
        running = [asyncio.create_task(_outcome(sleep(b"800 x"))) for _ in range(4 * LIMIT)]
        outcomes = await asyncio.gather(*running)
        assert outcomes.count(grpc.StatusCode.OK) == LIMIT
        assert outcomes.count(grpc.StatusCode.RESOURCE_EXHAUSTED) == 3 * LIMIT
        assert await _outcome(sleep(b"1 x")) is grpc.StatusCode.OK


async def test_probes_are_answered_under_overload(start: Start) -> None:
    server = start(limits=Limits(concurrent_calls=LIMIT, default_deadline=10.0))
    async with grpc.aio.insecure_channel(server.address) as channel:
        running = [asyncio.create_task(_outcome(channel.unary_unary(path("Sleep"))(b"800 x"))) for _ in range(LIMIT)]
        await asyncio.sleep(0.3)
        async with httpx.AsyncClient() as client:
            assert (await client.get(f"{server.http}/healthz")).status_code == 200
            posted = await client.post(f"{server.http}/v1/echo")
        await asyncio.gather(*running)
    assert posted.status_code == (429 if server.transport == "envoy" else 200)


async def _outcome(call: grpc.aio.UnaryUnaryCall) -> grpc.StatusCode:
    return await call.code()
