"""A question is asked at most twice, and a second time only where that can help."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import grpc
import pytest

from pdp.client import ClientSettings, ClientTls, Question, UnansweredError
from pdp.client.transport import Transport
from pdp.v1 import policy_decision_pb2 as rpc

ASKED = Question(("user", "alice"), "read", ("customer", "c-1"))


@dataclass
class Target(grpc.GenericRpcHandler):
    """A service that answers late, or with an error."""

    name: str
    delay: float = 0.0
    code: grpc.StatusCode | None = None
    asked: int = 0
    address: str = ""
    abandoned: list[str] = field(default_factory=list)

    def service(self, _details: grpc.HandlerCallDetails) -> Any:
        return grpc.unary_unary_rpc_method_handler(
            self._answer, rpc.EvaluateRequest.FromString, rpc.EvaluateResponse.SerializeToString
        )

    async def _answer(self, _request: rpc.EvaluateRequest, context: Any) -> rpc.EvaluateResponse:
        self.asked += 1
        try:
            await asyncio.sleep(self.delay)
        except asyncio.CancelledError:
            self.abandoned.append(self.name)
            raise
        if self.code:
            await context.abort(self.code, "as told")
        response = rpc.EvaluateResponse()
        response.decision.decision_id = self.name
        return response


@contextlib.asynccontextmanager
async def between(*targets: Target, **changes: Any) -> AsyncIterator[Transport]:
    servers = []
    for target in targets:
        server = grpc.aio.server()
        server.add_generic_rpc_handlers((target,))
        target.address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
        await server.start()
        servers.append(server)
    settings = ClientSettings(tuple(target.address for target in targets), **{"timeout": 10.0, **changes})
    transport = Transport(settings)
    try:
        yield transport
    finally:
        await transport.close()
        for server in servers:
            await server.stop(0)


async def test_a_slow_answer_is_overtaken_by_the_next_target() -> None:
    slow, quick = Target("slow", delay=30), Target("quick")
    async with between(slow, quick) as transport:
        assert (await transport.evaluate(ASKED)).id == "quick"
        assert (slow.asked, quick.asked) == (1, 1)
        async with asyncio.timeout(5):
            while not slow.abandoned:
                await asyncio.sleep(0.01)


async def test_an_answer_in_time_is_asked_for_once() -> None:
    one, other = Target("one"), Target("other")
    async with between(one, other, hedge_after=5.0) as transport:
        assert [(await transport.evaluate(ASKED)).id for _ in range(4)] == ["one", "other", "one", "other"]
        assert one.asked + other.asked == 4


async def test_unavailable_is_asked_again_at_once() -> None:
    down, up = Target("down", code=grpc.StatusCode.UNAVAILABLE), Target("up")
    async with between(down, up, hedge_after=30.0, timeout=60.0) as transport:
        assert (await transport.evaluate(ASKED)).id == "up"


@pytest.mark.parametrize("code", [grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.RESOURCE_EXHAUSTED])
async def test_any_other_error_is_final(code: grpc.StatusCode) -> None:
    refuses, other = Target("refuses", code=code), Target("other")
    async with between(refuses, other, hedge_after=5.0) as transport:
        with pytest.raises(UnansweredError, match=code.name):
            await transport.evaluate(ASKED)
        assert (refuses.asked, other.asked) == (1, 0)


async def test_a_slow_service_is_not_given_twice_the_work() -> None:
    targets = [Target("one", delay=0.05), Target("other", delay=0.05)]
    async with between(*targets, hedge_after=0.001, hedge_share=0.0) as transport:
        for _ in range(30):
            await transport.evaluate(ASKED)
        assert sum(target.asked for target in targets) == 40


async def test_there_is_an_end_to_waiting() -> None:
    async with between(Target("slow", delay=30), timeout=0.2) as transport:
        with pytest.raises(UnansweredError, match="in time"):
            await transport.evaluate(ASKED)


@pytest.mark.parametrize(
    "changes",
    [{"targets": ()}, {"timeout": 0}, {"staleness": 0.1}, {"hedge_share": 2}, {"max_entries": 0}],
)
def test_settings_that_cannot_work_are_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(changes))):
        ClientSettings(**{"targets": ("127.0.0.1:1",), **changes})
    with pytest.raises(ValueError, match="both or neither"):
        ClientTls("ca.pem", "crm.pem")  # type: ignore[arg-type]
