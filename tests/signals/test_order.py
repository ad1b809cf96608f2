"""Late, out of order, twice, before there is a record: what stands in the store in the end."""

from __future__ import annotations

import contextlib
import itertools
import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pdp.attributes import EntityUnknownError
from pdp.core.decision import Entity
from pdp.core.request import EntityRef
from pdp.ports import Outcome
from tests.signals.support import ALICE, DEVICE, LAPTOP, OPAQUE, SESSION, USER, World
from tests.signals.transmitter import CAEP, RISC

REVOKED, RISK, COMPLIANCE = CAEP + "session-revoked", CAEP + "risk-level-change", CAEP + "device-compliance-change"
DISABLED, ENABLED = RISC + "account-disabled", RISC + "account-enabled"
NOW = int(time.time())


async def send(world: World, event: str, subject: object, at: float, **claims: object) -> Outcome:
    token = world.transmitter.token(event, subject, {"event_timestamp": at, **claims})
    return (await world.receiver.receive(token, "")).outcome


async def compliance(world: World, status: str, at: float) -> Outcome:
    return await send(world, COMPLIANCE, DEVICE, at, current_status=status)


async def test_an_event_refreshes_its_own_attribute_alone(world: World) -> None:
    before = (await world.writer.read(*LAPTOP)).record
    await compliance(world, "not-compliant", NOW - 5)
    after = (await world.writer.read(*LAPTOP)).record
    assert before
    assert after
    assert after.version > before.version
    assert after.usable_until["compliant"] == NOW - 5 + 900
    assert after.usable_until["managed"] == before.usable_until["managed"]


async def test_who_said_it_is_on_record(world: World) -> None:
    claims = world.transmitter.claims(COMPLIANCE, DEVICE, {"current_status": "not-compliant"})
    token = world.transmitter.token(COMPLIANCE, DEVICE, {"current_status": "not-compliant"}, jti=claims["jti"])
    await world.receiver.receive(token, "")
    fields = world.server.client().hgetall("attr:device:device:d-1")
    assert fields[b"compliant@by"].decode() == f"signal:{world.transmitter.issuer} {claims['jti']}"


async def test_a_late_event_changes_nothing(world: World) -> None:
    assert await compliance(world, "compliant", NOW - 10) is Outcome.APPLIED
    assert await compliance(world, "not-compliant", NOW - 20) is Outcome.OUTDATED
    assert await world.attribute(LAPTOP, "compliant") is True


async def test_fractions_of_a_second_are_told_apart(world: World) -> None:
    await compliance(world, "not-compliant", NOW - 9.5)
    assert await compliance(world, "compliant", NOW - 9.8) is Outcome.OUTDATED
    assert await compliance(world, "compliant", NOW - 9.2) is Outcome.APPLIED


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
async def test_in_whatever_order_they_come_the_latest_stands(world: World, order: tuple[int, ...]) -> None:
    levels = ("HIGH", "LOW", "MEDIUM")
    for index in order:
        await send(world, RISK, OPAQUE, NOW - 30 + index, principal="SESSION", current_level=levels[index])
    assert await world.attribute(SESSION, "risk") == 50


@given(st.lists(st.tuples(st.integers(0, 5), st.sampled_from(["LOW", "MEDIUM", "HIGH"])), min_size=1, max_size=8))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_law_the_newest_event_stands(world: World, events: list[tuple[int, str]]) -> None:
    """Of events at several seconds, in any order, the last to come of the newest second is what is stored."""
    target = (Entity.SESSION, EntityRef("session", "s-law"))
    await world.writer.put(*target, {"risk": 1}, issued_at=NOW - 1000)
    world.server.client().delete("attr:session:session:s-law")
    await world.writer.put(*target, {"risk": 1}, issued_at=NOW - 1000)
    versions = []
    for at, level in events:
        subject = {"format": "opaque", "id": "s-law"}
        await send(world, RISK, subject, NOW - 100 + at, principal="SESSION", current_level=level)
        versions.append((await world.writer.read(*target)).version)
    newest = max(at for at, _ in events)
    expected = [level for at, level in events if at == newest][-1]
    assert await world.attribute(target, "risk") == {"LOW": 10, "MEDIUM": 50, "HIGH": 90}[expected]
    assert versions == sorted(versions)


