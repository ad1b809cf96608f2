"""The enforcer's interface, in both modes, on models like those in Casbin's documentation."""

from __future__ import annotations

import ast
import gc
import sys
import threading
import weakref
from pathlib import Path
from typing import Any

import casbin
import pytest
from casbin.persist.adapters import FileAdapter, StringAdapter

import pdp.engine.compiled
from pdp.engine import CompiledEnforcer, ConditionError, GiveWay, MatchedRule, PolicyError, RowsAdapter
from pdp.engine.compiled.program import Sections
from tests.engine.compare import explained, model_of, outcome
from tests.engine.hostile import Bag, Text

ACL = """[request_definition]
r = sub, obj, act
[policy_definition]
p = sub, obj, act
[policy_effect]
e = some(where (p.eft == allow))
[matchers]
m = r.sub == p.sub && r.obj == p.obj && r.act == p.act
"""
ACL_ROWS = [("p", "alice", "data1", "read"), ("p", "bob", "data2", "write"), ("p", "alice", "data1", "read")]
TWO_SECTIONS = """[request_definition]
r = sub, obj, act
r2 = sub, act
[policy_definition]
p = sub, obj, act, eft
p2 = rule, act, eft
[policy_effect]
e = some(where (p.eft == allow)) && !some(where (p.eft == deny))
e2 = some(where (p2.eft == allow))
[matchers]
m = r.sub == p.sub && r.obj == p.obj && r.act == p.act
m2 = eval(p2.rule) && r2.act == p2.act
"""
TWO_ROWS = [
    ("p", "alice", "data1", "read", "allow"),
    ("p2", "r2.sub.age > 18", "read", "allow"),
    ("p2", "r2.sub.age > 60", "read", "deny"),
]
ROLES = """[request_definition]
r = sub, obj, act
[policy_definition]
p = sub, obj, act, eft
[role_definition]
g = _, _
[policy_effect]
e = {effect}
[matchers]
m = g(r.sub, p.sub) && r.obj == p.obj && r.act == p.act
"""


