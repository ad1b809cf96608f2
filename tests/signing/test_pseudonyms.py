"""Keyed pseudonyms, by the standard library's HMAC and by what they must never show."""

from __future__ import annotations

import hmac
from base64 import urlsafe_b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdp.signing.errors import KeyFileError
from pdp.signing.pseudonyms import PseudonymKey

KEY = PseudonymKey("1", b"k" * 32)


@given(st.binary(min_size=32, max_size=64), st.binary(max_size=200))
def test_the_hmac_is_the_librarys(secret: bytes, message: bytes) -> None:
    assert PseudonymKey("1", secret).hmac(message) == hmac.digest(secret, message, "sha256")


@given(st.text(max_size=64))
def test_a_pseudonym_is_a_truncated_hmac_over_field_and_identifier(identifier: str) -> None:
    message = b"subject\0" + identifier.encode(errors="surrogatepass")
    expected = urlsafe_b64encode(hmac.digest(b"k" * 32, message, "sha256")[:16]).decode().rstrip("=")
    assert KEY.pseudonym("subject", identifier) == f"~1:{expected}"


def test_a_known_answer() -> None:
    """RFC 4231 test case 3: keys as long as its own, 20 bytes, are refused, so the padded one stands for it."""
    digest = PseudonymKey("1", b"\xaa" * 20 + bytes(12)).hmac(b"\xdd" * 50)
    assert digest.hex() == "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe"


def test_pseudonyms_differ_by_field_identifier_and_key() -> None:
    other = PseudonymKey("2", b"o" * 32)
    made = {KEY.pseudonym("subject", "a"), KEY.pseudonym("device", "a"), KEY.pseudonym("subject", "b")}
    assert len(made | {other.pseudonym("subject", "a")}) == 4


def test_the_secret_is_not_in_the_repr() -> None:
    assert "k" * 8 not in repr(KEY)


@pytest.mark.parametrize(("key_id", "size"), [("1", 31), ("1", 65), ("1", 0), ("", 32), ("a:b", 32)])
def test_a_key_that_cannot_be_used_is_refused(key_id: str, size: int) -> None:
    with pytest.raises(KeyFileError, match="32 to 64 bytes"):
        PseudonymKey(key_id, b"k" * size)
