"""How many, and how long: what the line counts, and whether its counts agree. No I/O.

Enters: one call per thing that happened. Leaves: the batch's counts, figures for the metrics, and
differences between counts that should be equal (I1). Imports display (its ``Counts``), registers
and part; the line imports it.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import accumulate

from inspector.display import Counts
from inspector.part import GateAction, Mode, Outcome
from inspector.registers import U32, PlcStatus

STAGES = ("frame", "wait", "judge", "commit", "gate", "total")
"""Trigger → frame here; frame → judging; judging; verdict → durable; decision → acknowledged;
trigger → acknowledged."""
BOUNDS_MS = (0.5, 1, 2, 5, 10, 15, 20, 25, 30, 40, 50, 75, 100, 150, 200, 300, 500, 1000)
IN_TRANSIT = 3
"""Parts that may stand between the infeed sensor and the trigger eye."""
SETTLE_NS = 2_000_000_000
"""A difference that lasts this long is one; a shorter one is parts under way."""
BATCHES = 64
"""Batches whose counts are kept; one may go on after others."""
RECENT = 3000
"""Latencies kept for percentiles: a minute at 50 parts/s."""
SORTED_NS = 1_000_000_000


class Histogram:
    """Cumulative only when read: counting is one bisection."""

    __slots__ = ("buckets", "sum_ms")

    def __init__(self) -> None:
        self.buckets = [0] * (len(BOUNDS_MS) + 1)
        self.sum_ms = 0.0

    def add(self, ns: int) -> None:
        ms = ns / 1e6
        self.buckets[bisect_left(BOUNDS_MS, ms)] += 1
        self.sum_ms += ms

    def figures(self) -> tuple[float, ...]:
        """In the order of ``_names``: what is at most as long as each bound, the sum, the count."""
        up_to = tuple(accumulate(self.buckets))
        return (*up_to, round(self.sum_ms, 3), up_to[-1])


def _names(stage: str) -> tuple[str, ...]:
    """Of a stage's histogram in ``/metrics``; put together once, not five times a second."""
    bounds = (*BOUNDS_MS, "+Inf")
    buckets = [f'stage_ms_bucket{{stage="{stage}",le="{bound}"}}' for bound in bounds]
    return (*buckets, f'stage_ms_sum{{stage="{stage}"}}', f'stage_ms_count{{stage="{stage}"}}')


_NAMES = tuple(_names(stage) for stage in STAGES)


