"""RFC 6962 Merkle trees: hashes, a growing tree kept as its frontier, and both proofs.

Sizes and indexes count leaves. A hash is 32 bytes of SHA-256. Verification follows RFC 9162 sections 2.1.3.2 and
2.1.4.2, which define the same trees as RFC 6962 section 2.1 and spell the checks out.
"""

from collections.abc import Callable, Iterable, Sequence
from hashlib import sha256

from pdp.audit.errors import ProofError

HASH_BYTES = 32
EMPTY_ROOT = sha256(b"").digest()
_CHUNK = 256
_MAX_SIZE = 1 << 63

RangeHash = Callable[[int, int], bytes]
"""`(begin, end) -> hash` of the subtree over leaves `[begin, end)`."""


def leaf_hash(data: bytes) -> bytes:
    """The hash of one leaf: SHA-256(0x00 || data)."""
    return sha256(b"\0" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """The hash of an inner node: SHA-256(0x01 || left || right)."""
    return sha256(b"\1" + left + right).digest()


def fold(hashes: Sequence[bytes]) -> list[bytes]:
    """One level up: the parents of an even number of sibling hashes."""
    return [sha256(b"\1" + hashes[i] + hashes[i + 1]).digest() for i in range(0, len(hashes), 2)]


class Frontier:
    """A tree of `size` leaves, kept as the roots of its perfect subtrees, the largest first.

    INVARIANT: `len(nodes)` is the number of one-bits of `size`.
    """

    __slots__ = ("nodes", "size")

    def __init__(self, size: int = 0, nodes: Iterable[bytes] = ()) -> None:
        self.size = size
        self.nodes = list(nodes)
        if len(self.nodes) != size.bit_count() or any(len(node) != HASH_BYTES for node in self.nodes):
            raise ProofError(f"a tree of {size} leaves has {size.bit_count()} frontier hashes of 32 bytes")

    def append(self, leaf: bytes) -> None:
        """Add one leaf, given by its leaf hash."""
        nodes = self.nodes
        size = self.size = self.size + 1
        while not size & 1:
            leaf = sha256(b"\1" + nodes.pop() + leaf).digest()
            size >>= 1
        nodes.append(leaf)

    def extend(self, leaves: Sequence[bytes]) -> None:
        """Add many leaf hashes; whole aligned runs of 256 are folded level by level."""
        position = 0
        while position < len(leaves):
            if self.size % _CHUNK == 0 and len(leaves) - position >= _CHUNK:
                self._append_chunk(leaves[position : position + _CHUNK])
                position += _CHUNK
            else:
                self.append(leaves[position])
                position += 1

    def _append_chunk(self, level: Sequence[bytes]) -> None:
        while len(level) > 1:
            level = fold(level)
        node = level[0]
        chunks = self.size // _CHUNK + 1
        self.size += _CHUNK
        while not chunks & 1:
            node = node_hash(self.nodes.pop(), node)
            chunks >>= 1
        self.nodes.append(node)

    def root(self) -> bytes:
        """The Merkle tree hash over all leaves; of no leaves, SHA-256 of the empty string."""
        if not self.nodes:
            return EMPTY_ROOT
        root = self.nodes[-1]
        for node in self.nodes[-2::-1]:
            root = node_hash(node, root)
        return root

    def copy(self) -> "Frontier":
        """An independent tree with the same leaves."""
        return Frontier(self.size, self.nodes)


def root_of(leaves: Sequence[bytes]) -> bytes:
    """The tree hash over leaf hashes."""
    tree = Frontier()
    tree.extend(leaves)
    return tree.root()


def split(size: int) -> int:
    """The largest power of two smaller than `size` (RFC 6962 section 2.1)."""
    return 1 << ((size - 1).bit_length() - 1)


def inclusion_path(index: int, size: int, range_hash: RangeHash) -> list[bytes]:
    """The audit path of leaf `index` in a tree of `size` leaves (RFC 6962 section 2.1.1), leaf level first."""
    if not 0 <= index < size:
        raise ProofError(f"no leaf {index} in a tree of {size}")
    path: list[bytes] = []
    begin, end = 0, size
    while end - begin > 1:
        middle = begin + split(end - begin)
        if index < middle:
            path.append(range_hash(middle, end))
            end = middle
        else:
            path.append(range_hash(begin, middle))
            begin = middle
    return path[::-1]


def consistency_path(old: int, new: int, range_hash: RangeHash) -> list[bytes]:
    """The proof that a tree of `old` leaves is a prefix of one of `new` (RFC 6962 section 2.1.2)."""
    if not 0 < old <= new:
        raise ProofError(f"no consistency proof from {old} to {new}")
    path: list[bytes] = []
    begin, end, complete = 0, new, True
    while end != old:
        middle = begin + split(end - begin)
        if old <= middle:
            path.append(range_hash(middle, end))
            end = middle
        else:
            path.append(range_hash(begin, middle))
            begin, complete = middle, False
    if not complete:
        path.append(range_hash(begin, end))
    return path[::-1]


def verify_inclusion(leaf: bytes, index: int, size: int, path: Sequence[bytes], root: bytes) -> None:
    """Check that the leaf hash stands at `index` of the tree (RFC 9162 section 2.1.3.2).

    Raises:
        ProofError: it does not, or an argument is out of range.
    """
    _check_hashes(leaf, root, *path)
    if not 0 <= index < size < _MAX_SIZE:
        raise ProofError(f"no leaf {index} in a tree of {size}")
    first, last, computed = index, size - 1, leaf
    for sibling in path:
        if last == 0:
            raise ProofError("the inclusion path is too long")
        if first & 1 or first == last:
            computed = node_hash(sibling, computed)
            while not first & 1 and first:
                first, last = first >> 1, last >> 1
        else:
            computed = node_hash(computed, sibling)
        first, last = first >> 1, last >> 1
    if last != 0:
        raise ProofError("the inclusion path is too short")
    if computed != root:
        raise ProofError("the inclusion path leads to another root")


def verify_consistency(old: int, new: int, old_root: bytes, new_root: bytes, path: Sequence[bytes]) -> None:
    """Check that the old tree is a prefix of the new one (RFC 9162 section 2.1.4.2).

    Raises:
        ProofError: it is not, an argument is out of range, or `old` is 0 (nothing would be proved).
    """
    if not 0 < old <= new < _MAX_SIZE:
        raise ProofError(f"no consistency proof from {old} to {new}")
    if old == new:  # nothing is hashed: the roots are compared as they are
        if path or old_root != new_root:
            raise ProofError("trees of one size must have one root and an empty proof")
        return
    _check_hashes(old_root, new_root, *path)
    _walk_consistency(old, new, old_root, new_root, path)


def _walk_consistency(old: int, new: int, old_root: bytes, new_root: bytes, path: Sequence[bytes]) -> None:
    hashes = [old_root, *path] if old & (old - 1) == 0 else list(path)
    if not path:
        raise ProofError("the consistency proof is empty")
    first, last = old - 1, new - 1
    while first & 1:
        first, last = first >> 1, last >> 1
    from_old = from_new = hashes[0]
    for sibling in hashes[1:]:
        if last == 0:
            raise ProofError("the consistency proof is too long")
        if first & 1 or first == last:
            from_old, from_new = node_hash(sibling, from_old), node_hash(sibling, from_new)
            while not first & 1 and first:
                first, last = first >> 1, last >> 1
        else:
            from_new = node_hash(from_new, sibling)
        first, last = first >> 1, last >> 1
    if last != 0 or from_old != old_root or from_new != new_root:
        raise ProofError("the consistency proof does not connect the two roots")


def _check_hashes(*hashes: bytes) -> None:
    if any(len(value) != HASH_BYTES for value in hashes):
        raise ProofError("every hash of a proof is 32 bytes")
