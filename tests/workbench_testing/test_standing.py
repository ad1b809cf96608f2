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
from tests.workbench_testing.small import NOW, RULES, SCHEMA, loaded, write

_ROLES = ('["clerk"]', '["lead"]', '["lead","clerk"]', '["boss"]', "[]")
_MORE_RULES = """\
p,own-only,clerk,update,invoice,r.resource.team == r.subject.id || r.device.id == 'd-1',allow,,Care
p,vpn,*,read,*,r.context.purpose == 'audit' && r.session.aal < 3,deny,alert,Risk
p,old-note,clerk,*,special,r.resource.made_at <= r.session.opened_at,deny,,Age
g,lead,clerk
"""
_MORE_SCHEMA = (
    SCHEMA.replace("subject:\n", "bindings: {subject: subject, device: device}\nsubject:\n", 1)
    .replace("  aal:", "  opened_at: {type: time}\n  subject: {type: string}\n  device: {type: string}\n  aal:")
    .replace("  health_note:\n", "  health_note:\n    made_at: {type: time}\n")
)


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


_TIMES = [str(int(NOW) + at) for at in (-90_000, -86_400, -1, 0, 1)]
_TEAMS = ["north", "south", "ann"]
_VALUES = {
    Entity.SUBJECT: {"roles": [*_ROLES], "team": _TEAMS},
    Entity.DEVICE: {"compliant": ["true", "false", "yes"]},
    Entity.SESSION: {"aal": ["1", "2", "3", "4"], "opened_at": _TIMES, "subject": ["ann", "leo"], "device": ["d-1"]},
    Entity.RESOURCE: {"team": _TEAMS, "made_at": _TIMES},
}
_OWNERS = [
    *((Entity.SUBJECT, EntityRef("user", it)) for it in ("ann", "leo")),
    *((Entity.DEVICE, EntityRef("device", it)) for it in ("d-1", "d-2")),
    *((Entity.SESSION, EntityRef("session", it)) for it in ("s-1", "s-2")),
    *((Entity.RESOURCE, EntityRef(kind, it)) for kind in ("invoice", "health_note") for it in ("x-1", "x-2")),
]


@st.composite
def _records(draw: st.DrawFn) -> Stored:
    """Records of everybody, nearly all of them right: a few fields are missing, wrong or of another time."""
    stored = {
        owner: {name: draw(st.sampled_from(texts)) for name, texts in _VALUES[owner[0]].items()} for owner in _OWNERS
    }
    for owner in draw(st.lists(st.sampled_from(_OWNERS), max_size=3)):
        name = draw(st.sampled_from([*_VALUES[owner[0]], "_issued_at"]))
        text = draw(st.sampled_from([None, "?", str(int(NOW) - 3600)]))
        stored[owner] = {key: it for key, it in {**stored[owner], name: text}.items() if it is not None}
    for owner in draw(st.lists(st.sampled_from(_OWNERS), max_size=1)):
        stored.pop(owner, None)
    return stored


def _mostly(usual: list[Any], odd: list[Any]) -> st.SearchStrategy[Any]:
    return st.sampled_from([*usual * 6, *odd])


_STATED = st.builds(
    Circumstances,
    _mostly(["billing", "support", "audit"], ["", "other"]),
    emergency=_mostly([False], [True]),
    supports=st.sampled_from([None, (), ("mask",), ("mask", "watermark")]),
)
_QUESTIONS = st.builds(
    Question,
    _mostly(["user:ann", "user:leo"], ["user:who", "robot:ann", "user:", "ann"]),
    _mostly(["read", "update"], ["burn", "No Name"]),
    st.tuples(_mostly(["invoice", "health_note"], ["thing"]), _mostly(["x-1", "x-2"], ["x-3", "i 1"])),
    _mostly(["s-1", "s-2"], ["", "s-3"]),
    _mostly(["d-1", "d-2"], ["", "d-3"]),
    _STATED,
    st.sampled_from(["allow", "deny"]),
)


@pytest.fixture(scope="module")
def revisions(tmp_path_factory: pytest.TempPathFactory) -> list[PolicySnapshot]:
    place = tmp_path_factory.mktemp("revisions")
    more = RULES.replace("# end\n", _MORE_RULES.replace("g,lead,clerk\n", "") + "# end\n")
    wider = _MORE_SCHEMA.replace("maximum: 3", "maximum: 4")
    return [
        loaded(write(place / "small")),
        loaded(write(place / "hours", rules=RULES.replace("86400", "3600"))),
        loaded(write(place / "more", rules=more, schema=_MORE_SCHEMA)),
        loaded(write(place / "wider", rules=more.replace("aal < 3", "aal < 4"), schema=wider)),
    ]


@given(
    st.tuples(st.integers(0, 3), st.integers(0, 3)),
    _records(),
    st.lists(_QUESTIONS, min_size=1, max_size=3),
)
def test_one_answer_for_a_standing_is_the_answer_of_each(
    revisions: list[PolicySnapshot], pair: tuple[int, int], stored: Stored, questions: list[Question]
) -> None:
    old, new = (revisions[at] for at in pair)
    assert_found_alike(old, new, stored, [twin for question in questions for twin in _twins(question)])


def _twins(question: Question) -> Iterator[Question]:
    """Give a question, and those that differ from it in one party: the likeliest to be taken for it."""
    yield question
    yield from (question._replace(subject=it) for it in ("user:ann", "user:leo", "user:who"))
    yield from (question._replace(device=it) for it in ("d-1", "d-2", "d-3", ""))
    yield from (question._replace(session=it) for it in ("s-1", "s-2", "s-3", ""))
    yield from (question._replace(resource=(question.resource[0], it)) for it in ("x-1", "x-2", "x-3"))
    yield from (question._replace(stated=question.stated._replace(supports=it)) for it in ((), ("mask",)))


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
