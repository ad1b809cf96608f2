"""Watch access being taken back: an agent works, the device turns non-compliant, access ends, and comes back.

Runs the service itself (``pdp serve --sample``: real gRPC, real Redis, the sample policy) and asks it as an
enforcement point does. Device management says how the device is by CAEP events in signed security event tokens that
it pushes over HTTP. Where the time went is drawn from the trace that the service sends to a collector.
``make demo-revocation`` runs it.
"""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple

import httpx
from rich.console import Console, Group
from rich.live import Live
from rich.padding import Padding
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from examples.collector import Collector, drawn
from examples.device_management import DeviceManagement
from pdp.attributes import EmbeddedRedis
from pdp.client import AsyncClient, ClientSettings, Decision, Mask, Question, UnansweredError

ROOT: Final = Path(__file__).parents[1]
LAPTOP: Final = "d-1"
RECORD: Final = {"name": "Ada King", "national_id": "AB123456C", "date_of_birth": "1815-12-10"}
WORK_SECONDS: Final = 2.5
PATIENCE: Final = 1.0
PAUSE: Final = 0.002
SPANS: Final = 7
SPAN_PATIENCE: Final = 5.0
WIDTH: Final = 118
_ANSI: Final = re.compile(r"\x1b\[[0-9;]*m")


# Alice, at her own laptop, reads a customer's record for a bill.
READ: Final = Question(("user", "alice"), "read", ("customer", "c-1"), "s-2", LAPTOP, "billing")


@dataclass
class Board:
    """What is seen on the screen."""

    checks: int = 0
    held: int = 0
    allowed: bool | None = None
    reason: str = ""
    spans: list[float] = field(default_factory=list)
    story: deque[Text] = field(default_factory=lambda: deque(maxlen=14))
    began: float = field(default_factory=time.perf_counter)

    def tell(self, text: str, style: str = "") -> None:
        """Add a line to the story."""
        at = time.perf_counter() - self.began
        self.story.append(Text.assemble((f"{at:8.3f} s  ", "dim"), (text, style)))

    def __rich__(self) -> Panel:
        """Draw it."""
        state = {None: ("starting", "yellow"), True: ("ALLOWED", "bold green"), False: ("DENIED", "bold red")}
        word, style = state[self.allowed]
        facts = Table.grid(padding=(0, 2))
        facts.add_row(Text("access", style="dim"), Text.assemble((word, style), ("  " + self.reason, "dim")))
        cost = f"{statistics.median(self.spans) * 1e6:.1f} µs each" if self.spans else ""
        facts.add_row(Text("checks", style="dim"), f"{self.checks:,}, {self.held:,} from the client's cache  {cost}")
        border = {None: "yellow", True: "green", False: "red"}[self.allowed]
        title = "alice reads a customer's record"
        return Panel(Group(facts, Text(), *self.story), title=title, width=WIDTH, border_style=border)


class Agent:
    """Works, and checks before every record."""

    def __init__(self, client: AsyncClient, board: Board) -> None:
        self._client = client
        self._board = board
        self.noticed = {True: asyncio.Event(), False: asyncio.Event()}
        self.noticed_at = 0.0

    async def work(self) -> None:
        """Read one record after another until cancelled."""
        while True:
            await self._read()
            await asyncio.sleep(PAUSE)

    async def _read(self) -> None:
        board = self._board
        board.held += self._client.held(READ) is not None
        began = time.perf_counter()
        try:
            decision = await self._client.check(READ)
        except UnansweredError as error:
            decision = Decision(allowed=False, id="", reasons=(), trace_id=str(error))
        now = time.perf_counter()
        board.checks += 1
        if board.checks % 10 == 0:
            board.spans = [*board.spans[-200:], now - began]
        if decision.allowed != board.allowed:
            board.allowed, board.reason = decision.allowed, ", ".join(map(str, decision.reasons))
            self.noticed_at = now
            self.noticed[not decision.allowed].clear()
            self.noticed[decision.allowed].set()


class Stage(NamedTuple):
    """Who takes part."""

    mdm: DeviceManagement
    http: httpx.AsyncClient
    receiver: str
    agent: Agent
    board: Board


async def turn(stage: Stage, *, compliant: bool) -> float:
    """Say as device management does how the device is; give the seconds until the agent notices."""
    word = "complies again" if compliant else "no longer complies"
    token = stage.mdm.token(LAPTOP, compliant=compliant)
    began = time.perf_counter()
    await stage.mdm.push(stage.http, stage.receiver, token)
    accepted = time.perf_counter()
    what = f"device management pushes a signed CAEP event: {LAPTOP} {word}"
    stage.board.tell(f"{what} (accepted in {(accepted - began) * 1e3:.1f} ms)", "yellow")
    await asyncio.wait_for(stage.agent.noticed[compliant].wait(), 10)
    took = max(0.0, stage.agent.noticed_at - began)
    style, what = ("green", "access restored") if compliant else ("red", "access withdrawn")
    stage.board.tell(f"{what} {took * 1e3:.1f} ms after the push began: {stage.board.reason}", style)
    return took


