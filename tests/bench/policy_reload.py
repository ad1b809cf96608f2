"""How soon a changed policy decides, and what its taking over costs the decisions beside it.

The service runs in its own process on the sample policy with rules added to 1,000. A load generator asks at a steady
rate (open loop: a late answer delays no question). First nothing changes; then one rule is changed again and again.
Reported, in milliseconds: latency of the two halves, and from the write to the first answer that names the new
revision. Failed calls are counted by half; on a machine with room for the rate there must be none.

Run: python -m tests.bench.policy_reload [rate] [changes] [rules] [further options of serve, such as --workers 2]
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from statistics import quantiles

import grpc.aio

from pdp.v1 import policy_decision_pb2 as rpc
from tests.bench.dataplane.ours import question
from tests.integration.running import ROOT, serving

_METHOD = "/pdp.v1.PolicyDecisionService/Evaluate"
_PAUSE = 1.5
_PATIENCE = 20.0


class Load:
    """Asks at a steady rate; remembers how long answers took, what failed, and which revision answered first when."""

    def __init__(self, channel: grpc.aio.Channel, rate: float) -> None:
        self._ask = channel.unary_unary(_METHOD)
        self._rate = rate
        self._question = question().SerializeToString()
        self._asking: set[asyncio.Task[None]] = set()
        self.latencies: list[float] = []
        self.failures: Counter[str] = Counter()
        self.revisions: dict[str, float] = {}

    async def keep(self) -> None:
        due = time.perf_counter()
        while True:
            due += 1 / self._rate
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            task = asyncio.create_task(self._once())
            self._asking.add(task)
            task.add_done_callback(self._asking.discard)

    async def _once(self) -> None:
        started = time.perf_counter()
        try:
            answer = rpc.EvaluateResponse.FromString(await self._ask(self._question, timeout=5.0))
        except grpc.aio.AioRpcError as error:
            self.failures[error.code().name] += 1
            return
        now = time.perf_counter()
        self.latencies.append(now - started)
        self.revisions.setdefault(answer.decision.policy_revision, now)


def rules_file(rules: int, variant: int) -> str:
    """Rules for a role of their own: they are many, and change no answer. Two variants differ in one of them."""
    risks = (1 + (number * 7 + (0 if number else variant)) % 90 for number in range(rules))
    rows = (
        f"p,bulk-{number},supervisor,read,customer,"
        f"\"r.session.risk < {risk} && r.context.purpose == 'quality_review'\",deny,,a test"
        for number, risk in enumerate(risks)
    )
    return "\n".join([*rows, "# end", ""])


def put(folder: Path, rules: int, variant: int) -> None:
    part = folder / ".next"
    part.write_text(rules_file(rules, variant))
    part.rename(folder / "policy" / "bulk.csv")


async def measure(address: str, folder: Path, rate: float, changes: int, rules: int) -> None:
    async with grpc.aio.insecure_channel(address) as channel:
        load = Load(channel, rate)
        keeping = asyncio.create_task(load.keep())
        await asyncio.sleep(3.0)
        load.latencies.clear()
        load.failures.clear()
        await asyncio.sleep(changes * _PAUSE)
        quiet, load.latencies = load.latencies, []
        failed, load.failures = load.failures, Counter()
        live = []
        for variant in range(1, changes + 1):
            before = set(load.revisions)
            written = time.perf_counter()
            await asyncio.to_thread(put, folder, rules, variant)
            while not (new := set(load.revisions) - before):
                assert time.perf_counter() - written < _PATIENCE, "the change is not taken up"
                await asyncio.sleep(0.005)
            live.append(load.revisions[new.pop()] - written)
            await asyncio.sleep(max(0.0, _PAUSE - live[-1]))
        keeping.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await keeping
    report("nothing changes", quiet)
    report("changes", load.latencies)
    print(f"p99 while changing / quiet: {percentile(load.latencies, 99) / percentile(quiet, 99):.2f}")  # noqa: T201
    report("write to live", live)
    print(f"failed calls: {dict(failed) or 0} quiet, {dict(load.failures) or 0} while changing")  # noqa: T201


def percentile(values: list[float], share: int) -> float:
    return quantiles(values, n=100, method="inclusive")[share - 1]


def report(name: str, values: list[float]) -> None:
    shown = "  ".join(f"p{share} {percentile(values, share) * 1000:8.2f}" for share in (50, 95, 99))
    print(f"{name:<16} n {len(values):6}  {shown}  max {max(values) * 1000:8.2f}")  # noqa: T201


def main(rate: float = 100.0, changes: int = 20, rules: int = 1000, *options: str) -> None:
    with tempfile.TemporaryDirectory(prefix="pdp-bench-") as place:
        folder = Path(place) / "policies"
        shutil.copytree(ROOT / "policies", folder)
        bulk = rules - sum(path.read_text().count("\np,") for path in (folder / "policy").glob("*.csv"))
        put(folder, bulk, 0)
        with serving("--sample", "--policies", str(folder), *options) as service:
            asyncio.run(measure(service.grpc, folder, rate, changes, bulk))


if __name__ == "__main__":
    rest = sys.argv[1:]
    main(*(float(it) for it in rest[:1]), *(int(it) for it in rest[1:3]), *rest[3:])
