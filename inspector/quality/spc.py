"""A batch's control charts, kept up with every part: rational subgroups, limits, signals.

Enters: verdicts in the order of the ledger. Leaves: p-charts (all faults, and each label), a
u-chart of defects per part, X̄-R charts of what is measured, and *alarms*, each with its evidence.
No I/O: ``process.py`` feeds it live, ``history.py`` feeds it a batch of the ledger.

A rational subgroup holds parts that were made one after the other, so that what varies inside it is
chance and what varies between subgroups is the process: a fixed number of consecutive judged parts
for attributes, and a few consecutive parts at intervals for measures. The first subgroups set the
limits (phase one; those beyond them are left out once, as Montgomery does); from then on the
selected rules speak. Only production is charted; parts that could not be judged are none.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from inspector.config import Quality
from inspector.part import Mode, Outcome, Verdict
from inspector.quality.capability import Capability, capability
from inspector.quality.charts import (
    D2,
    Chart,
    cusum,
    false_alarms,
    p_chart,
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

KIND = "spc"
"""Of the desk's records."""
CUSUM = "CUSUM, k 0.5 h 5"
DOUBLED = "CUSUM for twice as many"
ALL = "all faults"
DEFECTS = "defects per part"
LABELS_MAX = 40
"""Charts of labels and of measures, each; a recipe with more is charted as a whole."""
EXAMPLES = 8
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
        self._open: Group | None = None
        self._said: dict[tuple[str, str, str], int] = {}
        self._sums: dict[str, tuple[float, tuple[str, int, int]]] = {}
        """The count CUSUM of each rare fault, and since when it is above 0."""

    def part(self, verdict: Verdict) -> list[Alarm]:
        """The next part of the batch."""
        if verdict.mode is not Mode.AUTO or verdict.outcome not in (Outcome.PASS, Outcome.REJECT):
            return []
        self.parts += 1
        alarms = self._measure(verdict)
        group = self._open
        if group is None or group.stream != verdict.stream:
            # a new counter: what was begun under the old one is no subgroup of neighbours
            group = self._open = Group(verdict.stream, verdict.sequence, verdict.sequence)
        group.last, group.size = verdict.sequence, group.size + 1
        if verdict.outcome is Outcome.REJECT:
            group.faulty += 1
            wrong = [f.label for f in verdict.findings if not f.ok]
            group.defects += max(1, len(wrong))
            for label in dict.fromkeys(wrong):
                group.labels[label] = group.labels.get(label, 0) + 1
                if len(group.examples) < EXAMPLES:
                    group.examples.append((label, str(verdict.part_id)))
        if group.size >= self.plan.subgroup:
            self._open = None
            self.groups.append(group)
            del self.groups[:-GROUPS_MAX]
            alarms += self._attributes()
        return alarms

    @property
    def labels(self) -> list[str]:
        """What was wrong in this batch, the most frequent first."""
        total: dict[str, int] = {}
        for group in self.groups:
            for label, parts in group.labels.items():
                total[label] = total.get(label, 0) + parts
        return sorted(total, key=lambda label: (-total[label], label))[:LABELS_MAX]

    def p(self, label: str = ALL) -> Chart | None:
        """The p-chart of a label; None before the first subgroup."""
        if not self.groups:
            return None
        counts = [g.faulty if label == ALL else g.labels.get(label, 0) for g in self.groups]
        return p_chart(counts, [g.size for g in self.groups], self.centres.get(label))

    def u(self) -> Chart | None:
        """The u-chart of defects per part."""
        if not self.groups:
            return None
        sizes = [g.size for g in self.groups]
        return u_chart([g.defects for g in self.groups], sizes, self.centres.get(DEFECTS))

    def xbar_r(self, measure: str) -> tuple[Chart, Chart] | None:
        """X̄ and R of a measure; None before its first subgroup."""
        found = self.measures.get(measure)
        return xbar_r(found.groups, found.centre) if found and found.groups else None

    def capability(self, measure: str) -> Capability | None:
        """Cp and Cpk of a measure with a tolerance, σ from R̄; None where there is too little."""
        low, high = self.limits.get(measure, (None, None))
        found = self.measures.get(measure)
        if found is None or (low is None and high is None):
            return None
        values = [value for group in found.groups for value in group]
        charts = self.xbar_r(measure)
        if charts is None or not charts[1].centre:
            return None
        try:
            return capability(values, low, high, charts[1].centre / D2[self.plan.measured])
        except ValueError:
            return None

    def state(self) -> dict[str, Any]:
        """For pages: every chart with its newest points."""
        charts = {f"p: {label}": self.p(label) for label in (ALL, *self.labels)}
        charts[f"u: {DEFECTS}"] = self.u()
        for measure in self.measures:
            if both := self.xbar_r(measure):
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
        if len(self.groups) == self.plan.phase_one and not self.centres:
            for label in (ALL, *self.labels):
                self.centres[label] = _settled(self.p(label))
            self.centres[DEFECTS] = _settled(self.u())
            return []
        if not self.centres:
            return []
        alarms = []
        for label in (ALL, *self.labels):
            self.centres.setdefault(label, 1 / (2 * self.plan.subgroup * self.plan.phase_one))
            if chart := self.p(label):
                alarms += self._doubled("p", label, chart)
                alarms += self._alarms("p", label, chart, len(self.groups), self._evidence)
        if chart := self.u():
            alarms += self._doubled("u", DEFECTS, chart)
            alarms += self._alarms("u", DEFECTS, chart, len(self.groups), self._evidence)
        return alarms

    def _doubled(self, kind: str, name: str, chart: Chart) -> list[Alarm]:
        """A rare fault that has become twice as frequent, which no single subgroup shows: a CUSUM
        of its counts. It begins anew after each alarm."""
        if not chart.rare:
            return []
        newest = len(self.groups) - 1
        group = self.groups[newest]
        k, h, length = poisson_cusum(round(chart.centre * self.plan.subgroup, 4))
        before, since = self._sums.get(name, (0.0, (group.stream, group.first, newest)))
        if before == 0:
            since = (group.stream, group.first, newest)
        total = max(0.0, before + float(chart.points[newest]) * group.size - k)
        self._sums[name] = (0.0 if total > h else total, since)
        if total <= h:
            return []
        points = tuple(range(max(0, newest - 11, min(since[2], newest)), newest + 1))
        body = {
            "chart": f"{kind} cusum", "name": name, "rule": DOUBLED, "above": True,
            "batch": self.batch, "recipe": self.recipe, "centre": chart.centre, "limits": [0.0, h],
            "points": [float(chart.points[i]) for i in points],
            "since": {"stream": since[0], "number": since[1]}, "false_alarms": 1 / length,
            "evidence": self._evidence(points),
        }  # fmt: skip
        return [Alarm(f"{kind} cusum", name, DOUBLED, body)]

    def _measure(self, verdict: Verdict) -> list[Alarm]:
        alarms = []
        for f in verdict.findings:
            if f.value is None or f.value != f.value:
                continue
            name = f"{f.tool}/{f.label}"
            known = self.measures.get(name)
            if known is None:
                if len(self.measures) >= LABELS_MAX:
                    continue
                known = self.measures[name] = Measured(f.unit or "", since=self.plan.measured_every)
            known.since += 1
            stream, last = known.opened[0], known.opened[1] + len(known.open)
            if known.open and (stream, last) != (verdict.stream, verdict.sequence):
                known.open.clear()  # not consecutive: begin again
            if not known.open:
                if known.since < self.plan.measured_every:
                    continue
                known.opened, known.since = (verdict.stream, verdict.sequence), 0
            known.open.append(f.value)
            if len(known.open) == self.plan.measured:
                known.groups.append(known.open)
                known.where.append((verdict.stream, known.opened[1], verdict.sequence))
                known.open = []
                self._forget(known)
                alarms += self._measured(name, known)
        return alarms

    @staticmethod
    def _forget(known: Measured) -> None:
        over = len(known.groups) - GROUPS_MAX
        if over > 0:
            del known.groups[:over], known.where[:over]
            known.summed_from = max(0, known.summed_from - over)

    def _measured(self, name: str, known: Measured) -> list[Alarm]:
        if known.centre is None:
            if len(known.groups) == self.plan.phase_one:
                xbar, ranges = xbar_r(known.groups)
                out = {*xbar.outside, *ranges.outside}
                kept = [g for i, g in enumerate(known.groups) if i not in out] or known.groups
                xbar, ranges = xbar_r(kept)
                known.centre = (xbar.centre, ranges.centre)
            return []
        xbar, ranges = xbar_r(known.groups, known.centre)

        def evidence(points: tuple[int, ...]) -> dict[str, Any]:
            return {
                "unit": known.unit,
                "subgroups": [
                    {"stream": s, "first": first, "last": last, "values": known.groups[i]}
                    for i in points for s, first, last in [known.where[i]]
                ],
            }  # fmt: skip

        count = len(known.groups)
        return [
            *self._cusum(name, xbar, known, evidence),
            *self._alarms("range", name, ranges, count, evidence),
            *self._alarms("xbar", name, xbar, count, evidence),
        ]

    def _alarms(self, kind: str, name: str, chart: Chart, count: int, evidence: Any) -> list[Alarm]:
        """What the rules say of the newest point. A rule that goes on saying it is one alarm."""
        newest = len(chart.points) - 1
        found = []
        for signal in said(chart, 12, min(newest, 11)):
            key = (kind, name, signal.rule)
            before, self._said[key] = self._said.get(key, -2), count
            if count - before <= 1:
                continue
            points = tuple(newest - min(newest, 11) + i for i in signal.points)
            body = {
                "chart": kind, "name": name, "rule": signal.rule, "above": signal.above,
                "batch": self.batch, "recipe": self.recipe, "centre": chart.centre,
                "limits": [float(chart.lower[newest]), float(chart.upper[newest])],
                "points": [float(chart.points[i]) for i in points],
                "false_alarms": self.false_alarms().get(name, 0.0) if chart.rare
                else 1 / run_length(SELECTED),
            }  # fmt: skip
            found.append(Alarm(kind, name, signal.rule, body | {"evidence": evidence(points)}))
        return found

    def _cusum(self, name: str, xbar: Chart, known: Measured, evidence: Any) -> list[Alarm]:
        """A small shift that lasts, which no single point shows: a CUSUM of the subgroups' means
        since the limits were set. It begins anew after each alarm."""
        first = max(known.summed_from, self.plan.phase_one)
        z = [float(value) for value in xbar.z[first:]]
        if not z:
            return []
        sums = cusum(z, 0.0, 1.0)
        last = len(z) - 1
        if last not in sums.outside:
            return []
        began = first + sums.began(last)
        known.summed_from = len(known.groups)
        points = tuple(range(began, len(known.groups)))[-12:]
        body = {
            "chart": "cusum", "name": name, "rule": CUSUM, "batch": self.batch,
            "above": bool(sums.above[last] > sums.limit), "recipe": self.recipe,
            "centre": xbar.centre, "limits": [-sums.limit, sums.limit],
            "points": [float(xbar.points[i]) for i in points],
            "since": {"stream": known.where[began][0], "number": known.where[began][1]},
            "false_alarms": 1 / cusum_run_length(), "evidence": evidence(points),
        }  # fmt: skip
        return [Alarm("cusum", name, CUSUM, body)]

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


def said(chart: Chart, newest: int = 60, since: int = 0) -> list[Signal]:
    """What the rules say of a chart's newest points, by their place among these."""
    return signals(list(chart.z[-newest:]), (BEYOND,) if chart.rare else SELECTED, since)


def shown(chart: Chart, newest: int = 60) -> dict[str, Any]:
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
    # A process without a fault so far is not one that cannot fail: half an event, else every first
    # fault would be a signal of infinite strength.
    return sum(kept) / len(kept) if kept and sum(kept) > 0 else chart.centre or 5e-4