async def play(stage: Stage, client: AsyncClient, rounds: int, pause: float) -> list[float]:
    """Play the story some times; give the seconds that each withdrawal took."""
    working = asyncio.create_task(stage.agent.work())
    took = []
    try:
        await asyncio.wait_for(stage.agent.noticed[True].wait(), 15)
        shown = (await client.authorize(READ)).show(dict(RECORD))
        stage.board.tell(f"alice signs in and works; she sees {', '.join(shown.values())}", "green")
        for _ in range(rounds):
            await asyncio.sleep(pause)
            took.append(await turn(stage, compliant=False))
            await asyncio.sleep(pause / 2)
            await turn(stage, compliant=True)
        await asyncio.sleep(pause / 2)
    finally:
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)
    return took


def serve(store: str, folder: Path, mdm: DeviceManagement, traces: str) -> tuple[subprocess.Popen[str], str, str]:
    """Start the service; give the process, its gRPC address and its HTTP URL."""
    shutil.copytree(ROOT / "policies", folder / "policies")
    mdm.introduce(folder / "policies", folder / "secrets")
    settings = {
        "redis.url": store,
        # A machine that shows something is often busy with something else.
        "redis.fetch_timeout": PATIENCE,
        "audit.directory": folder / "audit",
        "audit.keys": folder / "keys",
        "policy.state": folder / "state",
        "signals.secrets": folder / "secrets",
        "telemetry.traces_url": traces,
        "telemetry.traces_ratio": 1,
        "telemetry.log_level": "error",
    }
    flags = [part for name, value in settings.items() for part in ("--set", f"{name}={value}")]
    where = ("--policies", str(folder / "policies"), "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0")
    process = subprocess.Popen(  # noqa: S603 - our own service
        [sys.executable, "-m", "pdp", "serve", "--sample", *where, *flags],
        cwd=ROOT,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "NO_COLOR": "1", "COLUMNS": "200"},
    )
    assert process.stderr  # noqa: S101 - asked for above
    said: list[str] = []
    for line in process.stderr:
        said.append(_ANSI.sub("", line))
        if line.startswith("ready"):
            break
    found = re.search(r"gRPC (\S+).*HTTP (\S+)", "".join(said), re.DOTALL)
    if found is None:
        process.kill()
        raise SystemExit("the service did not start:\n" + "".join(said))
    return process, found[1], f"http://{found[2]}"


async def show(console: Console, folder: Path, rounds: int, pause: float) -> None:
    """Run the demonstration in a folder."""
    board = Board()
    with DeviceManagement() as mdm, Collector() as collector:
        async with EmbeddedRedis() as redis, httpx.AsyncClient() as http:
            process, address, receiver = await asyncio.to_thread(serve, redis.url, folder, mdm, collector.url)
            try:
                async with AsyncClient(ClientSettings((address,)), [Mask()]) as client:
                    await client.watching()
                    # The first request of a client costs it a connection and imports, which are not what is shown.
                    await http.get(f"{receiver}/healthz")
                    board.began = time.perf_counter()
                    stage = Stage(mdm, http, receiver, Agent(client, board), board)
                    with Live(board, console=console, refresh_per_second=20):
                        took = await play(stage, client, rounds, pause)
                # Signals come in pairs: the last but one took access away.
                spans = await asyncio.to_thread(collector.trace, 2 * rounds - 2, SPANS, SPAN_PATIENCE)
            finally:
                process.terminate()
                await asyncio.to_thread(process.wait, 30)
    spent = ", ".join(f"{it * 1e3:.1f} ms" for it in took)
    console.print(f"\naccess withdrawn {spent} after the push began\n")
    if not spans:
        raise SystemExit("no trace of it arrived")
    console.print(f"the last withdrawal, as trace {spans[0].trace_id.hex()} tells it:\n")
    console.print(Padding(drawn(spans), (0, 1)))


def main(rounds: int = 2, pause: float = WORK_SECONDS) -> None:
    """Run the demonstration.

    Args:
        rounds: how often access is taken away and given back.
        pause: seconds of work in between.
    """
    console = Console()
    console = console if console.is_terminal else Console(width=WIDTH + 10)
    with tempfile.TemporaryDirectory(prefix="pdp-demo-") as folder:
        asyncio.run(show(console, Path(folder), rounds, pause))


if __name__ == "__main__":
    main(*(read(text) for read, text in zip((int, float), sys.argv[1:], strict=False)))
