"""Keys in files: what is written, who may read it, what is no key."""

import stat
from pathlib import Path

import pytest

from pdp.signing.errors import KeyFileError
from pdp.signing.keyfiles import load_signer, load_verifier, read_secret, write_secret
from pdp.signing.note import Signer


def test_a_key_survives_its_file_and_is_its_owners_alone(tmp_path: Path) -> None:
    signer = Signer.generate("alice")
    path = tmp_path / "alice.key"
    write_secret(path, signer.text())
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert load_signer(path).verifier == signer.verifier


def test_a_key_is_never_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "alice.key"
    write_secret(path, "first")
    with pytest.raises(FileExistsError):
        write_secret(path, "second")
    assert read_secret(path) == "first"


@pytest.mark.parametrize("mode", [0o604, 0o620, 0o602])
def test_a_key_that_others_may_read_or_write_is_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "alice.key"
    write_secret(path, Signer.generate("alice").text())
    path.chmod(mode)
    with pytest.raises(KeyFileError, match="chmod 600"):
        load_signer(path)


def test_a_public_key_is_read_as_text_or_from_a_file(tmp_path: Path) -> None:
    verifier = Signer.generate("alice").verifier
    path = tmp_path / "alice.vkey"
    path.write_text(verifier.vkey + "\n")
    assert load_verifier(str(path)) == load_verifier(verifier.vkey) == verifier


@pytest.mark.parametrize("text", ["nonsense", "a+b+c", "alice+00000000+AAAA"])
def test_what_is_no_key_is_refused_by_name(text: str) -> None:
    with pytest.raises(KeyFileError, match=text.split("+", maxsplit=1)[0]):
        load_verifier(text)


def test_a_secret_key_that_is_none_shows_nothing_of_it(tmp_path: Path) -> None:
    path = tmp_path / "alice.key"
    write_secret(path, "PRIVATE+KEY+alice+00000000+c2VjcmV0")
    with pytest.raises(KeyFileError) as caught:
        load_signer(path)
    assert "c2VjcmV0" not in str(caught.value)
