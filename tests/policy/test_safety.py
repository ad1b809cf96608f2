"""One test for each row of docs/policy-safety.md: what Casbin would let through, and that it does not get through."""

from __future__ import annotations

import importlib.metadata
import re
from pathlib import Path

import pytest
from casbin import Enforcer, FastEnforcer, SyncedEnforcer

from pdp.core.decide import decide
from pdp.core.decision import Effect, Entity
from pdp.core.policy import MatchError, PolicySnapshot
from pdp.core.record import View
from pdp.engine.reference import ReferenceMatcher
from pdp.policy import FolderOrigin, PolicyKeeper
from tests.core import world
from tests.core.world import NOW, ask, entities, policy, reasons, row
from tests.policy.example import LINKS, MODEL, RULES, build, problems_of, swap, write

TABLE = Path(__file__).parents[2] / "docs" / "policy-safety.md"
FILE = "policy/rules.csv"
VIEWS = tuple(View({"type": "customer", "id": "x"}) for _ in range(5))


def said_of(changes: dict[str, str]) -> str:
    """Give all that is wrong with the example once it is changed; it must be something."""
    found = problems_of(changes)
    assert found
    return "\n".join(map(str, found))


def said_of_condition(condition: str) -> str:
    quoted = condition.replace('"', '""')
    return said_of(swap(FILE, "!r.device.compliant", f'"{quoted}"'))


def test_every_row_of_the_table_has_a_test_and_every_test_a_row() -> None:
    named = re.findall(r"`(test_[a-z0-9_]+)`", TABLE.read_text())
    here = [name for name in globals() if name.startswith("test_") and "row_of_the_table" not in name]
    assert sorted(named) == sorted(here)


async def test_reload_replaces_the_engine_and_never_reloads_one(tmp_path: Path) -> None:
    source = PolicyKeeper(FolderOrigin(write(tmp_path)), ReferenceMatcher)
    await source.reload()
    before = source.current()
    write(tmp_path, {FILE: RULES.replace("risk < 50", "risk < 40")})
    await source.reload()
    after = source.current()
    assert before is not None
    assert after is not None
    assert before.matcher is not after.matcher
    assert [rule.text for rule in before.rules] != [rule.text for rule in after.rules]


def test_a_thread_that_breaks_the_parser_is_an_error_and_not_an_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    snapshot = policy([row("one", "True")])

    def fail(*_: object) -> object:
        raise SystemError("AST constructor recursion depth mismatch")

    monkeypatch.setattr(Enforcer, "_get_expression", staticmethod(fail))
    decision = decide(world.request(), entities(), snapshot, NOW)
    assert reasons(decision) == ["CONDITION_ERROR(one)"]


@pytest.mark.parametrize("text", ["# end\n", RULES.replace("p,", "# p,")])
def test_an_empty_policy_is_refused(text: str) -> None:
    assert "no rule allows anything" in said_of({FILE: text, "policy/links.csv": "# end\n"})
    assert ask([]).effect is Effect.DENY


@pytest.mark.parametrize("effect", ["DENY", "Deny", "denied", "", "0", "allow;deny"])
def test_an_effect_that_is_neither_is_refused(effect: str) -> None:
    assert "is not an effect" in said_of(swap(FILE, ",deny,notify", f",{effect},notify"))


@pytest.mark.parametrize("ptype", ["P", "p2", "p3", "policy", "G", "g4", ""])
def test_a_row_of_an_unknown_kind_is_refused(ptype: str) -> None:
    assert "a row of an unknown kind" in said_of(swap(FILE, "p,unhealthy", f"{ptype},unhealthy"))


@pytest.mark.parametrize("condition", ["(r.device.compliant", "r.device.compliant)", "((True)", "[True"])
def test_an_unbalanced_parenthesis_is_refused_and_swallows_nothing(condition: str) -> None:
    found = problems_of(swap(FILE, "!r.device.compliant", condition))
    assert [(it.line, "condition:" in it.problem) for it in found] == [(7, True)]


def test_a_short_row_and_a_long_one_are_refused() -> None:
    assert "a rule of 8 fields instead of 9" in said_of(swap(FILE, ",deny,notify,", ",deny,"))
    assert "a rule of 10 fields instead of 9" in said_of(swap(FILE, ",deny,notify,", ",deny,notify,x,"))


def test_a_byte_order_mark_is_refused() -> None:
    assert "byte order mark" in said_of({FILE: "\ufeff" + RULES})


def test_priorities_do_not_exist() -> None:
    changed = MODEL.replace("p = id", "p = priority, id")
    assert "differs from the one model" in said_of({"model.conf": changed})
    effect = MODEL.replace("some(where (p.eft == allow)) && !some(where (p.eft == deny))", "priority(p.eft) || deny")
    assert "differs from the one model" in said_of({"model.conf": effect})


