"""Sentinel: the primary that a majority names, and no other."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pytest

from pdp.attributes import open_writer
from pdp.core.errors import AttributesUnavailableError
from tests.attributes.support import (
    ALL,
    SCHEMA,
    SESSION,
    Server,
    eventually,
    in_time,
    patient,
    risk_in,
    running,
    started,
    until,
    write,
    write_all,
)


class Fleet:
    """A primary, a replica and three sentinels, all real."""

    def __init__(self, primary: Server, replica: Server, sentinels: list[Server]) -> None:
        self.primary = primary
        self.replica = replica
        self.sentinels = sentinels
        self.url = "redis+sentinel://" + ",".join(f"127.0.0.1:{it.port}" for it in sentinels) + "/main"

    def fail_over(self) -> None:
        self.sentinels[0].client().execute_command("SENTINEL", "FAILOVER", "main")
        until(lambda: self.replica.client().info("replication")["role"] == "master", "no failover", limit=30)


@pytest.fixture
def fleet(executable: str) -> Iterator[Fleet]:
    with contextlib.ExitStack() as stack:
        primary = stack.enter_context(running(executable, tcp=True))
        write_all(primary.client())
        replica = stack.enter_context(running(executable, f"replicaof 127.0.0.1 {primary.port}", tcp=True))
        lines = [
            f"sentinel monitor main 127.0.0.1 {primary.port} 2",
            "sentinel down-after-milliseconds main 500",
            "sentinel failover-timeout main 5000",
        ]
        sentinels = [stack.enter_context(running(executable, *lines, tcp=True, sentinel=True)) for _ in range(3)]
        made = Fleet(primary, replica, sentinels)
        until(lambda: replica.client().info("replication")["master_link_status"] == "up", "no replication", limit=30)
        until(lambda: all(_sees_all(it) for it in sentinels), "the sentinels do not find each other", limit=30)
        yield made


def _sees_all(sentinel: Server) -> bool:
    found = sentinel.client(decode_responses=True).execute_command("SENTINEL", "MASTER", "main")
    facts = found if isinstance(found, dict) else dict(zip(found[::2], found[1::2], strict=True))
    return int(facts["num-other-sentinels"]) == 2 and int(facts["num-slaves"]) == 1


async def test_failovers_are_followed_planned_and_not(fleet: Fleet) -> None:
    async with started(patient(fleet.url)) as source:
        assert risk_in(await source.load(ALL, SCHEMA, in_time())) == 5
        assert risk_in(source.peek(ALL, SCHEMA)) == 5
        fleet.fail_over()
        write(fleet.replica.client(), SESSION, 2, risk=90)
        await eventually(lambda: source.stats().reconnects > 0 and source.ready() is None, limit=30)
        assert risk_in(await source.load(ALL, SCHEMA, in_time())) == 90
        assert source._locator.address() == ("127.0.0.1", fleet.replica.port)
        write(fleet.replica.client(), SESSION, 3, risk=91)
        await eventually(lambda: source.peek(ALL, SCHEMA) is None)
        primary = fleet.primary.client()
        await eventually(lambda: primary.hget("attr:session:session:s-1", "risk") == b"91", limit=30)
        fleet.replica.kill()
        await eventually(lambda: source._locator.address() == ("127.0.0.1", fleet.primary.port), limit=60)
        await eventually(lambda: source.ready() is None, limit=30)
        assert risk_in(await source.load(ALL, SCHEMA, in_time())) == 91


async def test_a_minority_of_sentinels_is_not_believed(fleet: Fleet) -> None:
    async with open_writer(patient(fleet.url), SCHEMA) as writer:
        await writer.put(*SESSION, {"risk": 7})
    assert fleet.primary.client().hget("attr:session:session:s-1", "risk") == b"7"
    async with started(patient(fleet.url)) as source:
        await source.load(ALL, SCHEMA, in_time())
        fleet.sentinels[0].kill()
        fleet.sentinels[1].kill()
        await eventually(lambda: source.peek(ALL, SCHEMA) is None)
        with pytest.raises(AttributesUnavailableError, match="no majority of the sentinels names a primary"):
            await source.load(ALL, SCHEMA, in_time())
        reason = "attribute store: no majority of the sentinels names a primary"
        await eventually(lambda: source.ready() == reason)
        fleet.sentinels[0].start()
        await eventually(lambda: source.ready() is None, "no recovery", limit=30)


async def test_without_sentinels_a_writer_says_so() -> None:
    with pytest.raises(AttributesUnavailableError, match="no majority"):
        async with open_writer(patient("redis+sentinel://127.0.0.1:1/main", connect_timeout=0.1), SCHEMA):
            pass
