"""NIST SP 800-207, 3.3.1: who reads 20 to 30 records a day and suddenly wants a hundred is stopped.

The service's real parts under the sample policy, with a clock that runs through days in moments; feeds keep what they
report fresh, as they do in life.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import itertools
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from pdp.attributes import RedisAttributes
from pdp.attributes.file import FileRecord, read_file
from pdp.attributes.values import encode_all
from pdp.attributes.writer import AttributeWriter, open_writer
from pdp.audit.answers import AnswerLog
from pdp.audit.settings import LogSettings
from pdp.bootstrap.launch import provide_keys
from pdp.core.decision import Entity
from pdp.core.request import Context, EntityRef, Request
from pdp.core.schema import Schema
from pdp.ports import Answer, Caller
from pdp.risk import RiskMonitor
from pdp.service import Clocks, PolicyDecisionPoint
from tests.attributes.support import eventually, patient, started
from tests.risk.support import ALICE, DAY, START, Clock, Policies, Told, World, watching
from tests.signals.support import POLICIES, sample

FED = {
    (Entity.SUBJECT, ALICE),
    (Entity.DEVICE, EntityRef("device", "d-1")),
    (Entity.SESSION, EntityRef("session", "s-1")),
}
CONTEXT = Context(purpose="billing", supported_obligations=frozenset({"mask", "watermark"}))
PACE = 240.0
REPORTED_EVERY = 480.0
_numbers = itertools.count()


@functools.cache
def reported() -> tuple[FileRecord, ...]:
    """Give what feeds report of alice, her laptop, her session and a customer."""
    wanted = {*FED, (Entity.RESOURCE, EntityRef("customer", "c-1"))}
    records = read_file(POLICIES / "sample" / "attributes.yaml", sample().schema, START)
    return tuple(record for record in records if (record.entity, record.ref) in wanted)


@dataclass
class Desk:
    """Alice at work."""

    point: PolicyDecisionPoint
    monitor: RiskMonitor
    writer: AttributeWriter
    schema: Schema
    clock: Clock
    customers: int = 0
    reported_at: float = 0.0

    async def read(self) -> Answer:
        """Let her open a record that nobody opened before."""
        name = EntityRef("customer", f"c-{1000 + self.customers}")
        self.customers += 1
        due = self.clock.now - self.reported_at >= REPORTED_EVERY
        self.reported_at = self.clock.now if due else self.reported_at
        for record in reported():
            if not due and record.entity is not Entity.RESOURCE:
                continue
            ref = name if record.entity is Entity.RESOURCE else record.ref
            texts = encode_all(self.schema, record.entity, ref, record.given, self.clock.now)
            await self.writer.put(record.entity, ref, texts, self.clock.now)
        deadline = asyncio.get_running_loop().time() + 5
        request = Request(ALICE, "read", name, CONTEXT, "s-1", "d-1")
        before = self.monitor.counts().get("counted", 0)
        answer = await self.point.evaluate(request, Caller("", "evaluate", None, deadline))
        await eventually(lambda: self.monitor.counts().get("counted", 0) > before)
        self.clock.now += PACE
        return answer

    async def work(self, records: int) -> list[Answer]:
        """Let her work a day from ten o'clock, one record every four minutes."""
        return [await self.read() for _ in range(records)]


@contextlib.asynccontextmanager
async def at_work(world: World, clock: Clock, folder: Path, told: Told) -> AsyncIterator[Desk]:
    schema = sample().schema
    provide_keys(folder / "keys")
    log = AnswerLog(LogSettings(directory=folder / "log", keys=folder / "keys"))
    await log.open(schema)
    policies = Policies(sample().limits)
    clocks = Clocks(clock, clock, lambda: f"{next(_numbers):032x}")
    settings = patient(world.server.url)
    async with (
        started(settings) as attributes,
        watching(world, clock, sample().limits, told, sweep=0.05) as monitor,
        open_writer(settings, schema) as writer,
    ):
        assert isinstance(attributes, RedisAttributes)
        point = PolicyDecisionPoint(policies, attributes, log, clocks, (monitor,))
        yield Desk(point, monitor, writer, schema, clock)
    await log.close()


def first_deny(answers: list[Answer]) -> tuple[int, str]:
    """Give how many were allowed before the first deny, and why that was."""
    for number, answer in enumerate(answers):
        if not answer.decision.allowed:
            return number, ", ".join(f"{cause.code}({cause.about})" for cause in answer.decision.causes)
    return len(answers), "all were allowed"


async def test_who_reads_25_a_day_is_stopped_before_100(world: World, tmp_path: Path) -> None:
    clock, told = Clock(START - 6 * DAY), Told()
    async with at_work(world, clock, tmp_path, told) as desk:
        for day, records in enumerate((22, 28, 20, 30, 25, 24)):
            clock.now = START + (day - 6) * DAY
            assert first_deny(await desk.work(records)) == (records, "all were allowed")
        assert not told.changes
        clock.now = START
        allowed, why = first_deny(await desk.work(100))
    assert why == "DENIED_BY_RULE(identity-risk-high)"
    assert 60 <= allowed <= 100
    assert told.levels()[-1][1] == "HIGH"
    assert "usually 2" in told.changes[-1].reason


async def test_who_is_new_is_stopped_at_100_and_let_on_when_the_day_is_over(world: World, tmp_path: Path) -> None:
    clock, told = Clock(), Told()
    async with at_work(world, clock, tmp_path, told) as desk:
        assert first_deny(await desk.work(102)) == (100, "DENIED_BY_RULE(identity-risk-high)")
        assert told.changes[-1].reason.startswith("records: 100 in 24h, limit 100")
        clock.now = START + 2 * DAY
        await eventually(lambda: told.levels()[-1][1] == "LOW")
        assert (await desk.read()).decision.allowed
