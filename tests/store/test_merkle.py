"""The tree of RFC 6962, against its published vectors and against its definition."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inspector.store.merkle import (
    EMPTY_ROOT,
    RootBetween,
    Tree,
    inclusion_proofs,
    leaf_hash,
    node_hash,
    proves_inclusion,
    proves_subset,
    root_of,
    subset_proof,
)

# The inputs and roots of the Certificate Transparency reference implementation's tests.
INPUTS = [
    "",
    "00",
    "10",
    "2021",
    "3031",
    "40414243",
    "5051525354555657",
    "606162636465666768696a6b6c6d6e6f",
]
ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
LEAVES = [leaf_hash(n.to_bytes(2, "big")) for n in range(300)]


def _by_definition(leaves: list[bytes]) -> bytes:
    if not leaves:
        return EMPTY_ROOT
    if len(leaves) == 1:
        return leaves[0]
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    return node_hash(_by_definition(leaves[:split]), _by_definition(leaves[split:]))


def _path(leaves: list[bytes], index: int) -> list[bytes]:
    """The audit path of one leaf by its definition (RFC 6962, 2.1.1)."""
    if len(leaves) == 1:
        return []
    split = 1 << (len(leaves) - 1).bit_length() - 1
    if index < split:
        return [*_path(leaves[:split], index), _by_definition(leaves[split:])]
    return [*_path(leaves[split:], index - split), _by_definition(leaves[:split])]


def _roots(leaves: list[bytes]) -> RootBetween:
    return lambda low, high: _by_definition(leaves[low:high])


def test_the_published_roots() -> None:
    tree = Tree()
    assert tree.root().hex().startswith("e3b0c44298fc1c14")
    for data, root in zip(INPUTS, ROOTS, strict=True):
        tree.append(leaf_hash(bytes.fromhex(data)))
        assert tree.root().hex() == root


@given(st.integers(0, 300))
def test_the_growing_root_is_the_root_by_definition(size: int) -> None:
    assert root_of(LEAVES[:size]) == _by_definition(LEAVES[:size])


@given(st.data())
def test_every_leaf_is_proven_and_no_other_in_its_place(data: st.DataObject) -> None:
    size = data.draw(st.integers(1, 300))
    index = data.draw(st.integers(0, size - 1))
    leaves, root = LEAVES[:size], root_of(LEAVES[:size])
    path = inclusion_proofs(_roots(leaves), size, [index])[1][index]
    assert proves_inclusion(leaves[index], index, size, path, root)
    other = data.draw(st.integers(0, size - 1).filter(lambda n: n != index or size == 1))
    assert proves_inclusion(leaves[other], index, size, path, root) is (other == index)
    assert not proves_inclusion(
        leaves[index], index, size, [*path, path[0] if path else root], root
    )
    assert not proves_inclusion(leaves[index], size, size, path, root)


def test_an_edge_resumes_a_tree() -> None:
    tree = Tree()
    for leaf in LEAVES[:77]:
        tree.append(leaf)
    resumed = Tree(77, tree.edge)
    resumed.append(LEAVES[77])
    assert resumed.root() == root_of(LEAVES[:78])
    assert tree.size == 77  # a copy of the edge, not the edge
    with pytest.raises(ValueError, match="does not fit"):
        Tree(76, tree.edge)


@given(st.integers(1, 80), st.data())
def test_many_proofs_in_one_reading_are_those_of_each(size: int, data: st.DataObject) -> None:
    leaves = [leaf_hash(bytes([n])) for n in range(size)]
    indices = data.draw(st.sets(st.integers(0, size - 1), min_size=1))
    root, paths = inclusion_proofs(_roots(leaves), size, indices)
    assert root == root_of(leaves)
    assert paths == {index: _path(leaves, index) for index in indices}


@given(st.integers(1, 80), st.data())
def test_a_subset_is_proven_together_and_nothing_else_is(size: int, data: st.DataObject) -> None:
    leaves = [leaf_hash(bytes([n])) for n in range(size)]
    indices = sorted(data.draw(st.sets(st.integers(0, size - 1), min_size=1)))
    root, nodes = subset_proof(_roots(leaves), size, indices)
    some = [(index, leaves[index]) for index in indices]
    assert root == root_of(leaves) and proves_subset(some, size, nodes, root)
    at = data.draw(st.integers(0, len(some) - 1))
    forged = [*some[:at], (some[at][0], leaf_hash(b"forged")), *some[at + 1 :]]
    assert not proves_subset(forged, size, nodes, root)
    assert not proves_subset(some[:-1], size, nodes, root)
    assert not proves_subset(some, size, [*nodes, root], root)
    assert not nodes or not proves_subset(some, size, nodes[:-1], root)
    assert not proves_subset(some[::-1], size, nodes, root) or len(some) == 1
    moved = [(index + 1, leaf) for index, leaf in some]
    assert not proves_subset(moved, size, nodes, root)


def test_a_leaf_that_is_not_there_is_not_proven() -> None:
    with pytest.raises(ValueError, match="no such leaves"):
        inclusion_proofs(_roots(LEAVES[:5]), 5, [5])
