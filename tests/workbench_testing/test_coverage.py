"""Coverage: a side counts where it mattered, a rule where it determined, a combination where the rules decided."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdp.core.condition import Node, evaluate, parse
from pdp.core.decision import Entity
from pdp.workbench.coverage import Coverage, measure
from pdp.workbench.coverage.atoms import atoms, decisive
from pdp.workbench.coverage.page import page
from tests.workbench_testing.small import CASES, MATRIX, loaded, results_of, write

_NAMES = ("a", "b", "c", "d")


def measured(folder: Path) -> Coverage:
    return measure(results_of(folder), loaded(folder))


def missing(coverage: Coverage) -> set[tuple[str, str, bool]]:
    return {(it.rule.id, side.text, side.truth) for it in coverage.rules for side in it.sides if not side.tests}


def test_full_coverage_is_a_hundred_percent(tmp_path: Path) -> None:
    coverage = measured(write(tmp_path))
    assert dict(coverage.percentages) == {"rules": 100.0, "sides": 100.0, "combinations": 100.0}
    assert coverage.untested() == ()


@pytest.mark.parametrize(
    ("dropped", "side"),
    [
        ("and not of yesterday", ("invoice-read", "r.context.time - r.resource.made_at <= 86400", False)),
        ("on a device in order", ("floor-posture", "r.device.compliant", False)),
        ("not another team's", ("note-read", "r.resource.team == r.subject.team", False)),
        ("not with a password alone", ("note-mfa", "r.session.aal < 2", True)),
    ],
)
def test_without_its_test_a_side_is_missing(tmp_path: Path, dropped: str, side: tuple[str, str, bool]) -> None:
    cases = CASES.split("  - name: ")
    fewer = "  - name: ".join(it for it in cases if not it.startswith(dropped))
    coverage = measured(write(tmp_path, fewer + MATRIX))
    assert side in missing(coverage)
    assert missing(coverage) == {side}


def test_a_rule_that_determines_no_test_is_not_covered(tmp_path: Path) -> None:
    coverage = measured(write(tmp_path, CASES))
    assert [it.rule.id for it in coverage.rules if not it.determined] == ["special-update"]
    assert coverage.percentages["rules"] == 80.0


def test_combinations_that_a_rule_may_allow_come_first(tmp_path: Path) -> None:
    coverage = measured(write(tmp_path, CASES))
    untested = coverage.untested()
    assert untested[:2] == (("lead", "read", "invoice"), ("lead", "update", "health_note"))
    assert set(untested[2:]) == {
        ("clerk", "read", "health_note"),
        ("clerk", "update", "health_note"),
        ("clerk", "update", "invoice"),
        ("lead", "update", "invoice"),
    }


def test_what_fails_or_was_not_decided_by_rules_does_not_count(tmp_path: Path) -> None:
    vague = "cases:\n  - name: x\n    request: {device: d-9}\n    expect: {effect: deny, reasons: [DEVICE_UNKNOWN]}\n"
    wrong = "  - name: y\n    expect: {effect: deny}\n"
    coverage = measured(write(tmp_path, vague + wrong))
    assert sum(coverage.combinations.values()) == sum(it.determined for it in coverage.rules) == 0


def _conditions() -> st.SearchStrategy[str]:
    leaf = st.sampled_from([f"r.session.{name}" for name in _NAMES])
    return st.recursive(
        leaf,
        lambda inner: st.one_of(
            inner.map(lambda it: f"!({it})"),
            st.tuples(inner, st.sampled_from(["&&", "||"]), inner).map(lambda it: f"({it[0]} {it[1]} {it[2]})"),
        ),
        max_leaves=6,
    )


@given(_conditions(), st.lists(st.booleans(), min_size=4, max_size=4))
def test_what_mattered_is_what_would_change_the_value(text: str, values: list[bool]) -> None:
    condition, known = parse(text), dict(zip(_NAMES, values, strict=True))
    found = list(atoms(condition))

    def truth(atom: Node) -> bool:
        return bool(evaluate(atom, lambda _, name: known[name]))

    value, mattered = decisive(condition, truth)
    assert value is bool(evaluate(condition, lambda _, name: known[name]))
    for atom in found:
        flipped, _ = decisive(condition, lambda it, flip=atom: truth(it) is not (it is flip))
        assert (flipped is not value) == (atom in mattered)


def test_the_entity_of_an_atom_is_read_from_its_own_view() -> None:
    node = parse("r.subject.team == r.resource.team")
    assert list(atoms(node)) == [node]
    teams = {Entity.SUBJECT: "north", Entity.RESOURCE: "south"}
    assert evaluate(node, lambda entity, _: teams[entity]) is False


def test_the_page_stands_alone_and_marks_what_is_missing(tmp_path: Path) -> None:
    folder = write(tmp_path, CASES)
    policy = loaded(folder)
    html = page(measured(folder), policy, {"rules": 100, "sides": 100, "combinations": 100}, 8)
    assert html.startswith("<!doctype html>")
    assert not any(it in html for it in ("<script", "http:", "https:", "src=", "url("))
    assert html.count('<mark class="none"') == 2  # one of them in the legend
    assert 'title="true in 0 tests, false in 0"' in html
    for rule in policy.rules:
        assert f"<code>{rule.id}</code>" in html
    for role, kind in product(("clerk", "lead"), ("health_note", "invoice")):
        assert role in html
        assert kind in html


def test_what_a_page_shows_is_escaped(tmp_path: Path) -> None:
    folder = write(tmp_path)
    html = page(measured(folder), loaded(folder), {"rules": 0, "sides": 0, "combinations": 0}, 1)
    assert "r.session.aal &lt; 2" in html
    assert "r.session.aal < 2" not in html
