"""Pictures that no record names: their line was killed after the file and before the record.

Enters: ``<data>``, the paths that are known. Leaves: the paths of files in the archive that nobody
will ever ask for, the halves of some too. Only `retention` imports this. An index may have lost
what the ledger knows, so where a file seems to be nobody's, every record is asked.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection
from pathlib import Path

from inspector.store import layout
from inspector.store.errors import RecordError
from inspector.store.images import image_files
from inspector.store.records import Kind
from inspector.store.stretch import read_records


def orphans(
    data_dir: Path, line: sqlite3.Connection, known: Collection[str], before_ns: int
) -> list[str]:
    """Paths relative to ``<data>`` of the files that were written before ``before_ns`` (UTC) and
    are none of ``known`` nor of any image record's: a younger one's record may be on its way."""
    unknown = (path for path in image_files(data_dir) if path not in known)
    found = {path for path in unknown if _written_before(data_dir / path, before_ns)}
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
