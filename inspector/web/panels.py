"""Panels of figures: a period, a Pareto, their words enter; a heading and a chart leave as HTML.

`dashboards` and `lot` put them on their pages; ``static/charts.css`` is their look.
"""

from __future__ import annotations

import html
from collections.abc import Sequence

from nicegui import ui

from inspector.quality.charts import p_chart
from inspector.quality.rules import signals
from inspector.store.figures import Period
from inspector.web import charts
from inspector.web.frame import Shown

LONG = 8
"""Characters of a figure that stand in a tile at full size."""


def over_time(shown: Shown, found: Period) -> str:
    """Parts in slices of a period, by outcome."""
    slices = found.slices
    days = slices[-1].to_ns - slices[0].from_ns > 36 * 3600 * 10**9
    bars = [
        charts.Bar(
            _tick(shown, s.from_ns, days) if i % 8 == 0 else "",
            f"{shown.moment(s.from_ns, seconds=False)}: {s.passed} / {s.rejected} / {s.errors}",
            (s.passed, s.rejected, s.errors),
        )
        for i, s in enumerate(slices)
    ]
    title = shown.word("board.over_time")
    entries = (("pass", "board.good"), ("reject", "board.rejected"), ("error", "board.errors"))
    drawn = charts.stacked(bars, ("pass", "reject", "error"), title)
    return panel(title, drawn, "wide", legend(shown, entries))


def _tick(shown: Shown, at_ns: int, days: bool) -> str:
    """A moment under an axis: its day where the axis is days long, else its time."""
    day, _, clock = shown.moment(at_ns, seconds=False).rpartition(" ")
    return day.rsplit(" ", 1)[0] if days and shown.language == "en" else day if days else clock


def pareto(shown: Shown, counted: Sequence[tuple[str, int]]) -> str:
    """What was wrong, most frequent first, in the page's language."""
    title = shown.word("board.pareto")
    rows = [(shown.said(label), count) for label, count in counted]
    if not rows:
        return panel(title, none(shown, "board.no_defect"), "narrow")
    return panel(title, charts.pareto(rows, title), "narrow")


def control(shown: Shown, found: Period) -> str:
    """The share of rejected parts in a period's slices, with limits and where a rule spoke."""
    held = [s for s in found.slices if s.parts - s.errors > 0]
    title = shown.word("board.spc", len(held))
    if not found.rejected or len(held) < 2:
        return panel(title, none(shown, "board.no_defect"), "wide")
    chart = p_chart([s.rejected for s in held], [s.parts - s.errors for s in held])
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


def put(drawn: str) -> None:
    """Put finished HTML on the page as if it stood there itself."""
    ui.html(drawn, sanitize=False).style("display: contents")
