"""Models that are there whole or not at all: an export writes beside them, and what held takes its
place. Imported by ``export`` and ``shapes_fit``.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def making(models: Path) -> Iterator[Path]:
    """A folder to export to as if it were ``models``; at the end of the block each
    ``<name>/<version>`` in it is in ``models``. An export that is refused leaves there what was
    there before, which a station may be running."""
    models.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".making-", dir=models) as folder:
        yield Path(folder)
        for made in sorted(Path(folder).glob("*/*/*")):
            target = models / made.relative_to(folder)
            target.parent.mkdir(parents=True, exist_ok=True)
            made.replace(target)
