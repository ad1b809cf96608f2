"""The sample policy decides as its golden cases say, and no rule is without a case on either side of it."""

from __future__ import annotations

import re
import shlex

import pytest

from pdp.audit.records import record_of
from pdp.core.decide import decide, judge
from pdp.core.decision import Effect
from pdp.core.entities import Entities
from pdp.core.explain import Outcome, RuleTrace, explain
from pdp.core.policy import PolicySnapshot
from pdp.core.request import validate
from pdp.engine.matcher import CompiledEngine
from pdp.engine.reference import ReferenceMatcher
from pdp.policy import load
from pdp.ports import Answer, Caller
from tests.cases.case_files import POLICIES, Case, Stored, find_entities, make_request, read_cases, read_sample, shown

CASES = tuple(read_cases())
NOW = CASES[0].now
_CALLER = Caller("spiffe://example.test/gateway", "evaluate", None, 0.0)
_ROW = re.compile(
    r"^\| `pdp check (?P<options>[^`]+)` \| \*\*(?P<effect>allow|deny)\*\* (?P<reasons>[^|]+) \|", re.MULTILINE
)
# True whatever the request, which is its point.
_UNCONDITIONAL = {"audit-immutable"}


@pytest.fixture(scope="module")
def policy() -> PolicySnapshot:
    return load(POLICIES, CompiledEngine())


@pytest.fixture(scope="module")
def stored(policy: PolicySnapshot) -> Stored:
    return read_sample(policy.schema, NOW)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_case(case: Case, policy: PolicySnapshot, stored: Stored) -> None:
    validate(case.request)
    decision = decide(case.request, _entities(case, policy, stored), policy, case.now)
    answer = Answer("1" * 32, "2" * 32, case.now, case.request, _CALLER, decision, 0.0, cached=True)
    record = {**record_of(answer), "rules": list(decision.rules)}
    frame = {"decision_id": "1" * 32, "trace_id": "2" * 32, "caller": _CALLER.id, "revision": policy.revision}
    assert shown(decision, case.now) == case.decision
    assert record == {**case.record, **frame}


def test_cases_share_a_clock_and_have_names_of_their_own() -> None:
    assert {case.now for case in CASES} == {NOW}
    assert len({case.name for case in CASES}) == len(CASES)


def test_casbin_itself_decides_alike(policy: PolicySnapshot, stored: Stored) -> None:
    reference = load(POLICIES, ReferenceMatcher)
    for case in CASES:
        entities = _entities(case, policy, stored)
        expected = judge(case.request, entities, reference, case.now)
        assert judge(case.request, entities, policy, case.now) == expected, case.name


def test_every_rule_determines_a_case(policy: PolicySnapshot) -> None:
    determining = {rule for case in CASES for rule in case.decision["rules"]}
    assert determining == {rule.id for rule in policy.rules}


def test_every_rule_has_a_near_miss(policy: PolicySnapshot, stored: Stored) -> None:
    """For each rule there is a request of its role, action and resource that its condition leaves alone."""
    missed = {
        trace.rule.id for case in CASES for trace in _traces(case, policy, stored) if trace.outcome is Outcome.FALSE
    }
    assert {rule.id for rule in policy.rules} - missed == _UNCONDITIONAL


def test_no_permit_wins_by_its_name(policy: PolicySnapshot, stored: Stored) -> None:
    """Where several rules allow, one obliges least; none is left to be chosen by its id."""
    for case in CASES:
        found = [it.rule for it in _traces(case, policy, stored) if it.outcome is Outcome.TRUE]
        if found and all(rule.effect is Effect.ALLOW for rule in found):
            burdens = sorted(sum(policy.obligations[name].mandatory for name in rule.obligations) for rule in found)
            assert burdens[:1] != burdens[1:2], case.name


def test_every_obligation_is_used(policy: PolicySnapshot) -> None:
    used = {name for rule in policy.rules for name in rule.obligations}
    assert used == set(policy.obligations)


def test_commands_of_the_readme(policy: PolicySnapshot, stored: Stored) -> None:
    """What the README says a command answers is what it answers."""
    text = (POLICIES / "README.md").read_text()
    rows = list(_ROW.finditer(text))
    assert 0 < len(rows) == text.count("| `pdp check ")
    for row in rows:
        request = make_request(_options(row["options"]))
        decision = decide(request, find_entities(request, {}, stored, policy.schema, NOW), policy, NOW)
        assert decision.effect.value == row["effect"], row["options"]
        assert re.findall(r"`([^`]+)`", row["reasons"]) == [str(it) for it in decision.causes], row["options"]


def _options(text: str) -> dict[str, str | list[str]]:
    words = shlex.split(text)
    pairs = [(word.removeprefix("--"), value) for word, value in zip(words[::2], words[1::2], strict=True)]
    supports = [value for name, value in pairs if name == "supports"]
    return {**dict(pairs), **({"supports": supports} if supports else {})}


def _entities(case: Case, policy: PolicySnapshot, stored: Stored) -> Entities:
    return find_entities(case.request, case.given, stored, policy.schema, case.now)


def _traces(case: Case, policy: PolicySnapshot, stored: Stored) -> tuple[RuleTrace, ...]:
    return explain(case.request, _entities(case, policy, stored), policy, case.now).rules
