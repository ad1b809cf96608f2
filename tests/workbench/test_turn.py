"""What would change a decision: the fewest changes, and every one of them confirmed by deciding."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from pdp.core.decide import decide
from pdp.core.decision import Effect, Entity
from pdp.core.entities import Entities
from pdp.core.policy import PolicySnapshot
from pdp.core.reasons import Reason
from pdp.core.record import Record, View
from pdp.core.request import Context, EntityRef, Request
from pdp.workbench.turn import Turn, find_turns
from tests.workbench.example import add_rule, policy_of

NOW = 1_768_471_200.0
RECORDS: Mapping[Entity, Mapping[str, Any]] = {
    Entity.SUBJECT: {"roles": ("lead",), "team": "north", "status": "active"},
    Entity.DEVICE: {"compliant": True},
    Entity.SESSION: {
        "subject": "ann",
        "device": "d-1",
        "aal": 2,
        "risk": 10,
        "auth_time": int(NOW) - 600,
        "vpn": False,
    },
    Entity.RESOURCE: {"team": "north", "sealed": False, "state": "open"},
}
REFS = {
    Entity.SUBJECT: EntityRef("user", "ann"),
    Entity.DEVICE: EntityRef("device", "d-1"),
    Entity.SESSION: EntityRef("session", "s-1"),
    Entity.RESOURCE: EntityRef("health_note", "n-1"),
}
EVERY = frozenset({"mask", "watermark", "notify"})


@pytest.fixture(scope="module")
def policy(tmp_path_factory: pytest.TempPathFactory) -> PolicySnapshot:
    return policy_of(tmp_path_factory.mktemp("policy"))


def entities_of(changes: Mapping[str, Any], problems: Mapping[str, Reason] | None = None) -> Entities:
    """Give the records with some values changed, by path."""
    found = {}
    for entity, ref in REFS.items():
        values = {**RECORDS[entity], "id": ref.id, "type": ref.type}
        values |= {path.partition(".")[2]: it for path, it in changes.items() if path.startswith(f"{entity}.")}
        odd = {path.partition(".")[2]: it for path, it in (problems or {}).items() if path.startswith(f"{entity}.")}
        view = View({name: it for name, it in values.items() if name not in odd})
        found[entity.value] = Record(ref, 1, NOW, view, odd, {}, {})
    return Entities(**found)


def ask(purpose: str = "care", action: str = "read", supported: frozenset[str] = EVERY) -> Request:
    context = Context(purpose=purpose, supported_obligations=supported)
    return Request(REFS[Entity.SUBJECT], action, REFS[Entity.RESOURCE], context, "s-1", "d-1")


def paths(turn: Turn) -> set[str]:
    return {f"{change.path[0]}.{change.path[1]}" for change in turn.changes}


@pytest.mark.parametrize(
    ("changes", "purpose", "needed"),
    [
        ({}, "billing", {"context.purpose"}),
        ({"device.compliant": False}, "care", {"device.compliant"}),
        ({"session.aal": 1}, "care", {"session.aal"}),
        ({"session.aal": 1}, "billing", {"session.aal", "context.purpose"}),
        ({"session.risk": 90}, "care", {"session.risk"}),
        ({"session.auth_time": int(NOW) - 3601}, "care", {"session.auth_time"}),
        ({"subject.status": "suspended", "resource.sealed": True}, "care", {"subject.status", "resource.sealed"}),
        ({"resource.team": "south"}, "care", {"subject.team"}),
        ({"subject.roles": ("officer",)}, "care", {"subject.roles"}),
    ],
)
def test_the_fewest_changes_come_first(
    changes: Mapping[str, Any], purpose: str, needed: set[str], policy: PolicySnapshot
) -> None:
    turns = find_turns(ask(purpose), entities_of(changes), policy, NOW)
    assert decide(ask(purpose), entities_of(changes), policy, NOW).effect is Effect.DENY
    assert len(paths(turns[0])) == len(needed)
    assert any(paths(turn) == needed for turn in turns), [paths(turn) for turn in turns]


@pytest.mark.parametrize(
    ("changes", "path", "low", "high"),
    [
        ({"session.aal": 1}, "session.aal", 2, None),
        ({"session.auth_time": int(NOW) - 3601}, "session.auth_time", int(NOW) - 3600, None),
    ],
)
def test_ranges_say_all_that_will_do(
    changes: Mapping[str, Any], path: str, low: float, high: float | None, policy: PolicySnapshot
) -> None:
    turn = find_turns(ask(), entities_of(changes), policy, NOW)[0]
    (change,) = turn.changes
    assert f"{change.path[0]}.{change.path[1]}" == path
    assert (change.before, change.low, change.high) == (changes[path], low, high)
    for value, effect in ((low, Effect.ALLOW), (low - 1, Effect.DENY)):
        assert decide(ask(), entities_of({**changes, path: value}), policy, NOW).effect is effect


def test_an_allow_turns_into_a_deny_by_one_change(policy: PolicySnapshot) -> None:
    turns = find_turns(ask(), entities_of({}), policy, NOW)
    assert {frozenset(paths(turn)) for turn in turns} >= {
        frozenset({"device.compliant"}),
        frozenset({"subject.status"}),
        frozenset({"session.aal"}),
    }
    assert all(len(turn.changes) == 1 for turn in turns)


def test_no_set_of_changes_holds_another(policy: PolicySnapshot) -> None:
    turns = find_turns(ask("billing"), entities_of({"session.aal": 1, "device.compliant": False}), policy, NOW)
    sets = [paths(turn) for turn in turns]
    assert not any(one < other for one in sets for other in sets)


def test_what_is_missing_is_a_change(policy: PolicySnapshot) -> None:
    missing = entities_of({}, {"session.risk": Reason.ATTRIBUTE_MISSING})
    turn = find_turns(ask(), missing, policy, NOW)[0]
    assert paths(turn) == {"session.risk"}
    assert turn.changes[0].before is None


def test_what_the_enforcement_point_lacks_is_named(policy: PolicySnapshot) -> None:
    turn = find_turns(ask(supported=frozenset()), entities_of({}), policy, NOW)[0]
    assert (turn.changes, turn.supports) == ((), frozenset({"mask"}))


def test_what_nothing_allows_nothing_turns(tmp_path: Path) -> None:
    closed = policy_of(tmp_path, add_rule("p,closed,*,*,health_note,True,deny,,x"))
    assert find_turns(ask(), entities_of({}), closed, NOW) == ()


def test_somebody_elses_session_is_turned_by_no_attribute(policy: PolicySnapshot) -> None:
    assert find_turns(ask(), entities_of({"session.subject": "bob"}), policy, NOW) == ()
