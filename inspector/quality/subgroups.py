"""What a control chart's points are made of: rational subgroups, of parts and of measured values.

Imports nothing of ours; ``spc.py`` imports it.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(slots=True)
class Group:
    """One subgroup of parts."""

    stream: str
    first: int
    last: int
    size: int = 0
    faulty: int = 0
    defects: int = 0
    labels: dict[str, int] = field(default_factory=dict)
    """Parts by what was wrong with them."""
    examples: list[tuple[str, str]] = field(default_factory=list)
    """Label and part id of some of the faulty ones."""


@dataclass(slots=True)
class Measured:
    """One measure: its subgroups, and all its values for the capability."""

    unit: str
    groups: list[list[float]] = field(default_factory=list)
    where: list[tuple[str, int, int]] = field(default_factory=list)
    """Stream, first and last part of each subgroup."""
    open: list[float] = field(default_factory=list)
    opened: tuple[str, int] = ("", 0)
    since: int = 0
    """Parts since the last subgroup began."""
    centre: tuple[float, float] | None = None
    """Phase one's x̄̄ and R̄."""
    summed_from: int = 0
    """The subgroup from which the CUSUM sums: behind its last alarm."""