def test_quotes_commas_and_braces_mean_what_csv_says() -> None:
    condition = "r.subject.region in ('eu', 'us') && r.context.purpose in ('billing', 'support')"
    rules = build(swap(FILE, "!r.device.compliant", f'"{condition}"')).rules
    assert rules[3].text == condition
    assert "11 fields" in said_of(swap(FILE, "!r.device.compliant", condition))
    assert "a double quote inside a field" in said_of(swap(FILE, "!r.device.compliant", 'r.subject.region == "eu"'))


def test_a_comment_within_a_line_is_refused() -> None:
    assert "unexpected '#'" in said_of_condition("r.device.compliant # for now")


def test_a_chain_of_roles_that_would_be_cut_is_refused() -> None:
    links = "".join(f"g2,n{at},n{at + 1}\n" for at in range(9))
    changes = {"policy/links.csv": f"g2,delete,n0\n{links}{LINKS}"}
    assert "a chain of more than 9 links" in said_of(changes)


def test_conditional_roles_do_not_exist() -> None:
    assert "differs from the one model" in said_of(swap("model.conf", "g = _, _\ng2", "g = _, _, (_, _)\ng2"))
    assert "a g row of 5 fields" in said_of(swap("policy/links.csv", "g,supervisor,agent", "g,supervisor,agent,a,b"))


def test_an_enforcer_that_is_switched_off_allows_nothing() -> None:
    snapshot = policy([row("one", "True")])
    assert decide(world.request(), entities(), snapshot, NOW).allowed
    snapshot.matcher._enforcer.enable_enforce(enabled=False)  # type: ignore[attr-defined]
    assert not decide(world.request(), entities(), snapshot, NOW).allowed


def test_the_enforcer_is_the_plain_one() -> None:
    enforcer = build().matcher._enforcer  # type: ignore[attr-defined]
    assert type(enforcer) is Enforcer
    assert not isinstance(enforcer, FastEnforcer | SyncedEnforcer)


def test_the_sections_used_are_never_chosen_by_a_request() -> None:
    extra = MODEL.replace("[matchers]", "[matchers]\nm2 = True").replace("[policy_effect]", "[policy_effect]\ne2 = x")
    assert "has no 'm2'" in said_of({"model.conf": extra})
    assert "has no 'e2'" in said_of({"model.conf": extra})


@pytest.mark.parametrize(
    "condition", ["r.subject.region in ('eu')", "'e' in r.subject.region", "'e' in r.subject.id"]
)
def test_a_substring_test_is_refused(condition: str) -> None:
    said = said_of_condition(condition)
    assert "a choice of one is a substring test" in said or "substring test" in said or "is never 'e'" in said


@pytest.mark.parametrize("stored", [None, "", "\u0441ompromised", "COMPROMISED", "compromised "])
def test_a_value_that_is_not_the_denied_one_is_not_therefore_good(stored: str | None) -> None:
    values = {**world.SUBJECT, "region": stored}
    kept = {name: value for name, value in values.items() if value is not None}
    known = entities(subject=world.record(Entity.SUBJECT, "alice", kept))
    decision = ask([row("one", "r.subject.region != 'us'")], known=known)
    assert reasons(decision) == [f"ATTRIBUTE_{'MISSING' if stored is None else 'INVALID'}(subject.region)"]


@pytest.mark.parametrize("risk", ["nan", "NaN", "-nan", "inf"])
def test_not_a_number_is_not_low(risk: str) -> None:
    decision = ask([row("one", "!(r.session.risk > 50)")], known=entities(session={"risk": risk}))
    assert reasons(decision) == ["ATTRIBUTE_INVALID(session.risk)"]


@pytest.mark.parametrize("condition", ["r.device.compliant == 1", "r.session.risk == '18'", "r.session.aal == True"])
def test_types_are_never_confused(condition: str) -> None:
    assert "is never equal to" in said_of_condition(condition)


@pytest.mark.parametrize(
    "name", ["items", "keys", "values", "get", "copy", "pop", "format", "mro", "replaced", "func_x"]
)
def test_no_attribute_is_taken_for_a_method(name: str) -> None:
    changes = swap("schema.yaml", "compliant: {", f"{name}: {{type: bool}}\n  compliant: {{")
    if name in ("format", "mro", "replaced", "func_x"):
        assert "meaning of its own" in said_of(changes)
        return
    changes |= swap(FILE, "!r.device.compliant", f"!r.device.{name}")
    engine = build(changes).matcher
    device = View({"type": "device", "id": "d", name: False})
    context = View({"time": 10, "emergency": False})
    found = engine("agent", "export", VIEWS[0], device, View({"auth_time": 5}), VIEWS[3], context)
    assert list(found) == [3], "the attribute's value, False, was read"


def test_a_missing_attribute_is_a_deny_wherever_its_rule_stands() -> None:
    lines = [row("fine", "True"), row("blind", "r.device.score > 1")]
    values = {name: value for name, value in world.DEVICE.items() if name != "score"}
    known = entities(device=world.record(Entity.DEVICE, "d-1", values))
    for order in (lines, lines[::-1]):
        assert reasons(ask(order, known=known)) == ["ATTRIBUTE_MISSING(device.score)"]


