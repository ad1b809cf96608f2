"""How fast a security signal takes an allow back, end to end, with decisions going on in the background.

The service runs in its own process on a Redis of its own. A load generator asks at a steady rate; a device turns
non-compliant by a pushed SET, and comes back by another, over and over. Reported, in milliseconds:

* push: from the first byte of the POST to its 202;
* decided: from the first byte of the POST to the last allow that was still decided, by the service's own clock;
* received: to the last allow that came in here, where this generator waits for the processor as well;
* written: the same token through the receiver in this process, without HTTP and without a service.

Run: python -m tests.bench.signals [rate] [revocations] [transport]
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import quantiles

import grpc.aio
import httpx

from pdp.v1 import decision_pb2 as wire
from pdp.v1 import policy_decision_pb2 as rpc
from tests.attributes.support import running
from tests.integration.running import serving
from tests.signals.support import DEVICE, EXECUTABLE, POLICIES, receiving, signals_text
from tests.signals.transmitter import CAEP, Transmitter

COMPLIANCE = CAEP + "device-compliance-change"
_METHOD = "/pdp.v1.PolicyDecisionService/Evaluate"
_HEADERS = {"content-type": "application/secevent+jwt"}
_SETTLE = 0.05
_PATIENCE = 10.0


def question() -> bytes:
    request = rpc.EvaluateRequest(session_id="s-1", device_id="d-1")
    request.subject.type, request.subject.id = "user", "alice"
    request.action.name = "read"
    request.resource.type, request.resource.id = "customer", "c-1"
    request.context.purpose = "support"
    request.context.supported_obligations.extend(("mask", "notify", "watermark", "filter", "review"))
    return request.SerializeToString()


class Load:
    """Asks at a steady rate and remembers when an allow was last answered."""

    def __init__(self, channel: grpc.aio.Channel, rate: float) -> None:
        self._ask = channel.unary_unary(_METHOD)
        self._rate = rate
        self._question = question()
        self._asking: set[asyncio.Task[None]] = set()
        self.answered = 0
        self.allowed = False
        self.last_received = 0.0
        self.last_decided = 0.0

    async def run(self) -> None:
        due = time.perf_counter()
        while True:
            while due <= time.perf_counter():
                task = asyncio.create_task(self._once())
                self._asking.add(task)
                task.add_done_callback(self._asking.discard)
                due += 1 / self._rate
            await asyncio.sleep(max(0.0, due - time.perf_counter()))

    async def _once(self) -> None:
        try:
            answer = rpc.EvaluateResponse.FromString(await self._ask(self._question, timeout=2))
        except grpc.aio.AioRpcError:
            return
        self.answered += 1
        self.allowed = answer.decision.effect == wire.EFFECT_ALLOW
        if self.allowed:
            self.last_received = time.time()
            self.last_decided = max(self.last_decided, answer.decision.decided_at.ToNanoseconds() / 1e9)


async def settle(load: Load, *, allowed: bool) -> None:
    """Wait until answers are what they should be, and those in flight are in."""
    end = time.perf_counter() + _PATIENCE
    while load.allowed is not allowed:
        if time.perf_counter() > end:
            raise SystemExit(f"the answers never became {'allow' if allowed else 'deny'}")
        await asyncio.sleep(0.001)
    await asyncio.sleep(_SETTLE)


async def measure(grpc_address: str, http: str, transmitter: Transmitter, rate: float, count: int) -> None:
    pushes, decided, received = [], [], []
    # Ahead of the word of the sample on the device, and each event after the one before it.
    at = time.time() + 2
    async with grpc.aio.insecure_channel(grpc_address) as channel, httpx.AsyncClient() as client:
        load = Load(channel, rate)
        running_load = asyncio.create_task(load.run())
        try:
            await settle(load, allowed=True)
            began, before = time.perf_counter(), load.answered
            for number in range(2 * count):
                compliant = number % 2 == 1
                at = max(at + 0.01, time.time())
                status = "compliant" if compliant else "not-compliant"
                token = transmitter.token(COMPLIANCE, DEVICE, {"current_status": status, "event_timestamp": at})
                sent = time.time()
                answer = await client.post(f"{http}/signals/push", content=token, headers=_HEADERS)
                answer.raise_for_status()
                pushes.append(time.time() - sent)
                await settle(load, allowed=compliant)
                if not compliant:
                    decided.append(max(0.0, load.last_decided - sent))
                    received.append(max(0.0, load.last_received - sent))
            achieved = (load.answered - before) / (time.perf_counter() - began)
        finally:
            running_load.cancel()
            await asyncio.wait([running_load])
    out(f"background: {achieved:,.0f} decisions/s answered of {rate:,.0f}/s asked; {count} revocations")
    report("push", pushes)
    report("decided", decided)
    report("received", received)


def out(line: str) -> None:
    sys.stdout.write(line + "\n")


def report(name: str, seconds: list[float]) -> None:
    cuts = quantiles(seconds, n=100)
    out(f"{name:>9}: p50 {cuts[49] * 1e3:7.2f}  p99 {cuts[98] * 1e3:7.2f}  worst {max(seconds) * 1e3:7.2f} ms")


@contextlib.contextmanager
def deployed(store_url: str, transmitter: Transmitter, transport: str) -> Iterator[tuple[str, str]]:
    with tempfile.TemporaryDirectory() as name:
        policies = Path(name) / "policies"
        shutil.copytree(POLICIES, policies)
        (policies / "signals.yaml").write_text(signals_text(transmitter))
        options = ("--policies", str(policies), "--redis", store_url, "--server", transport)
        with serving("--sample", *options) as service:
            yield service.grpc, service.http


async def receiver_alone(transmitter: Transmitter, count: int) -> None:
    with running(EXECUTABLE) as server:
        async with receiving(server, transmitter) as world:
            tokens = list(_tokens(transmitter, count))
            found = []
            for token in tokens:
                began = time.perf_counter()
                await world.receiver.receive(token, "")
                found.append(time.perf_counter() - began)
    report("written", found[1:])


def _tokens(transmitter: Transmitter, count: int) -> Iterator[bytes]:
    at = time.time()
    for number in range(count):
        status = "compliant" if number % 2 else "not-compliant"
        yield transmitter.token(COMPLIANCE, DEVICE, {"current_status": status, "event_timestamp": at + number / 1000})


def main(rate: float = 1000.0, count: int = 200, transport: str = "grpcio") -> None:
    with Transmitter("RSA") as transmitter, running(EXECUTABLE, tcp=True) as store:
        asyncio.run(receiver_alone(transmitter, 500))
        with deployed(store.url, transmitter, transport) as (grpc_address, http):
            asyncio.run(measure(grpc_address, http, transmitter, rate, count))


if __name__ == "__main__":
    arguments: list[Callable[[str], object]] = [float, int, str]
    main(*(read(text) for read, text in zip(arguments, sys.argv[1:], strict=False)))  # type: ignore[arg-type]
