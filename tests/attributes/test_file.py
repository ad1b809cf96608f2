"""Attribute files: read as text, judged by the schema, refused as a whole with the place of each fault."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdp.attributes import AttributesInvalidError, open_writer
from pdp.attributes.file import read_file
from tests.attributes.support import ALICE, ALL, SCHEMA, Server, in_time, patient, risk_in, started

NOW = 1_700_000_000.0
GOOD = """\
version: 1
records:
  - entity: subject
    id: user:alice
    attributes: {roles: [agent, supervisor], nickname: no}
  - {entity: device, id: d-1, attributes: {managed: true, score: 0.5}}
  - entity: session
    id: s-1
    attributes:
      risk: 5
      auth_time: "-5m"
  - {entity: resource, id: "customer:c-1", attributes: {region: eu}}
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "attributes.yaml"


@pytest.fixture
def good(path: Path) -> Path:
    path.write_text(GOOD)
    return path


@pytest.fixture
def bad(path: Path) -> Path:
    path.write_text(GOOD.replace("risk: 5", "risk: 500"))
    return path


def test_a_file_is_read_by_the_schema_and_not_by_yaml(path: Path) -> None:
    """``no`` is a text where a text is declared, and times are relative to the moment given."""
    path.write_text(GOOD)
    records = read_file(path, SCHEMA, NOW)
    assert [(record.entity, record.ref) for record in records] == [ALL[0], ALL[2], ALL[3], ALL[1]]
    assert records[0].given == {"roles": ["agent", "supervisor"], "nickname": "no"}
    assert records[2].given == {"risk": "5", "auth_time": "-5m"}


async def test_a_file_is_loaded_and_decides(good: Path, server: Server) -> None:
    async with open_writer(patient(server.url), SCHEMA) as writer:
        now = time.time()
        for record in read_file(good, SCHEMA, now):
            await writer.put(record.entity, record.ref, record.given, now)
    async with started(patient(server.url)) as source:
        entities = await source.load(ALL, SCHEMA, in_time())
    assert risk_in(entities) == 5
    assert entities.subject is not None
    assert entities.subject.view.nickname == "no"
    assert all(record and not record.problems for record in map(entities.of, (entity for entity, _ in ALL)))


def test_a_file_with_a_fault_gives_nothing(bad: Path) -> None:
    with pytest.raises(AttributesInvalidError, match=r"attributes\.yaml:10:13: session/s-1 risk: must be"):
        read_file(bad, SCHEMA, time.time())


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("version: 1", "version: 2", "1:10: version: must be 1"),
        ("version: 1\n", "", "1:1: version: is missing"),
        ("version: 1", "version: 1\nextra: 1", "2:1: extra: unknown; the keys are version, records"),
        ("records:", "records: {}", "is not YAML"),
        ("entity: device", "entity: phone", "6:25: 'phone/d-1': must start with"),
        ("id: d-1", "id: d 1", "6:26: id is too long or has"),
        ("id: user:alice", "id: alice", "4:9: "),
        ("id: user:alice", "id: robot:alice", "subject type 'robot': must be one of user"),
        ("    id: s-1\n", "", "7:5: id: is missing"),
        ("managed: true", "managed: yes", "6:53: device/d-1 managed: must be true or false"),
        ("managed: true", "managed: true, managed: false", "6:59: the key 'managed' stands twice"),
        ("managed: true", "managed: &a true", "6:53: an anchor"),
        ("managed: true", "managed: !!str true", "6:53: a tag"),
        ("managed: true", "managed: {a: b}", "must be a single value"),
        ("[agent, supervisor]", "[agent, [x]]", "must be a single value"),
        ("[agent, supervisor]", "[agent, agent]", "5:25: subject/user:alice roles: must be a list without"),
        ("region: eu", "rgion: eu", "rgion: no such attribute; there are: region"),
        ("risk: 5", "risk: [", "is not YAML"),
        ("risk: 5", "risk: \x01", "is not YAML"),
        ("attributes: {region: eu}", "attributes: [region]", "must be a mapping"),
    ],
)
def test_faults_are_told_with_their_place(path: Path, old: str, new: str, problem: str) -> None:
    assert old in GOOD
    path.write_text(GOOD.replace(old, new, 1))
    with pytest.raises(AttributesInvalidError) as caught:
        read_file(path, SCHEMA, NOW)
    assert str(caught.value).startswith("attributes.yaml:")
    assert problem in str(caught.value)


def test_all_faults_are_told_at_once_up_to_twenty(path: Path) -> None:
    bad = "  - {entity: session, id: s-1, attributes: {risk: 500}}\n"
    path.write_text("version: 1\nrecords:\n" + bad * 30)
    with pytest.raises(AttributesInvalidError) as caught:
        read_file(path, SCHEMA, NOW)
    assert len(str(caught.value).splitlines()) == 20


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "is empty"),
        (b"\xff", "is not UTF-8"),
        (b"a: b\n---\nc: d\n", "a second document"),
        (b"- x", "must be a"),
    ],
)
def test_what_is_no_such_file_is_refused(path: Path, content: bytes, problem: str) -> None:
    path.write_bytes(content)
    with pytest.raises(AttributesInvalidError, match=problem):
        read_file(path, SCHEMA, NOW)


def test_a_file_that_is_not_there_is_named(path: Path) -> None:
    with pytest.raises(AttributesInvalidError, match="cannot be read: No such file"):
        read_file(path, SCHEMA, NOW)


def test_deep_nesting_is_refused(path: Path) -> None:
    path.write_text("version: 1\nrecords: " + "[" * 5000)
    with pytest.raises(AttributesInvalidError):
        read_file(path, SCHEMA, NOW)


@given(cut=st.integers(0, len(GOOD)), put=st.text(max_size=3))
def test_a_file_broken_anywhere_is_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, cut: int, put: str
) -> None:
    path = tmp_path_factory.mktemp("broken") / "attributes.yaml"
    path.write_text(GOOD[:cut] + put, encoding="utf-8")
    try:
        records = read_file(path, SCHEMA, NOW)
    except AttributesInvalidError:
        return
    assert len(records) <= 4
    assert all(record.entity in {entity for entity, _ in ALL} for record in records)
    assert ALICE[1].id == "alice"