class TestFeeds:
    """Plain writers beside signals."""

    async def test_what_is_newer_than_the_event_stands(self, world: World) -> None:
        await world.writer.patch(*LAPTOP, {"compliant": True}, issued_at=NOW - 5)
        assert await compliance(world, "not-compliant", NOW - 10) is Outcome.OUTDATED

    async def test_in_the_same_second_the_signal_stands(self, world: World) -> None:
        """Its time is a whole second, so it may have been made after the feed's word."""
        await world.writer.patch(*LAPTOP, {"compliant": True}, issued_at=NOW - 4.4)
        assert await compliance(world, "not-compliant", NOW - 5) is Outcome.APPLIED
        await world.writer.patch(*LAPTOP, {"compliant": True}, issued_at=NOW - 4.2)
        assert await world.attribute(LAPTOP, "compliant") is False

    async def test_a_newer_word_overrides_the_signal(self, world: World) -> None:
        await compliance(world, "not-compliant", NOW - 5)
        await world.writer.put(*LAPTOP, {"compliant": True}, issued_at=NOW)
        assert await world.attribute(LAPTOP, "compliant") is True

    async def test_a_put_that_leaves_it_out_says_nothing_of_it(self, world: World) -> None:
        await send(world, DISABLED, USER, NOW - 5)
        await world.writer.put(*ALICE, {"roles": ["agent"], "status": "active"}, issued_at=NOW)
        assert await world.attribute(ALICE, "account") == "disabled"
        assert await world.attribute(ALICE, "team") is None
        await send(world, ENABLED, USER, NOW)
        assert await world.attribute(ALICE, "account") == "enabled"

    async def test_a_deletion_does_not_forget_it(self, world: World) -> None:
        await send(world, DISABLED, USER, NOW - 5)
        await world.writer.delete(*ALICE)
        await world.writer.put(*ALICE, {"roles": ["agent"]})
        assert await world.attribute(ALICE, "account") == "disabled"


class TestBeforeThereIsARecord:
    async def test_it_is_kept_for_the_record_that_comes(self, world: World) -> None:
        bob = (Entity.SUBJECT, EntityRef("user", "bob"))
        assert await send(world, DISABLED, {"format": "email", "email": "bob@example.com"}, NOW - 5) is Outcome.KEPT
        assert (await world.writer.read(*bob)).record is None
        await world.writer.put(*bob, {"roles": ["agent"]})
        assert await world.attribute(bob, "account") == "disabled"

    async def test_a_session_revoked_before_it_is_known_is_revoked(self, world: World) -> None:
        early = (Entity.SESSION, EntityRef("session", "s-early"))
        await send(world, REVOKED, {"format": "opaque", "id": "s-early"}, NOW)
        await world.writer.put(*early, {"subject": "alice", "device": "d-1", "revoked": False})
        assert await world.attribute(early, "revoked") is True

    async def test_it_makes_no_record_and_revives_none(self, world: World) -> None:
        await world.writer.delete(*LAPTOP)
        assert await compliance(world, "compliant", NOW) is Outcome.KEPT
        assert (await world.writer.read(*LAPTOP)).record is None

    async def test_it_is_not_kept_for_ever(self, world: World) -> None:
        await send(world, REVOKED, {"format": "opaque", "id": "s-nobody"}, NOW)
        assert 0 < world.server.client().ttl("attr:session:session:s-nobody") <= 30 * 86400


