"""Does the service stay as it is under load? ``python -m tests.bench.soak [--seconds 600] [--transport envoy]``.

Calls of every kind, one in five cancelled at a random moment, on connections that come and go. Each worker notes
every second what it holds: memory, file descriptors, asyncio tasks, threads. Exits 1 where one of them grew between
the second and the last fifth of the run, or a call that was not cancelled was not answered. Draws a chart of it.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import random
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import grpc
import psutil
from rich.console import Console
from rich.table import Table

from pdp.attributes import EmbeddedRedis
from pdp.bootstrap.application import DecisionApplication
from pdp.bootstrap.application import build as build_service
from pdp.bootstrap.launch import provide_keys
from pdp.bootstrap.sample import Sample
from pdp.config import validated
from pdp.server.application import Address, Place, ServerSettings
from pdp.server.supervisor import Supervisor, Transport
from pdp.v1 import policy_decision_pb2 as rpc
from pdp.v1.decision_pb2 import Decision
from tests.bench.dataplane.ours import BATCH, POLICIES, ROOT, question, trace_sink

_SERVICE: Final = "/pdp.v1.PolicyDecisionService/"
_ALLOW: Final = 1
# At the start nothing is in memory yet, and a process that was not scheduled for as long as its lease denies.
_SOUND: Final = {"allowed", "cancelled", "denied: ATTRIBUTES_UNAVAILABLE"}
_CANCELLED: Final = 0.2
_CALLERS: Final = 32
_CALLS_A_CHANNEL: Final = 500
_STREAMED: Final = 20
_SLACK: Final = {"rss": 1.05, "fds": 1.05, "tasks": 1.10, "threads": 1.05}
"""What the last fifth may have of the second fifth's, plus one: connections come and go all the time."""
Holding = Mapping[str, float]


async def build(settings: Mapping[str, Any], place: Place) -> DecisionApplication:
    """Make a worker's application, which notes once a second what it holds. Called in the worker."""
    application = await build_service(settings["service"], place)
    file = Path(settings["notes"]) / f"{place.worker}.jsonl"
    task = asyncio.create_task(_note(file))
    application._tasks.append(task)  # it ends with the others
    return application


async def _note(file: Path) -> None:
    process = psutil.Process()
    with file.open("a", buffering=1) as notes:
        while True:
            held = {
                "time": time.time(),
                "rss": process.memory_info().rss / 2**20,
                "fds": process.num_fds(),
                "tasks": len(asyncio.all_tasks()),
                "threads": process.num_threads(),
            }
            notes.write(json.dumps(held) + "\n")
            await asyncio.sleep(1)


class Load:
    """Callers without a pause; each makes one call at a time."""

    def __init__(self, address: str, ends: float) -> None:
        self._address = address
        self._ends = ends
        self._random = random.Random(1)  # noqa: S311 - which calls are cancelled is no secret
        self.outcomes: Counter[str] = Counter()

    async def run(self) -> None:
        """Call until it is time to end."""
        async with asyncio.TaskGroup() as group:
            for _ in range(_CALLERS):
                group.create_task(self._caller())

    async def _caller(self) -> None:
        options = [("grpc.use_local_subchannel_pool", 1)]
        while time.monotonic() < self._ends:
            async with grpc.aio.insecure_channel(self._address, options=options) as channel:
                for _ in range(_CALLS_A_CHANNEL):
                    if time.monotonic() >= self._ends:
                        return
                    kind = self._random.choices((_evaluate, _batch, _stream), (8, 1, 1))[0]
                    self.outcomes[await self._outcome(kind, channel)] += 1

    async def _outcome(
        self, kind: Callable[[grpc.aio.Channel], Awaitable[list[Decision]]], channel: grpc.aio.Channel
    ) -> str:
        task = asyncio.ensure_future(kind(channel))
        if self._random.random() < _CANCELLED:
            await asyncio.sleep(self._random.random() * 0.01)
            task.cancel()
        try:
            denied = [decision for decision in await task if decision.effect != _ALLOW]
        except asyncio.CancelledError:
            return "cancelled"
        except grpc.aio.AioRpcError as error:
            return f"failed: {error.code().name}"
        return f"denied: {denied[0].reasons[0].code}" if denied else "allowed"


async def _evaluate(channel: grpc.aio.Channel) -> list[Decision]:
    answer = await channel.unary_unary(f"{_SERVICE}Evaluate")(question().SerializeToString(), timeout=10)
    return [rpc.EvaluateResponse.FromString(answer).decision]


async def _batch(channel: grpc.aio.Channel) -> list[Decision]:
    batch = rpc.BatchEvaluateRequest(items=[question(f"c-{number}") for number in range(1, BATCH + 1)])
    answer = await channel.unary_unary(f"{_SERVICE}BatchEvaluate")(batch.SerializeToString(), timeout=10)
    return [result.decision for result in rpc.BatchEvaluateResponse.FromString(answer).results]


async def _stream(channel: grpc.aio.Channel) -> list[Decision]:
    async def asked() -> AsyncIterator[bytes]:
        for number in range(_STREAMED):
            yield rpc.EvaluateStreamRequest(request_id=str(number), request=question()).SerializeToString()

    call = channel.stream_stream(f"{_SERVICE}EvaluateStream")(asked(), timeout=10)
    return [rpc.EvaluateStreamResponse.FromString(answer).decision async for answer in call]


