"""Questions of one standing are asked once: what that finds is what asking each by itself finds."""

from __future__ import annotations

import random
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdp.core.decide import judge
from pdp.core.decision import Entity
from pdp.core.policy import PolicySnapshot
from pdp.core.request import EntityRef
from pdp.workbench.impact.changes import Change, Tally, difference
from pdp.workbench.impact.compare import _UNKNOWN, Comparison
from pdp.workbench.impact.questions import Circumstances, Question
from pdp.workbench.testing.world import Stored, World, read_records
from tests.cases.case_files import POLICIES
from tests.workbench_testing.drawn import MORE_RULES, MORE_SCHEMA, QUESTIONS, records, twins
from tests.workbench_testing.small import NOW, RULES, loaded, write


def plainly(old: PolicySnapshot, new: PolicySnapshot, stored: Stored, questions: list[Question]) -> Tally:
    """Ask both revisions each question by itself."""
    sides = [(policy, World(policy.schema, NOW, stored)) for policy in (old, new)]
    every = frozenset(it.type for policy in (old, new) for it in policy.obligations.values())
    tally = Tally()
    for question in questions:
        tally.asked += 1
        request = question.request(every)
        if request is None:
            tally.unreadable += 1
            continue
        before, after = (judge(request, world.entities(request), policy, NOW) for policy, world in sides)
        if before.causes[0].code in _UNKNOWN and after.causes[0].code in _UNKNOWN:
            tally.unknown += 1
            continue
        tally.disagreeing += question.outcome != before.effect.value
        if change := difference(before, after):
            tally.counts[change, question.resource[0], question.action] += 1  # type: ignore[index]
    return tally


def assert_found_alike(old: PolicySnapshot, new: PolicySnapshot, stored: Stored, questions: list[Question]) -> Tally:
    comparison, tally = Comparison(old, new, stored, NOW), Tally()
    for question in questions:
        comparison.add(question, tally)
    plain = plainly(old, new, stored, questions)
    grouped: Counter[Any] = Counter()
    for group, count in tally.counts.items():
        grouped[group.change, group.resource, group.action] += count
    assert grouped == plain.counts
    for name in ("asked", "unreadable", "unknown", "disagreeing"):
        assert getattr(tally, name) == getattr(plain, name), name
    return tally


@pytest.fixture(scope="module")
def revisions(tmp_path_factory: pytest.TempPathFactory) -> list[PolicySnapshot]:
    place = tmp_path_factory.mktemp("revisions")
    more = RULES.replace("# end\n", MORE_RULES + "# end\n")
    wider = MORE_SCHEMA.replace("maximum: 3", "maximum: 4")
    return [
        loaded(write(place / "small")),
        loaded(write(place / "hours", rules=RULES.replace("86400", "3600"))),
        loaded(write(place / "more", rules=more, schema=MORE_SCHEMA)),
        loaded(write(place / "wider", rules=more.replace("aal < 3", "aal < 4"), schema=wider)),
    ]


@given(
    st.tuples(st.integers(0, 3), st.integers(0, 3)),
    records(),
    st.lists(QUESTIONS, min_size=1, max_size=3),
)
def test_one_answer_for_a_standing_is_the_answer_of_each(
    revisions: list[PolicySnapshot], pair: tuple[int, int], stored: Stored, questions: list[Question]
) -> None:
    old, new = (revisions[at] for at in pair)
    assert_found_alike(old, new, stored, [twin for question in questions for twin in twins(question)])


def _everything(stored: Stored, chosen: random.Random, count: int) -> Iterator[Question]:
    names: dict[Entity, list[EntityRef]] = {entity: [] for entity in Entity}
    for entity, ref in stored:
        names[entity].append(ref)
    owners = [(fields["subject"], session.id, fields["device"]) for (it, session), fields in stored.items()
              if it is Entity.SESSION]  # fmt: skip
    for _ in range(count):
        subject, session, device = chosen.choice(owners)
        resource = chosen.choice(names[Entity.RESOURCE])
        stated = Circumstances(
            chosen.choice(["support", "complaint", "training", "quality_review", "emergency"]),
            chosen.choice(["", "office", "remote"]),
            emergency=chosen.random() < 0.1,
        )
        action = chosen.choice(["read", "play", "list", "export", "download"])
        yield Question(f"user:{subject}", action, resource, session, device, stated, "deny")


def test_the_sample_is_found_alike(tmp_path: Path) -> None:
    changed = tmp_path / "policies"
    shutil.copytree(POLICIES, changed)
    rules = changed / "policy" / "conversations.csv"
    rules.write_text(rules.read_text().replace("'complaint', 'training')", "'complaint')").replace("1209600", "60"))
    old, new = loaded(POLICIES), loaded(changed)
    stored = read_records(POLICIES / "sample" / "attributes.yaml", old.schema, NOW)
    questions = list(_everything(stored, random.Random(7), 4000))  # noqa: S311 - the same questions each time
    tally = assert_found_alike(old, new, stored, questions)
    assert tally.total(Change.DENIED) > 0
    assert tally.disagreeing > 0


def test_what_is_remembered_is_bounded(revisions: list[PolicySnapshot], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pdp.workbench.impact.compare._KNOWN", 50)
    comparison, tally = Comparison(*revisions[:2], {}, NOW), Tally()
    for number in range(1000):
        question = Question(f"user:u-{number}", "read", ("invoice", f"i-{number}"), "", "", Circumstances(), "deny")
        comparison.add(question, tally)
        assert max(map(len, comparison._parties)) <= 50
    assert (tally.asked, tally.unknown) == (1000, 1000)
