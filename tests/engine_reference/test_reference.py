"""The reference engine: the real Enforcer finds every row that matches, and fails closed."""

from __future__ import annotations

import importlib.metadata
import logging
import re

import pytest
from casbin.core_enforcer import CoreEnforcer
from hypothesis import given, settings

from pdp.core.condition import parse
from pdp.core.decide import decide
from pdp.core.decision import Effect
from pdp.core.entities import context_view
from pdp.core.policy import MatchError, PolicySnapshot, Rule
from pdp.core.record import View
from pdp.core.request import Context, Request
from pdp.engine import reference
from pdp.engine.reference import EngineConflictError, ReferenceMatcher
from pdp.policy.model import MODEL
from tests.core import world
from tests.core.policies import POLICIES, REQUESTS, known, matching
from tests.core.world import NOW, entities, policy, request, row

LINKS = (("g", "supervisor", "agent"), ("g2", "read", "use"), ("g3", "customer", "regional"))


def views(*, asked: Context | None = None, **found: object) -> tuple[View, ...]:
    known_ = entities(**found)
    context = context_view(asked or world.context(), world.schema(), NOW)
    return (*(held.view for held in known_ if held), context)


def rule(index: int, condition: str = "True", effect: Effect = Effect.ALLOW, **columns: str) -> Rule:
    names = {"role": "*", "action": "*", "resource": "*", **columns}
    return Rule(index, f"rule-{index}", *names.values(), condition, parse(condition), effect, (), "basis", "x.csv", 1)


def matcher(*rules: Rule, links: tuple[tuple[str, str, str], ...] = LINKS) -> ReferenceMatcher:
    return ReferenceMatcher(rules, links, MODEL)


def matched(engine: ReferenceMatcher, role: str = "agent", action: str = "read", **found: object) -> list[int]:
    return list(engine(role, action, *views(**found)))


def test_all_matching_rows_are_found_permits_and_denies_alike() -> None:
    effects = [Effect.ALLOW, Effect.DENY, Effect.ALLOW, Effect.DENY, Effect.ALLOW]
    engine = matcher(*(rule(at, "False" if at == 2 else "True", effect) for at, effect in enumerate(effects)))
    assert matched(engine) == [0, 1, 3, 4]


@pytest.mark.parametrize(
    ("columns", "role", "action", "matches"),
    [
        ({"role": "agent"}, "agent", "read", True),
        ({"role": "agent"}, "supervisor", "read", True),
        ({"role": "supervisor"}, "agent", "read", False),
        ({"role": "agent"}, "stranger", "read", False),
        ({"action": "use"}, "agent", "read", True),
        ({"action": "read"}, "agent", "use", False),
        ({"resource": "regional"}, "agent", "read", True),
        ({"resource": "card"}, "agent", "read", False),
        ({"role": "agent", "action": "use", "resource": "regional"}, "supervisor", "read", True),
    ],
)
def test_columns_match_by_inheritance(columns: dict[str, str], role: str, action: str, matches: bool) -> None:  # noqa: FBT001
    assert matched(matcher(rule(0, **columns)), role, action) == ([0] if matches else [])


def test_inheritance_reaches_as_far_as_the_loader_permits() -> None:
    links = tuple(("g", f"r{at}", f"r{at + 1}") for at in range(9))
    assert matched(matcher(rule(0, role="r9"), links=links), "r0") == [0]


def test_a_policy_of_no_rows_matches_nothing_and_denies() -> None:
    engine = matcher()
    assert engine.enforce("agent", "read", *views()) == (False, ())


def test_a_missing_attribute_is_an_error_that_names_the_row_and_no_value() -> None:
    engine = matcher(rule(0), rule(1, "r.session.risk < 50"), rule(2))
    with pytest.raises(MatchError) as caught:
        engine("agent", "read", *views()[:2], View({"secret": "hunter2"}), *views()[3:])
    assert caught.value.rules == (1,)
    assert str(caught.value) == "AttributeDoesNotExist"
    assert caught.value.__suppress_context__


def test_a_row_before_the_error_is_no_answer() -> None:
    engine = matcher(rule(0), rule(1, "r.session.risk < 50"))
    broken = (*views()[:2], View({}), *views()[3:])
    with pytest.raises(MatchError):
        engine("agent", "read", *broken)
    assert matched(engine) == [0, 1], "and the next call starts afresh"


