"""The judge outside the station: which physical part went where, against what it truly was.

The truth of a film set comes in, and what the flap did to each item; counts go out. Nothing that
the station says is believed except the instants of its decisions. Only the virtual line imports
it, and only the world process may read the truth.
"""

from __future__ import annotations

import json
import stat
from collections import Counter, deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from inspector.registers import Action, Decision, GateReason
from inspector.virtual.conveyor import Item


class TruthError(Exception):
    """The truth cannot be used; the message says why and how to mend it."""


@dataclass(frozen=True, slots=True)
class Truth:
    """What one part of the film truly is."""

    product: str
    defects: tuple[str, ...]
    """Labels; none is a good part."""
    critical: bool = False


def read_truth(folder: Path) -> list[Truth]:
    """The truth of a film set by film index. Raises ``TruthError``.

    A truth that the station's user group or others may read is refused: it would not be one.
    """
    path = folder / "truth.json"
    try:
        mode = path.stat().st_mode
        raw = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise TruthError(f"{path}: {error}") from None
    if stat.S_IMODE(mode) & 0o077:
        raise TruthError(f"{path}: others may read the truth; run `chmod 600 {path}`")
    parts = raw["parts"] if isinstance(raw, dict) else raw
    try:
        return [
            Truth(
                str(part.get("product", "")),
                # One defect may show in several views.
                tuple(dict.fromkeys(str(d["label"]) for d in part["defects"])),
                any(d.get("severity") == "critical" for d in part["defects"]),
            )
            for part in parts
        ]
    except (AttributeError, KeyError, TypeError) as error:
        raise TruthError(f"{path}: every part needs a list `defects`: {error!r}") from None


class Spread:
    """Percentiles of durations in bounded memory: bins of 0.1 ms up to 2 s."""

    def __init__(self) -> None:
        self._bins = np.zeros(20_001, np.uint32)
        self._max = 0.0
        self.count = 0

    def add(self, ms: float) -> None:
        self._bins[max(0, min(20_000, round(ms * 10)))] += 1
        self._max = max(self._max, ms)
        self.count += 1

    def summary(self) -> dict[str, float]:
        """``p50, p95, p99, max`` in ms; empty without a measurement."""
        if not self.count:
            return {}
        ends = np.cumsum(self._bins, dtype=np.int64)
        at = {
            f"p{q}": float(np.searchsorted(ends, self.count * q / 100) / 10) for q in (50, 95, 99)
        }
        return {**at, "max": round(self._max, 3)}


@dataclass(slots=True)
class _Open:
    """A part number whose item has not left the gate."""

    t_ns: int
    item: int
    decided: bool = False
    permitted: bool = False
    """A permit was accepted, whatever came after it."""
    action: Action = Action.NONE
    reason: GateReason = GateReason.NONE


