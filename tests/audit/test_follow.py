"""Following a log as it grows: whatever happens between two readings, each record comes once and in order."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import settings as profile
from hypothesis import strategies as st

from pdp.audit import AuditKeys, DecisionLog
from pdp.audit.errors import FormatError
from pdp.audit.follow import Follower
from pdp.audit.maintain import maintain
from pdp.audit.reading import parse
from pdp.audit.segment import list_segments
from tests.audit.support import decision, make_keys, settings

STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("append"), st.integers(1, 30)),
        st.tuples(st.just("read"), st.integers(1, 40)),
        st.tuples(st.sampled_from(["rotate", "reopen", "compress"]), st.just(0)),
    ),
    max_size=14,
)


@given(STEPS, st.booleans())
@profile(max_examples=25)
def test_each_record_comes_once_and_in_order(
    tmp_path_factory: pytest.TempPathFactory,
    steps: list[tuple[str, int]],
    sealed: bool,  # noqa: FBT001
) -> None:
    directory, keys = tmp_path_factory.mktemp("log"), make_keys(sealed=sealed)
    log = DecisionLog(settings(directory), keys)
    follower = Follower(directory / "w0", keys.ring)
    found: list[int] = []
    for what, count in steps:
        if what == "append":
            log.append_many([decision(log.size + n) for n in range(count)])
        elif what == "read":
            found += [seq for seq, _ in follower.read(count)]
        elif what == "rotate":
            log.rotate()
        elif what == "compress":
            maintain(directory / "w0", keys.ring, 0, pack=True)
        else:
            log.close()
            log = DecisionLog(settings(directory), keys)
    size = log.size
    log.close()
    while some := follower.read(7):
        found += [seq for seq, _ in some]
    assert found == list(range(size))
    assert (follower.next, follower.expired) == (size, 0)


def test_it_begins_where_it_is_told(tmp_path: Path, keys: AuditKeys) -> None:
    log = DecisionLog(settings(tmp_path), keys)
    for _ in range(3):
        log.append_many([decision(n) for n in range(10)])
        log.rotate()
    for first in (0, 5, 10, 29, 30):
        read = Follower(tmp_path / "w0", None, first).read(100)
        assert [seq for seq, _ in read] == list(range(first, 30))
        assert [parse(text)["seq"] for _, text in read] == list(range(first, 30))
    log.close()


def test_a_folder_that_is_not_there_yet_is_waited_for(tmp_path: Path, keys: AuditKeys) -> None:
    follower = Follower(tmp_path / "w0", None)
    assert follower.read(10) == []
    (tmp_path / "w0").mkdir()
    assert follower.read(10) == []
    log = DecisionLog(settings(tmp_path), keys)
    assert follower.read(10) == []
    log.append_now(decision(1))
    assert [seq for seq, _ in follower.read(10)] == [0]
    log.close()


def test_an_encrypted_log_is_not_followed_without_its_key(tmp_path: Path, sealed_keys: AuditKeys) -> None:
    log = DecisionLog(settings(tmp_path), sealed_keys)
    log.append_now(decision(1))
    log.close()
    with pytest.raises(FormatError, match="key is not known"):
        Follower(tmp_path / "w0", None).read(10)


def test_a_frame_that_is_half_written_is_left_for_later(tmp_path: Path, keys: AuditKeys) -> None:
    log = DecisionLog(settings(tmp_path), keys)
    log.append_many([decision(n) for n in range(3)])
    log.close()
    path = list_segments(tmp_path / "w0")[0].path
    data = path.read_bytes()
    follower = Follower(tmp_path / "w0", None)
    found: list[int] = []
    for end in range(len(data) - 700, len(data) + 1, 13):
        path.write_bytes(data[:end])
        found += [seq for seq, _ in follower.read(10)]
    path.write_bytes(data)
    found += [seq for seq, _ in follower.read(10)]
    assert found == [0, 1, 2]
