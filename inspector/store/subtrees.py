"""The roots of a ledger's stretches, remembered, so that a proof need not read ten million records.

Enters: a read-only connection to a ledger file. Leaves: proofs under a signed root. Only `proof`
and `package` import this. ``<data>/tree.cache`` holds 32 bytes for each whole block of `BLOCK`
records of line.db; it may be deleted at any time, and is when it does not lead to what was signed.

A block that begins at a multiple of a power of two is a complete subtree of RFC 6962's tree, so the
tree over blocks, the last one perhaps not whole, is the tree over the records.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from inspector.store.errors import StoreDamaged, StoreError
from inspector.store.files import write_whole
from inspector.store.merkle import RootBetween, Tree, leaf_hash
from inspector.store.stretch import read_records

BLOCK = 4096
"""Records: a power of two. 10⁷ parts with their gate decisions are 160 kB of roots."""
CACHE = "tree.cache"

P = TypeVar("P")
Prove = Callable[[RootBetween, int, Iterable[int]], tuple[bytes, P]]


def proven_by(
    prove: Prove[P],
    data_dir: Path | None,
    ledger: sqlite3.Connection,
    size: int,
    root: bytes,
    wanted: Iterable[int],
) -> P:
    """What ``prove`` (of `merkle`) gives for the wanted records among the first ``size``.

    Args:
        data_dir: where block roots are remembered; None for a file that is short.
        root: what was signed.

    Raises:
        StoreDamaged: a record is missing, or the records are not those that were signed.
    """
    cache = None if data_dir is None else data_dir / CACHE
    known = _read(cache)
    wanted = set(wanted)
    for roots in [known, []] if known else [[]]:
        before = len(roots)
        found, proof = prove(_root_between(ledger, roots, size), size, wanted)
        if found == root:
            if cache is not None and len(roots) > before:
                with suppress(StoreError):  # only slower the next time
                    write_whole(cache, b"".join(roots))
            return proof
    raise StoreDamaged(
        f"the first {size} records are not those that were signed; run: inspector verify"
    )


def _root_between(ledger: sqlite3.Connection, roots: list[bytes], size: int) -> RootBetween:
    def read(low: int, high: int) -> Tree:
        tree = Tree()
        for position, _, body in read_records(ledger, low, high):
            if position != low + tree.size or not isinstance(body, bytes):
                break
            tree.append(leaf_hash(body))
        if tree.size != high - low:
            raise StoreDamaged(f"record {low + tree.size} is not here; run: inspector verify")
        return tree

    def block(number: int) -> bytes:
        low, high = number * BLOCK, min((number + 1) * BLOCK, size)
        whole = high - low == BLOCK
        if whole and number < len(roots):
            return roots[number]
        root = read(low, high).root()
        if whole and number == len(roots):
            roots.append(root)
        return root

    def root_between(low: int, high: int) -> bytes:
        if low % BLOCK or (high % BLOCK and high != size) or high - low < BLOCK:
            for number in range(len(roots), low // BLOCK + 1):  # learn it in passing
                if (number + 1) * BLOCK <= size:
                    block(number)
            return read(low, high).root()
        tree = Tree()
        for number in range(low // BLOCK, -(-high // BLOCK)):
            tree.append(block(number))
        return tree.root()

    return root_between


def _read(cache: Path | None) -> list[bytes]:
    try:
        content = b"" if cache is None else cache.read_bytes()
    except OSError:
        return []
    whole = len(content) // 32 * 32
    return [content[at : at + 32] for at in range(0, whole, 32)]