@pytest.mark.parametrize(
    "call", ["keyMatch(r.subject.id, '/pub/*')", "regexMatch(r.subject.id, 'a')", "ipMatch(r.subject.id, 'x')"]
)
def test_matching_functions_do_not_exist(call: str) -> None:
    assert "condition: unexpected" in said_of_condition(call)
    name = call.partition("(")[0]
    assert "differs from the one model" in said_of(swap("model.conf", "g(r.role, p.role)", f"{name}(r.role, p.role)"))


def test_patterns_that_take_forever_do_not_exist() -> None:
    assert "condition: unexpected" in said_of_condition("globMatch(r.subject.id, '(a+)+$')")
    assert "a condition of more than 4000" in said_of_condition("True " * 900)
    assert "nested more than 20 deep" in said_of_condition("(" * 30 + "True" + ")" * 30)


@pytest.mark.parametrize("condition", ["1==2) || (1==1", "1==2) or (1==1", "True) || (True"])
def test_a_condition_cannot_step_out_of_its_place(condition: str) -> None:
    assert "condition: unexpected" in said_of_condition(condition)


@pytest.mark.parametrize(
    "condition",
    [
        *("r.resource.delete()", "r.subject.id.upper() == 'A'", "r.subject.__class__ == 'x'", "lambda: True"),
        *("r.subject.roles[0] == 'agent'", "[x for x in r.subject.roles]", "True if True else False"),
        *("r.subject.id + 'x' == 'y'", "f'x' == 'x'"),
    ],
)
def test_a_condition_cannot_call_anything(condition: str) -> None:
    assert "condition: " in said_of_condition(condition)


@pytest.mark.parametrize("text", ["a&&b", "a||b", "a!b", "r.x", "p.x", "r2.x", "a#b", "a\\b", "é"])
def test_a_text_that_casbin_would_rewrite_is_refused(text: str) -> None:
    assert "that Casbin rewrites" in said_of_condition(f"r.subject.id == '{text}'")


def test_operators_without_spaces_are_operators_to_casbin_too() -> None:
    decision = ask([row("one", "r.device.compliant&&r.session.risk<50||r.context.emergency")])
    assert decision.allowed


@pytest.mark.parametrize("number", ["007", "0x10", "1_000", "1e3", "9" * 20, "-1", "1.", ".5"])
def test_numbers_have_one_reading(number: str) -> None:
    assert "condition: " in said_of_condition(f"r.session.risk < {number}")


def test_text_after_a_semicolon_is_refused() -> None:
    assert "unexpected ';'" in said_of_condition("r.device.compliant; False")


def test_the_engine_is_asked_about_names_of_the_schema_alone() -> None:
    asked = []
    whole = policy([row("one", "True")])

    def spy(role: str, action: str, *views: View) -> list[int]:
        asked.append((role, action, views[3].__dict__["type"]))
        return list(whole.matcher(role, action, *views))  # type: ignore[call-arg]

    snapshot = PolicySnapshot("x", whole.rules, spy, whole.hierarchy, whole.schema, whole.obligations, whole.routes)
    strangers = [f"stranger-{at}" for at in range(5)]
    for name in strangers:
        stranger = entities(subject={"roles": [name]})
        assert reasons(decide(world.request(), stranger, snapshot, NOW)) == ["ATTRIBUTE_INVALID(subject.roles)"]
        assert not decide(world.request(action=name.replace("-", "_")), entities(), snapshot, NOW).allowed
    assert asked == []
    decide(world.request(), entities(), snapshot, NOW)
    assert asked == [("agent", "read", "customer")]


def test_a_list_is_short_or_no_value() -> None:
    many = [f"purpose-{at}" for at in range(257)]
    decision = ask([row("one", "'billing' in r.resource.purposes")], known=entities(resource={"purposes": many}))
    assert reasons(decision) == ["ATTRIBUTE_INVALID(resource.purposes)"]


@pytest.mark.parametrize("condition", ["r.session.risk", "r.subject.id", "1", "'x'", "r.subject.roles"])
def test_a_condition_is_true_or_false_and_nothing_else(condition: str) -> None:
    assert "neither true nor false" in said_of_condition(condition)


def test_nothing_is_looked_up_by_index_where_an_attribute_is_missing() -> None:
    engine = policy([row("one", "r.device.compliant")]).matcher
    with pytest.raises(MatchError):
        engine("agent", "read", *VIEWS)


def test_the_frozen_distribution_is_not_there_and_the_evaluator_is_a_mended_one() -> None:
    with pytest.raises(importlib.metadata.PackageNotFoundError):
        importlib.metadata.version("casbin")
    assert tuple(map(int, importlib.metadata.version("simpleeval").split("."))) >= (1, 0, 8)
