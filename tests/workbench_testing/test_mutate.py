"""Mutation: every small change is made once, is what the real policy would do, and is caught, proved or shown."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from pdp.core.condition import parse
from pdp.core.decide import decide
from pdp.core.policy import PolicySnapshot
from pdp.workbench.mutate import Campaign, Mutant, Verdict, mutants_of, mutate
from pdp.workbench.mutate.applying import apply
from pdp.workbench.mutate.conditions import Mutator
from pdp.workbench.mutate.equivalence import Equivalence
from pdp.workbench.testing import read_suites
from tests.cases.case_files import POLICIES
from tests.workbench_testing.small import CASES, MATRIX, RULES, loaded, suites_of, write


@pytest.fixture
def policy(tmp_path: Path) -> PolicySnapshot:
    return loaded(write(tmp_path))


def changes(text: str, policy: PolicySnapshot) -> set[str]:
    return {words for _, words, _ in Mutator(text, policy.schema, "invoice").changes(parse(text))}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("True", set()),
        ("r.device.compliant", {"r.device.compliant -> !r.device.compliant"}),
        ("r.session.aal < 2", {": < -> >=", ": 2 -> 3", ": 2 -> 1"}),
        ("r.resource.team == r.subject.team", {": == -> !="}),
        ("r.resource.made_at <= r.context.time", {": <= -> >", ": <= -> <"}),
        ("r.context.purpose == 'billing'", {": == -> !=", ": 'billing' -> 'support'"}),
    ],
)
def test_a_comparison_changes_in_every_small_way(text: str, expected: set[str], policy: PolicySnapshot) -> None:
    assert {
        words.removeprefix(text) if words.startswith(f"{text}:") else words for words in changes(text, policy)
    } == (expected)


def test_a_choice_loses_each_value_and_a_conjunction_each_part(policy: PolicySnapshot) -> None:
    text = "r.context.purpose in ('billing', 'support') && r.device.compliant"
    assert changes(text, policy) == {
        f"{text}: joined by ||",
        "without r.context.purpose in ('billing', 'support')",
        "without r.device.compliant",
        "r.device.compliant -> !r.device.compliant",
        "r.context.purpose in ('billing', 'support') -> !(r.context.purpose in ('billing', 'support'))",
        "r.context.purpose in ('billing', 'support'): without 'billing'",
        "r.context.purpose in ('billing', 'support'): without 'support'",
    }


def test_every_rule_is_deleted_inverted_and_relieved(policy: PolicySnapshot) -> None:
    found = {(it.kind, it.rule.id, it.words) for it in mutants_of(policy)}
    assert {name for kind, name, _ in found if kind == "delete"} == {rule.id for rule in policy.rules}
    assert {name for kind, name, _ in found if kind == "effect"} == {rule.id for rule in policy.rules}
    owed = {(rule.id, f"without the obligation {name}") for rule in policy.rules for name in rule.obligations}
    assert {(name, words) for kind, name, words in found if kind == "obligation"} == owed
    assert len(found) == len(mutants_of(policy))


def _really(folder: Path, mutant: Mutant) -> PolicySnapshot | None:
    """Load the policy that a mutant stands for, from files; None where it cannot be written as a small edit."""
    text = RULES
    if mutant.kind == "obligation" and mutant.rule.id == "note-read":
        kept = ";".join(mutant.changed.obligations) if mutant.changed else ""
        text = RULES.replace("mask;watermark", kept)
    elif mutant.kind == "effect" and mutant.rule.id == "invoice-read":
        text = RULES.replace("allow,mask,Billing", "deny,mask,Billing")
    elif mutant.kind == "delete" and mutant.rule.id in ("floor-posture", "note-mfa"):
        text = "".join(it for it in RULES.splitlines(keepends=True) if not it.startswith(f"p,{mutant.rule.id},"))
    elif mutant.rule.id == "note-mfa" and mutant.words.startswith("r.session.aal < 2: 2 -> "):
        text = RULES.replace("r.session.aal < 2", f"r.session.aal < {mutant.words[-1]}")
    return None if text == RULES else loaded(write(folder, rules=text))


def test_a_mutant_answers_as_the_policy_with_that_edit(tmp_path: Path) -> None:
    folder = write(tmp_path / "as-is")
    policy = loaded(folder)
    tried = 0
    for number, mutant in enumerate(mutants_of(policy)):
        real = _really(tmp_path / str(number), mutant)
        if real is None:
            continue
        tried += 1
        made = apply(mutant, policy)
        for suite in suites_of(folder):
            for case in suite.cases:
                entities = suite.world.entities(case.request, case.changes)
                expected = decide(case.request, entities, real, suite.world.now)._replace(revision="")
                found = decide(case.request, entities, made, suite.world.now)._replace(revision="")
                assert found == expected, (mutant.words, case.name)
    assert tried == 7


def test_a_rule_deleted_is_not_needed_any_more(tmp_path: Path) -> None:
    """What only a deleted rule read may be missing, though the policy's own matcher would read it."""
    policy = loaded(write(tmp_path))
    mutant = next(it for it in mutants_of(policy) if it.kind == "delete" and it.rule.id == "floor-posture")
    (suite,) = suites_of(tmp_path)
    request = suite.cases[0].request._replace(device="")
    entities = suite.world.entities(request)
    assert [str(it) for it in decide(request, entities, policy, suite.world.now).causes] == ["DEVICE_UNKNOWN"]
    assert decide(request, entities, apply(mutant, policy), suite.world.now).allowed