@dataclass(slots=True)
class Judge:
    """Counts what the gate did. ``product`` is what is being made: any other one is a defect."""

    truth: list[Truth]
    product: str = ""
    counts: Counter[str] = field(default_factory=Counter)
    defective: Counter[str] = field(default_factory=Counter)
    escapes: Counter[str] = field(default_factory=Counter)
    latency: Spread = field(default_factory=Spread)
    last: dict[str, list[dict[str, Any]]] = field(
        default_factory=lambda: {"escapes": [], "false_rejects": [], "unjudged_passed": []}
    )
    """The newest ten of each that should not be, for whoever looks for the cause."""
    first_ns: int | None = None
    last_ns: int = 0
    """First and newest trigger."""
    _open: dict[int, _Open] = field(default_factory=dict)
    _numbers: dict[int, int] = field(default_factory=dict)
    _withdrawn: set[int] = field(default_factory=set)
    """Items whose permit a restart of the PLC's counter made void."""

    def trigger(self, number: int, item: Item, t_ns: int) -> None:
        """The PLC counted ``item`` as part ``number``; its cameras were triggered at ``t_ns``."""
        self.counts["triggers"] += 1
        self.first_ns = t_ns if self.first_ns is None else self.first_ns
        self.last_ns = t_ns
        self._numbers.setdefault(item.id, number)
        self._open[number] = _Open(t_ns, item.id)

    def forget_numbers(self) -> None:
        """The PLC's counter restarted: what is on the belt has no number any more.

        A part may stand in the open flap at that instant, by a permit that is now void.
        """
        self._withdrawn |= {part.item for part in self._open.values() if part.permitted}
        self._open.clear()
        self._numbers.clear()

    def hear(self, accepted: deque[tuple[int, Decision]]) -> None:
        """All decisions that the PLC has accepted up to now, with their instants; they are taken
        out."""
        while accepted:
            self.decision(*accepted.popleft())

    def decision(self, t_ns: int, decision: Decision) -> None:
        """The PLC accepted a decision."""
        self.counts[decision.action.name.lower() + "s"] += 1
        part = self._open.get(decision.part)
        if part is None:
            self.counts["decisions_without_part"] += 1
            return
        if not part.decided:
            part.decided = True
            self.counts["decided"] += 1
            self.latency.add((t_ns - part.t_ns) / 1e6)
        part.action, part.reason = decision.action, decision.reason
        part.permitted |= decision.action is Action.PERMIT

    def exit(self, item: Item, passed: bool | None) -> None:
        """``item`` left the flap: True to the good side, False to the bin, None hit by it.

        What the flap hit is counted on the side that hurts.
        """
        truth = self.truth[item.film]
        labels = truth.defects
        if self.product and truth.product and truth.product != self.product:
            labels = (*labels, "wrong_product")
        if passed is None:
            self.counts["clashes"] += 1
            item.clashed = True
            passed = bool(labels)
        item.passed = passed
        number = self._numbers.pop(item.id, None)
        part = self._open.get(number) if number is not None else None
        self._close(number)
        self.counts["gate_passed" if passed else "gate_rejects"] += 1
        self.defective.update(labels)
        if labels:
            self.counts["defective"] += 1
            self.counts["defective_critical"] += truth.critical
        withdrawn = item.id in self._withdrawn
        self._withdrawn.discard(item.id)
        if passed and withdrawn:
            self.counts["revoked_passed"] += 1
        elif passed and not (part and part.permitted):
            self.counts["unjudged_passed"] += 1
            self._remember("unjudged_passed", item, number, part, labels)
        if passed and part and part.permitted and part.action is not Action.PERMIT:
            self.counts["revoked_passed"] += 1
        if passed and part and part.reason is GateReason.BYPASS:
            self.counts["bypassed"] += 1
        if passed and labels:
            self.counts["escapes"] += 1
            self.counts["escapes_critical"] += truth.critical
            self.escapes.update(labels)
            self._remember("escapes", item, number, part, labels)
        elif not passed and not labels:
            self.counts["false_rejects"] += 1
            self._remember("false_rejects", item, number, part, labels)

    def removed(self, item: Item) -> None:
        """A hand took ``item`` off the belt."""
        self.counts["removed"] += 1
        self._close(self._numbers.pop(item.id, None))

    def _close(self, number: int | None) -> None:
        """Decisions may still come a little after the gate; they are looked up for 64 parts."""
        while len(self._open) > 4096:
            del self._open[next(iter(self._open))]
        if number is not None:
            self._open.pop(number - 64, None)

    def _remember(
        self, what: str, item: Item, number: int | None, part: _Open | None, labels: tuple[str, ...]
    ) -> None:
        told = f"{part.action.name} {part.reason.name}".lower() if part else "nothing"
        entry = {"part": number, "film": item.film, "labels": labels, "told": told}
        self.last[what] = [*self.last[what][-9:], {**entry, "clash": item.clashed}]

    def report(self) -> dict[str, Any]:
        """The counts, by the names that the demo and the benches print."""
        names = (
            "triggers", "decided", "permits", "rejects", "revokes", "decisions_without_part",
            "gate_passed", "gate_rejects", "defective", "defective_critical", "escapes",
            "escapes_critical", "false_rejects", "unjudged_passed", "revoked_passed", "bypassed",
            "clashes", "removed",
        )  # fmt: skip
        seconds = (self.last_ns - (self.first_ns or self.last_ns)) / 1e9
        return {
            "parts_per_s": round((self.counts["triggers"] - 1) / seconds, 3) if seconds else 0.0,
            **{name: self.counts[name] for name in names},
            "defective_by_label": dict(self.defective),
            "escapes_by_label": dict(self.escapes),
            "latency_ms": self.latency.summary(),
            "last": self.last,
        }
