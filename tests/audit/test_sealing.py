"""Encryption at rest: one key a record, keys that commit, data keys bound to their segment."""

from __future__ import annotations

from itertools import combinations

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given
from hypothesis import strategies as st

from pdp.audit.errors import FormatError
from pdp.audit.sealing import RECORD, TEMPLATE, KeyRing, Sealer, WrappedKey, unseal_with
from pdp.signing.errors import KeyFileError

SEALER = Sealer(b"d" * 32)
SEQS = st.integers(0, (1 << 64) - 1)
ROLES = st.sampled_from([RECORD, TEMPLATE])


@given(st.binary(max_size=200), SEQS, ROLES)
def test_what_is_sealed_is_unsealed_in_its_place(plain: bytes, seq: int, role: int) -> None:
    sealed = SEALER.seal(seq, role, plain)
    assert len(sealed) == len(plain) + 48
    assert SEALER.unseal(seq, role, sealed) == plain
    assert unseal_with(SEALER.key(seq, role), seq, role, sealed) == plain


@given(SEQS, SEQS, ROLES, ROLES)
def test_and_nowhere_else(seq: int, other: int, role: int, other_role: int) -> None:
    if (seq, role) == (other, other_role):
        return
    with pytest.raises(FormatError, match="does not belong"):
        SEALER.unseal(other, other_role, SEALER.seal(seq, role, b"text"))


def test_every_changed_byte_is_found() -> None:
    sealed = SEALER.seal(3, RECORD, b"a record's text")
    for position in range(len(sealed)):
        changed = bytearray(sealed)
        changed[position] ^= 1
        with pytest.raises(FormatError):
            SEALER.unseal(3, RECORD, bytes(changed))
    for cut in range(len(sealed)):
        with pytest.raises(FormatError):
            SEALER.unseal(3, RECORD, sealed[:cut])


def test_the_key_of_one_record_opens_no_other() -> None:
    keys = {(seq, role): SEALER.key(seq, role) for seq in range(50) for role in (RECORD, TEMPLATE)}
    assert len(set(keys.values())) == 100
    assert SEALER.side_key(b"index") not in keys.values()
    for first, second in combinations(list(keys)[:6], 2):
        with pytest.raises(FormatError):
            unseal_with(keys[first], *second, SEALER.seal(*second, b"text"))


def test_a_disclosed_key_cannot_show_another_plaintext() -> None:
    """Where GCM alone would take a ciphertext under two keys, the commitment tells them apart."""
    sealed = SEALER.seal(1, RECORD, b"what was written")
    other = Sealer(b"e" * 32)
    with pytest.raises(FormatError, match="does not belong"):
        unseal_with(other.key(1, RECORD), 1, RECORD, sealed)
    forged = sealed[:32] + AESGCM(other.key(1, RECORD)).encrypt(bytes(12), b"what was not", None)
    with pytest.raises(FormatError):
        unseal_with(SEALER.key(1, RECORD), 1, RECORD, forged)


def test_a_data_key_is_bound_to_its_segment_and_to_its_wrapping_key() -> None:
    ring = KeyRing("2", {"1": b"a" * 32, "2": b"b" * 32})
    wrapped, sealer = ring.new_segment("log/w0\n0")
    assert wrapped.key_id == "2"
    sealed = sealer.seal(0, RECORD, b"text")
    assert ring.open_segment(wrapped, "log/w0\n0").unseal(0, RECORD, sealed) == b"text"
    assert WrappedKey.from_json(wrapped.to_json()) == wrapped
    for context in ("log/w0\n1", "log/w1\n0", ""):
        with pytest.raises(FormatError, match="data key was changed"):
            ring.open_segment(wrapped, context)
    with pytest.raises(FormatError, match="data key was changed"):
        ring.open_segment(WrappedKey("1", wrapped.wrapped), "log/w0\n0")
    with pytest.raises(FormatError):
        ring.open_segment(WrappedKey("2", b"short"), "log/w0\n0")
    with pytest.raises(KeyFileError, match="'3'"):
        ring.open_segment(WrappedKey("3", wrapped.wrapped), "log/w0\n0")


def test_each_segment_has_a_data_key_of_its_own() -> None:
    ring = KeyRing("1", {"1": b"a" * 32})
    sealed = {ring.new_segment("log/w0\n0")[1].seal(0, RECORD, b"text") for _ in range(20)}
    assert len(sealed) == 20


@pytest.mark.parametrize("keys", [{}, {"1": b"short"}, {"2": b"a" * 32}, {"1": b"a" * 32, "0": b""}])
def test_a_ring_has_its_current_key_and_all_are_of_one_size(keys: dict[str, bytes]) -> None:
    with pytest.raises(KeyFileError):
        KeyRing("1", keys)


def test_no_key_is_shown() -> None:
    assert "kkkk" not in repr(KeyRing("1", {"1": b"k" * 32}))
    assert "kkkk" not in repr(Sealer(b"k" * 32))
