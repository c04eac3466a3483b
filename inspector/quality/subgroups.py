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
class Sums:
    """A tabular CUSUM (Montgomery, 9.1) of a measure's subgroup means as far as it has come, so
    that the next mean costs one addition. It begins behind phase one, and anew behind each alarm.
    """

    above: float = 0.0
    below: float = 0.0
    above_since: int = 0
    """The first subgroup, of all that ever were, after which ``above`` left 0 …"""
    below_since: int = 0
    """… and ``below``."""

    def add(self, z: float, at: int, allowance: float) -> None:
        """The mean of subgroup ``at`` of all, in standard deviations from the centre."""
        self.above = max(0.0, self.above + z - allowance)
        self.below = max(0.0, self.below - allowance - z)
        if not self.above:
            self.above_since = at + 1
        if not self.below:
            self.below_since = at + 1

    @property
    def began(self) -> int:
        """The first subgroup of the sum that is the larger one."""
        return self.above_since if self.above >= self.below else self.below_since

    def anew(self, at: int) -> None:
        """The next subgroup is ``at``, and nothing is summed."""
        self.above = self.below = 0.0
        self.above_since = self.below_since = at


@dataclass(slots=True)
class Measured:
    """One measure: its subgroups, and all its values for the capability."""

    unit: str
    groups: list[list[float]] = field(default_factory=list)
    where: list[tuple[str, int, int]] = field(default_factory=list)
    """Stream, first and last part of each subgroup."""
    open: list[float] = field(default_factory=list)
    opened: tuple[str, int] = ("", 0)
    seen: tuple[str, int] = ("", 0)
    """The newest part that it was measured on."""
    since: int = 0
    """Parts since the last subgroup began."""
    centre: tuple[float, float] | None = None
    """Phase one's x̄̄ and R̄."""
    sums: Sums = field(default_factory=lambda: Sums())
    """Its CUSUM."""
    forgotten: int = 0
    """Subgroups that were, before those kept."""

    def close(self, last: int, most: int) -> None:
        """The open subgroup is whole with part ``last``; ``most`` of them are kept."""
        self.groups.append(self.open)
        self.where.append((*self.opened, last))
        self.open = []
        over = max(0, len(self.groups) - most)
        del self.groups[:over], self.where[:over]
        self.forgotten += over

    @property
    def count(self) -> int:
        """Subgroups that ever were."""
        return self.forgotten + len(self.groups)
