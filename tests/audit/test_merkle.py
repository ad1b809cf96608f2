"""RFC 6962 trees against published vectors, and against a second, recursive definition."""

from base64 import b64decode
from hashlib import sha256
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdp.audit.errors import ProofError
from pdp.audit.merkle import (
    Frontier,
    consistency_path,
    inclusion_path,
    leaf_hash,
    root_of,
    verify_consistency,
    verify_inclusion,
)
from tests.audit.conftest import load_vectors


def tree_hash(leaves: list[bytes]) -> bytes:
    """RFC 6962 section 2.1, word for word."""
    if not leaves:
        return sha256(b"").digest()
    if len(leaves) == 1:
        return sha256(b"\0" + leaves[0]).digest()
    k = 1
    while k * 2 < len(leaves):
        k *= 2
    return sha256(b"\1" + tree_hash(leaves[:k]) + tree_hash(leaves[k:])).digest()


def entries(count: int) -> list[bytes]:
    return [b"entry %d" % number for number in range(count)]


def ranges(leaves: list[bytes]) -> Any:
    return lambda begin, end: tree_hash(leaves[begin:end])


def hashes_of(case: dict[str, Any], *names: str) -> list[bytes]:
    return [b64decode(case[name] or "") for name in names]


def test_inclusion_vectors() -> None:
    cases = load_vectors("rfc6962.json")["inclusion"]
    assert len(cases) > 60
    for case in cases:
        leaf, root = hashes_of(case, "leafHash", "root")
        path = [b64decode(node) for node in case["proof"] or []]
        try:
            verify_inclusion(leaf, case["leafIdx"], case["treeSize"], path, root)
            holds = True
        except ProofError:
            holds = False
        assert holds is not case["wantErr"], case["name"]


def test_consistency_vectors() -> None:
    cases = load_vectors("rfc6962.json")["consistency"]
    assert len(cases) > 60
    for case in cases:
        old_root, new_root = hashes_of(case, "root1", "root2")
        path = [b64decode(node) for node in case["proof"] or []]
        try:
            verify_consistency(case["size1"], case["size2"], old_root, new_root, path)
            holds = True
        except ProofError:
            holds = False
        assert holds is not case["wantErr"], case["name"]


@pytest.mark.parametrize("size", [0, 1, 2, 3, 7, 8, 9, 255, 256, 257, 600, 1024, 1500])
def test_frontier_has_the_root_of_the_definition(size: int) -> None:
    leaves = entries(size)
    hashed = [leaf_hash(leaf) for leaf in leaves]
    one_by_one = Frontier()
    for leaf in hashed:
        one_by_one.append(leaf)
    assert one_by_one.root() == root_of(hashed) == tree_hash(leaves)
    assert one_by_one.nodes == _extended_in_parts(hashed).nodes


def _extended_in_parts(hashed: list[bytes]) -> Frontier:
    tree, position = Frontier(), 0
    for step in (3, 250, 300, 1, 513, 10_000):
        tree.extend(hashed[position : position + step])
        position += step
    return tree


@given(st.integers(1, 70).flatmap(lambda size: st.tuples(st.just(size), st.integers(0, size - 1))))
def test_every_leaf_is_provable_and_only_in_its_place(size_and_index: tuple[int, int]) -> None:
    size, index = size_and_index
    leaves = entries(size)
    root = tree_hash(leaves)
    path = inclusion_path(index, size, ranges(leaves))
    verify_inclusion(leaf_hash(leaves[index]), index, size, path, root)
    for wrong in {(index + 1) % size, index ^ 1} - {index}:
        with pytest.raises(ProofError):
            verify_inclusion(leaf_hash(leaves[index]), wrong, size, path, root)
    with pytest.raises(ProofError):
        verify_inclusion(leaf_hash(b"another"), index, size, path, root)
    with pytest.raises(ProofError):
        verify_inclusion(leaf_hash(leaves[index]), index, size, [*path, root], root)


@given(st.integers(1, 60).flatmap(lambda new: st.tuples(st.integers(1, new), st.just(new))))
def test_every_prefix_is_provable_and_no_other_tree(sizes: tuple[int, int]) -> None:
    old, new = sizes
    leaves = entries(new)
    path = consistency_path(old, new, ranges(leaves))
    verify_consistency(old, new, tree_hash(leaves[:old]), tree_hash(leaves), path)
    forged = [b"forged", *leaves[1:old]]
    with pytest.raises(ProofError):
        verify_consistency(old, new, tree_hash(forged), tree_hash(leaves), path)


def test_nothing_is_proved_from_size_zero_or_with_short_hashes() -> None:
    root = tree_hash(entries(3))
    with pytest.raises(ProofError):
        verify_consistency(0, 3, sha256(b"").digest(), root, [])
    with pytest.raises(ProofError):
        consistency_path(0, 3, ranges(entries(3)))
    with pytest.raises(ProofError):
        verify_inclusion(root[:31], 0, 1, [], root[:31])
    with pytest.raises(ProofError):
        Frontier(3, [root])
    with pytest.raises(ProofError):
        inclusion_path(3, 3, ranges(entries(3)))
