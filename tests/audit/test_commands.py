"""What people do by command is on record, in a tree of its own, before they are shown or have changed anything."""

from __future__ import annotations

import getpass
import json
import threading
import time
from pathlib import Path

import pytest

from pdp.audit import AuditUnavailable, DecisionLog, LogSettings, commands
from pdp.audit.commands import OPERATOR, UnrecordableError, put_reading_on_record, recording, write_facts
from pdp.audit.keys import VKEY, generate_secret, generate_signing
from pdp.audit.scan import scan
from pdp.audit.search import Query
from pdp.audit.verify import verify
from pdp.core.decision import Entity
from pdp.core.request import EntityRef
from pdp.signing.keyfiles import load_verifier


@pytest.fixture
def log(tmp_path: Path) -> LogSettings:
    generate_signing(tmp_path / "keys", "example.com/pdp")
    generate_secret(tmp_path / "keys", "pseudonym")
    return LogSettings(tmp_path / "log", tmp_path / "keys", min_free_bytes=0)


def records(log: LogSettings) -> list[dict[str, object]]:
    return [record for _, record in scan(log.directory, Query(), None)]


def test_a_reading_is_on_record_with_what_was_asked_for(log: LogSettings) -> None:
    put_reading_on_record(log, "search", {"subject": ["user:alice"], "since": "", "limit": 0})
    (record,) = records(log)
    assert (record["kind"], record["action"], record["worker"]) == ("audit_read", "search", "reader")
    assert record["reader"] == getpass.getuser()
    assert record["query"] == {"subject": ["user:alice"]}


def test_commands_one_after_the_other_make_one_tree_that_verifies(log: LogSettings) -> None:
    for number in range(3):
        with recording(log, OPERATOR) as put:
            put({"kind": "attribute_write", "action": "put"}, {"kind": "attribute_write", "action": str(number)})
    assert [(it["seq"], it["action"]) for it in records(log)][1::2] == [(1, "0"), (3, "1"), (5, "2")]
    assert verify(log.directory, load_verifier(str(log.keys / VKEY))).ok


def test_a_tree_that_another_holds_is_waited_for(log: LogSettings) -> None:
    with recording(log, OPERATOR) as put:
        put({"kind": "attribute_write", "action": "first"})
        other = threading.Thread(target=_write_one, args=(log,))
        other.start()
        time.sleep(0.2)
        assert other.is_alive()
    other.join(10)
    assert [it["action"] for it in records(log)] == ["first", "second"]


def _write_one(log: LogSettings) -> None:
    with recording(log, OPERATOR) as put:
        put({"kind": "attribute_write", "action": "second"})


def test_a_tree_that_stays_held_is_given_up(log: LogSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commands, "_PATIENCE", 0.1)
    with recording(log, OPERATOR), pytest.raises(UnrecordableError, match="closed"), recording(log, OPERATOR):
        pass


def test_trees_do_not_wait_for_each_other(log: LogSettings) -> None:
    with recording(log, OPERATOR):
        put_reading_on_record(log, "tail", {})
    assert [it["worker"] for it in records(log)] == ["reader"]


@pytest.mark.parametrize("fault", ["no key", "a key that others can read", "a folder that is a file"])
def test_whatever_stands_in_the_way_is_one_kind_of_error(log: LogSettings, fault: str) -> None:
    if fault == "no key":
        (log.keys / "signing.key").unlink()
    elif fault == "a key that others can read":
        (log.keys / "signing.key").chmod(0o644)
    else:
        log.directory.write_text("")
    with pytest.raises(UnrecordableError), recording(log, OPERATOR):
        pytest.fail("nothing may be done")


def test_a_record_that_is_not_taken_is_told(log: LogSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise AuditUnavailable("disk_full", "no space left on device")

    with recording(log, OPERATOR) as put:
        monkeypatch.setattr(DecisionLog, "append_many", full)
        with pytest.raises(UnrecordableError, match="disk_full"):
            put({"kind": "attribute_write"})


@pytest.mark.parametrize(
    ("entity", "ref", "shown"),
    [
        (Entity.SUBJECT, EntityRef("user", "alice"), {"subject": "user:alice"}),
        (Entity.RESOURCE, EntityRef("customer", "c-1"), {"resource": {"type": "customer", "id": "c-1"}}),
        (Entity.SESSION, EntityRef("session", "s-1"), {"session": "s-1"}),
        (Entity.DEVICE, EntityRef("device", "d-1"), {"device": "d-1"}),
    ],
)
def test_a_write_names_its_entity_as_decisions_do(
    log: LogSettings, entity: Entity, ref: EntityRef, shown: dict[str, object]
) -> None:
    facts = write_facts(entity, ref, "local:ops", action="put", attributes=["risk"], version=3)
    assert facts == {"caller": "local:ops", **shown, "action": "put", "attributes": ["risk"], "version": 3}
    with recording(log, OPERATOR) as put:
        put({"kind": "attribute_write", **facts})
    assert f'"{ref.id}"' not in json.dumps(records(log))
