"""Pictures that no record names: their line was killed after the file and before the record.

Enters: ``<data>``, the paths that are known. Leaves: the paths of files in the archive that nobody
will ever ask for, the halves of some too. Only `retention` imports this. An index may have lost
what the ledger knows, so where a file seems to be nobody's, every record is asked.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Collection
from pathlib import Path

from inspector.store import layout
from inspector.store.errors import RecordError
from inspector.store.records import Kind
from inspector.store.stretch import read_records


def orphans(
    data_dir: Path, line: sqlite3.Connection, known: Collection[str], before_ns: int
) -> list[str]:
    """Paths relative to ``<data>`` of the files that were written before ``before_ns`` (UTC) and
    are none of ``known`` nor of any image record's: a younger one's record may be on its way."""
    found: set[str] = set()
    for folder, _, names in os.walk(data_dir / "images"):
        where = Path(folder).relative_to(data_dir).as_posix()
        unknown = [name for name in names if f"{where}/{name}" not in known]
        old = [name for name in unknown if _written_before(Path(folder, name), before_ns)]
        found.update(f"{where}/{name}" for name in old)
    for _, _, body in read_records(line, 0, 1 << 62) if found else ():
        try:
            if body[1] == Kind.IMAGE:
                found.discard(layout.fields_of(body)[5])
        except (RecordError, IndexError, TypeError):
            return []  # whose it is cannot be read: `verify` says so
    return sorted(found)


def _written_before(path: Path, before_ns: int) -> bool:
    try:
        return path.lstat().st_mtime_ns < before_ns
    except OSError:
        return False
