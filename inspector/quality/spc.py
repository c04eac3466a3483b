"""A batch's control charts, kept up with every part: rational subgroups, limits, signals.

Enters: parts in the order of the ledger. Leaves: p-charts (all faults, and each label), a
u-chart of defects per part, X̄-R charts of what is measured, and *alarms*, each with its evidence.
No I/O: ``follow.py`` feeds it live, ``batch_facts.py`` a batch of the ledger.

A rational subgroup holds parts that were made one after the other, so that what varies inside it is
chance and what varies between subgroups is the process: a fixed number of consecutive judged parts
for attributes, and a few consecutive parts at intervals for measures. The first subgroups set the
limits (phase one; those beyond them are left out once, as Montgomery does); from then on the
selected rules speak. Only production is charted; parts that could not be judged are none.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from inspector.config import Quality
from inspector.part import Mode, Outcome, Verdict
from inspector.quality.capability import Capability, capability
from inspector.quality.charts import (
    Chart,
    false_alarms,
    p_chart,
    range_cdf,
    range_sigma,
    u_chart,
    xbar_r,
)
from inspector.quality.rules import (
    BEYOND,
    SELECTED,
    Signal,
    cusum_run_length,
    poisson_cusum,
    run_length,
    signals,
)
from inspector.quality.subgroups import Group, Measured
from inspector.store.judged import Judged, judged

KIND = "spc"
"""Of the desk's records."""
CUSUM = "CUSUM, k 0.5 h 5"
DOUBLED = "CUSUM for twice as many"
ALL = "all faults"
DEFECTS = "defects per part"
LABELS_MAX = 40
"""Charts of labels and of measures, each; a recipe with more is charted as a whole."""
EXAMPLES = 8
NEWEST = 12
"""Points of a chart that its rules look at: none of them asks for more than nine."""
SHOWN = 60
"""Points of a chart that a page shows."""
ALLOWANCE, LIMIT = 0.5, 5.0
"""k and h of the CUSUM of means, as in `CUSUM`."""
GROUPS_MAX = 2000
"""Subgroups kept; older ones stay in the ledger."""

Limits = Mapping[str, tuple[float | None, float | None]]
"""Tolerance by measure: lower and upper limit, either may be None."""


@dataclass(frozen=True, slots=True)
class Alarm:
    """A chart that is out of control, with the evidence attached."""

    chart: str
    """``p``, ``u``, ``xbar`` or ``range``."""
    name: str
    """The label or the measure."""
    rule: str
    body: dict[str, Any]
    """For the desk's record."""