class TestLatches:
    """A session that was revoked, and a watermark: nothing lowers them."""

    async def test_no_writer_lifts_a_revocation(self, world: World) -> None:
        await send(world, REVOKED, OPAQUE, NOW - 5)
        whole = {"subject": "alice", "device": "d-1", "revoked": False}
        await world.writer.patch(*SESSION, {"revoked": False})
        assert await world.attribute(SESSION, "revoked") is True
        await world.writer.put(*SESSION, whole)
        assert await world.attribute(SESSION, "revoked") is True
        await world.writer.put(*SESSION, {"subject": "alice", "device": "d-1"})
        assert await world.attribute(SESSION, "revoked") is True
        await world.writer.delete(*SESSION)
        await world.writer.patch(*SESSION, whole, create=True)
        assert await world.attribute(SESSION, "revoked") is True

    async def test_a_revocation_by_a_plain_writer_is_as_lasting(self, world: World) -> None:
        await world.writer.patch(*SESSION, {"revoked": True})
        await world.writer.put(*SESSION, {"revoked": False})
        assert await world.attribute(SESSION, "revoked") is True

    async def test_a_revocation_lands_however_late_it_comes(self, world: World) -> None:
        await world.writer.patch(*SESSION, {"revoked": False}, issued_at=NOW)
        assert await send(world, REVOKED, OPAQUE, NOW - 3600) is Outcome.APPLIED
        assert await world.attribute(SESSION, "revoked") is True

    async def test_a_new_session_is_not_revoked(self, world: World) -> None:
        await send(world, REVOKED, OPAQUE, NOW)
        another = (Entity.SESSION, EntityRef("session", "s-new"))
        await world.writer.put(*another, {"subject": "alice", "revoked": False})
        assert await world.attribute(another, "revoked") is False

    async def test_a_watermark_only_rises(self, world: World) -> None:
        assert await send(world, REVOKED, USER, NOW - 10) is Outcome.APPLIED
        assert await send(world, REVOKED, USER, NOW - 60) is Outcome.OUTDATED
        await world.writer.patch(*ALICE, {"sessions_valid_from": 0})
        assert await world.attribute(ALICE, "sessions_valid_from") == NOW - 9
        assert await send(world, REVOKED, USER, NOW - 2) is Outcome.APPLIED
        assert await world.attribute(ALICE, "sessions_valid_from") == NOW - 1


ACTS = st.lists(
    st.tuples(st.sampled_from(["put", "bare", "patch", "create", "delete", "revoke", "risk"]), st.integers(0, 9)),
    max_size=12,
)


@given(acts=ACTS)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_law_once_revoked_whoever_writes_what_a_session_never_allows_again(
    world: World, acts: list[tuple[str, int]]
) -> None:
    """Whenever there is a record after a revocation, it says revoked; and versions never fall."""
    key, target = "attr:session:session:s-law", (Entity.SESSION, EntityRef("session", "s-law"))
    world.server.client().delete(key)
    subject, revoked, version = {"format": "opaque", "id": "s-law"}, False, 0
    for act, at in acts:
        issued = NOW - 100 + at
        with contextlib.suppress(EntityUnknownError):
            match act:
                case "put":
                    await world.writer.put(*target, {"revoked": False, "risk": 1}, issued)
                case "bare":
                    await world.writer.put(*target, {"risk": 1}, issued, by="feed")
                case "patch" | "create":
                    await world.writer.patch(*target, {"revoked": False}, issued, create=act == "create", by="feed")
                case "delete":
                    await world.writer.delete(*target, issued)
                case "revoke":
                    await send(world, REVOKED, subject, issued)
                    revoked = True
                case _:
                    await send(world, RISK, subject, issued, principal="SESSION", current_level="LOW")
        stored = await world.writer.read(*target)
        assert stored.version >= version
        version = stored.version
        if revoked and stored.record:
            assert stored.record.view.__dict__.get("revoked") is True


class TestGuards:
    """A complex subject means what all of its members together narrow it down to."""

    async def test_a_session_of_somebody_else_is_not_meant(self, world: World) -> None:
        subject = {"format": "complex", "session": OPAQUE, "user": {"format": "email", "email": "bob@example.com"}}
        before = world.server.client().hgetall("attr:session:session:s-1")
        assert await send(world, REVOKED, subject, NOW) is Outcome.MISMATCH
        assert world.server.client().hgetall("attr:session:session:s-1") == before

    async def test_the_session_of_that_person_on_that_device_is(self, world: World) -> None:
        subject = {"format": "complex", "session": OPAQUE, "user": USER, "device": DEVICE}
        assert await send(world, REVOKED, subject, NOW) is Outcome.APPLIED

    async def test_a_record_that_does_not_say_narrows_nothing(self, world: World) -> None:
        target = (Entity.SESSION, EntityRef("session", "s-bare"))
        await world.writer.put(*target, {"risk": 1})
        subject = {"format": "complex", "session": {"format": "opaque", "id": "s-bare"}, "user": USER}
        assert await send(world, REVOKED, subject, NOW) is Outcome.APPLIED
