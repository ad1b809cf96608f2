"""How fast a security signal takes an allow back, end to end, with decisions going on in the background.

The service runs in its own process on a Redis of its own; another process asks it at a steady rate; this one watches
the same decision, as an enforcement point does. A device turns non-compliant by a pushed SET, and comes back by
another, over and over. Times are from when the token's bytes are handed to the network, in milliseconds:

* pushed: until its 202 is here;
* message: until the new decision is here, by the watch;
* decided: until the last allow that was still decided, by the service's own clock;
* received: until the last allow that came in at the process that asks, which waits for the processor as well.

CPU is the service's, all processes, for one signal beyond what the background costs; and, for the receiver alone, of
each stage of a token in this process. Both hold on a busy machine, where times do not.

Run: python -m tests.bench.signals [rate] [revocations] [transport]
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean, quantiles
from urllib.parse import urlsplit

from rich.console import Console
from rich.table import Table

from pdp.client import AsyncClient, ClientSettings, Decision, Question
from pdp.core.signals.plan import plan_for
from tests.attributes.support import running
from tests.bench.background import Background, asking
from tests.bench.dataplane.usage import usage_of
from tests.client.live import MASKS, READ, settled
from tests.integration.running import Service, serving
from tests.signals.support import DEVICE, EXECUTABLE, POLICIES, receiving, signals_text
from tests.signals.transmitter import CAEP, Transmitter

COMPLIANCE = CAEP + "device-compliance-change"
QUIET = 50
_SETTLE = 0.03
_PATIENCE = 10.0


@dataclass
class Found:
    """Seconds of each signal, by what they are until."""

    pushed: list[float] = field(default_factory=list)
    message: list[float] = field(default_factory=list)
    decided: list[float] = field(default_factory=list)
    received: list[float] = field(default_factory=list)


class Watcher:
    """Hears of the decision on ``READ``."""

    def __init__(self) -> None:
        self.at = 0.0
        self.arrived = asyncio.Event()

    def changed(self, question: Question, _: Decision) -> None:
        if question == READ:
            self.at = time.time()
            self.arrived.set()


class Pusher:
    """A connection of a transmitter's, kept open."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    async def push(self, token: bytes) -> float:
        """Push a token, and give when its bytes were handed to the network; returns with its 202."""
        head = "POST /signals/push HTTP/1.1\r\nhost: pdp\r\ncontent-type: application/secevent+jwt\r\n"
        request = f"{head}content-length: {len(token)}\r\n\r\n".encode() + token
        sent = time.time()
        self._writer.write(request)
        answer = await self._reader.readuntil(b"\r\n\r\n")
        assert b" 202 " in answer.split(b"\r\n")[0], answer
        return sent


async def revoke(service: Service, transmitter: Transmitter, load: Background, count: int) -> Found:
    """Turn the device non-compliant and back, over and over."""
    found, watcher = Found(), Watcher()
    where = urlsplit(service.http)
    pusher = Pusher(*await asyncio.open_connection(where.hostname, where.port))
    # Ahead of the word of the sample on the device, and each event after the one before it.
    at = time.time() + 2
    settings = ClientSettings((service.grpc,), timeout=5.0, staleness=3.0)
    async with AsyncClient(settings, MASKS, watcher.changed) as client:
        await settled(client)
        await load.settled(allowed=True)
        for number in range(2 * count):
            compliant = number % 2 == 1
            at = max(at + 0.01, time.time())
            status = "compliant" if compliant else "not-compliant"
            token = transmitter.token(COMPLIANCE, DEVICE, {"current_status": status, "event_timestamp": at})
            watcher.arrived.clear()
            sent = await pusher.push(token)
            found.pushed.append(time.time() - sent)
            await asyncio.wait_for(watcher.arrived.wait(), _PATIENCE)
            found.message.append(watcher.at - sent)
            await load.settled(allowed=compliant)
            await asyncio.sleep(_SETTLE)
            if not compliant:
                found.decided.append(max(0.0, load.last_decided - sent))
                found.received.append(max(0.0, load.last_received - sent))
    return found