def test_the_tests_catch_what_they_state(tmp_path: Path) -> None:
    policy = loaded(write(tmp_path))
    campaign = Campaign(suites_of(tmp_path), policy)
    assert {it.words for it in mutants_of(policy) if campaign.verdict(it) is Verdict.SURVIVED} == set()


def test_a_boundary_without_its_test_survives(tmp_path: Path) -> None:
    cases = CASES.split("  - name: ")
    fewer = "  - name: ".join(it for it in cases if not it.startswith(("of today", "and not of yesterday")))
    policy = loaded(write(tmp_path, fewer + MATRIX))
    campaign = Campaign(suites_of(tmp_path), policy)
    survivors = {it.words for it in mutants_of(policy) if campaign.verdict(it) is Verdict.SURVIVED}
    age = "r.context.time - r.resource.made_at <= 86400"
    assert {f"{age}: 86400 -> 86401", f"{age}: 86400 -> 86399", f"without {age}"} <= survivors


def _changed(policy: PolicySnapshot, rule_id: str, text: str) -> Mutant:
    rule = next(it for it in policy.rules if it.id == rule_id)
    return Mutant("test", text, rule, replace(rule, condition=parse(text)))


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("r.session.aal < 2", True),
        ("r.session.aal <= 1", True),
        ("r.session.aal == 1", True),
        ("!(r.session.aal >= 2)", True),
        ("r.session.aal < 3", False),
        ("r.session.aal != 1", False),
        ("True", False),  # says the same of nothing, and reads less besides
    ],
)
def test_equivalence_is_proved_or_not_claimed(text: str, same: bool, policy: PolicySnapshot) -> None:  # noqa: FBT001
    assert Equivalence(policy).proves(_changed(policy, "note-mfa", text)) is same


def test_a_condition_that_reads_more_is_not_excused(policy: PolicySnapshot) -> None:
    """It could deny where the added attribute is missing."""
    text = "r.session.aal < 2 || (r.session.aal < 2 && r.device.compliant)"
    assert not Equivalence(policy).proves(_changed(policy, "note-mfa", text))


def test_an_unchanged_rule_survives_as_equivalent(tmp_path: Path) -> None:
    policy = loaded(write(tmp_path))
    campaign = Campaign(suites_of(tmp_path), policy)
    for rule in policy.rules:
        assert campaign.verdict(Mutant("none", "nothing", rule, rule)) is Verdict.EQUIVALENT


def test_processes_agree(tmp_path: Path) -> None:
    folder = write(tmp_path)
    done: list[int] = []
    one, two = (mutate(folder, loaded(folder), processes, done.append) for processes in (1, 2))
    assert one == two
    assert sum(done) == 2 * len(one.verdicts)


def test_the_sample_catches_its_mutants() -> None:
    """Every fourth, which is a share of each kind and of each file; `pdp policy mutate` tries all."""
    policy = loaded(POLICIES)
    campaign = Campaign(read_suites(POLICIES, policy), policy)
    verdicts = [campaign.verdict(it) for it in mutants_of(policy)[::4]]
    assert verdicts.count(Verdict.CAUGHT) >= 0.95 * (len(verdicts) - verdicts.count(Verdict.EQUIVALENT))
