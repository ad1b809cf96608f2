"""Signed notes: keys, signatures, several of them, and what is refused."""

from base64 import b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdp.signing.errors import NoteError
from pdp.signing.note import Signer, Verifier, add_signature, open_note, signed_names, signers_of, split_note
from tests.audit.conftest import load_vectors

ROOT = bytes(range(32))
ALICE, BOB, CAROL = (Signer.generate(name) for name in ("alice", "bob", "carol"))
KEYS = (ALICE.verifier, BOB.verifier, CAROL.verifier)


def test_published_vector() -> None:
    vector = load_vectors("signed_note_vector.json")
    verifier = Verifier.from_vkey(vector["vkey"])
    assert open_note(vector["note"], [verifier]) == "This is an example message.\n"
    assert verifier.vkey == vector["vkey"]


def test_keys_survive_their_text_form() -> None:
    signer = Signer.generate("example.com/log")
    again = Signer.from_text(signer.text())
    assert again.verifier == signer.verifier == Verifier.from_vkey(signer.verifier.vkey)
    assert signer.text() not in repr(signer)


@pytest.mark.parametrize("name", ["", "a b", "a+b", "a\tb", "a\x00b"])
def test_key_names_that_cannot_be_parsed_back_are_refused(name: str) -> None:
    with pytest.raises(NoteError):
        Signer.generate(name)


@pytest.mark.parametrize(
    "vkey",
    ["", "name", "name+00000000", "name+00000000+!!!", "name+00000000+" + b64encode(b"\1" + ROOT).decode()],
)
def test_malformed_verifier_keys_are_refused(vkey: str) -> None:
    with pytest.raises(NoteError):
        Verifier.from_vkey(vkey)


def signed(*signers: Signer, body: str = "What is agreed.\n") -> str:
    note = body + "\n"
    for signer in signers:
        note = add_signature(note, signer)
    return note


def test_each_key_counts_once_however_often_it_signed() -> None:
    once = signed(ALICE)
    assert signed(ALICE, ALICE) == once
    doubled = once + once.rpartition("\n\n")[2]
    assert signers_of(doubled, KEYS) == (ALICE.verifier,)
    assert signed_names(doubled) == ("alice",)


def test_the_order_of_signatures_does_not_matter() -> None:
    assert signers_of(signed(ALICE, BOB), KEYS) == signers_of(signed(BOB, ALICE), KEYS) == KEYS[:2]


def test_one_key_under_two_names_is_one_signer() -> None:
    other = Signer("mallory", ALICE._private)
    both = signed(ALICE, other)
    assert len(signers_of(both, (ALICE.verifier, other.verifier))) == 1


def test_a_draft_has_no_signature_and_is_no_signed_note() -> None:
    draft = signed()
    assert split_note(draft) == ("What is agreed.\n", [])
    assert signers_of(draft, KEYS) == ()
    with pytest.raises(NoteError, match="no known key"):
        open_note(draft, KEYS)


def test_signatures_of_one_note_say_nothing_of_another() -> None:
    lines = signed(ALICE).rpartition("\n\n")[2]
    with pytest.raises(NoteError, match="the signature of alice is wrong"):
        signers_of("What is not agreed.\n\n" + lines, KEYS)


@given(st.text(alphabet=st.characters(codec="utf-8"), max_size=60))
def test_what_was_split_is_what_was_signed(text: str) -> None:
    try:
        note = signed(ALICE, BOB, body=text + "\n")
    except NoteError:
        assert any(ord(it) < 32 and it != "\n" for it in text)
        return
    assert split_note(note)[0] == text + "\n"
    assert signers_of(note, KEYS) == KEYS[:2]


def test_a_body_with_blank_lines_keeps_its_own() -> None:
    note = signed(ALICE, body="one\n\ntwo\n\n\n")
    assert open_note(note, KEYS) == "one\n\ntwo\n\n\n"
