"""The Merkle tree of RFC 6962, section 2.1: one hash that stands for every record in its order.

Enters: records as bytes. Leaves: roots, inclusion proofs, consistency proofs, and their checks.
Imports nothing of ours; the store uses it, and whoever holds only a proof may too.

A leaf is ``SHA-256(0x00 || record)``, a node ``SHA-256(0x01 || left || right)``; the tree of n
leaves splits at the largest power of two below n. `Tree` keeps one hash per complete subtree
(at most 64), so that appending costs two hashes on average and no record is read again.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256

EMPTY_ROOT = sha256(b"").digest()
"""The root of no records."""


def leaf_hash(record: bytes) -> bytes:
    """The 32 bytes that stand for one record."""
    return sha256(b"\x00" + record).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """The 32 bytes that stand for two subtrees."""
    return sha256(b"\x01" + left + right).digest()


class Tree:
    """The growing edge of a tree: its size and its complete subtrees' roots, largest first."""

    __slots__ = ("edge", "size")

    def __init__(self, size: int = 0, edge: Sequence[bytes] = ()) -> None:
        """
        Raises:
            ValueError: the edge has not one hash for every 1 in the binary size.
        """
        if size < 0 or len(edge) != size.bit_count() or any(len(node) != 32 for node in edge):
            raise ValueError(f"an edge of {len(edge)} hashes does not fit a tree of {size}")
        self.size = size
        self.edge = list(edge)

    def copy(self) -> Tree:
        """An independent tree with the same content."""
        return Tree(self.size, self.edge)

    def append(self, leaf: bytes) -> None:
        """Adds a leaf hash (not a record)."""
        size, edge = self.size, self.edge
        while size & 1:
            leaf = sha256(b"\x01" + edge.pop() + leaf).digest()
            size >>= 1
        edge.append(leaf)
        self.size += 1

    def root(self) -> bytes:
        """The root, 32 bytes."""
        if not self.edge:
            return EMPTY_ROOT
        root = self.edge[-1]
        for node in reversed(self.edge[:-1]):
            root = node_hash(node, root)
        return root


def root_of(leaves: Sequence[bytes]) -> bytes:
    """The root of these leaf hashes."""
    tree = Tree()
    for leaf in leaves:
        tree.append(leaf)
    return tree.root()


def _split(size: int) -> int:
    return 1 << (size - 1).bit_length() - 1


def inclusion_proof(leaves: Sequence[bytes], index: int) -> list[bytes]:
    """The audit path of one leaf, from the leaf up (RFC 6962, 2.1.1)."""
    if not 0 <= index < len(leaves):
        raise ValueError(f"no leaf {index} in a tree of {len(leaves)}")
    path: list[bytes] = []
    low, high = 0, len(leaves)
    while high - low > 1:
        middle = low + _split(high - low)
        if index < middle:
            path.append(root_of(leaves[middle:high]))
            high = middle
        else:
            path.append(root_of(leaves[low:middle]))
            low = middle
    return path[::-1]


def proves_inclusion(
    leaf: bytes, index: int, size: int, path: Sequence[bytes], root: bytes
) -> bool:
    """Whether the path shows that this leaf hash is number ``index`` of ``size`` under the root."""
    if not 0 <= index < size:
        return False
    node, last, at = leaf, size - 1, index
    for other in path:
        if last == 0:
            return False
        if at & 1 or at == last:
            node = node_hash(other, node)
            while not at & 1 and at:
                at >>= 1
                last >>= 1
        else:
            node = node_hash(node, other)
        at >>= 1
        last >>= 1
    return last == 0 and node == root


def consistency_proof(leaves: Sequence[bytes], size: int) -> list[bytes]:
    """The proof that the first ``size`` leaves have not changed since (RFC 6962, 2.1.2)."""
    if not 0 < size <= len(leaves):
        raise ValueError(f"no tree of {size} inside one of {len(leaves)}")
    return _subproof(leaves, size, whole=True)


def _subproof(leaves: Sequence[bytes], size: int, *, whole: bool) -> list[bytes]:
    if size == len(leaves):
        return [] if whole else [root_of(leaves)]
    middle = _split(len(leaves))
    if size <= middle:
        return [*_subproof(leaves[:middle], size, whole=whole), root_of(leaves[middle:])]
    return [*_subproof(leaves[middle:], size - middle, whole=False), root_of(leaves[:middle])]


def proves_consistency(
    old_size: int, old_root: bytes, size: int, root: bytes, path: Sequence[bytes]
) -> bool:
    """Whether the path shows that the old tree is the beginning of the new (RFC 9162, 2.1.4.2)."""
    if old_size == size:
        return not path and old_root == root
    if not 0 < old_size < size or not path:
        return False
    nodes = list(path)
    if old_size & (old_size - 1) == 0:
        nodes.insert(0, old_root)
    old_at, at = old_size - 1, size - 1
    while old_at & 1:
        old_at >>= 1
        at >>= 1
    old_node = node = nodes[0]
    for other in nodes[1:]:
        if at == 0:
            return False
        if old_at & 1 or old_at == at:
            old_node, node = node_hash(other, old_node), node_hash(other, node)
            while not old_at & 1 and old_at:
                old_at >>= 1
                at >>= 1
        else:
            node = node_hash(node, other)
        old_at >>= 1
        at >>= 1
    return at == 0 and old_node == old_root and node == root
