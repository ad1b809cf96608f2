"""Keys and addresses lead back to what they name, and to nothing else."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdp.attributes.errors import AttributesInvalidError
from pdp.attributes.keys import address_of, key_of, parse_address, split_key
from pdp.core.decision import Entity
from pdp.core.request import EntityRef
from tests.attributes.support import ALICE, CUSTOMER, LAPTOP, SESSION

_TYPES = st.from_regex(re.compile(r"[a-z][a-z0-9_.]{0,20}", re.ASCII), fullmatch=True)
_IDS = st.from_regex(re.compile(r"[A-Za-z0-9][A-Za-z0-9._:@/+=~-]{0,40}", re.ASCII), fullmatch=True)
_STORED = st.sampled_from([Entity.SUBJECT, Entity.RESOURCE])
_TARGETS = st.tuples(_STORED, st.builds(EntityRef, _TYPES, _IDS))


@given(_TARGETS)
def test_a_key_leads_back_to_its_entity(target: tuple[Entity, EntityRef]) -> None:
    """Injective: what leads back to one entity is the key of no other."""
    assert split_key(key_of(*target).encode()) == (target[0].value, target[1].type, target[1].id)


@given(_TARGETS)
def test_an_address_leads_back_to_its_entity(target: tuple[Entity, EntityRef]) -> None:
    assert parse_address(address_of(*target)) == target


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("subject/user:alice", ALICE),
        ("user:alice", ALICE),
        ("resource/customer:c-1", CUSTOMER),
        ("session/s-1", SESSION),
        ("device/d-1", LAPTOP),
        ("user:spiffe://td/a", (Entity.SUBJECT, EntityRef("user", "spiffe://td/a"))),
        ("session/a/b:c", (Entity.SESSION, EntityRef("session", "a/b:c"))),
    ],
)
def test_addresses(text: str, target: tuple[Entity, EntityRef]) -> None:
    assert parse_address(text) == target


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "a subject is written subject/<type>:<id>"),
        ("alice", "a subject is written"),
        ("context/x:y", "must start with one of subject/, device/, session/, resource/"),
        ("subject/alice", "a subject is written"),
        ("resource/c-1", "a resource is written"),
        ("user:", "id is missing"),
        (":alice", "type is missing"),
        ("session/", "id is missing"),
        ("user:a b", "id is too long or has a character"),
        ("user:аlice", "id is too long or has a character"),  # noqa: RUF001 - a Cyrillic letter is the point
        ("User:alice", "type is too long or has a character"),
        ("user:" + "a" * 300, "id is too long"),
    ],
)
def test_addresses_that_are_refused(text: str, problem: str) -> None:
    with pytest.raises(AttributesInvalidError, match=re.escape(problem)):
        parse_address(text)


@pytest.mark.parametrize("key", [b"", b"attr:", b"attr:subject:user", b"other:subject:user:x", b"\xff\xfe"])
def test_foreign_keys_are_nobodys(key: bytes) -> None:
    assert split_key(key) is None
