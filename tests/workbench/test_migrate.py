"""Policies of plain Casbin: what is carried over is answered as Casbin answers it, the rest is named."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import casbin
import pytest

from pdp.core.decide import judge
from pdp.core.entities import Entities
from pdp.core.policy import PolicySnapshot
from pdp.core.record import Record, View
from pdp.core.request import EntityRef, Request
from pdp.engine.matcher import CompiledEngine
from pdp.policy import load
from pdp.workbench.migrate import ModelError, Result, convert, read_model
from pdp.workbench.migrate.render import render
from pdp.workbench.starting import write_files

RBAC = """\
[request_definition]
r = sub, obj, act
[policy_definition]
p = sub, obj, act, eft
[role_definition]
g = _, _
[policy_effect]
e = some(where (p.eft == allow)) && !some(where (p.eft == deny))
[matchers]
# who, what, how
m = g(r.sub, p.sub) && \\
    r.obj == p.obj && r.act == p.act
"""
ABAC = """\
[request_definition]
r = sub, obj, act
[policy_definition]
p = sub_rule, act
[policy_effect]
e = some(where (p.eft == allow))
[matchers]
m = eval(p.sub_rule) && r.act == p.act && r.obj.Open
"""
EFFECT = "some(where (p.eft == allow)) && !some(where (p.eft == deny))"
ROWS = """\
p, alice, data1, read, allow
p, reader, data1, read, allow
p, reader, data2, read, allow
p, editor, data2, write, allow
p, banned, data2, read, deny

