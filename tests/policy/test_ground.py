"""What a candidate decides by records that were read under another schema, it would decide by its own reading."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdp.core.decide import judge
from pdp.core.decision import DEVICE, RESOURCE, SESSION, SUBJECT, Entity
from pdp.core.policy import PolicySnapshot
from pdp.core.request import EntityRef
from pdp.core.schema import Attribute, Schema
from pdp.policy.ground import CommonGround
from pdp.workbench.impact.questions import Circumstances, Question
from pdp.workbench.testing.world import Stored, World
from tests.workbench_testing.drawn import MORE_RULES, MORE_SCHEMA, QUESTIONS, records, twins
from tests.workbench_testing.small import NOW, RULES, loaded, write

CHANGES = [
    ("", ""),
    ("maximum: 3", "maximum: 4"),
    ("maximum: 3", "maximum: 2"),
    ("values: [clerk, lead]", "values: [clerk, lead, boss]"),
    ("max_age: 15m", "max_age: 2h"),
    ("max_age: 24h", "max_age: 30m"),
    ("clock_skew: 5s", "clock_skew: 9s"),
    ("allow_lifetime: 60s", "allow_lifetime: 50s"),
    ("compliant: {type: bool,", "compliant: {type: bool, required: false, default: false,"),
    ("actions: [read, update]", "actions: [read, update, burn]"),
    ("subject_types: [user]", "subject_types: [user, robot]"),
    ("bindings: {subject: subject, device: device}", "bindings: {subject: subject}"),
    ("    made_at: {type: time, sensitivity: clear}\n", "    made_at: {type: time, sensitivity: omit}\n"),
    ("resources:\n", "resources:\n  thing: {team: {type: string}}\n"),
]


@pytest.fixture(scope="module")
def revisions(tmp_path_factory: pytest.TempPathFactory) -> list[PolicySnapshot]:
    place = tmp_path_factory.mktemp("revisions")
    return [revision(place / str(at), *change) for at, change in enumerate(CHANGES)]


def revision(folder: Path, old: str, new: str) -> PolicySnapshot:
    assert old in MORE_SCHEMA
    rules = RULES.replace("# end\n", MORE_RULES + "# end\n")
    return loaded(write(folder, rules=rules, schema=MORE_SCHEMA.replace(old, new, 1)))


@given(st.data(), records(), st.lists(QUESTIONS, min_size=1, max_size=3))
def test_where_there_is_common_ground_the_answer_is_that_of_an_own_reading(
    revisions: list[PolicySnapshot], data: st.DataObject, stored: Stored, questions: list[Question]
) -> None:
    live, candidate = data.draw(st.sampled_from(revisions)), data.draw(st.sampled_from(revisions))
    ground = CommonGround(live.schema, candidate)
    read, own = World(live.schema, NOW, stored), World(candidate.schema, NOW, stored)
    for question in (twin for each in questions for twin in twins(each)):
        request = question.request(frozenset({"mask", "watermark", "notify"}))
        if request and ground.bears(request, entities := read.entities(request)):
            found, due = (judge(request, it, candidate, NOW) for it in (entities, own.entities(request)))
            assert (found.effect, found.obligations, found.rules) == (due.effect, due.obligations, due.rules)


@given(records(), QUESTIONS)
def test_equal_schemas_bear_whatever_has_a_name(
    revisions: list[PolicySnapshot], stored: Stored, question: Question
) -> None:
    live = revisions[0]
    ground = CommonGround(live.schema, live)
    request = question.request(frozenset())
    if request and ground.bears(request, World(live.schema, NOW, stored).entities(request)):
        return
    names = live.schema
    assert request is None or not (
        request.action in names.actions
        and request.resource.type in names.resources
        and request.subject.type in names.subject_types
    )


@pytest.mark.parametrize(
    ("change", "apart"),
    [
        (("allow_lifetime: 60s", "allow_lifetime: 50s"), ()),
        (("made_at: {type: time, sensitivity: clear}", "made_at: {type: time, sensitivity: omit}"), ()),
        (("maximum: 3", "maximum: 4"), ("session.aal",)),
        (("max_age: 15m", "max_age: 2h"), ("device.compliant",)),
        (("resources:\n", "resources:\n  thing: {team: {type: string}}\n"), ("thing.team",)),
        (("  opened_at: {type: time}\n", "  opened_at: {type: time, max_age: 1h}\n"), ("session.opened_at",)),
    ],
)
def test_what_is_declared_otherwise_is_named(tmp_path: Path, change: tuple[str, str], apart: tuple[str, ...]) -> None:
    live, candidate = revision(tmp_path / "live", "", ""), revision(tmp_path / "candidate", *change)
    assert CommonGround(live.schema, candidate).apart == apart


def _widened(schema: Schema, entity: Entity, name: str, **parts: object) -> Schema:
    attribute: Attribute = replace(schema.entities[entity][name], **parts)  # type: ignore[arg-type]
    return replace(schema, entities={**schema.entities, entity: {**schema.entities[entity], name: attribute}})


@pytest.mark.parametrize(
    ("aal", "minimum", "maximum", "bears"),
    [("3", 1, 4, True), ("4", 1, 4, False), ("3", None, None, True), ("3", 2, 3, False), ("3", 1, 2, False)],
)
def test_more_values_are_no_matter_to_what_was_good(
    revisions: list[PolicySnapshot], aal: str, minimum: float | None, maximum: float | None, *, bears: bool
) -> None:
    live = revisions[0]
    candidate = replace(live, schema=_widened(live.schema, SESSION, "aal", minimum=minimum, maximum=maximum))
    question = Question("user:leo", "read", ("health_note", "n-1"), "s-1", "d-1", Circumstances("billing"), "allow")
    request = question.request(frozenset())
    assert request is not None
    stored: Stored = {
        (SUBJECT, request.subject): {"roles": '["lead"]', "team": "north"},
        (DEVICE, EntityRef("device", "d-1")): {"compliant": "true"},
        (SESSION, EntityRef("session", "s-1")): {"aal": aal, "opened_at": "1", "subject": "leo", "device": "d-1"},
        (RESOURCE, request.resource): {"team": "north", "made_at": "1"},
    }
    entities = World(live.schema, NOW, stored).entities(request)
    assert CommonGround(live.schema, candidate).bears(request, entities) is bears
