"""No attribute is written off the record, and no value gets into it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, cast

import pytest

from pdp.attributes.store import RedisAttributeStore
from pdp.audit.answers import AnswerLog
from pdp.bootstrap.recorded import RecordedStore
from pdp.core.decision import Entity
from pdp.core.errors import AttributesUnavailableError
from pdp.core.request import EntityRef
from pdp.core.schema import Schema
from pdp.core.signals.events import Event
from pdp.core.signals.plan import Plan, Write
from pdp.ports import Applied, Outcome

SCHEMA = cast("Schema", None)
EVENT = Event("caep/session-revoked", {}, {}, 1.0, 1.0, "https://idp.example.org", "t-1")
SESSION = EntityRef("session", "s-1")


class Store:
    """Takes every write, and says of a signal what it is told to say."""

    outcome = Outcome.APPLIED

    def __init__(self) -> None:
        self.writes: list[str] = []

    async def apply(self, event: Event, plan: Plan, token_age: float) -> Applied:
        self.writes.append(event.id)
        return Applied(self.outcome, 7)

    async def _write(self, schema: Schema, entity: Entity, ref: EntityRef, *_: Any) -> int:
        self.writes.append(str(ref))
        return 7

    put = patch = delete = _write


class Log:
    """Remembers notes, unless something stands in the way."""

    stands_in_the_way: str | None = None

    def __init__(self) -> None:
        self.notes: list[Mapping[str, object]] = []

    def obstacle(self) -> str | None:
        return self.stands_in_the_way

    def note(self, kind: str, **facts: object) -> None:
        self.notes.append({"kind": kind, **facts})


@pytest.fixture
def parts() -> tuple[RecordedStore, Store, Log]:
    store, log = Store(), Log()
    return RecordedStore(cast("RedisAttributeStore", store), cast("AnswerLog", log)), store, log


async def test_what_a_feed_writes_is_told_by_name(parts: tuple[RecordedStore, Store, Log]) -> None:
    recorded, _, log = parts
    card = EntityRef("payment_card", "card-1")
    assert await recorded.put(SCHEMA, Entity.RESOURCE, card, {"region": "secret-eu"}, 1.0, "spiffe://a/mdm") == 7
    await recorded.patch(
        SCHEMA, Entity.DEVICE, EntityRef("device", "d-1"), {"b": True, "a": 1}, 1.0, "spiffe://a/mdm"
    )
    await recorded.delete(SCHEMA, Entity.SUBJECT, EntityRef("user", "alice"), 1.0, "spiffe://a/idp")
    put, patch, delete = log.notes
    assert put["resource"] == {"type": "payment_card", "id": "card-1"}
    assert (put["action"], put["attributes"], put["version"]) == ("put", ["region"], 7)
    assert (patch["device"], patch["attributes"]) == ("d-1", ["a", "b"])
    assert (delete["subject"], delete["caller"]) == ("user:alice", "spiffe://a/idp")
    assert "secret" not in json.dumps(log.notes)


@pytest.mark.parametrize("outcome", Outcome)
async def test_a_signal_that_changed_something_is_on_record(
    parts: tuple[RecordedStore, Store, Log], outcome: Outcome
) -> None:
    recorded, store, log = parts
    store.outcome = outcome
    plan = Plan(Entity.SESSION, SESSION, (Write("revoked", "true", latch=True),))
    assert (await recorded.apply(EVENT, plan, 60.0)).outcome is outcome
    changed = outcome in (Outcome.APPLIED, Outcome.KEPT)
    assert [(note["attributes"], note["version"]) for note in log.notes] == ([(["revoked"], 7)] if changed else [])


async def test_where_nothing_can_be_recorded_nothing_is_written(parts: tuple[RecordedStore, Store, Log]) -> None:
    recorded, store, log = parts
    log.stands_in_the_way = "disk_full"
    for write in (
        recorded.put(SCHEMA, Entity.SESSION, SESSION, {}, 1.0, "x"),
        recorded.patch(SCHEMA, Entity.SESSION, SESSION, {}, 1.0, "x"),
        recorded.delete(SCHEMA, Entity.SESSION, SESSION, 1.0, "x"),
        recorded.apply(EVENT, Plan(Entity.SESSION, SESSION, ()), 60.0),
    ):
        with pytest.raises(AttributesUnavailableError, match="disk_full"):
            await write
    assert store.writes == []