async def soak(options: argparse.Namespace, folder: Path) -> Load:
    """Bring the service up, load it, stop it."""
    async with EmbeddedRedis() as redis:
        with trace_sink() as traces:
            values = {
                "policy": {"folder": str(POLICIES)},
                "redis": {"url": redis.url},
                "audit": {"directory": str(folder / "audit"), "keys": str(folder / "keys")},
                "telemetry": {"traces_url": traces, "log_level": "error"},
            }
            config = validated(values)
            provide_keys(config.audit.keys)
            await Sample(config.redis, config.policy).load()
            settings = {"service": values, "notes": str(folder)}
            served = ServerSettings("tests.bench.soak:build", settings, Address("127.0.0.1", 0))
            async with Supervisor(Transport(options.transport), served, options.workers) as supervisor:
                return await _loaded(supervisor, options.seconds)


async def _loaded(supervisor: Supervisor, seconds: float) -> Load:
    ready = asyncio.Event()
    running = asyncio.create_task(supervisor.run(ready.set))
    waiting = asyncio.create_task(ready.wait())
    await asyncio.wait([running, waiting], return_when=asyncio.FIRST_COMPLETED)
    load = Load(str(supervisor.settings.listen), time.monotonic() + seconds)
    if ready.is_set():
        await load.run()
    supervisor.stop()
    waiting.cancel()
    await running
    return load


def read_notes(folder: Path) -> dict[str, list[Holding]]:
    """Read what each worker held, second by second."""
    files = sorted(folder.glob("*.jsonl"))
    return {f"worker {file.stem}": [json.loads(line) for line in file.read_text().splitlines()] for file in files}


def growth(samples: Sequence[Holding], name: str) -> tuple[float, float]:
    """Give the median of the second fifth of the run, and that of its last fifth."""
    fifth = max(1, len(samples) // 5)
    early, late = samples[fifth : 2 * fifth], samples[-fifth:]
    return statistics.median(s[name] for s in early or samples), statistics.median(s[name] for s in late)


def report(notes: Mapping[str, Sequence[Holding]], outcomes: Counter[str], console: Console) -> bool:
    """Print what grew; say whether all is well."""
    table = Table(title=f"soak: {sum(outcomes.values()):,} calls", title_justify="left")
    for title in ("what", "worker", "second fifth", "last fifth", "flat"):
        table.add_column(title, justify="left" if title in ("worker", "what") else "right")
    well = True
    for name, slack in _SLACK.items():
        held = {worker: growth(samples, name) for worker, samples in notes.items()}
        # Connections move from worker to worker as they come and go, so what counts is what all hold together.
        early, late = (sum(part) for part in zip(*held.values(), strict=True))
        flat = late <= early * slack + 1
        well &= flat
        for worker, (first, last) in held.items():
            table.add_row(name, worker, f"{first:.1f}", f"{last:.1f}", "")
        table.add_row(name, "together", f"{early:.1f}", f"{late:.1f}", "yes" if flat else "[red]no[/]")
    console.print(table)
    console.print(", ".join(f"{count:,} {outcome}" for outcome, count in outcomes.most_common()))
    return well and set(outcomes) <= _SOUND and bool(notes)


def draw(notes: Mapping[str, Sequence[Holding]], file: Path) -> None:
    """Draw what each worker held over time."""
    import matplotlib as mpl  # noqa: PLC0415 - a second to import, and only the end of a run needs it

    mpl.use("Agg")
    from matplotlib import pyplot as plt  # noqa: PLC0415

    figure, axes = plt.subplots(len(_SLACK), 1, figsize=(8, 8), sharex=True)
    for axis, name in zip(axes, _SLACK, strict=True):
        for worker, samples in notes.items():
            start = samples[0]["time"]
            axis.plot([s["time"] - start for s in samples], [s[name] for s in samples], label=worker, linewidth=1)
        axis.set_ylabel("RSS, MiB" if name == "rss" else name)
        axis.set_ylim(bottom=0)
    axes[0].legend(loc="lower right")
    axes[-1].set_xlabel("seconds")
    figure.tight_layout()
    file.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(file, dpi=120)


def main() -> int:
    """Run, print, draw."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.soak", description=__doc__)
    parser.add_argument("--seconds", type=float, default=float(os.environ.get("SOAK_SECONDS", "600")))
    parser.add_argument("--transport", choices=[transport.value for transport in Transport], default="envoy")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--out", type=Path, default=ROOT / "build")
    options = parser.parse_args()
    os.environ["PYTHONPATH"] = str(ROOT)  # for the workers, which import this module
    console = Console()
    with tempfile.TemporaryDirectory(prefix="pdp-soak-") as name, contextlib.suppress(KeyboardInterrupt):
        load = asyncio.run(soak(options, Path(name)))
        notes = read_notes(Path(name))
        well = report(notes, load.outcomes, console)
        draw(notes, options.out / "soak.png")
        console.print(f"written: {options.out / 'soak.png'}")
        return 0 if well else 1
    return 130


if __name__ == "__main__":
    sys.exit(main())
