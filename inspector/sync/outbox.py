"""The outbox: samples that were chosen and are not at the centre yet.

Enters: choices. Leaves: one small file each in ``<data>/outbox``, whose name begins with its
picture's digest, so that retention keeps the picture until the centre has it (I8). Only
`inspector.sync` imports this.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from inspector.store.files import write_whole

FOLDER = "outbox"
ASKED = ("asked", "complaint", "review")
"""Reasons of what a person waits for: it goes before all."""
HERE = ("path", "rejected", "wanted")
"""What is the station's own and not told."""
FIRST = {"disagreement": 1, "rare": 2, "threshold": 3, "novelty": 4}
"""Rejects before passes, and among them what teaches most: lower goes first."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One picture of one part, and why it goes to the centre."""

    part: str
    """The part's id."""
    view: str
    digest: str
    path: str
    """Of the picture, relative to ``<data>``."""
    size: int
    reason: str
    stratum: str
    probability: float | None
    """Of its part having been chosen; None for what was added afterwards."""
    chosen_utc_ns: int
    rejected: bool
    """Whether its part was anything but a pass."""
    detail: dict[str, Any] = field(default_factory=dict)
    wanted: bool = False
    """A person waits for what was chosen otherwise before; why it was chosen stays."""

    @property
    def asked(self) -> bool:
        """Whether a person waits for it."""
        return self.wanted or self.reason in ASKED

    @property
    def rank(self) -> tuple[bool, bool, int, int]:
        """Smaller goes first."""
        first = FIRST.get(self.reason, 9)
        return (not self.asked, not self.rejected, first, self.chosen_utc_ns)

    def as_sent(self) -> dict[str, Any]:
        """What the centre is told."""
        known = asdict(self)
        return {name: value for name, value in known.items() if name not in HERE}


class Outbox:
    """The samples of one station that wait."""

    def __init__(self, data_dir: Path) -> None:
        self._folder = data_dir / FOLDER
        self._folder.mkdir(parents=True, exist_ok=True)
        self._waiting: dict[str, Sample] = {}
        for path in self._folder.glob("*.json"):
            with suppress(OSError, ValueError, TypeError):  # a file of nobody's stays where it is
                self._waiting[path.name] = Sample(**json.loads(path.read_bytes()))

    def __len__(self) -> int:
        return len(self._waiting)

    def __iter__(self) -> Iterator[Sample]:
        """In the order in which they should go."""
        return iter(sorted(self._waiting.values(), key=lambda sample: sample.rank))

    def add(self, sample: Sample) -> None:
        """Keeps a sample, durable. The same one again changes nothing, but that a person waits for
        it now, or that it was chosen as well: then it has its probability from now on."""
        name = _name(sample)
        known = self._waiting.get(name)
        if known is not None:
            wanted = known.wanted or (sample.asked and not known.asked)
            chance = sample.probability if known.probability is None else known.probability
            sample = replace(known, wanted=wanted, probability=chance)
            if sample == known:
                return
        content = json.dumps(asdict(sample), ensure_ascii=False).encode()
        write_whole(self._folder / name, content)
        self._waiting[name] = sample

    def done(self, sample: Sample) -> None:
        """The centre has it, or never will."""
        name = _name(sample)
        (self._folder / name).unlink(missing_ok=True)
        self._waiting.pop(name, None)


def _name(sample: Sample) -> str:
    view = "".join(letter if letter.isalnum() else "_" for letter in sample.view)[:40]
    return f"{sample.digest}.{sample.part}.{view}.json"
