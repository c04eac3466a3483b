"""The Merkle tree of RFC 6962, section 2.1: one hash that stands for every record in its order.

Enters: records as bytes. Leaves: roots, inclusion proofs, and their checks.
Imports nothing of ours; the store uses it, and whoever holds only a proof may too.

A leaf is ``SHA-256(0x00 || record)``, a node ``SHA-256(0x01 || left || right)``; the tree of n
leaves splits at the largest power of two below n. `Tree` keeps one hash per complete subtree
(at most 64), so that appending costs two hashes on average and no record is read again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from hashlib import sha256

RootBetween = Callable[[int, int], bytes]
"""Gives the root of the leaves from one position up to, and without, another."""

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


def tree_of(size: int, edge: bytes, root: bytes) -> Tree | None:
    """The tree of this size, edge (its hashes one behind the other) and root; None where these
    contradict each other."""
    try:
        tree = Tree(size, [edge[at : at + 32] for at in range(0, len(edge), 32)])
    except (ValueError, TypeError):
        return None
    return tree if tree.root() == root else None


def root_of(leaves: Sequence[bytes]) -> bytes:
    """The root of these leaf hashes."""
    tree = Tree()
    for leaf in leaves:
        tree.append(leaf)
    return tree.root()


def _split(size: int) -> int:
    return 1 << (size - 1).bit_length() - 1


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


def inclusion_proofs(
    root_between: RootBetween, size: int, indices: Iterable[int]
) -> tuple[bytes, dict[int, list[bytes]]]:
    """The root of ``size`` leaf hashes and the audit paths of some of them.

    Each stretch is asked for once, from left to right.

    Raises:
        ValueError: an index is none of theirs.
    """
    wanted = _among(indices, size)
    paths: dict[int, list[bytes]] = {index: [] for index in wanted}

    def walk(low: int, high: int, inside: list[int]) -> bytes:
        if not inside or high - low == 1:
            return root_between(low, high)
        middle = low + _split(high - low)
        below = [index for index in inside if index < middle]
        above = inside[len(below) :]
        left, right = walk(low, middle, below), walk(middle, high, above)
        for index in below:
            paths[index].append(right)
        for index in above:
            paths[index].append(left)
        return node_hash(left, right)

    return walk(0, size, wanted), paths


def subset_proof(
    root_between: RootBetween, size: int, indices: Iterable[int]
) -> tuple[bytes, list[bytes]]:
    """The root of ``size`` leaf hashes, and one proof that many of them are under it.

    The proof is the root of every largest subtree that holds none of them, from left to right:
    for a run of neighbours some twenty hashes, however many they are.

    Raises:
        ValueError: an index is none of theirs.
    """
    nodes: list[bytes] = []

    def walk(low: int, high: int, inside: list[int]) -> bytes:
        if len(inside) == high - low:
            return root_between(low, high)
        if not inside:
            nodes.append(root_between(low, high))
            return nodes[-1]
        middle = low + _split(high - low)
        below = [index for index in inside if index < middle]
        left = walk(low, middle, below)
        return node_hash(left, walk(middle, high, inside[len(below) :]))

    return walk(0, size, _among(indices, size)), nodes


def proves_subset(
    leaves: Sequence[tuple[int, bytes]], size: int, nodes: Sequence[bytes], root: bytes
) -> bool:
    """Whether ``nodes`` (`subset_proof`) show that each (index, leaf hash) is under the root."""
    coming = iter(nodes)

    def walk(low: int, high: int, inside: Sequence[tuple[int, bytes]]) -> bytes:
        if not inside:
            return next(coming)
        if high - low == 1:
            return inside[0][1]
        if len(inside) == high - low:
            return root_of([leaf for _, leaf in inside])
        middle = low + _split(high - low)
        below = [one for one in inside if one[0] < middle]
        left = walk(low, middle, below)
        return node_hash(left, walk(middle, high, inside[len(below) :]))

    try:
        found = [index for index, _ in leaves]
        if _among(found, size) != found or size >= 1 << 63:
            return False
        return walk(0, size, leaves) == root and next(coming, None) is None
    except (ValueError, StopIteration):
        return False


def _among(indices: Iterable[int], size: int) -> list[int]:
    wanted = sorted(set(indices))
    if not wanted or wanted[0] < 0 or wanted[-1] >= size:
        raise ValueError(f"no such leaves in a tree of {size}")
    return wanted
