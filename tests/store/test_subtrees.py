"""What is remembered of the tree gives the very proofs that reading everything gives."""

from __future__ import annotations

import random
import sqlite3
from pathlib import Path

import pytest

from inspector.store import StoreDamaged, subtrees
from inspector.store.merkle import RootBetween, inclusion_proofs, leaf_hash, root_of, subset_proof


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(subtrees, "BLOCK", 8)
    return 8


def _ledger(size: int) -> tuple[sqlite3.Connection, list[bytes]]:
    bodies = [number.to_bytes(4, "big") for number in range(size)]
    ledger = sqlite3.connect(":memory:")
    ledger.execute("CREATE TABLE record (position INTEGER PRIMARY KEY, mark, body)")
    ledger.executemany("INSERT INTO record VALUES (?, 0, ?)", enumerate(bodies))
    return ledger, [leaf_hash(body) for body in bodies]


def _roots(leaves: list[bytes]) -> RootBetween:
    return lambda low, high: root_of(leaves[low:high])


def test_proofs_from_memory_are_those_of_the_records(small_blocks: int, tmp_path: Path) -> None:
    ledger, leaves = _ledger(200)
    chance = random.Random(1)
    for size in (1, 7, 8, 9, 16, 63, 64, 65, 100, 128, 130, 200, 40, 199):
        root = root_of(leaves[:size])
        for _ in range(6):
            wanted = set(chance.sample(range(size), chance.randint(1, min(size, 9))))
            for prove in (inclusion_proofs, subset_proof):
                expected = prove(_roots(leaves[:size]), size, wanted)[1]
                found = subtrees.proven_by(prove, tmp_path, ledger, size, root, wanted)
                assert found == expected
    assert (tmp_path / subtrees.CACHE).stat().st_size == 32 * (200 // small_blocks)
    ledger.close()


def test_what_is_remembered_is_not_read_again(small_blocks: int, tmp_path: Path) -> None:
    ledger, leaves = _ledger(200)
    root = root_of(leaves)
    subtrees.proven_by(inclusion_proofs, tmp_path, ledger, 200, root, [150])
    ledger.execute("DELETE FROM record WHERE position < 144")
    subtrees.proven_by(inclusion_proofs, tmp_path, ledger, 200, root, [150])
    with pytest.raises(StoreDamaged, match="is not here"):
        subtrees.proven_by(inclusion_proofs, tmp_path, ledger, 200, root, [143])
    ledger.close()


@pytest.mark.parametrize("spoiled", [b"", b"x", bytes(32), bytes(3200)])
def test_a_spoiled_memory_is_made_anew(small_blocks: int, tmp_path: Path, spoiled: bytes) -> None:
    ledger, leaves = _ledger(200)
    root = root_of(leaves)
    (tmp_path / subtrees.CACHE).write_bytes(spoiled)
    expected = subset_proof(_roots(leaves), 200, [3, 4, 150])[1]
    found = subtrees.proven_by(subset_proof, tmp_path, ledger, 200, root, [3, 4, 150])
    assert found == expected
    assert (tmp_path / subtrees.CACHE).stat().st_size == 32 * 25
    ledger.close()


def test_a_changed_record_gives_no_proof_of_itself(small_blocks: int, tmp_path: Path) -> None:
    ledger, leaves = _ledger(200)
    root = root_of(leaves)
    subtrees.proven_by(inclusion_proofs, tmp_path, ledger, 200, root, [150])
    ledger.execute("UPDATE record SET body = x'00' WHERE position = 151")
    with pytest.raises(StoreDamaged, match="not those that were signed"):
        subtrees.proven_by(inclusion_proofs, tmp_path, ledger, 200, root, [151])
    ledger.close()
