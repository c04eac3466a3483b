"""What `verify` found, in words.

Enters: problems, as a walk meets them. Leaves: a `Report`. Whoever shows one may import this.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

MAX_PROBLEMS = 100
"""So many are listed; a store that is worse than that is not better known by more."""

Told = Callable[[str, int, int], None]
"""Hears how far a long walk is: of what, how many are done, of how many."""


def untold(what: str, done: int, of: int) -> None:
    """For who walks where nobody looks."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong."""

    where: str
    """Such as ``line.db record 17``, ``checkpoint 3``, ``images/2026/…``."""
    what: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what}"


@dataclass(slots=True)
class Report:
    """What the walk found."""

    records: int = 0
    """In line.db."""
    verdicts: int = 0
    desk_records: int = 0
    signed_desk_records: int = 0
    """Records of desk.db that a checkpoint signs."""
    checkpoints: int = 0
    """Whose signature holds."""
    signed_records: int = 0
    """Records of line.db under the last good checkpoint."""
    images: int = 0
    """Image files whose digest holds."""
    images_deleted: int = 0
    """Image files that are gone by a rule, each with its signed tombstone."""
    problems: list[Problem] = field(default_factory=list)
    """In the order of the walk: the first is the first bad record."""
    unknown: list[str] = field(default_factory=list)
    """What no walk of this disk alone can know."""

    @property
    def ok(self) -> bool:
        """Whether everything is what was recorded, as far as can be known."""
        return not self.problems

    def add(self, where: str, what: str) -> None:
        """One more problem, up to `MAX_PROBLEMS`."""
        if len(self.problems) < MAX_PROBLEMS:
            self.problems.append(Problem(where, what))

    def as_dict(self) -> dict[str, Any]:
        """For ``--json``."""
        return {
            "ok": self.ok,
            "first_bad": str(self.problems[0]) if self.problems else None,
            "records": self.records,
            "verdicts": self.verdicts,
            "signed_records": self.signed_records,
            "checkpoints": self.checkpoints,
            "desk_records": self.desk_records,
            "signed_desk_records": self.signed_desk_records,
            "images": self.images,
            "images_deleted": self.images_deleted,
            "problems": [{"where": p.where, "what": p.what} for p in self.problems],
            "unknown": list(self.unknown),
        }

    def __str__(self) -> str:
        lines = [
            f"{self.records} records ({self.verdicts} verdicts, {self.signed_records} records under"
            f" {self.checkpoints} signed checkpoints), {self.desk_records} desk records,"
            f" {self.images} images"
            + (f" ({self.images_deleted} more deleted by rule)" if self.images_deleted else ""),
            *[f"BAD   {problem}" for problem in self.problems],
            *[f"NOTE  {note}" for note in self.unknown],
            "ok" if self.ok else f"first bad: {self.problems[0]}",
        ]
        return "\n".join(lines)