@pytest.fixture(params=["exact", "strict"])
def mode(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.fixture
def files(tmp_path: Path) -> tuple[str, str]:
    model, policy = tmp_path / "model.conf", tmp_path / "policy.csv"
    model.write_text(ACL, encoding="utf-8")
    policy.write_text("\n".join(", ".join(row) for row in ACL_ROWS), encoding="utf-8")
    return str(model), str(policy)


def test_it_takes_paths(files: tuple[str, str], mode: Any) -> None:
    enforcer = CompiledEnforcer(*files, mode)
    assert enforcer.enforce("alice", "data1", "read") is True
    assert enforcer.enforce("alice", "data1", "write") is False


def test_it_takes_a_model_and_any_adapter(files: tuple[str, str], mode: Any) -> None:
    for source in (
        FileAdapter(files[1]),
        StringAdapter(Path(files[1]).read_text("utf-8")),
        RowsAdapter(ACL_ROWS),
        ACL_ROWS,
    ):
        enforcer = CompiledEnforcer(model_of(ACL), source, mode)
        assert enforcer.get_policy() == casbin.Enforcer(*files).get_policy()
        assert enforcer.enforce("bob", "data2", "write") is True


def test_it_is_empty_without_a_policy() -> None:
    assert CompiledEnforcer(model_of(ACL)).enforce("alice", "data1", "read") is False
    assert CompiledEnforcer(model_of(ACL)).enforce("", "", "") is True  # as pycasbin does
    with pytest.raises(PolicyError, match="empty"):
        CompiledEnforcer(model_of(ACL), None, "strict")


def test_a_mode_must_exist() -> None:
    with pytest.raises(ValueError, match="no mode"):
        CompiledEnforcer(model_of(ACL), ACL_ROWS, "lenient")  # type: ignore[arg-type]


def test_what_casbin_raises_at_load_exact_mode_raises() -> None:
    broken = ACL.replace("some(where (p.eft == allow))", "any")
    for arguments in ((model_of(broken), None), ("/missing.conf", None), (ACL, "policy.csv"), (5, None)):
        assert outcome(CompiledEnforcer, *arguments) == outcome(casbin.Enforcer, *arguments)


def test_enforce_ex_explains(mode: Any) -> None:
    enforcer = CompiledEnforcer(model_of(ACL), ACL_ROWS, mode)
    assert enforcer.enforce_ex("alice", "data1", "read") == (True, ["alice", "data1", "read"])
    assert enforcer.enforce_ex("alice", "data2", "read") == (False, [])


def test_batch_is_each_by_itself(mode: Any) -> None:
    enforcer = CompiledEnforcer(model_of(ACL), ACL_ROWS, mode)
    requests = [("alice", "data1", "read"), ("bob", "data1", "read"), ("bob", "data2", "write")]
    assert (
        enforcer.batch_enforce(requests)
        == [enforcer.enforce(*request) for request in requests]
        == [True, False, True]
    )


def test_matching_rules_does_not_stop_early(mode: Any) -> None:
    enforcer = CompiledEnforcer(model_of(ACL), ACL_ROWS, mode)
    row = ("alice", "data1", "read")
    assert enforcer.matching_rules(*row) == (MatchedRule(0, row), MatchedRule(2, row))
    assert enforcer.match(*row) == (0, 2)
    assert enforcer.match("carol", "data1", "read") == ()


def test_what_is_returned_can_be_changed_without_harm(mode: Any) -> None:
    enforcer = CompiledEnforcer(model_of(ACL), ACL_ROWS, mode)
    enforcer.get_policy()[0][0] = "mallory"
    enforcer.enforce_ex("alice", "data1", "read")[1][0] = "mallory"
    assert enforcer.enforce("mallory", "data1", "read") is False
    assert enforcer.get_policy()[0] == ["alice", "data1", "read"]


@pytest.mark.parametrize("request_", [(), ("alice",), ("alice", "data1", "read", "more")])
def test_a_request_of_the_wrong_size_raises_as_in_pycasbin(request_: tuple[str, ...]) -> None:
    enforcer = CompiledEnforcer(model_of(ACL), ACL_ROWS)
    for function in (enforcer.enforce, enforcer.enforce_ex, enforcer.match, enforcer.matching_rules):
        assert outcome(function, *request_) == ("raised", RuntimeError)


def test_each_section_of_a_context_is_compiled(mode: Any) -> None:
    enforcer = CompiledEnforcer(model_of(TWO_SECTIONS), TWO_ROWS, mode)
    reference = casbin.Enforcer(model_of(TWO_SECTIONS), RowsAdapter(TWO_ROWS))
    context = reference.new_enforce_context("2")
    context.etype = "e"
    for age in (10, 20, 70):
        request = (context, Bag(age=age), "read")
        assert explained(enforcer.enforce_ex, *request) == explained(reference.enforce_ex, *request)
        assert enforcer.enforce(*request) is reference.enforce(*request)
    assert [match.row for match in enforcer.matching_rules(context, Bag(age=70), "read")] == [0, 1]
    assert enforcer.enforce("alice", "data1", "read") is True


def test_a_context_without_a_section_raises() -> None:
    reference = casbin.Enforcer(model_of(ACL), RowsAdapter(ACL_ROWS))
    context = reference.new_enforce_context("3")
    exact = CompiledEnforcer(model_of(ACL), ACL_ROWS)
    assert outcome(exact.enforce, context, "a", "b", "c") == outcome(reference.enforce, context, "a", "b", "c")
    with pytest.raises(PolicyError):
        CompiledEnforcer(model_of(ACL), ACL_ROWS, "strict").enforce(context, "a", "b", "c")


def test_a_custom_function_is_called_and_can_replace_a_built_in() -> None:
    model = ACL.replace("r.obj == p.obj", "keyMatch(r.obj, p.obj)").replace("r.act == p.act", "same(r.act, p.act)")
    enforcer = CompiledEnforcer(model_of(model), ACL_ROWS)
    reference = casbin.Enforcer(model_of(model), RowsAdapter(ACL_ROWS))
    request = ("alice", "data1", "read")
    assert outcome(enforcer.enforce, *request) == outcome(reference.enforce, *request)
    for name, function in (("same", lambda one, other: one == other), ("keyMatch", lambda *_: False)):
        enforcer.add_function(name, function)
        reference.add_function(name, function)
        assert explained(enforcer.enforce_ex, *request) == explained(reference.enforce_ex, *request)
    assert enforcer.enforce(*request) is False


@pytest.mark.parametrize("function", [eval, print, Bag(), type])
def test_a_function_that_simpleeval_refuses_fails_alike(function: Any) -> None:
    enforcer = CompiledEnforcer(model_of(ACL), ACL_ROWS)
    reference = casbin.Enforcer(model_of(ACL), RowsAdapter(ACL_ROWS))
    enforcer.add_function("f", function)
    reference.add_function("f", function)
    request = ("alice", "data1", "read")
    assert outcome(enforcer.enforce, *request) == outcome(reference.enforce, *request)


@pytest.mark.parametrize(
    "effect",
    ["some(where (p.eft == allow))", "some(where (p.eft == allow)) && !some(where (p.eft == deny))",
     "priority(p.eft) || deny", "subjectPriority(p.eft) || deny"],
)  # fmt: skip
def test_every_effect_in_both_modes(mode: Any, effect: str) -> None:
    rows = [
        ("p", "staff", "data", "read", "allow"), ("p", "alice", "data", "read", "deny"),
        ("p", "staff", "data", "write", "allow"), ("g", "alice", "staff"), ("g", "bob", "staff"),
    ]  # fmt: skip
    model = ROLES.format(effect=effect)
    enforcer = CompiledEnforcer(model_of(model), rows, mode)
    reference = casbin.Enforcer(model_of(model), RowsAdapter(rows))
    for subject in ("alice", "bob", "staff", "carol"):
        for act in ("read", "write", "delete"):
            request = (subject, "data", act)
            assert explained(enforcer.enforce_ex, *request) == explained(reference.enforce_ex, *request)


@pytest.mark.parametrize(
    "effect", ["some(where (p.eft == allow))", "some(where (p.eft == allow)) && !some(where (p.eft == deny))"]
)
def test_a_priority_column_says_which_rule_explains_under_any_effect(mode: Any, effect: str) -> None:
    model = ROLES.format(effect=effect).replace("eft\n", "eft, priority\n", 1)
    rows = [("p", "alice", "data", "read", "allow", str(priority)) for priority in (2, 3, 1)]
    enforcer = CompiledEnforcer(model_of(model), rows, mode)
    reference = casbin.Enforcer(model_of(model), RowsAdapter(rows))
    request = ("alice", "data", "read")
    assert explained(enforcer.enforce_ex, *request) == explained(reference.enforce_ex, *request)
    assert [matched.rule[-1] for matched in enforcer.matching_rules(*request)] == ["1", "2", "3"]


def test_adding_a_deny_never_creates_an_allow(mode: Any) -> None:
    model = ROLES.format(effect="some(where (p.eft == allow)) && !some(where (p.eft == deny))")
    rows = [("p", "staff", "data", "read", "allow"), ("g", "alice", "staff")]
    before = CompiledEnforcer(model_of(model), rows, mode)
    after = CompiledEnforcer(model_of(model), [*rows, ("p", "alice", "data", "read", "deny")], mode)
    for request in (("alice", "data", "read"), ("staff", "data", "read"), ("bob", "data", "read")):
        assert after.enforce(*request) <= before.enforce(*request)
    assert before.enforce("alice", "data", "read") is True
    assert after.enforce("alice", "data", "read") is False


def test_the_report_tells_what_is_indexed_and_what_is_not() -> None:
    report = CompiledEnforcer(model_of(ACL), ACL_ROWS).compilation_report()
    assert report.indexed == ("r_sub == p_sub", "r_obj == p_obj", "r_act == p_act")
    assert (report.mode, report.rules, report.reference, report.interpreted) == ("exact", 3, "", ())
    rows = [("p", "r.sub.name.upper() == 'A'"), ("p", "r.sub.age > 1")]
    model = ACL.replace("p = sub, obj, act", "p = rule").replace(ACL[ACL.index("m = ") :], "m = eval(p.rule)\n")
    interpreted = CompiledEnforcer(model_of(model), rows).compilation_report().interpreted
    assert [(finding.row, "method call" in finding.reason) for finding in interpreted] == [(0, True)]
    empty = CompiledEnforcer(model_of(ACL)).compilation_report()
    assert "empty" in empty.reference
    assert "reference" in str(empty)


def test_a_decision_that_raises_in_strict_mode_is_typed(mode: Any) -> None:
    enforcer = CompiledEnforcer(model_of(ACL), ACL_ROWS, mode)
    if mode == "exact":
        assert enforcer.match(None, "data1", "read") == ()
        with pytest.raises(TypeError):
            enforcer.decide("alice", "data1", "read")
        return
    with pytest.raises(ConditionError):
        enforcer.match(None, "data1", "read")


@pytest.mark.parametrize("roles", ["g = _, _", "g = _, _, _"])
def test_a_hostile_name_leaves_nothing_behind(roles: str) -> None:
    model = ROLES.format(effect="some(where (p.eft == allow))").replace("g = _, _", roles)
    domain = ("d",) if roles.count("_") > 2 else ()
    if domain:
        model = model.replace("g(r.sub, p.sub)", "g(r.sub, p.sub, 'd')")
    rows = [("p", "staff", "data", "read", "allow"), ("g", "bob", "staff", *domain)]
    enforcer = CompiledEnforcer(model_of(model), rows)
    hostile_request, honest = (Text("alice"), "data", "read"), ("alice", "data", "read")
    first = outcome(casbin.Enforcer(model_of(model), RowsAdapter(rows)).enforce, *hostile_request)
    for _ in range(2):
        assert outcome(enforcer.enforce, *hostile_request) == first
        assert enforcer.enforce(*honest) is False
        assert enforcer._engine._by_reference(honest)[0] is False  # type: ignore[union-attr]
        assert enforcer._engine._match_by_interpreter(Sections(), honest) == ()  # type: ignore[union-attr]


# -- recompiling -------------------------------------------------------------------------------------------

RULES = ACL.replace("p = sub, obj, act", "p = rule, act").replace(
    ACL[ACL.index("m = ") :], "m = r.act == p.act && eval(p.rule)\n"
)


def test_a_recompiled_enforcer_shares_conditions_and_leaves_the_old_alone(mode: Any) -> None:
    rows = [("p", f"r.sub.age > {number}", "read") for number in range(50)]
    old = CompiledEnforcer(model_of(RULES), rows, mode)
    pauses: list[int] = []
    new = old.recompiled([*rows[:-1], ("p", "r.sub.age > 1000", "read")], checkpoint=lambda: pauses.append(1))
    assert pauses
    assert len(old.match(Bag(age=60), "", "read")) == 50
    assert len(new.match(Bag(age=60), "", "read")) == 49
    ours, theirs = (enforcer._engine.programs[("r", "p", "m")].builder for enforcer in (old, new))
    assert ours.conditions.of(("r.sub.age > 7", "read")) is theirs.conditions.of(("r.sub.age > 7", "read"))
    assert theirs.conditions.of(("r.sub.age > 1000", "read")) is not None


def test_role_links_of_an_old_snapshot_never_decide_in_a_new_one(mode: Any) -> None:
    roles = RULES.replace("[policy_effect]", "[role_definition]\ng = _, _\n[policy_effect]")
    row = ("p", "g(r.sub, 'admin')", "read")
    old = CompiledEnforcer(model_of(roles), [row, ("g", "alice", "admin")], mode)
    new = old.recompiled([row, ("g", "bob", "admin")])
    assert [enforcer.enforce("alice", "", "read") for enforcer in (old, new)] == [True, False]
    assert [enforcer.enforce("bob", "", "read") for enforcer in (old, new)] == [False, True]


def test_a_snapshot_goes_when_its_last_user_does(mode: Any) -> None:
    rows = [("p", f"r.sub.age > {number} && r.obj == 'x'", "read") for number in range(20)]
    old = CompiledEnforcer(model_of(RULES), rows, mode)
    assert len(old.match(Bag(age=60), "x", "read")) == 20
    gone = weakref.ref(old._engine)
    gc.collect()
    gc.disable()
    try:
        new = old.recompiled(rows)
        del old
        assert gone() is None
    finally:
        gc.enable()
    assert len(new.match(Bag(age=60), "x", "read")) == 20


def test_a_build_pauses_often_whatever_it_builds(mode: Any) -> None:
    roles = RULES.replace("[policy_effect]", "[role_definition]\ng = _, _\n[policy_effect]")
    rows = [("p", f"r.sub.name == 'n{number}' && r.sub.age > 1", "read") for number in range(200)]
    rows += [("g", f"u{number}", "admin") for number in range(200)]
    lines: list[int] = []
    old = CompiledEnforcer(model_of(roles), rows, mode)
    tracer_was = sys.gettrace()

    def count(_frame: Any, event: str, _argument: Any) -> Any:
        if event == "line":
            lines[-1] += 1
        return count

    lines.append(0)
    sys.settrace(count)
    try:
        old.recompiled(rows, checkpoint=lambda: lines.append(0))
    finally:
        sys.settrace(tracer_was)
    # The parts that are pycasbin's own cannot pause.
    limit = 3_000 if mode == "strict" else 30_000
    assert max(lines) < limit, max(lines)


def test_decisions_beside_reloads_are_those_of_one_snapshot() -> None:
    def rows(generation: int) -> list[tuple[str, ...]]:
        return [("p", f"r.sub.age == {generation} && r.obj == 'x{number}'", "read") for number in range(60)]

    current = [CompiledEnforcer(model_of(RULES), rows(0), "strict")]
    stop = threading.Event()

    def reload() -> None:
        for generation in range(1, 30):
            current[0] = current[0].recompiled(rows(generation), checkpoint=GiveWay(0.0002, 0.0002))
        stop.set()

    thread = threading.Thread(target=reload)
    thread.start()
    decisions = 0
    while not stop.is_set():
        enforcer = current[0]
        ages = [age for age in range(30) if enforcer.match(Bag(age=age), "x7", "read")]
        assert len(ages) == 1
        decisions += 1
    thread.join()
    assert current[0].enforce(Bag(age=29), "x7", "read") is True
    assert decisions > 0


# -- standing alone ----------------------------------------------------------------------------------------


def test_the_package_imports_nothing_else_of_the_project() -> None:
    package = Path(pdp.engine.compiled.__file__).parent
    imported = set()
    for path in package.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module:
                imported.add(node.module)
            elif isinstance(node, ast.Import):
                imported.update(alias.name for alias in node.names)
    ours = {name for name in imported if name.partition(".")[0] == "pdp"}
    assert all(name.startswith("pdp.engine.compiled") for name in ours)
    assert ours
