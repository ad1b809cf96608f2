"""The pseudonyms of traces, logs and explanations."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pdp.signing.pseudonyms import PseudonymKey
from pdp.telemetry.pseudonym import Pseudonyms

KEY = PseudonymKey("0001", b"k" * 32)


@given(st.sampled_from(("subject", "device", "attribute")), st.text(max_size=64))
def test_they_are_those_of_the_decision_log(field: str, identifier: str) -> None:
    assert Pseudonyms(KEY).of(field)(identifier) == KEY.pseudonym(field, identifier)


def test_identifiers_fields_and_keys_do_not_collide() -> None:
    names = [f"{kind}:{number}" for kind in ("user", "service") for number in range(250)]
    keys = KEY, PseudonymKey("0001", b"l" * 32)
    made = {Pseudonyms(key).of(field)(name) for key in keys for field in ("subject", "resource") for name in names}
    assert len(made) == 2000


def test_a_forgotten_pseudonym_comes_back_the_same() -> None:
    pseudonym = Pseudonyms(KEY).of("subject")
    first = pseudonym("user:alice")
    for number in range(70_000):
        pseudonym(f"user:{number}")
    assert pseudonym("user:alice") == first


def test_without_a_key_each_start_has_its_own_and_says_so() -> None:
    first, other = (Pseudonyms(None).of("subject")("user:alice") for _ in range(2))
    assert first != other
    assert {it.partition(":")[0] for it in (first, other)} == {"~ephemeral"}


def test_the_key_shows_nowhere() -> None:
    pseudonyms = Pseudonyms(KEY)
    assert "kkk" not in repr(pseudonyms) + repr(vars(pseudonyms)) + repr(pseudonyms.of("subject"))
