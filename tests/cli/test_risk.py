"""``pdp risk``: who stands above LOW and why, on a real store; and a level that is wrong, lifted."""

from __future__ import annotations

import asyncio
import getpass
import time
from collections.abc import Iterator

import pytest
from typer.testing import CliRunner, Result

from pdp.cli.risk import app
from pdp.core.limits import Level, Limits
from pdp.ports import Assessment, Sighting, Tally
from tests.attributes.support import Server, running
from tests.bootstrap.application import log_settings, make_keys, records
from tests.risk.support import ALICE, DAY, ISSUER, read, world_on
from tests.signals.support import EXECUTABLE, POLICIES, sample

READ = 100


@pytest.fixture
def server() -> Iterator[Server]:
    with running(EXECUTABLE) as one:
        make_keys(one.folder)
        yield one


def risk(server: Server, *words: str) -> Result:
    environment = {"COLUMNS": "200", "NO_COLOR": "1", "TERM": "dumb"}
    environment |= log_settings(server.folder)
    arguments = [*words, "--redis", server.url, "--policies", str(POLICIES)]
    return CliRunner(env=environment).invoke(app, arguments)


def limits() -> Limits:
    return sample().limits


async def scrape(server: Server) -> None:
    """Have alice read some records a day for a week, and far too many today; and have it noticed."""
    now = time.time()
    async with world_on(server) as world:
        for day in range(7, 0, -1):
            await world.store.count(limits(), [read(20 + day, now - day * DAY)], now - day * DAY)
        await world.store.count(limits(), [read(READ, now)], now)
        standing = (await world.tally(limits(), now)).standing
        told = Assessment(ALICE, Level.HIGH, True, standing, now, (ISSUER, "token"))
        assert await world.store.assess(limits(), told) is Level.LOW
        assert await world.risk() == 90


async def now_of(server: Server) -> tuple[Tally, object]:
    async with world_on(server, written=False) as world:
        tally = (await world.store.count(limits(), [Sighting(ALICE, {})], time.time()))[0]
        return tally, await world.risk()


def test_who_stands_above_low_is_named_with_the_reason(server: Server) -> None:
    assert risk(server, "show").output.strip() == "nobody stands above LOW"
    asyncio.run(scrape(server))
    shown = risk(server, "show").output
    assert "user:alice" in shown
    assert "HIGH" in shown
    assert "records: 100 in 24h, limit 100" in shown


def test_all_that_is_counted_of_one_person_is_shown(server: Server) -> None:
    asyncio.run(scrape(server))
    lines = {line.split()[0]: line for line in risk(server, "show", "user:alice").output.splitlines()}
    assert "HIGH" in lines["user:alice"]
    assert {"100", "MEDIUM", "75,"} <= set(lines["records"].split())
    assert "26, 25, 24, 23, 22" in lines["records"]
    assert "usually 24.0" in lines["records"]
    assert "100 in 24h, limit 100" in lines["records"]
    assert "limit" not in lines["exports"]


def test_a_level_is_lifted_and_stays_so_and_habits_are_kept(server: Server) -> None:
    asyncio.run(scrape(server))
    assert risk(server, "lift", "user:alice").output.strip() == "user:alice was HIGH and is LOW"
    tally, value = asyncio.run(now_of(server))
    assert (tally.standing, tally.values["records"]) == ((Level.LOW, Level.LOW, 0.0), 0)
    assert len(tally.samples["records"]) == 7
    # As it was before: alice's record said nothing of risk.
    assert value in (None, 0)
    assert risk(server, "show").output.strip() == "nobody stands above LOW"
    (record,) = records(server.folder, "attribute_write")
    assert (record["action"], record["attributes"]) == ("lift", ["risk"])
    assert record["caller"] == f"local:{getpass.getuser()}"
    assert record["subject"].startswith("~0001:")


def test_a_level_is_not_lifted_without_a_record(server: Server) -> None:
    asyncio.run(scrape(server))
    (server.folder / "keys" / "signing.key").unlink()
    refused = risk(server, "lift", "user:alice").exception
    assert "cannot be put on record, so nothing is written" in str(refused)
    assert asyncio.run(now_of(server))[1] == 90
    assert "is LOW" in risk(server, "lift", "user:alice", "--unrecorded").output


def test_lifting_nothing_is_no_harm_and_leaves_nothing(server: Server) -> None:
    before = server.client().keys("*")
    assert risk(server, "lift", "user:nobody").output.strip() == "user:nobody was LOW and is LOW"
    assert risk(server, "show").output.strip() == "nobody stands above LOW"
    assert [key for key in server.client().keys("*") if key not in before and b"attr:" in key] == []


@pytest.mark.parametrize("words", [("show", "alice"), ("lift", "user:")])
def test_a_name_without_a_type_is_refused(server: Server, words: tuple[str, ...]) -> None:
    assert "is not of the form type:id" in str(risk(server, *words).exception)
