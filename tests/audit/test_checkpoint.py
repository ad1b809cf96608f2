"""Checkpoints and the index over them."""

import pytest

from pdp.audit.checkpoint import Checkpoint, indexed_trees, tree_index
from pdp.signing.errors import NoteError
from pdp.signing.note import Signer, open_note

ROOT = bytes(range(32))


def test_any_change_of_the_text_is_refused() -> None:
    signer = Signer.generate("example.com/log")
    note = Checkpoint("example.com/log/w0", 17, ROOT).sign(signer)
    assert Checkpoint.open(note, [signer.verifier]) == Checkpoint("example.com/log/w0", 17, ROOT)
    for position in range(len(note)):
        changed = note[:position] + chr(ord(note[position]) ^ 1) + note[position + 1 :]
        with pytest.raises(NoteError):
            Checkpoint.open(changed, [signer.verifier])


def test_a_foreign_signature_beside_the_known_one_is_passed_over() -> None:
    signer, witness = Signer.generate("example.com/log"), Signer.generate("witness.example")
    body = Checkpoint("example.com/log/w0", 1, ROOT).body()
    cosigned = signer.sign(body) + witness.sign(body).rpartition("\n\n")[2]
    assert open_note(cosigned, [signer.verifier]) == body
    assert open_note(cosigned, [witness.verifier]) == body
    with pytest.raises(NoteError, match="no known key"):
        open_note(cosigned, [Signer.generate("example.com/log").verifier])


@pytest.mark.parametrize(
    "body",
    [
        "",
        "o\n1\n",
        "o\n01\n" + "A" * 43 + "=\n",
        "o\n-1\n" + "A" * 43 + "=\n",
        "o\n1\nAAAA\n",
        "o\n1\n%%\n",
        "\n1\nx\n",
    ],
)
def test_malformed_checkpoints_are_refused(body: str) -> None:
    with pytest.raises(NoteError):
        Checkpoint.parse(body)


def test_the_index_vouches_for_each_tree() -> None:
    trees = [Checkpoint(f"example.com/log/w{n}", n * 10, bytes([n]) * 32) for n in (2, 0, 1)]
    index = tree_index("example.com/log", trees)
    assert index == tree_index("example.com/log", reversed(trees))
    assert sorted(trees, key=lambda tree: tree.origin) == indexed_trees(index)
    tampered = Checkpoint(index.origin, index.size, index.root, (*index.extensions[:-1], index.extensions[0]))
    with pytest.raises(NoteError):
        indexed_trees(tampered)