class BatchCharts:
    """One batch under one recipe."""

    def __init__(
        self, plan: Quality, batch: str, recipe: str, limits: Limits | None = None
    ) -> None:
        self.plan, self.batch, self.recipe = plan, batch, recipe
        self.limits = dict(limits or {})
        self.groups: list[Group] = []
        self.measures: dict[str, Measured] = {}
        self.centres: dict[str, float] = {}
        """Phase one's p̄ by label, and ū."""
        self.parts = 0
        self.alarmed = False
        """Whether any rule has spoken."""
        self._open: Group | None = None
        self.closed = 0
        """Subgroups that ever were: ``groups`` are the newest of them."""
        self._totals: dict[str, int] = {}
        """Faulty parts by label, in all of ``groups``."""
        self._said: dict[tuple[str, str, str], int] = {}
        self._sums: dict[str, tuple[float, tuple[str, int, int]]] = {}
        """The count CUSUM of each rare fault, and since when it is above 0."""

    def part(self, part: Judged | Verdict) -> list[Alarm]:
        """The next part of the batch."""
        seen = judged(part) if isinstance(part, Verdict) else part
        job, outcome = seen.job, seen.outcome
        if job.mode is not Mode.AUTO or outcome not in (Outcome.PASS, Outcome.REJECT):
            return []
        self.parts += 1
        alarms = self._measure(seen)
        group = self._open
        if group is None or group.stream != job.stream:
            # a new counter: what was begun under the old one is no subgroup of neighbours
            group = self._open = Group(job.stream, seen.sequence, seen.sequence)
        group.last, group.size = seen.sequence, group.size + 1
        if outcome is Outcome.REJECT:
            group.faulty += 1
            wrong = [sort.label for sort, _, _ in seen.findings if not sort.ok]
            group.defects += max(1, len(wrong))
            for label in dict.fromkeys(wrong):
                group.labels[label] = group.labels.get(label, 0) + 1
                if len(group.examples) < EXAMPLES:
                    group.examples.append((label, seen.part_id))
        if group.size >= self.plan.subgroup:
            self._open = None
            self._keep(group)
            alarms += self._attributes()
        self.alarmed = self.alarmed or bool(alarms)
        return alarms

    def _keep(self, group: Group) -> None:
        self.closed += 1
        self.groups.append(group)
        for label, parts in group.labels.items():
            self._totals[label] = self._totals.get(label, 0) + parts
        for old in self.groups[:-GROUPS_MAX]:
            for label, parts in old.labels.items():
                self._totals[label] -= parts
        del self.groups[:-GROUPS_MAX]

    @property
    def labels(self) -> list[str]:
        """What was wrong in this batch, the most frequent first."""
        total = {label: parts for label, parts in self._totals.items() if parts}
        return sorted(total, key=lambda label: (-total[label], label))[:LABELS_MAX]

    def p(self, label: str = ALL, newest: int | None = None) -> Chart | None:
        """The p-chart of a label, or its ``newest`` points; None before the first subgroup."""
        if not self.groups:
            return None
        groups = self._of(newest, label)
        counts = [g.faulty if label == ALL else g.labels.get(label, 0) for g in groups]
        return p_chart(counts, [g.size for g in groups], self.centres.get(label))

    def u(self, newest: int | None = None) -> Chart | None:
        """The u-chart of defects per part, or its ``newest`` points."""
        if not self.groups:
            return None
        groups = self._of(newest, DEFECTS)
        sizes = [g.size for g in groups]
        return u_chart([g.defects for g in groups], sizes, self.centres.get(DEFECTS))

    def xbar_r(self, measure: str, newest: int | None = None) -> tuple[Chart, Chart] | None:
        """X̄ and R of a measure, or their ``newest`` points; None before its first subgroup."""
        found = self.measures.get(measure)
        if not found or not found.groups:
            return None
        groups = found.groups[-newest:] if newest and found.centre else found.groups
        return xbar_r(groups, found.centre)

    def _of(self, newest: int | None, label: str) -> list[Group]:
        """The newest subgroups; all of them while they themselves make the centre."""
        return self.groups[-newest:] if newest and label in self.centres else self.groups

    def capability(self, measure: str) -> Capability | None:
        """Cp and Cpk of a measure with a tolerance, σ from the ranges of the very subgroups whose
        values they are of; None where there is too little."""
        low, high = self.limits.get(measure, (None, None))
        found = self.measures.get(measure)
        if found is None or not found.groups or (low is None and high is None):
            return None
        values = [value for group in found.groups for value in group]
        sigma, df = range_sigma(found.groups)
        try:
            return capability(values, low, high, sigma, df=df)
        except ValueError:
            return None

    def state(self) -> dict[str, Any]:
        """For pages: every chart with its newest points."""
        charts = {f"p: {label}": self.p(label, SHOWN) for label in (ALL, *self.labels)}
        charts[f"u: {DEFECTS}"] = self.u(SHOWN)
        for measure in self.measures:
            if both := self.xbar_r(measure, SHOWN):
                charts[f"xbar: {measure}"], charts[f"range: {measure}"] = both
        capable = {m: self.capability(m) for m in self.measures}
        return {
            "batch": self.batch,
            "recipe": self.recipe,
            "parts": self.parts,
            "subgroups": len(self.groups),
            "monitoring": bool(self.centres),
            "false_alarms": self.false_alarms(),
            "charts": {name: shown(chart) for name, chart in charts.items() if chart},
            "capability": {
                m: {
                    "n": c.n, "mean": c.mean, "sigma": c.sigma,
                    "cp": [c.cp.value, c.cp.low, c.cp.high] if c.cp else None,
                    "cpk": [c.cpk.value, c.cpk.low, c.cpk.high],
                } for m, c in capable.items() if c
            },
        }  # fmt: skip

    def false_alarms(self) -> dict[str, float]:
        """How often a chart that is in control would alarm, per subgroup: of the rules together for
        normal points, and of the 3 σ limits for these charts' own distributions."""
        rates = {"rules": 1 / run_length(SELECTED)}
        size = self.plan.subgroup
        for label, centre in self.centres.items():
            rates[label] = false_alarms("u" if label == DEFECTS else "p", centre, size)
        return rates

    def _attributes(self) -> list[Alarm]:
        # A process without a fault so far is not one that cannot fail: half an event, else every
        # first fault would be a signal of infinite strength.
        half = 1 / (2 * self.plan.subgroup * self.plan.phase_one)
        if len(self.groups) == self.plan.phase_one and not self.centres:
            for label in (ALL, *self.labels):
                self.centres[label] = _settled(self.p(label)) or half
            self.centres[DEFECTS] = _settled(self.u()) or half
            return []
        if not self.centres:
            return []
        alarms = []
        for label in (ALL, *self.labels):
            self.centres.setdefault(label, half)
            if chart := self.p(label, NEWEST):
                alarms += self._doubled("p", label, chart)
                alarms += self._alarms("p", label, chart, self.closed, self._evidence)
        if chart := self.u(NEWEST):
            alarms += self._doubled("u", DEFECTS, chart)
            alarms += self._alarms("u", DEFECTS, chart, self.closed, self._evidence)
        return alarms

    def _doubled(self, kind: str, name: str, chart: Chart) -> list[Alarm]:
        """A rare fault that has become twice as frequent, which no single subgroup shows: a CUSUM
        of its counts. It begins anew after each alarm."""
        if not chart.rare:
            return []
        group, here = self.groups[-1], self.closed - 1
        k, h, length = poisson_cusum(round(chart.centre * self.plan.subgroup, 4))
        before, since = self._sums.get(name, (0.0, (group.stream, group.first, here)))
        if before == 0:
            since = (group.stream, group.first, here)
        total = max(0.0, before + float(chart.points[-1]) * group.size - k)
        self._sums[name] = (0.0 if total > h else total, since)
        if total <= h:
            return []
        points = tuple(range(-min(NEWEST, here + 1 - min(since[2], here), len(self.groups)), 0))
        return [self._alarm(f"{kind} cusum", name, DOUBLED, {
            "above": True, "centre": chart.centre, "limits": [0.0, h],
            "points": [float(p) for p in chart.points[-len(points):]],
            "since": {"stream": since[0], "number": since[1]}, "false_alarms": 1 / length,
            "evidence": self._evidence(points),
        })]  # fmt: skip

    def _measure(self, part: Judged) -> list[Alarm]:
        alarms: list[Alarm] = []
        place = (part.job.stream, part.sequence)
        every = self.plan.measured_every
        for sort, _, value in part.findings:
            if value is None or not math.isfinite(value):
                continue
            known = self.measures.get(sort.name)
            if known is None:
                if len(self.measures) >= LABELS_MAX:
                    continue
                known = self.measures[sort.name] = Measured(sort.unit or "", since=every)
            if known.seen == place:
                continue  # a subgroup is of parts: of several findings of a name the first counts
            known.seen, known.since = place, known.since + 1
            if known.open and (known.opened[0], known.opened[1] + len(known.open)) != place:
                known.open.clear()  # not consecutive: begin again
            if not known.open:
                if known.since < every:
                    continue
                known.opened, known.since = place, 0
            known.open.append(value)
            if len(known.open) == self.plan.measured:
                known.close(part.sequence, GROUPS_MAX)
                alarms += self._measured(sort.name, known)
        return alarms

    def _measured(self, name: str, known: Measured) -> list[Alarm]:
        if known.centre is None:
            if len(known.groups) == self.plan.phase_one:
                xbar, ranges = xbar_r(known.groups)
                out = {*xbar.outside, *ranges.outside}
                kept = [g for i, g in enumerate(known.groups) if i not in out] or known.groups
                xbar, ranges = xbar_r(kept)
                known.centre = (xbar.centre, ranges.centre)
                known.sums.anew(len(known.groups))
            return []
        xbar, ranges = xbar_r(known.groups[-NEWEST:], known.centre)

        def evidence(points: tuple[int, ...]) -> dict[str, Any]:
            return {
                "unit": known.unit,
                "subgroups": [
                    {"stream": s, "first": first, "last": last, "values": known.groups[i]}
                    for i in points for s, first, last in [known.where[i]]
                ],
            }  # fmt: skip

        return [
            *self._cusum(name, xbar, known, evidence),
            *self._alarms("range", name, ranges, known.count, evidence),
            *self._alarms("xbar", name, xbar, known.count, evidence),
        ]

    def _alarms(self, kind: str, name: str, chart: Chart, count: int, evidence: Any) -> list[Alarm]:
        """What the rules say of the newest point of all ``count``, at the end of a chart of the
        newest ones. A rule that goes on saying it is one alarm."""
        found = []
        shown = min(NEWEST, len(chart.points))
        cdf = range_cdf(self.plan.measured) if kind == "range" else None
        for signal in said(chart, shown, shown - 1):
            key = (kind, name, signal.rule)
            before, self._said[key] = self._said.get(key, -2), count
            if count - before <= 1:
                continue
            found.append(self._alarm(kind, name, signal.rule, {
                "above": signal.above, "centre": chart.centre,
                "limits": [float(chart.lower[-1]), float(chart.upper[-1])],
                "points": [float(chart.points[i - shown]) for i in signal.points],
                "false_alarms": self.false_alarms().get(name, 0.0) if chart.rare
                else 1 / run_length(SELECTED, cdf=cdf),
                "evidence": evidence(tuple(i - shown for i in signal.points)),
            }))  # fmt: skip
        return found

    def _cusum(self, name: str, xbar: Chart, known: Measured, evidence: Any) -> list[Alarm]:
        """A small shift that lasts, which no single point shows: a CUSUM of the subgroups' means
        since the limits were set. It begins anew after each alarm."""
        sums = known.sums
        sums.add(float(xbar.z[-1]), known.count - 1, ALLOWANCE)
        if max(sums.above, sums.below) <= LIMIT:
            return []
        above, began = sums.above > LIMIT, max(0, sums.began - known.forgotten)
        sums.anew(known.count)
        points = tuple(range(began, len(known.groups)))[-NEWEST:]
        return [self._alarm("cusum", name, CUSUM, {
            "above": above, "centre": xbar.centre, "limits": [-LIMIT, LIMIT],
            "points": [float(p) for p in xbar.points[-len(points):]],
            "since": {"stream": known.where[began][0], "number": known.where[began][1]},
            "false_alarms": 1 / cusum_run_length(), "evidence": evidence(points),
        })]  # fmt: skip

    def _alarm(self, chart: str, name: str, rule: str, evidence: Mapping[str, Any]) -> Alarm:
        named = {"chart": chart, "name": name, "rule": rule}
        body = named | {"batch": self.batch, "recipe": self.recipe} | dict(evidence)
        return Alarm(chart, name, rule, body)

    def _evidence(self, points: tuple[int, ...]) -> dict[str, Any]:
        groups = [self.groups[i] for i in points]
        return {
            "subgroups": [
                {"stream": g.stream, "first": g.first, "last": g.last, "parts": g.size,
                 "faulty": g.faulty, "labels": dict(g.labels)} for g in groups
            ],
            "examples": [{"label": label, "part": part} for g in groups[::-1]
                         for label, part in g.examples][:EXAMPLES],
        }  # fmt: skip


def said(chart: Chart, newest: int = SHOWN, since: int = 0) -> list[Signal]:
    """What the rules say of a chart's newest points, by their place among these."""
    return signals(list(chart.z[-newest:]), (BEYOND,) if chart.rare else SELECTED, since)


def shown(chart: Chart, newest: int = SHOWN) -> dict[str, Any]:
    """A chart's newest points, for a page or a report."""
    return {
        "kind": chart.kind,
        "centre": chart.centre,
        "points": [float(p) for p in chart.points[-newest:]],
        "lower": [float(p) for p in chart.lower[-newest:]],
        "upper": [float(p) for p in chart.upper[-newest:]],
        "signals": sorted({s.at for s in said(chart, newest)}),
    }


def _settled(chart: Chart | None) -> float:
    """The centre without the points that are beyond the limits of all."""
    if chart is None:
        return 0.0
    kept = [float(p) for i, p in enumerate(chart.points) if i not in chart.outside]
    return sum(kept) / len(kept) if sum(kept) > 0 else chart.centre