@dataclass(slots=True)
class Counters:
    """Everything since the process started, and the production counts of each batch."""

    triggers: int = 0
    frames: Counter[str] = field(default_factory=Counter)
    outcomes: Counter[tuple[Outcome, Mode]] = field(default_factory=Counter)
    gate: Counter[GateAction] = field(default_factory=Counter)
    unacknowledged: int = 0
    late: int = 0
    batches: dict[str, Counter[Outcome]] = field(default_factory=dict)
    stages: dict[str, Histogram] = field(
        default_factory=lambda: {stage: Histogram() for stage in STAGES}
    )
    statistics: dict[str, Mapping[str, object]] = field(default_factory=dict)
    """What each camera said of itself last."""
    recent_ms: deque[float] = field(default_factory=lambda: deque(maxlen=RECENT))
    arrivals_ns: deque[int] = field(default_factory=lambda: deque(maxlen=1024))
    _sorted_ns: int = -SORTED_NS
    _percentiles: dict[str, float] = field(default_factory=dict)

    def triggered(self, trigger_ns: int) -> None:
        """A part was counted by the authority."""
        self.triggers += 1
        self.arrivals_ns.append(trigger_ns)

    def judged(self, outcome: Outcome, mode: Mode, batch: str) -> None:
        """A verdict was made. Only ``auto`` counts as production, and what is by-passed."""
        self.outcomes[outcome, mode] += 1
        if mode is Mode.AUTO or outcome is Outcome.NOT_INSPECTED:
            self.batches.setdefault(batch, Counter())[outcome] += 1
            if len(self.batches) > BATCHES:
                del self.batches[next(iter(self.batches))]

    @property
    def verdicts(self) -> int:
        """Verdicts of all outcomes and modes."""
        return self.outcomes.total()

    def batch(self, batch: str) -> Counts:
        """The production counts of ``batch``: with what it had made before the process started, as
        far as ``batches`` was given it (``restart.produced``)."""
        of = self.batches.get(batch, Counter())
        return Counts(
            of.total(), of[Outcome.PASS], of[Outcome.REJECT], of[Outcome.ERROR],
            of[Outcome.NOT_INSPECTED],
        )  # fmt: skip

    def percentiles(self, now_ns: int) -> dict[str, float]:
        """Trigger to acknowledged decision, in ms; empty without parts. Sorted once a second."""
        if now_ns >= self._sorted_ns + SORTED_NS:
            self._sorted_ns = now_ns
            ordered = sorted(self.recent_ms)
            last = len(ordered) - 1
            named = {"p50": 0.5, "p95": 0.95, "p99": 0.99, "max": 1.0} if ordered else {}
            self._percentiles = {n: round(ordered[round(last * q)], 2) for n, q in named.items()}
        return self._percentiles

    def rate(self, now_ns: int) -> tuple[float, float]:
        """Parts per second and ms per part over the last ten seconds."""
        recent = [ns for ns in self.arrivals_ns if ns > now_ns - 10_000_000_000]
        if len(recent) < 2:
            return 0.0, 0.0
        span_ns = max(1, recent[-1] - recent[0])
        if now_ns - recent[-1] > 2_000_000_000:
            span_ns += now_ns - recent[-1]
        per_s = (len(recent) - 1) * 1e9 / span_ns
        return per_s, 1e3 / per_s

    def figures(self) -> dict[str, float]:
        """For ``/metrics``."""
        figures: dict[str, float] = {
            "triggers_total": self.triggers,
            "verdicts_total": self.verdicts,
            "gate_unacknowledged_total": self.unacknowledged,
            "late_total": self.late,
        }
        for view, n in self.frames.items():
            figures[f'frames_total{{view="{view}"}}'] = n
        for view, statistics in self.statistics.items():
            for name, value in statistics.items():
                if isinstance(value, int | float) and not isinstance(value, bool):
                    figures[f'camera_{name}{{view="{view}"}}'] = float(value)
        for (outcome, mode), n in self.outcomes.items():
            figures[f'parts_total{{outcome="{outcome}",mode="{mode}"}}'] = n
        for action, n in self.gate.items():
            figures[f'gate_decisions_total{{action="{action}"}}'] = n
        for names, histogram in zip(_NAMES, self.stages.values(), strict=True):
            figures.update(zip(names, histogram.figures(), strict=True))
        return figures


class Reconciler:
    """Compares counts that should be equal: infeed and triggers, triggers and verdicts."""

    def __init__(self) -> None:
        self._base: tuple[int, int] | None = None
        self._since: dict[str, int] = {}

    def begin(self, status: PlcStatus) -> None:
        """A new run: what was between the sensors then stays so."""
        self._base = (status.infeed, status.part_counter)
        self._since.clear()

    def differences(self, status: PlcStatus, owed: int, now_ns: int) -> list[str]:
        """Those that have lasted. ``owed``: parts triggered more than their time ago and without
        a verdict."""
        if self._base is None:
            self.begin(status)
        assert self._base is not None
        infeed = status.infeed - self._base[0] & U32
        triggers = status.part_counter - self._base[1] & U32
        between = infeed - triggers
        found = {}
        if not -IN_TRANSIT <= between <= IN_TRANSIT:
            found["infeed"] = f"infeed {infeed}, triggers {triggers}"
        if owed:
            found["verdicts"] = f"{owed} parts have no verdict"
        self._since = {name: self._since.get(name, now_ns) for name in found}
        return [text for name, text in found.items() if now_ns - self._since[name] >= SETTLE_NS]
