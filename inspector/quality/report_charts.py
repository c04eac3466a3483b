"""A batch's control charts and capability on paper.

Enters: `Facts`, words. Leaves: the flowables of their section. ``report.py`` imports it.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

from reportlab.platypus import Flowable, Spacer

from inspector.quality import paper
from inspector.quality.batch_facts import Facts
from inspector.quality.charts import Chart
from inspector.quality.paper import BAD, BODY, GOOD, NOTE
from inspector.quality.rules import SELECTED, run_length
from inspector.quality.spc import ALL, SHOWN, BatchCharts, said


def spc(facts: Facts, w: Any) -> Iterator[Flowable]:
    """The section of the charts, one for each recipe of the batch."""
    for recipe, charts in facts.charted.items():
        yield from _charted(charts, w, w["spc"] + f" · {recipe}" * (len(facts.charted) > 1))


def _charted(charts: BatchCharts, w: Any, title: str) -> Iterator[Flowable]:
    if not charts.parts:
        return
    if not charts.groups and not any(m.groups for m in charts.measures.values()):
        few = w["too_few"].format(charts.parts, charts.plan.subgroup)
        yield from paper.section(title, paper.text(few, BODY))
        return
    drawn: list[Flowable] = []
    spoken: list[tuple[int, int]] = []
    names = [ALL, *charts.labels[:2]]
    each: list[tuple[str, Chart | None, bool]] = []
    for name in names:
        of = w[ALL] if name == ALL else w.say(name)
        each.append((w["p_chart"].format(of, charts.plan.subgroup), charts.p(name), True))
    each.append((w["u_chart"], charts.u(), False))
    for measure, known in list(charts.measures.items())[:4]:
        if both := charts.xbar_r(measure):
            each.append((w["xbar"].format(measure, w.say(known.unit)), both[0], False))
            each.append((w["range"].format(measure), both[1], False))
    for caption, chart, percent in each:
        if chart is None or not len(chart.points):
            continue
        # what is drawn is the end of it; a rule that spoke before has spoken all the same
        end = len(chart.points)
        at = sorted({s.at for s in said(chart, end)})
        spoken += [(len(at), end)] if at else []
        drawn.append(paper.control_chart(
            list(chart.points[-SHOWN:]), chart.centre, list(chart.lower[-SHOWN:]),
            list(chart.upper[-SHOWN:]), [i - max(0, end - SHOWN) for i in at], caption=caption,
            shown=(lambda v: f"{100 * v:.2f} %") if percent
            else partial(paper.figure, span=float(chart.upper[-1] - chart.lower[-1])),
        ))  # fmt: skip
    verdict = w["rules_spoke"] if charts.alarmed else w["in_control"]
    if spoken:
        verdict = w["out_of_control"].format(*spoken[0])
    rules = w["rules_said"].format(round(run_length(SELECTED)))
    yield from paper.section(
        title, paper.coloured(verdict, BAD if spoken or charts.alarmed else GOOD, BODY),
        paper.text(rules, NOTE), Spacer(1, 3), *drawn[:1],
    )  # fmt: skip
    for one in drawn[1:]:
        yield one
        yield Spacer(1, 6)
    capable = [(m, charts.capability(m)) for m in charts.measures]
    rows = [
        [m, f"{c.n:,}", paper.figure(c.mean, c.sigma), paper.figure(c.sigma, c.sigma),
         f"{c.cp.value:.2f} ({c.cp.low:.2f}–{c.cp.high:.2f})" if c.cp else "–",
         f"{c.cpk.value:.2f} ({c.cpk.low:.2f}–{c.cpk.high:.2f})"]
        for m, c in capable if c
    ]  # fmt: skip
    if rows:
        interval = w["interval"]
        yield from paper.section(w["capability"], paper.table(
            (w["measure"], "n", w["mean"], "σ", f"Cp, {interval}", f"Cpk, {interval}"), rows,
            (3, 1, 1.4, 1.2, 2.2, 2.2), (1, 2, 3, 4, 5)))  # fmt: skip
