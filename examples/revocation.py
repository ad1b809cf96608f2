"""Watch access being taken back: an agent works, the device turns non-compliant, access ends, and comes back.

Runs the service itself (``pdp serve --sample``: real gRPC, real Redis, the sample policy), asks it as an enforcement
point does, and writes the device's posture as device management does. Run it with ``make demo-revocation``.
"""

from __future__ import annotations

import asyncio
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from rich.console import Console, Group
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from pdp.attributes import EmbeddedRedis, RedisSettings, open_writer
from pdp.attributes.writer import AttributeWriter
from pdp.client import AsyncClient, ClientSettings, Decision, Mask, Question, UnansweredError
from pdp.core.decision import Entity
from pdp.core.request import EntityRef
from pdp.policy import load_schema

ROOT: Final = Path(__file__).parents[1]
DEVICE: Final = (Entity.DEVICE, EntityRef("device", "d-1"))
RECORD: Final = {"name": "Ada King", "national_id": "AB123456C", "date_of_birth": "1815-12-10"}
WORK_SECONDS: Final = 2.5
PATIENCE: Final = 1.0
PAUSE: Final = 0.002
_ANSI: Final = re.compile(r"\x1b\[[0-9;]*m")


# Alice, at her own laptop, reads a customer's record for a bill.
READ: Final = Question(("user", "alice"), "read", ("customer", "c-1"), "s-2", "d-1", "billing")


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
        return Panel(Group(facts, Text(), *self.story), title="alice reads a customer's record", width=100)


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


async def turn(writer: AttributeWriter, board: Board, agent: Agent, *, compliant: bool) -> float:
    """Say as device management does how the device is; give the seconds until the agent notices."""
    word = "complies again" if compliant else "no longer complies"
    began = time.perf_counter()
    await writer.patch(*DEVICE, {"compliant": compliant})
    written = time.perf_counter()
    board.tell(f"device management: d-1 {word} (written in {(written - began) * 1e3:.1f} ms)", "yellow")
    await asyncio.wait_for(agent.noticed[compliant].wait(), 10)
    took = max(0.0, agent.noticed_at - written)
    style, what = ("green", "access restored") if compliant else ("red", "access withdrawn")
    board.tell(f"{what} {took * 1e3:.1f} ms after that; {board.reason}", style)
    return took


async def play(writer: AttributeWriter, client: AsyncClient, board: Board, rounds: int) -> list[float]:
    """Play the story some times; give the seconds that each withdrawal took."""
    agent = Agent(client, board)
    working = asyncio.create_task(agent.work())
    took = []
    try:
        await asyncio.wait_for(agent.noticed[True].wait(), 15)
        shown = (await client.authorize(READ)).show(dict(RECORD))
        board.tell(f"alice signs in and works; she sees {shown}", "green")
        for _ in range(rounds):
            await asyncio.sleep(WORK_SECONDS)
            took.append(await turn(writer, board, agent, compliant=False))
            await asyncio.sleep(WORK_SECONDS / 2)
            await turn(writer, board, agent, compliant=True)
        await asyncio.sleep(WORK_SECONDS / 2)
    finally:
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)
    return took


def serve(store: str, folder: str) -> tuple[subprocess.Popen[str], str]:
    """Start the service; give the process and its gRPC address."""
    # A machine that shows something is often busy with something else.
    patience = f"redis.fetch_timeout={PATIENCE}"
    options = (f"redis.url={store}", patience, f"audit.directory={folder}/audit", f"audit.keys={folder}/keys")
    flags = [part for option in (*options, "telemetry.log_level=error") for part in ("--set", option)]
    command = [sys.executable, "-m", "pdp", "serve", "--sample", "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0"]
    process = subprocess.Popen(  # noqa: S603 - our own service
        [*command, *flags], cwd=ROOT, stderr=subprocess.PIPE, text=True, env={**os.environ, "NO_COLOR": "1"}
    )
    assert process.stderr  # noqa: S101 - asked for above
    said: list[str] = []
    for line in process.stderr:
        said.append(_ANSI.sub("", line))
        if line.startswith("ready"):
            break
    found = re.search(r"gRPC (\S+)", "".join(said))
    if found is None:
        process.kill()
        raise SystemExit("the service did not start:\n" + "".join(said))
    return process, found[1]


async def main(rounds: int) -> None:
    """Run the demonstration."""
    console = Console()
    board = Board()
    with tempfile.TemporaryDirectory(prefix="pdp-demo-") as folder:
        async with EmbeddedRedis() as redis:
            process, address = await asyncio.to_thread(serve, redis.url, folder)
            try:
                settings = ClientSettings((address,))
                schema = load_schema(ROOT / "policies" / "schema.yaml")
                async with (
                    open_writer(RedisSettings(redis.url, fetch_timeout=PATIENCE), schema) as writer,
                    AsyncClient(settings, [Mask()]) as client,
                ):
                    await client.watching()
                    board.began = time.perf_counter()
                    with Live(board, console=console, refresh_per_second=20):
                        took = await play(writer, client, board, rounds)
            finally:
                process.terminate()
                await asyncio.to_thread(process.wait, 30)
    console.print(
        f"access withdrawn {len(took)} times, {min(took) * 1e3:.1f} to {max(took) * 1e3:.1f} ms after the write"
    )


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 2))
