"""What has taught a model already: the lineage on its card enters, pictures and parts leave.

A data set that is built anew is split anew: once older batches are reviewed, parts that taught the
last model are among those that measure the next, which begins from it or is compared with it.
Imported by ``teach``, ``cases`` and the commands.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from training.dataset.row import Row
from training.dataset.snapshot import SnapshotError, open_snapshot


@dataclass(frozen=True, slots=True)
class Learned:
    """Pictures and parts that must not measure."""

    keys: frozenset[str] = frozenset()
    """Digests of the pictures, names of their parts."""
    unknown: tuple[str, ...] = ()
    """Data sets that taught too, and are not here to be looked at."""

    def has(self, row: Row) -> bool:
        """Whether this picture, or another one of its part, has taught."""
        return row.image in self.keys or row.part in self.keys


NOTHING = Learned()


def keys_of(rows: Iterable[Row]) -> frozenset[str]:
    """What rows that teach are known by."""
    return frozenset({key for row in rows for key in (row.image, row.part) if key})


def learned_from(home: Path, datasets: Mapping[str, str]) -> Learned:
    """What the data sets ``{name/version: digest}`` in ``home`` have taught."""
    keys: frozenset[str] = frozenset()
    unknown = []
    for ref, digest in sorted(datasets.items()):
        try:
            snapshot = open_snapshot(home, ref)
        except SnapshotError:
            unknown.append(ref)
            continue
        if snapshot.digest == digest:
            keys |= keys_of(snapshot.of("train"))
        else:
            unknown.append(ref)
    return Learned(keys, tuple(unknown))


def datasets_of(lineage: Any) -> dict[str, str]:
    """The data sets that taught a model of this lineage, or what it was begun from. A card that was
    written by hand may say it otherwise, for people."""
    found: dict[str, str] = {}
    for key in ("start_datasets", "datasets"):
        named = lineage.get(key) if isinstance(lineage, dict) else None
        found |= named if isinstance(named, dict) else {}
    return found


def datasets_before(start: Path | None) -> dict[str, str]:
    """Those that taught ``start``: a model's folder or file, or the checkpoint of a run."""
    if start is None:
        return {}
    home = start if start.is_dir() else start.parent
    for name, key in (("card.json", "lineage"), ("run.json", "params")):
        if (home / name).exists():
            return datasets_of(json.loads((home / name).read_text()).get(key))
    return {}
