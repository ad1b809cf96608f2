"""The revision names the policy: equal names, equal bytes."""

from __future__ import annotations

import hashlib

from hypothesis import given
from hypothesis import strategies as st

from pdp.policy.digest import revision_of
from tests.policy.example import RULES, build

FOLDERS = st.dictionaries(st.text("ab/", min_size=1, max_size=4), st.binary(max_size=6), max_size=4)


def test_the_encoding_is_the_documented_one() -> None:
    def counted(part: bytes) -> bytes:
        return len(part).to_bytes(8, "big") + part

    expected = hashlib.sha256(counted(b"a") + counted(b"x") + counted(b"b/c") + counted(b"")).hexdigest()
    assert revision_of({"b/c": b"", "a": b"x"}) == f"sha256:{expected}"


@given(FOLDERS, FOLDERS)
def test_different_folders_have_different_names(one: dict[str, bytes], other: dict[str, bytes]) -> None:
    assert (revision_of(one) == revision_of(other)) == (one == other)


@given(FOLDERS)
def test_the_order_of_files_does_not_matter(folder: dict[str, bytes]) -> None:
    assert revision_of(dict(reversed(folder.items()))) == revision_of(folder)


def test_a_comment_is_part_of_the_policy() -> None:
    assert build({"policy/rules.csv": "# note\n" + RULES}).revision != build().revision