def measure(service: Service, transmitter: Transmitter, rate: int, count: int, table: Table) -> str:
    """Fill the table; give what is to be said of CPU."""
    with asking(service.grpc, rate) as load:
        time.sleep(1.0)
        pid = service.process.pid
        began, spent = time.perf_counter(), usage_of(pid).cpu
        time.sleep(2.0)
        idle = (usage_of(pid).cpu - spent) / (time.perf_counter() - began)
        began, spent = time.perf_counter(), usage_of(pid).cpu
        before = load.answered
        found = asyncio.run(revoke(service, transmitter, load, count))
        took = time.perf_counter() - began
        each = (usage_of(pid).cpu - spent - idle * took) / (2 * count)
        achieved = (load.answered - before) / took
    for name in ("pushed", "message", "decided", "received"):
        seconds = getattr(found, name)
        cuts = quantiles(seconds, n=100)
        figures = [f"{it * 1e3:.2f}" for it in (cuts[49], cuts[98], max(seconds))]
        table.add_row(f"{achieved:,.0f}/s" if name == "pushed" else "", name, *figures)
    return f"CPU beside {achieved:,.0f}/s: {each * 1e3:.2f} ms a signal, {idle:.0%} of a core for the background"


async def stages(transmitter: Transmitter, count: int) -> list[tuple[str, float]]:
    """CPU seconds on one thread of each stage of a token."""
    spent: dict[str, list[float]] = {}
    with running(EXECUTABLE) as server:
        async with receiving(server, transmitter) as world:
            policy, receiver = world.policies.current(), world.receiver
            assert policy is not None
            verifier, store = receiver._verifier, receiver._store
            for number in range(count):
                now = time.time()
                claims = {"current_status": "compliant" if number % 2 else "not-compliant", "event_timestamp": now}
                raw = transmitter.token(COMPLIANCE, DEVICE, claims)
                marks = [time.thread_time()]
                token = verifier.open(raw, policy.signals)
                marks.append(time.thread_time())
                event = await verifier.verify(token, policy.signals, now)
                marks.append(time.thread_time())
                plan = plan_for(event, token.transmitter, policy.signals, policy.schema)
                marks.append(time.thread_time())
                await store.apply(event, plan, 600.0)
                marks.append(time.thread_time())
                for name, one, next_one in zip(("parse", "verify", "map", "write"), marks, marks[1:], strict=False):
                    spent.setdefault(name, []).append(next_one - one)
    return [(name, fmean(sorted(values)[: count // 2])) for name, values in spent.items()]


@contextlib.contextmanager
def deployed(store_url: str, transmitter: Transmitter, transport: str) -> Iterator[Service]:
    with tempfile.TemporaryDirectory() as name:
        policies = Path(name) / "policies"
        shutil.copytree(POLICIES, policies)
        (policies / "signals.yaml").write_text(signals_text(transmitter))
        with serving("--sample", "--policies", str(policies), "--redis", store_url, "--server", transport) as service:
            yield service


def main(rate: int = 1000, count: int = 200, transport: str = "grpcio") -> None:
    console = Console()
    with Transmitter("RSA") as transmitter, running(EXECUTABLE, tcp=True) as store:
        found = asyncio.run(stages(transmitter, 500))
        console.print("a token, RS256, CPU: " + ", ".join(f"{name} {it * 1e6:.0f} µs" for name, it in found))
        table = Table(title=f"{count} revocations, {transport}", title_justify="left")
        table.add_column("background")
        table.add_column("until")
        for column in ("p50 ms", "p99 ms", "most ms"):
            table.add_column(column, justify="right")
        with deployed(store.url, transmitter, transport) as service:
            said = [measure(service, transmitter, background, count, table) for background in (QUIET, rate)]
        console.print(table, *said, sep="\n")
    busy = os.getloadavg()[0] / (os.cpu_count() or 1)
    console.print(f"{busy:.1f} runnable tasks a core in the last minute")


if __name__ == "__main__":
    arguments: list[Callable[[str], object]] = [int, int, str]
    main(*(read(text) for read, text in zip(arguments, sys.argv[1:], strict=False)))  # type: ignore[arg-type]
