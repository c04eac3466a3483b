"""Models that are there whole or not at all: an export writes beside them, and what held takes its
place. Imported by whatever exports.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

CARD = "card.json"


@contextmanager
def making(models: Path) -> Iterator[Path]:
    """A folder to export to as if it were ``models``; at the end of the block each
    ``<name>/<version>`` in it is in ``models``, its card last. An export that is refused, or
    killed, leaves there what was there before, which a station may be running."""
    models.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".making-", dir=models) as folder:
        yield Path(folder)
        for made in sorted(Path(folder).glob("*/*/*"), key=lambda path: path.name == CARD):
            target = models / made.relative_to(folder)
            target.parent.mkdir(parents=True, exist_ok=True)
            made.replace(target)


@contextmanager
def making_one(path: Path) -> Iterator[Path]:
    """Where to write what shall be ``path``, a ``models/<name>/<version>/model.onnx``, to; its card
    beside it. Raises ``ValueError`` where it is no such path."""
    whole = path.absolute()
    if len(whole.parents) < 4:
        raise ValueError(f"{path} is no models/<name>/<version>/model.onnx")
    models = whole.parents[2]
    with making(models) as draft:
        yield draft / whole.relative_to(models)
