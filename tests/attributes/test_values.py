"""Values as they are given, made text or refused with what is allowed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdp.attributes.errors import AttributesInvalidError
from pdp.attributes.values import encode, encode_all
from pdp.core.decision import Entity
from pdp.core.record import parse_value
from pdp.core.request import EntityRef
from pdp.core.schema import Attribute, Kind
from tests.attributes.support import ALICE, SCHEMA, SESSION

NOW = 1_700_000_000.5
BOOL = Attribute("b", Kind.BOOL)
INT = Attribute("i", Kind.INT, minimum=0, maximum=100)
NUMBER = Attribute("n", Kind.NUMBER, minimum=0)
STRING = Attribute("s", Kind.STRING, frozenset({"on", "off"}))
FREE = Attribute("f", Kind.STRING)
LIST = Attribute("l", Kind.LIST, frozenset({"a", "b"}), minimum=1)
ANY_LIST = Attribute("x", Kind.LIST)
TIME = Attribute("t", Kind.TIME)


@pytest.mark.parametrize(
    ("attribute", "given_", "text"),
    [
        (BOOL, True, "true"),
        (BOOL, "false", "false"),
        (INT, 7, "7"),
        (INT, "100", "100"),
        (NUMBER, 0.5, "0.5"),
        (NUMBER, 3, "3"),
        (STRING, "on", "on"),
        (FREE, "now", "now"),
        (LIST, ["a", "b"], '["a","b"]'),
        (LIST, "a, b", '["a","b"]'),
        (LIST, '["b"]', '["b"]'),
        (ANY_LIST, "", "[]"),
        (ANY_LIST, ["é"], '["é"]'),
        (TIME, 5, "5"),
        (TIME, "now", "1700000000"),
        (TIME, "-5m", "1699999700"),
        (TIME, "+90d", "1707776000"),
        (TIME, "+1h", "1700003600"),
        (TIME, "-30s", "1699999970"),
    ],
)
def test_values_become_the_text_that_is_stored(attribute: Attribute, given_: object, text: str) -> None:
    assert encode(attribute, given_, NOW) == text
    assert parse_value(attribute, text) is not None


@pytest.mark.parametrize(
    ("attribute", "given_", "allowed"),
    [
        (BOOL, "yes", "true or false"),
        (BOOL, 1, "true or false"),
        (INT, 101, "a whole number from 0 to 100"),
        (INT, True, "a whole number"),
        (INT, 1.5, "a whole number"),
        (INT, "5 ", "a whole number"),
        (NUMBER, float("nan"), "a number of at least 0"),
        (NUMBER, float("inf"), "a number"),
        (NUMBER, "1e3", "a number"),
        (Attribute("m", Kind.NUMBER, maximum=3), 4, "a number of at most 3"),
        (STRING, "ON", "one of: off, on"),
        (STRING, 1, "one of"),
        (FREE, "x" * 5000, "a text of at most 4096"),
        (FREE, ["x"], "a text"),
        (LIST, "a,a", "a list without duplicates, with at least 1 of: a, b"),
        (LIST, [], "a list"),
        (LIST, "c", "a list"),
        (LIST, "[1]", "a list"),
        (ANY_LIST, 5, "a list without duplicates, with any number of texts"),
        (TIME, "tomorrow", "a time: whole seconds since the epoch, now, or relative"),
        (TIME, "-999999d", "a time"),
        (TIME, -1, "a time"),
    ],
)
def test_what_the_schema_does_not_allow_is_refused_with_what_it_does(
    attribute: Attribute, given_: object, allowed: str
) -> None:
    with pytest.raises(AttributesInvalidError) as caught:
        encode(attribute, given_, NOW)
    assert str(caught.value).startswith(f"{attribute.name}: must be {allowed}")


@given(
    st.sampled_from([BOOL, INT, NUMBER, STRING, FREE, LIST, ANY_LIST, TIME]),
    st.one_of(st.booleans(), st.integers(), st.floats(), st.text(), st.lists(st.text(max_size=5), max_size=5)),
)
def test_whatever_is_accepted_is_read_back(attribute: Attribute, given_: object) -> None:
    try:
        text = encode(attribute, given_, NOW)
    except AttributesInvalidError:
        return
    assert parse_value(attribute, text) is not None


def test_an_unknown_attribute_is_refused_with_those_there_are() -> None:
    with pytest.raises(AttributesInvalidError, match="rsik: no such attribute; there are: auth_time, risk"):
        encode_all(SCHEMA, *SESSION, {"rsik": 5}, NOW)


def test_values_are_not_shown() -> None:
    with pytest.raises(AttributesInvalidError) as caught:
        encode_all(SCHEMA, *ALICE, {"roles": ["secret-role"]}, NOW)
    assert "secret-role" not in str(caught.value)


@pytest.mark.parametrize(
    ("target", "problem"),
    [
        ((Entity.SUBJECT, EntityRef("robot", "x")), "subject type 'robot': must be one of user"),
        ((Entity.RESOURCE, EntityRef("card", "x")), "resource type 'card': must be one of customer"),
        ((Entity.SESSION, EntityRef("session", "x y")), "id is too long or has"),
    ],
)
def test_entities_that_no_request_could_name_are_refused(target: tuple[Entity, EntityRef], problem: str) -> None:
    with pytest.raises(AttributesInvalidError, match=problem):
        encode_all(SCHEMA, *target, {}, NOW)
