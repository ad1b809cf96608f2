"""The user that signals need has the least the work needs: as docs/signals.md gives it."""

from __future__ import annotations

import re
from pathlib import Path

from pdp.attributes.store import RedisAttributeStore
from pdp.core.signals.events import Event
from pdp.core.signals.plan import plan_for
from pdp.ports import Outcome
from tests.attributes.support import Server, patient
from tests.signals.support import ALICE, USER, rules_of, sample, signals_text

DOCS = Path(__file__).parents[2] / "docs" / "signals.md"


async def test_it_can_do_all_that_signals_and_feeds_do(server: Server) -> None:
    line = re.search(r"^ACL SETUSER signals reset on >… (.*)$", DOCS.read_text(), re.MULTILINE)
    assert line
    server.client().execute_command("ACL", "SETUSER", "signals", "reset", "on", ">secret", *line[1].split())
    store = RedisAttributeStore(patient(server.url, username="signals", password="secret"))
    await store.start()
    schema = sample().schema
    try:
        await store.put(schema, *ALICE, {"roles": ["agent"]}, 1000.0, "feed")
        assert await store.patch(schema, *ALICE, {"status": "active"}, 1001.0, "feed")
        rules = rules_of(signals_text())
        event = Event("risc/account-disabled", {}, USER, 2000.0, 2000.0, "https://idp.example.com/", "jti")
        plan = plan_for(event, rules.transmitters[event.issuer], rules, schema)
        applied = await store.apply(event, plan, 60.0)
        assert applied.outcome is Outcome.APPLIED
        assert applied.version > 0
        assert await store.apply(event, plan, 60.0) == (Outcome.DUPLICATE, 0)
        assert await store.take("poll", "one", 60.0) == 1
        assert await store.take("poll", "other", 60.0) == 0
        record = await store.read(schema, *ALICE)
        assert record
        assert record.view.__dict__["account"] == "disabled"
        assert await store.delete(schema, *ALICE, 3000.0, "feed")
        assert await store.read(schema, *ALICE) is None
    finally:
        await store.stop()
