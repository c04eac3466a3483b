"""How long the story is, and what has happened in it so far."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console

from inspector.identity import Principal, Role

DEFECT = "label_torn"
ROOT = Principal("root", frozenset({Role.ADMIN}))
console = Console(stderr=True)


class LoopFailed(Exception):
    """The story did not end as it should; ``str()`` says where."""


@dataclass(frozen=True, slots=True)
class Size:
    """How long the story is."""

    before: int = 60
    """Parts before the defect first comes …"""
    shown: int = 360
    """… with it, under the old model, …"""
    after: int = 320
    """… and under the new one."""
    good_reviews: int = 60
    """Other parts that QA looks at."""
    replay: int = 320
    """Pictures that the champion was trained on."""
    held_out: int = 260
    """Parts of other films that measure."""
    epochs: int = 4
    repeat: int = 3
    """How often an epoch shows what came from the line."""
    meanwhile: int = 100
    """Parts that come while the model is taught on."""
    shadowed: int = 40
    """Parts in shadow before it takes over."""
    novelty_rate: float = 0.35


SHORT = Size(
    before=20, shown=110, after=110, good_reviews=20, replay=120, held_out=90, epochs=4, repeat=4,
    meanwhile=20, shadowed=20, novelty_rate=0.5,
)  # fmt: skip


@dataclass(slots=True)
class Story:
    """What has happened so far."""

    folder: Path
    size: Size
    seed: int
    marks: list[tuple[float, int, str]] = field(default_factory=list)
    """Seconds since the start, parts by then, and what began."""
    series: list[tuple[int, int, int]] = field(default_factory=list)
    """Parts, torn ones among them, torn ones let through; by the world."""
    began: float = field(default_factory=time.monotonic)

    def say(self, what: str, parts: int = 0) -> None:
        """Tell a person, and the plot, what begins now."""
        self.marks.append((time.monotonic() - self.began, parts, what))
        console.print(f"[{time.monotonic() - self.began:6.0f} s] {what}", highlight=False)