# who holds what
g, editor, reader
g, alice, editor
g, bob, reader
g, eve, editor
g, eve, banned
"""


def carried(folder: Path, model: str, rows: str) -> tuple[Result, PolicySnapshot]:
    result = convert(read_model(model), rows)
    write_files(folder, render(result))
    return result, load(folder, CompiledEngine())


def record(kind: str, id_: str, values: dict[str, Any]) -> Record:
    ref = EntityRef(kind, id_)
    return Record(ref, 1, 0.0, View({**values, "id": id_, "type": kind}), {}, {}, {})


def test_roles_are_answered_alike(tmp_path: Path) -> None:
    result, policy = carried(tmp_path / "new", RBAC, ROWS)
    (tmp_path / "model.conf").write_text(RBAC)
    (tmp_path / "rows.csv").write_text(ROWS)
    enforcer = casbin.Enforcer(str(tmp_path / "model.conf"), str(tmp_path / "rows.csv"))
    allowed = 0
    for who, what, how in product(["alice", "bob", "eve", "mallory"], ["data1", "data2", "data3"], ["read", "write"]):
        roles = tuple(result.people.get(who, ()))
        subject = record("user", who, {"roles": roles}) if roles else None
        entities = Entities(subject=subject, resource=record("object", what, {}))
        request = Request(EntityRef("user", who), how, EntityRef("object", what))
        expected = enforcer.enforce(who, what, how)
        assert judge(request, entities, policy, 0.0).allowed is expected, (who, what, how)
        allowed += expected
    assert allowed
    assert [note for note in result.notes if note.lost] == []


def test_attributes_are_answered_alike(tmp_path: Path) -> None:
    rows = "p, r.sub.Age > 18 && r.sub.Age < 60, read\np, r.sub.Dept == 'a' or r.sub.OnLeave, write\n"
    result, policy = carried(tmp_path / "new", ABAC, rows)
    (tmp_path / "model.conf").write_text(ABAC)
    (tmp_path / "rows.csv").write_text(rows)
    enforcer = casbin.Enforcer(str(tmp_path / "model.conf"), str(tmp_path / "rows.csv"))
    outcomes = set()
    ways = product([18, 19, 59, 60], ["a", "c"], [True, False], [True, False], ["read", "write"])
    for age, dept, leave, is_open, how in ways:
        sub = SimpleNamespace(Age=age, Dept=dept, OnLeave=leave)
        expected = enforcer.enforce(sub, SimpleNamespace(Open=is_open), how)
        values = {"roles": ("everybody",), "age": age, "dept": dept, "on_leave": leave}
        entities = Entities(record("user", "a", values), resource=record("object", "o", {"open": is_open}))
        request = Request(EntityRef("user", "a"), how, EntityRef("object", "o"))
        assert judge(request, entities, policy, 0.0).allowed is expected
        outcomes.add(expected)
    assert outcomes == {True, False}
    assert [note.text for note in result.notes if note.lost] == []


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ("p, reader, /data/*, read, allow", "'/data/*' is a pattern"),
        ("p, reader, data1, read, maybe", "neither allow nor deny"),
        ("p2, reader, data1, read, allow", "a row of the kind 'p2'"),
        ("g, zoe, reader, tenant1", "roles in a domain"),
        ("g, z\xf6e, reader", "cannot be a subject's id"),
    ],
)
def test_what_is_lost_is_named_with_its_line(row: str, says: str, tmp_path: Path) -> None:
    result, _ = carried(tmp_path / "new", RBAC, f"{ROWS}{row}\n")
    (note,) = [note for note in result.notes if note.lost]
    assert says in note.text
    assert note.line == len(ROWS.splitlines()) + 1


def test_a_condition_that_is_none_of_ours_is_lost(tmp_path: Path) -> None:
    rows = "p, r.sub.Age > 18, read\np, regexMatch(r.sub.Name), write\np, r.env.Hour > 8, write\n"
    result, policy = carried(tmp_path / "new", ABAC, rows)
    assert len(policy.rules) == 1
    assert [note.line for note in result.notes if note.lost] == [2, 3]


def test_a_deny_that_cannot_be_said_denies_more(tmp_path: Path) -> None:
    result, policy = carried(tmp_path / "new", RBAC, f"{ROWS}p, reader, /data/*, read, deny\n")
    (wide,) = [rule for rule in policy.rules if rule.role == "reader" and rule.effect.value == "deny"]
    assert (wide.action, wide.text) == ("read", "True")
    assert any("denies more" in note.text for note in result.notes if note.lost)


def test_a_deny_that_the_model_ignores_stays_ignored(tmp_path: Path) -> None:
    model = RBAC.replace(" && !some(where (p.eft == deny))", "")
    result, policy = carried(tmp_path / "new", model, ROWS)
    assert {rule.effect.value for rule in policy.rules} == {"allow"}
    assert any("never had an effect" in note.text for note in result.notes)


def test_who_needs_no_rule_is_carried_over_unless_denies_could_meet_them(tmp_path: Path) -> None:
    model = RBAC.replace("r.act == p.act", 'r.act == p.act || r.sub == "root"')
    rows = ROWS.replace("p, banned, data2, read, deny\n", "")
    _, policy = carried(tmp_path / "a", model, rows)
    assert "r.subject.id == 'root'" in {rule.text for rule in policy.rules}
    result, policy = carried(tmp_path / "b", model, ROWS)
    assert "r.subject.id == 'root'" not in {rule.text for rule in policy.rules}
    assert any("denies included" in note.text for note in result.notes if note.lost)


def test_names_are_made_ours_and_kept_apart(tmp_path: Path) -> None:
    rows = "p, Team Lead, data1, GET, allow\np, team-lead, data1, get, allow\n"
    result, policy = carried(tmp_path / "new", RBAC, rows)
    assert {rule.role for rule in policy.rules} == {"team_lead", "team_lead_2"}
    assert {rule.action for rule in policy.rules} == {"get", "get_2"}
    assert any("'Team Lead' is called 'team_lead'" in note.text for note in result.notes)


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("r = sub, obj, act", "r = sub, dom, obj, act", "only subject, object and action"),
        (
            "some(where (p.eft == allow)) && !some(where (p.eft == deny))",
            "!some(where (p.eft == deny))",
            "the effect",
        ),
        ("some(where (p.eft == allow)) && !some(where (p.eft == deny))", "priority(p.eft) || deny", "the effect"),
        ("r.obj == p.obj", "keyMatch(r.obj, p.obj)", "no counterpart"),
        ("r.act == p.act", "r.act == p.act || r.obj == p.obj", "several ways"),
        ("[matchers]", "[match]", "no m in"),
    ],
)
def test_a_model_that_cannot_be_carried_over_is_refused(old: str, new: str, says: str) -> None:
    with pytest.raises(ModelError, match=says):
        read_model(RBAC.replace(old, new))
