"""Stored text made into values: exactly, or not at all."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdp.core.decision import Entity
from pdp.core.reasons import Reason
from pdp.core.record import Record, View, parse_record, parse_value
from pdp.core.request import EntityRef
from pdp.core.schema import Attribute, Kind
from tests.core import world

REF = EntityRef("user", "alice")
RISK = Attribute("risk", Kind.INT, minimum=0, maximum=100)
SCORE = Attribute("score", Kind.NUMBER, minimum=0.5, maximum=99.5)


@pytest.mark.parametrize(
    ("attribute", "text", "value"),
    [
        (Attribute("a", Kind.BOOL), "true", True),
        (Attribute("a", Kind.BOOL), "false", False),
        (RISK, "0", 0),
        (RISK, "100", 100),
        (Attribute("a", Kind.INT), "-7", -7),
        (SCORE, "0.5", 0.5),
        (SCORE, "99", 99.0),
        (Attribute("a", Kind.TIME), "0", 0),
        (Attribute("a", Kind.TIME), "253402300799", 253402300799),
        (Attribute("a", Kind.STRING), "", ""),
        (Attribute("a", Kind.STRING, values=frozenset({"eu"})), "eu", "eu"),
        (Attribute("a", Kind.LIST), "[]", ()),
        (Attribute("a", Kind.LIST), '["b", "a"]', ("b", "a")),
        (Attribute("a", Kind.LIST), '["\\u00e9"]', ("é",)),
    ],
)
def test_text_of_the_type_is_its_value(attribute: Attribute, text: str, value: object) -> None:
    found = parse_value(attribute, text)
    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize(
    ("attribute", "text"),
    [
        *[(Attribute("a", Kind.BOOL), text) for text in ("True", "1", "0", "yes", "", " true", "null")],
        *[
            (RISK, text)
            for text in ("-1", "101", "1.0", "1e1", "nan", "inf", "", "+1", "01", "1_0", "true", "٣", "1 ")
        ],
        *[(SCORE, text) for text in ("0.4", "99.6", "nan", "NaN", "inf", "-inf", ".5", "5.", "1e1", "0x1", "1.1.1")],
        *[(Attribute("a", Kind.TIME), text) for text in ("-1", "1.5", "253402300800", "now", "")],
        (Attribute("a", Kind.INT), "9" * 17),
        (Attribute("a", Kind.STRING, values=frozenset({"eu"})), "EU"),
        (Attribute("a", Kind.STRING), "x" * 4097),
        *[
            (Attribute("a", Kind.LIST), text)
            for text in ("", "a", "{}", '"a"', "[1]", "[null]", "[[]]", "NaN", "[" * 3000)
        ],
        (Attribute("a", Kind.LIST), '["a", "a"]'),
        (Attribute("a", Kind.LIST, minimum=1), "[]"),
        (Attribute("a", Kind.LIST, values=frozenset({"a"})), '["b"]'),
        (Attribute("a", Kind.LIST), json.dumps([str(at) for at in range(257)])),
        (Attribute("a", Kind.LIST), '["\\ud800"]'),
    ],
)
def test_text_of_another_type_or_out_of_range_is_no_value(attribute: Attribute, text: str) -> None:
    assert parse_value(attribute, text) is None


@given(st.sampled_from(Kind), st.text(max_size=30))
def test_any_text_is_a_value_of_its_type_or_none(kind: Kind, text: str) -> None:
    types = {Kind.BOOL: bool, Kind.INT: int, Kind.NUMBER: float, Kind.STRING: str, Kind.LIST: tuple, Kind.TIME: int}
    found = parse_value(Attribute("a", kind), text)
    assert found is None or type(found) is types[kind]


def parsed(fields: dict[str, str], **declared: Attribute) -> Record:
    found = parse_record(REF, declared, {"_version": "3", "_issued_at": "100.5", **fields}, 5.0)
    assert found is not None
    return found


def test_no_fields_at_all_is_an_unknown_entity() -> None:
    assert parse_record(REF, {}, {}, 5.0) is None


def test_a_record_knows_its_version_and_time() -> None:
    record = parsed({})
    assert (record.ref, record.version, record.issued_at) == (REF, 3, 100.5)
    assert record.view.__dict__ == {"type": "user", "id": "alice"}


def test_what_the_schema_does_not_declare_is_left_out() -> None:
    assert "shoe_size" not in parsed({"shoe_size": "44"}).view.__dict__


def test_a_missing_attribute_is_a_problem_unless_it_has_a_default() -> None:
    record = parsed(
        {},
        needed=Attribute("needed", Kind.INT),
        spare=Attribute("spare", Kind.INT, required=False, default=7),
    )
    assert record.problems == {"needed": Reason.ATTRIBUTE_MISSING}
    assert record.view.__dict__["spare"] == 7
    assert "needed" not in record.view.__dict__


def test_a_wrong_value_is_a_problem_even_where_there_is_a_default() -> None:
    record = parsed({"spare": "x"}, spare=Attribute("spare", Kind.INT, required=False, default=7))
    assert record.problems == {"spare": Reason.ATTRIBUTE_INVALID}


def test_one_attribute_may_have_a_time_of_issue_of_its_own() -> None:
    aging = {"max_age": 60.0}
    record = parsed(
        {"a": "1", "a@issued_at": "200", "b": "1", "c": "1", "c@issued_at": "x"},
        a=Attribute("a", Kind.INT, **aging),
        b=Attribute("b", Kind.INT, **aging),
        c=Attribute("c", Kind.INT, **aging),
    )
    assert record.usable_until == {"a": 260.0, "b": 160.5}
    assert record.usable_from == {"a": 195.0, "b": 95.5}
    assert record.problems == {"c": Reason.ATTRIBUTE_INVALID}


def test_the_sound_span_is_where_every_attribute_is_usable() -> None:
    record = parsed(
        {"a": "1", "a@issued_at": "200", "b": "1"},
        a=Attribute("a", Kind.INT),
        b=Attribute("b", Kind.INT, max_age=120.0),
    )
    assert (record.sound_from, record.sound_until) == (195.0, 220.5)
    assert parsed({}, a=Attribute("a", Kind.INT)).sound_until == float("-inf")


def test_a_view_cannot_be_changed() -> None:
    view = View({"risk": 1})
    with pytest.raises(AttributeError):
        view.risk = 0  # type: ignore[attr-defined]
    assert view.replaced({"risk": 0}).__dict__ == {"risk": 0}
    assert view.__dict__ == {"risk": 1}


@given(
    st.dictionaries(
        st.sampled_from(["_version", "_issued_at", "risk", "aal", "amr", "auth_time"]), st.text(max_size=12)
    )
)
def test_any_stored_fields_make_a_record_or_none(fields: dict[str, str]) -> None:
    declared = world.schema().attributes_of(Entity.SESSION)
    record = parse_record(EntityRef("session", "s-1"), declared, fields, 5.0)
    assert (record is None) == (not fields)
    if record is not None:
        assert set(record.problems) | (set(record.view.__dict__) & set(declared)) == set(declared)
        assert not set(record.problems) & set(record.view.__dict__)
