"""Following changes live."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest

from pdp.attributes import AttributeWriter, open_writer
from pdp.attributes.watch import Change, Notice, watch_changes
from pdp.core.decision import Entity
from pdp.core.request import EntityRef
from tests.attributes.support import ALICE, SCHEMA, SESSION, Server, eventually, patient

Target = tuple[Entity, EntityRef]
Watch = Callable[..., list[Change | Notice]]


@pytest.fixture
async def writer(server: Server) -> AsyncIterator[AttributeWriter]:
    async with open_writer(patient(server.url), SCHEMA) as one:
        yield one


@pytest.fixture
async def watch(server: Server) -> AsyncIterator[Watch]:
    """Start following; what is told is added to the list that is given."""
    tasks: list[asyncio.Task[None]] = []

    def begin(*targets: Target) -> list[Change | Notice]:
        told: list[Change | Notice] = []

        async def follow() -> None:
            async for event in watch_changes(patient(server.url), SCHEMA, targets):
                told.append(event)  # noqa: PERF401 - read while it grows

        tasks.append(asyncio.create_task(follow()))
        return told

    yield begin
    for task in tasks:
        task.cancel()
        await asyncio.wait([task])


def _risks(told: list[Change | Notice]) -> list[tuple[int | None, int | None]]:
    def risk(record: object) -> int | None:
        return record.view.risk if record else None  # type: ignore[attr-defined]

    return [
        (risk(it.before), risk(it.after)) for it in told if isinstance(it, Change) and it.entity is Entity.SESSION
    ]


async def test_changes_are_told_old_and_new(writer: AttributeWriter, watch: Watch) -> None:
    await writer.put(*SESSION, {"risk": 1})
    told = watch(SESSION)
    await eventually(lambda: told)
    await asyncio.sleep(0.05)
    for risk in (2, 3):
        await writer.patch(*SESSION, {"risk": risk})
        await eventually(lambda risk=risk: _risks(told)[-1:] == [(risk - 1, risk)])
    await writer.delete(*SESSION)
    await eventually(lambda: _risks(told) == [(1, 2), (2, 3), (3, None)])


async def test_only_those_asked_for_are_told_of(writer: AttributeWriter, watch: Watch) -> None:
    told = watch(SESSION)
    await eventually(lambda: told)
    await writer.put(*ALICE, {"roles": ["agent"]})
    await writer.put(*SESSION, {"risk": 1})
    await eventually(lambda: _risks(told) == [(None, 1)])
    assert all(it.entity is Entity.SESSION for it in told if isinstance(it, Change))


async def test_everybody_is_told_of_if_nobody_is_named(writer: AttributeWriter, watch: Watch, server: Server) -> None:
    told = watch()
    await eventually(lambda: told)
    await writer.put(*ALICE, {"roles": ["agent"]})
    await writer.put(*SESSION, {"risk": 1})
    server.client().set("attr:nonsense", 1)
    server.client().set("attr:planet:x:y", 1)
    await eventually(lambda: len([it for it in told if isinstance(it, Change)]) == 2)
    assert [it.seen for it in told if isinstance(it, Change)] == [False, False]


async def test_a_flush_and_a_lost_connection_are_told(writer: AttributeWriter, watch: Watch, server: Server) -> None:
    await writer.put(*SESSION, {"risk": 1})
    told = watch(SESSION)
    await eventually(lambda: told)
    await asyncio.sleep(0.05)
    server.client().flushall()
    await eventually(lambda: _risks(told) == [(1, None)])
    server.kill()
    await eventually(lambda: any("down" in it.text for it in told if isinstance(it, Notice)))
    server.start()
    await eventually(lambda: [it.text for it in told if isinstance(it, Notice)].count("following changes") == 2)
