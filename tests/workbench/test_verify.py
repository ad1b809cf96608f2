"""What is proved is so, and what is not so is shown by a request that the service itself decides that way."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pdp.core.decide import decide
from pdp.core.decision import Effect
from pdp.core.errors import PolicyInvalidError
from pdp.engine.matcher import CompiledEngine
from pdp.policy import load
from pdp.workbench.logic import search
from pdp.workbench.verify import FILE, Prover, Result, Status, read_invariants
from tests.workbench.example import Change, add_rule, place, policy_of

SAMPLE = Path(__file__).parents[2] / "policies"


def results_of(folder: Path, entries: str, *changes: Change) -> list[Result]:
    """Prove invariants of the example policy, written as the entries of the list."""
    policy = policy_of(folder, *changes)
    (folder / FILE).write_text(f"version: 1\ninvariants:\n{entries}\n# end\n")
    return list(Prover(policy, read_invariants(folder, policy)).results())


def result_of(folder: Path, keys: str, *changes: Change) -> Result:
    (result,) = results_of(folder, f'  - {{name: the-rule, why: "reason", {keys}}}', *changes)
    return result


def swap(old: str, new: str) -> Change:
    """Change one place in the rules."""
    return ("policy/rules.csv", old, new)


BROKEN = {
    'never: allow, when: "!r.device.compliant"': swap("*,*,*,!r.device.compliant", "*,read,*,!r.device.compliant"),
    "never: allow, who: {lacks: [officer]}, action: export, resource: health_note": swap("out,officer", "out,lead"),
    'never: allow, resource: health_note, when: "r.session.aal < 2"': swap(
        "r.session.aal < 2 ||", "r.session.aal < 2 && r.session.vpn ||"
    ),
    "never: allow, action: read, resource: health_note, without: [mask-text]": swap("allow,mask-text", "allow,alert"),
    'never: allow, when: "r.context.time - r.session.auth_time > 3600"': swap("> 3600", "> 3601"),
    "never: allow, who: {holds: [officer], lacks: [clerk]}, resource: invoice": add_rule(
        "p,more,officer,read,invoice,True,allow,,x"
    ),
    'never: allow, action: change, resource: invoice, when: "r.resource.owner != r.subject.id'
    ' && r.resource.amount > 5000"': swap("r.resource.amount <= 5000 &&", "r.resource.amount <= 5001 &&"),
}


@pytest.mark.parametrize(("keys", "change"), BROKEN.items())
def test_an_invariant_holds_until_a_rule_breaks_it(keys: str, change: Change, tmp_path: Path) -> None:
    proved = result_of(tmp_path / "before", keys)
    assert (proved.status, proved.counterexample, proved.note) == (Status.PROVED, None, "")
    refuted = result_of(tmp_path / "after", keys, change)
    assert refuted.status is Status.REFUTED
    assert refuted.counterexample is not None
    witness = refuted.counterexample.witness
    policy = policy_of(tmp_path / "after", change)
    decision = decide(witness.request, witness.entities, policy, witness.now)
    assert decision.effect is Effect.ALLOW
    assert decision.rules == refuted.counterexample.decision.rules


def test_a_promise_of_access_is_proved_too(tmp_path: Path) -> None:
    keys = (
        'never: deny, who: {holds: [officer]}, action: export, resource: health_note, when: "r.device.compliant'
        " && r.subject.status == 'active' && r.context.time - r.session.auth_time <= 3600 && r.session.aal >= 2"
        " && r.session.risk < 80 && !r.resource.sealed && r.context.purpose == 'care'\""
    )
    assert result_of(tmp_path / "a", keys).status is Status.PROVED
    refuted = result_of(tmp_path / "b", keys.replace("risk < 80", "risk < 81"))
    assert refuted.counterexample is not None
    assert refuted.counterexample.decision.rules == ("note-mfa",)


def test_every_set_of_roles_is_covered(tmp_path: Path) -> None:
    """Only who holds both roles gets through: neither role alone breaks the invariant."""
    off = add_rule("p,off,*,read,invoice,!('officer' in r.subject.roles),deny,,x")
    gap = "never: allow, action: read, resource: invoice"
    refuted = result_of(tmp_path / "a", gap, off)
    assert refuted.counterexample is not None
    roles = refuted.counterexample.witness.values[
        next(it for it in refuted.counterexample.mattering if it[1] == "roles")
    ]
    assert isinstance(roles, tuple)
    assert "officer" in roles
    assert len(roles) == 2
    for single in ("clerk", "lead", "officer"):
        others = ", ".join(sorted({"clerk", "lead", "officer"} - {single}))
        assert result_of(tmp_path / single, f"{gap}, who: {{lacks: [{others}]}}", off).status is Status.PROVED


def test_without_looks_at_the_rule_that_determines(tmp_path: Path) -> None:
    """A permit without the obligation does not break it, where one with fewer obligations always determines."""
    always = add_rule("p,aaa,lead,read,health_note,r.context.purpose == 'care',allow,mask-text,x")
    also = add_rule("p,zzz,lead,read,health_note,r.context.purpose == 'care',allow,watermark;mask-text,x")
    keys = "never: allow, action: read, resource: health_note, without: [{}]"
    assert result_of(tmp_path / "a", keys.format("mask-text"), always, also).status is Status.PROVED
    assert result_of(tmp_path / "b", keys.format("watermark"), always, also).status is Status.REFUTED


def test_what_takes_too_long_is_tested_and_said_to_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search.Searcher.__init__, "__defaults__", (0,))
    result = result_of(tmp_path / "a", 'never: allow, when: "!r.device.compliant"')
    assert result.status in (Status.TESTED, Status.PROVED)
    keys = 'never: allow, action: update, resource: invoice, when: "r.resource.owner == r.subject.team"'
    tested = result_of(
        tmp_path / "b", keys, ("policy/rules.csv", "r.resource.amount <= 1000", "r.resource.amount < r.session.risk")
    )
    assert tested.status is not Status.PROVED
    assert tested.counterexample is not None or "too many steps" in tested.note


def test_the_sample_keeps_its_invariants() -> None:
    policy = load(SAMPLE, CompiledEngine())
    found = list(Prover(policy, read_invariants(SAMPLE, policy)).results())
    assert len(found) >= 15
    assert {it.invariant.name: it.status for it in found if it.status is not Status.PROVED} == {}


@settings(max_examples=40, deadline=None)
@given(floor=st.integers(0, 100), limit=st.integers(0, 100))
def test_proofs_agree_with_arithmetic(floor: int, limit: int, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("policy")
    deny = add_rule(f"p,off,*,*,*,r.session.risk >= {floor},deny,,x")
    result = result_of(folder, f'never: allow, when: "r.session.risk > {limit}"', deny)
    assert (result.status is Status.PROVED) is (floor <= limit + 1)


@pytest.mark.parametrize(
    ("keys", "needle", "problem"),
    [
        ("never: maybe", "maybe", "is not an effect"),
        ("never: allow, who: {lacks: [offcer]}", "offcer", "no role 'offcer'"),
        ("never: allow, action: reed", "reed", "no action or group 'reed'"),
        ("never: allow, resource: note", "note", "no resource type or class 'note'"),
        ("never: allow, without: [mask]", "mask]", "no obligation 'mask'"),
        ("never: deny, without: [mask-text]", "[mask-text]", "no obligations that could be lacking"),
        ('never: allow, when: "r.device.complaint"', "r.device.complaint", "no attribute 'complaint'"),
        ('never: allow, when: "r.session.aal >"', '>"', "the condition ends"),
        ('never: allow, when: "r.resource.amount > 5"', "r.resource.amount", "resource type health_note"),
        ("never: allow, action: []", "[]", "the list is empty"),
        ("never: allow, if: x", "if", "unknown key 'if'"),
    ],
)
def test_what_is_wrong_is_said_where_it_stands(keys: str, needle: str, problem: str, tmp_path: Path) -> None:
    with pytest.raises(PolicyInvalidError) as error:
        result_of(tmp_path, keys)
    text = (tmp_path / FILE).read_text()
    line, column = place(text, needle)
    assert any(
        it.line == line and abs(it.column - column) <= 1 and problem in it.problem for it in error.value.problems
    )


def test_names_are_unique(tmp_path: Path) -> None:
    entry = '  - {name: one, why: "reason", never: allow, when: "r.device.compliant && !r.device.compliant"}\n'
    with pytest.raises(PolicyInvalidError, match="is taken"):
        results_of(tmp_path, entry + entry)
