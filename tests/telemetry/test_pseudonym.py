"""Keyed pseudonyms."""

from __future__ import annotations

import hashlib
import hmac
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdp.telemetry.pseudonym import PseudonymKeyError, Pseudonyms, load

KEY = b"k" * 32


@given(st.text(max_size=64))
def test_a_pseudonym_is_a_truncated_hmac(identifier: str) -> None:
    expected = hmac.new(KEY, identifier.encode(errors="surrogatepass"), hashlib.sha256).hexdigest()[:32]
    assert Pseudonyms(KEY)(identifier) == expected


def test_a_known_answer() -> None:
    """RFC 4231 test case 6: a key longer than the hash's block."""
    pseudonyms = Pseudonyms(b"\xaa" * 131)
    assert pseudonyms("Test Using Larger Than Block-Size Key - Hash Key First") == "60e431591ee0b67f0d8a26aacbf5b77f"


def test_identifiers_and_keys_do_not_collide() -> None:
    names = [f"{kind}:{number}" for kind in ("user", "service") for number in range(500)]
    assert len({make(name) for make in (Pseudonyms(KEY), Pseudonyms(b"l" * 32)) for name in names}) == 2000


def test_a_forgotten_pseudonym_comes_back_the_same() -> None:
    pseudonyms = Pseudonyms(KEY)
    first = pseudonyms("user:alice")
    for number in range(70_000):
        pseudonyms(f"user:{number}")
    assert pseudonyms("user:alice") == first


def test_a_key_file_makes_the_same_pseudonyms_everywhere(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_bytes(KEY)
    assert load(file)("user:alice") == load(file)("user:alice") == Pseudonyms(KEY)("user:alice")


def test_without_a_file_each_start_has_its_own_key() -> None:
    assert load(None)("user:alice") != load(None)("user:alice")


@pytest.mark.parametrize("size", [0, 1, 31, 4097])
def test_a_key_of_the_wrong_size_is_refused(tmp_path: Path, size: int) -> None:
    file = tmp_path / "key"
    file.write_bytes(b"s" * size)
    with pytest.raises(PseudonymKeyError, match="32") as refused:
        load(file)
    assert str(file) in str(refused.value)
    assert "sss" not in str(refused.value)


def test_a_missing_key_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PseudonymKeyError, match="No such file"):
        load(tmp_path / "absent")


def test_a_short_key_is_refused() -> None:
    with pytest.raises(PseudonymKeyError, match="has 31"):
        Pseudonyms(b"k" * 31)


def test_the_key_shows_nowhere() -> None:
    assert "kkk" not in repr(Pseudonyms(KEY)) + repr(vars(Pseudonyms(KEY)))
