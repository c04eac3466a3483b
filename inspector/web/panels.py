"""Panels of figures: a period, a Pareto, their words enter; a heading and a chart leave as HTML.

`dashboards` and `lot` put them on their pages; ``static/charts.css`` is their look.
"""

from __future__ import annotations

import html
from collections.abc import Sequence
from datetime import datetime

from inspector.quality.charts import p_chart
from inspector.quality.rules import signals
from inspector.store.figures import Period, Slice
from inspector.web import charts
from inspector.web.frame import Shown

SECOND = 10**9
STEPS = (60, 300, 600, 900, 1800, 3600, 7200, 10_800, 21_600, 43_200, 86_400, 172_800, 604_800,
         2_592_000)  # fmt: skip
"""Seconds between two ticks of an axis of time."""
TICKS_MAX = 8
LONG = 8
"""Characters of a figure that stand in a tile at full size."""


def over_time(shown: Shown, found: Period) -> str:
    """Parts in slices of a period, by outcome."""
    marks = ticks(found.slices)
    bars = [
        charts.Bar(
            said := _tick(shown, marks[i]) if i in marks else "",
            f"{shown.moment(s.from_ns, seconds=False)}: {s.passed} / {s.rejected} / {s.errors}",
            (s.passed, s.rejected, s.errors),
            (marks[i] - s.from_ns) / (s.to_ns - s.from_ns) if said else 0.5,
        )
        for i, s in enumerate(found.slices)
    ]
    title = shown.word("board.over_time")
    entries = (("pass", "board.good"), ("reject", "board.rejected"), ("error", "board.errors"))
    drawn = charts.stacked(bars, ("pass", "reject", "error"), title)
    return panel(title, drawn, "wide", legend(shown, entries))


def ticks(slices: Sequence[Slice]) -> dict[int, int]:
    """Round moments of the station's own time under slices of time, UTC ns by a slice's index: full
    hours, quarters, days, as many as there is room for."""
    if not slices:
        return {}
    length = sum(s.to_ns - s.from_ns for s in slices)
    step = next((s for s in STEPS if length <= TICKS_MAX * s * SECOND), STEPS[-1]) * SECOND
    found = {}
    for i, one in enumerate(slices):
        offset = datetime.fromtimestamp(one.from_ns / SECOND).astimezone().utcoffset()
        ahead = int(offset.total_seconds()) * SECOND if offset else 0
        round_ns = -(-(one.from_ns + ahead) // step) * step - ahead
        if round_ns < one.to_ns:
            found[i] = round_ns
    return found


def _tick(shown: Shown, at_ns: int) -> str:
    """A round moment under an axis: at midnight the day, else the time."""
    day, _, clock = shown.moment(at_ns, seconds=False).rpartition(" ")
    if clock != "00:00":
        return clock
    return day.rpartition(" ")[0] if shown.language == "en" else day.partition("年")[2]


def pareto(shown: Shown, counted: Sequence[tuple[str, int]]) -> str:
    """What was wrong, most frequent first, in the page's language."""
    title = shown.word("board.pareto")
    rows = [(shown.said(label), count) for label, count in counted]
    if not rows:
        return panel(title, none(shown, "board.no_defect"), "narrow")
    return panel(title, charts.pareto(rows, title), "narrow")


def control(shown: Shown, found: Period) -> str:
    """The share of rejected parts in a period's slices, with limits and where a rule spoke."""
    held = [s for s in found.slices if s.parts - s.errors - s.unseen > 0]
    title = shown.word("board.spc", len(held)) if len(held) > 1 else shown.word("board.spc.none")
    if len(held) < 2:
        said = shown.word("board.spc.one", f"{found.rejected:,}", f"{found.parts:,}")
        return panel(title, f'<p class="none">{html.escape(said)}</p>', "wide")
    if not found.rejected:
        return panel(title, none(shown, "board.no_defect"), "wide")
    judged = [s.parts - s.errors - s.unseen for s in held]
    chart = p_chart([s.rejected for s in held], judged)
    marks: dict[int, str] = {}
    for signal in signals(list(chart.z)):
        marks.setdefault(signal.at, signal.rule)
    drawn = charts.control(
        list(chart.points), chart.centre, list(chart.lower), list(chart.upper), marks,
        [shown.moment(s.from_ns, seconds=False) for s in held], title,
    )  # fmt: skip
    entries = (("", "board.spc.limits"), ("", "board.spc.rule"))
    return panel(title, drawn, "wide", legend(shown, entries))


def panel(title: str, drawn: str, width: str, key: str = "") -> str:
    """A card with its heading; ``width`` is ``wide``, ``narrow`` or empty."""
    heading = f"<h2>{html.escape(title)}</h2>" if title else ""
    return f'<section class="panel {width}">{heading}{drawn}{key}</section>'


def tiles(shown: Shown, values: Sequence[tuple[str, str]]) -> str:
    """Figures in a row: each a text and the key of its name; what begins with no digit, or is
    long, is smaller, so that it has room."""

    def size(value: str) -> str:
        return "" if value[:1].isdigit() and len(value) <= LONG else ' class="words"'

    return (
        '<div class="tiles">'
        + "".join(
            f'<div class="tile"><b{size(value)}>'
            f"{html.escape(value)}</b><span>{shown.word(word)}</span></div>"
            for value, word in values
        )
        + "</div>"
    )


def legend(shown: Shown, entries: tuple[tuple[str, str], ...]) -> str:
    """What the colours of a chart mean."""
    said = "".join(f'<span class="{look}">{shown.word(word)}</span>' for look, word in entries)
    return f'<div class="key">{said}</div>'


def none(shown: Shown, word: str) -> str:
    """Why a panel is empty."""
    return f'<p class="none">{shown.word(word)}</p>'
