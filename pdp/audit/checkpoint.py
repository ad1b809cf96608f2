"""C2SP checkpoints: what a signature of the log says, for one tree and for all trees of a log directory."""

from base64 import b64encode
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pdp.audit.merkle import HASH_BYTES, leaf_hash, root_of
from pdp.signing.errors import NoteError
from pdp.signing.note import Signer, Verifier, decode_base64, open_note

INDEX_SUFFIX = "/index"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A tree's size and root under the name of its log.

    Attributes:
        origin: the log's name, `<key name>/<worker>` for a worker's tree.
        size: the number of leaves.
        root: the RFC 6962 tree hash, 32 bytes.
        extensions: further lines, covered by the signature.
    """

    origin: str
    size: int
    root: bytes
    extensions: tuple[str, ...] = ()

    def body(self) -> str:
        """The text that is signed."""
        lines = (self.origin, str(self.size), b64encode(self.root).decode(), *self.extensions)
        return "\n".join(lines) + "\n"

    def sign(self, signer: Signer) -> str:
        """The checkpoint as a signed note."""
        return signer.sign(self.body())

    @classmethod
    def parse(cls, body: str) -> "Checkpoint":
        """Read the body of a note.

        Raises:
            NoteError: it is not `origin, size, base64(root)` and non-empty extension lines.
        """
        lines = body.removesuffix("\n").split("\n")
        if len(lines) < 3 or not all(lines):  # noqa: PLR2004  origin, size, root
            raise NoteError("a checkpoint has an origin, a size and a root")
        origin, size, root = lines[:3]
        if not (size.isascii() and size.isdigit()) or (len(size) > 1 and size[0] == "0"):
            raise NoteError("the size of a checkpoint is a plain decimal number")
        return cls(origin, int(size), _root(root), tuple(lines[3:]))

    @classmethod
    def open(cls, note: str, verifiers: Sequence[Verifier]) -> "Checkpoint":
        """Read a signed checkpoint.

        Raises:
            NoteError: malformed, or not signed by a known key.
        """
        return cls.parse(open_note(note, verifiers))


def _root(text: str) -> bytes:
    root = decode_base64(text, "the root of a checkpoint")
    if len(root) != HASH_BYTES:
        raise NoteError("the root of a checkpoint is 32 bytes")
    return root


def tree_index(name: str, checkpoints: Iterable[Checkpoint]) -> Checkpoint:
    """One checkpoint over the trees of all workers: a tree whose leaves are their checkpoint bodies, by origin.

    Each extension line is `<origin> <size> <base64(root)>`, so the index is also readable by itself.
    """
    ordered = sorted(checkpoints, key=lambda checkpoint: checkpoint.origin)
    root = root_of([leaf_hash(checkpoint.body().encode()) for checkpoint in ordered])
    lines = tuple(f"{c.origin} {c.size} {b64encode(c.root).decode()}" for c in ordered)
    return Checkpoint(name + INDEX_SUFFIX, len(ordered), root, lines)


def indexed_trees(index: Checkpoint) -> list[Checkpoint]:
    """The trees an index vouches for.

    Raises:
        NoteError: its lines do not add up to its root.
    """
    trees = []
    for line in index.extensions:
        origin, size, root = [*line.split(" "), "", ""][:3]
        trees.append(Checkpoint.parse(f"{origin}\n{size}\n{root}\n"))
    name = index.origin.removesuffix(INDEX_SUFFIX)
    if tree_index(name, trees) != index:
        raise NoteError("the lines of the index do not add up to its root")
    return trees
