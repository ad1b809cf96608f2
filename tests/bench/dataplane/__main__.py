"""Our service beside its peers under the same load, in one run: ``python -m tests.bench.dataplane``.

Every server decides the same: role, device compliant, risk below 50, region equal. Ours reads attributes from Redis
through its near cache, writes its decision log and counts; Cerbos gets the attributes with each request. Each server
is verified by a real call, and rounds go from server to server, so that what else the machine does hits all alike.

``PEERS="name=url=bodyfile"`` adds servers that run already.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from rich.console import Console

from pdp.attributes import EmbeddedRedis
from tests.bench.dataplane import ours, peers, report
from tests.bench.dataplane.load import WARM_UP, Sample, Shape, drive, merged
from tests.bench.dataplane.server import Server
from tests.bench.dataplane.usage import usage_of


class Load(NamedTuple):
    """A row of the table: what is called, and how many calls are in flight."""

    title: str
    kind: str
    shape: Shape


LOADS: Final = (
    Load("Evaluate, 1 in flight", "unary", Shape(1, 1)),
    Load("Evaluate, 32 in flight", "unary", Shape(16, 2)),
    Load(f"Batch of {ours.BATCH}, 8 in flight", "batch", Shape(8, 1)),
    Load(f"EvaluateStream of {ours.STREAM}, 8 streams", "stream", Shape(8, 1)),
)
_BASELINE: Final = "Cerbos"


class Round(NamedTuple):
    """One round: what the load generator saw, and the CPU seconds the server spent on it."""

    sample: Sample
    cpu: float


def main() -> None:
    """Measure, print, write."""
    options = _options()
    console = Console(width=120)
    with contextlib.ExitStack() as stack:
        servers = _bring_up(stack, options, console)
        rounds = _measure(servers, options, console)
        rows = [_row(server, load, found) for (server, load), found in _by_load(servers, rounds)]
    report.show(rows, _BASELINE, console)
    for server in servers:
        if server.ready is not None:
            console.print(
                f"{server.name}: ready {server.ready:.2f} s after its start, {len(servers)} servers running"
            )
    facts = {"rounds": options.rounds, "seconds": options.seconds, "load_average": os.getloadavg()}
    for file in report.write(rows, options.out, facts):
        console.print(f"written: {file}")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.dataplane", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="rounds on each server and load")
    parser.add_argument("--seconds", type=float, default=3.0, help="seconds a round")
    parser.add_argument("--workers", type=int, default=2, help="workers of our service")
    parser.add_argument("--out", type=Path, default=ours.ROOT / "build", help="where JSON and chart go")
    parser.add_argument("--only", choices=("unary", "batch", "stream"), help="only one kind of load")
    parser.add_argument("--no-cerbos", action="store_true", help="leave Cerbos out")
    parser.add_argument("--no-grpcio", action="store_true", help="leave our grpcio transport out")
    return parser.parse_args()


def _bring_up(stack: contextlib.ExitStack, options: argparse.Namespace, console: Console) -> list[Server]:
    traces = stack.enter_context(ours.trace_sink())
    redis = stack.enter_context(_redis())
    transports = ["envoy"] if options.no_grpcio else ["envoy", "grpcio"]
    servers = []
    for transport in transports:
        with console.status(f"starting pdp on {transport}"):
            servers.append(
                stack.enter_context(ours.serving(transport, redis, traces, workers=options.workers)),
            )
    if not options.no_cerbos:
        with console.status("starting Cerbos"):
            servers.append(stack.enter_context(peers.cerbos()))
    return servers + peers.named_peers(os.environ.get("PEERS", ""))


@contextlib.contextmanager
def _redis() -> Iterator[str]:
    redis = EmbeddedRedis()
    with asyncio.Runner() as runner:
        runner.run(redis.start())
        try:
            yield redis.url
        finally:
            runner.run(redis.stop())


def _measure(
    servers: Sequence[Server], options: argparse.Namespace, console: Console
) -> dict[tuple[str, str], list[Round]]:
    rounds: dict[tuple[str, str], list[Round]] = {}
    loads = [load for load in LOADS if options.only in (None, load.kind)]
    with console.status("") as status:
        for number in range(options.rounds):
            for load in loads:
                for server in servers:
                    if load.kind in server.targets:
                        status.update(f"round {number + 1} of {options.rounds}: {load.title}, {server.name}")
                        found = _round(server, load, options.seconds)
                        rounds.setdefault((server.name, load.title), []).append(found)
    return rounds


def _round(server: Server, load: Load, seconds: float) -> Round:
    before = usage_of(server.pid).cpu if server.pid else 0.0
    sample = drive(server.targets[load.kind], load.shape, seconds)
    spent = usage_of(server.pid).cpu - before if server.pid else 0.0
    # The warm-up's calls cost CPU and are not in the sample.
    return Round(sample, spent * seconds / (seconds + WARM_UP))


def _by_load(
    servers: Sequence[Server], rounds: dict[tuple[str, str], list[Round]]
) -> Iterator[tuple[tuple[Server, Load], list[Round]]]:
    for load in LOADS:
        for server in servers:
            if found := rounds.get((server.name, load.title)):
                yield (server, load), found


def _row(server: Server, load: Load, rounds: list[Round]) -> report.Row:
    sample = merged([found.sample for found in rounds])
    decisions = sample.calls * server.targets[load.kind].decisions
    cpu = sum(found.cpu for found in rounds) if server.pid else None
    used = usage_of(server.pid) if server.pid else None
    return {
        "server": server.name,
        "load": load.title,
        "kind": load.kind,
        "per_second": decisions / sample.seconds,
        "per_second_by_round": [
            found.sample.calls * server.targets[load.kind].decisions / found.sample.seconds for found in rounds
        ],
        **{f"p{share:.0%}".rstrip("%"): sample.percentile(share) / 1000 for share in (0.5, 0.95, 0.99)},
        "cpu_seconds": cpu,
        "cpu": cpu / decisions * 1e6 if cpu else None,
        "rss_total": used.total if used else None,
        "rss_largest": used.largest if used else None,
        "ready": server.ready,
    }


if __name__ == "__main__":
    sys.exit(main())
