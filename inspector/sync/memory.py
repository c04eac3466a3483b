"""What sync remembers between rounds, in ``<data>/sync.db``: a cache of what the centre said.

Enters: trees of what was acknowledged, troubles, marks of progress. Leaves: the same after a
restart. A file that is lost is made anew: the centre's next receipt says where to go on. Only
`inspector.sync` imports this.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from inspector.store.errors import StoreError
from inspector.store.merkle import Tree

FILE = "sync.db"
_TABLES = """
CREATE TABLE IF NOT EXISTS cursor (ledger TEXT PRIMARY KEY, size INTEGER, edge BLOB);
CREATE TABLE IF NOT EXISTS word (name TEXT PRIMARY KEY, value TEXT);
"""


class Memory:
    """One process writes; `sync status` reads. All raise ``StoreError`` where the disk is full or
    the file damaged."""

    def __init__(self, data_dir: Path) -> None:
        self._path = data_dir / FILE
        try:
            self._db = sqlite3.connect(self._path, isolation_level=None, timeout=5.0)
            self._db.execute("PRAGMA journal_mode=WAL")
            # A power cut may take the newest words: the centre's receipt says them again.
            self._db.execute("PRAGMA synchronous=NORMAL")
            self._db.executescript(_TABLES)
        except sqlite3.Error as error:
            raise self._said(error) from error

    def tree(self, ledger: str) -> Tree:
        """The tree of what the centre has acknowledged; empty where nothing is known."""
        with self._telling():
            row = self._db.execute(
                "SELECT size, edge FROM cursor WHERE ledger = ?", (ledger,)
            ).fetchone()
        try:
            return Tree() if row is None else Tree(row[0], _hashes(row[1]))
        except (ValueError, TypeError):
            return Tree()

    def keep_tree(self, ledger: str, tree: Tree) -> None:
        """Remembers it."""
        with self._telling():
            self._db.execute(
                "INSERT OR REPLACE INTO cursor VALUES (?, ?, ?)",
                (ledger, tree.size, b"".join(tree.edge)),
            )

    def word(self, name: str, default: Any = None) -> Any:
        """A word that was kept."""
        with self._telling():
            row = self._db.execute("SELECT value FROM word WHERE name = ?", (name,)).fetchone()
        return default if row is None else json.loads(row[0])

    def keep(self, **words: Any) -> None:
        """Remembers words: anything that JSON holds."""
        with self._telling():
            self._db.executemany(
                "INSERT OR REPLACE INTO word VALUES (?, ?)",
                [(name, json.dumps(value, ensure_ascii=False)) for name, value in words.items()],
            )

    def close(self) -> None:
        """Lets go of the file."""
        self._db.close()

    @contextmanager
    def _telling(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise self._said(error) from error

    def _said(self, error: sqlite3.Error) -> StoreError:
        full = getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL
        what = "make room" if full else "delete it, it is only a memory"
        return StoreError(f"{self._path}: {error}; {what}")


def _hashes(edge: bytes) -> list[bytes]:
    return [edge[at : at + 32] for at in range(0, len(edge), 32)]