def test_an_error_outside_any_row_names_none(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = matcher(rule(0))
    assert matched(engine) == [0]

    def fail(*_: object) -> None:
        raise SystemError

    monkeypatch.setattr(CoreEnforcer, "enforce_ex", fail)
    with pytest.raises(MatchError) as caught:
        matched(engine)
    assert caught.value.rules == ()


@settings(max_examples=80, deadline=None)
@given(POLICIES, REQUESTS, known())
def test_it_finds_what_matches_by_definition(
    lines: list[str], asked: Request, found: dict[str, dict[str, object]]
) -> None:
    snapshot, who = policy(lines), entities(**found)
    held = who.subject.view.__dict__["roles"]  # type: ignore[union-attr]
    seen = (*(it.view for it in who if it), context_view(asked.context, world.schema(), NOW))
    indexes = {index for role in held for index in snapshot.matcher(role, asked.action, *seen)}
    assert sorted(indexes) == [it.index for it in matching(snapshot, asked, who, NOW)]


@settings(max_examples=80, deadline=None)
@given(POLICIES, REQUESTS, known())
def test_the_enforcers_own_answer_is_the_decision_where_nothing_is_owed(
    lines: list[str], asked: Request, found: dict[str, dict[str, object]]
) -> None:
    bare = [re.sub(r",(allow|deny),[^,]*,basis$", r",\1,,basis", line) for line in lines]
    found["subject"] = {**found["subject"], "roles": ["supervisor"]}
    snapshot, who = policy(bare), entities(**found)
    seen = (*(it.view for it in who if it), context_view(asked.context, world.schema(), NOW))
    allowed, _ = snapshot.matcher.enforce("supervisor", asked.action, *seen)
    assert allowed == decide(asked, who, snapshot, NOW).allowed


def test_every_condition_of_every_row_is_evaluated_by_the_enforcer(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []
    real = CoreEnforcer._get_expression

    def spy(expression: str, functions: object = None) -> object:
        seen.append(expression)
        return real(expression, functions)

    engine = matcher(rule(0, "r.session.risk < 50"), rule(1, "False"), rule(2))
    monkeypatch.setattr(CoreEnforcer, "_get_expression", staticmethod(spy))
    matched(engine)
    assert [("r_session.risk < 50" in it, "(False)" in it, "(True)" in it) for it in seen] == [
        (True, False, False),
        (False, True, False),
        (False, False, True),
    ]


def test_logical_operators_without_spaces_are_read_as_operators() -> None:
    text = "r.device.compliant&&r.session.risk<50||r.context.emergency"
    engine = matcher(rule(0, text))
    assert matched(engine) == [0]
    assert matched(engine, session={"risk": 90}) == []


def test_line_ends_in_a_condition_are_spaces() -> None:
    assert matched(matcher(rule(0, "r.device.compliant\n  &&\r\n\tr.session.risk < 50"))) == [0]


def test_nothing_of_a_request_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    engine = matcher(rule(0, "False"))
    for name in ("casbin", "casbin.enforcer", "casbin.policy", "casbin.role"):
        logging.getLogger(name).disabled = False
        logging.getLogger(name).setLevel(logging.DEBUG)
    with caplog.at_level(logging.DEBUG):
        matched(engine)
    assert not caplog.records


def test_a_revision_is_never_written_back() -> None:
    engine = matcher(rule(0))
    with pytest.raises(NotImplementedError):
        engine._enforcer.save_policy()


def test_it_refuses_to_run_beside_the_frozen_distribution(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.metadata, "version", lambda name: "1.43.0" if name == "casbin" else "2.8.0")
    with pytest.raises(EngineConflictError, match=r"casbin 1\.43\.0 is installed beside pycasbin"):
        matcher(rule(0))


def test_what_is_installed_is_pycasbin_alone() -> None:
    reference.refuse_conflict()
    assert importlib.metadata.version("pycasbin") == "2.8.0"


def test_two_engines_do_not_share_anything() -> None:
    one, other = matcher(rule(0)), matcher(rule(0, "False"), rule(1))
    assert (matched(one), matched(other), matched(one)) == ([0], [1], [0])


def test_a_decision_by_it_says_which_rule_failed() -> None:
    snapshot = policy([row("fine", "True"), row("broken", "r.device.score > 1")])
    blind = PolicySnapshot(
        "sha256:x",
        snapshot.rules,
        lambda *given: snapshot.matcher(*given[:3], View({}), *given[4:]),
        snapshot.hierarchy,
        snapshot.schema,
        snapshot.obligations,
        snapshot.routes,
    )
    decision = decide(request(), entities(), blind, NOW)
    assert [str(it) for it in decision.causes] == ["CONDITION_ERROR(broken)"]
    assert decision.fault
