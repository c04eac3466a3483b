"""Charts as SVG, in the page's own colours: figures enter, a picture leaves.

Colours are the tokens of ``static/tokens.css`` by class (``static/charts.css``), so a chart follows
light and dark by itself, prints, and can be tested as text. Every mark has a ``<title>``, which a
pointer shows and a screen reader says. Pure; ``dashboards`` and other pages import it.
"""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from dataclasses import dataclass

LEFT, RIGHT, TOP, BOTTOM = 60, 12, 12, 26
"""Margins for axes, in the chart's own units (about pixels); a count of a million has room."""


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar over time: what is stacked in it from below, and how it is called."""

    label: str
    """Under the axis; empty for most."""
    title: str
    values: tuple[float, ...]
    at: float = 0.5
    """Where its label stands under it: 0 is its left edge, 1 its right one."""


def stacked(
    bars: Sequence[Bar], looks: Sequence[str], caption: str, width: int = 760, height: int = 240
) -> str:
    """Counts of several kinds, stacked; ``looks`` are the kinds' classes, from below."""
    top = round_up(max(4.0, max((sum(bar.values) for bar in bars), default=0)))
    plot = _Plot(width, height, 0, top + -top % 4)  # no half parts on the axis
    step = plot.width / max(1, len(bars))
    drawn = [plot.axis()]
    for i, bar in enumerate(bars):
        x, base = LEFT + i * step, 0.0
        for value, look in zip(bar.values, looks, strict=True):
            if value > 0:
                y1, y2 = plot.y(base), plot.y(base + value)
                drawn.append(
                    f'<rect class="{look}" x="{x + step * 0.12:.1f}" y="{y2:.1f}"'
                    f' width="{max(1.0, step * 0.76):.1f}" height="{max(0.6, y1 - y2):.1f}">'
                    f"<title>{html.escape(bar.title)}</title></rect>"
                )
            base += value
        if bar.label:
            drawn.append(_text(x + step * bar.at, height - 8, bar.label, "tick middle"))
    return _svg(width, height, drawn, caption)


def pareto(rows: Sequence[tuple[str, int]], caption: str, width: int = 380) -> str:
    """Labels with their counts, most frequent first, and the share that they make together."""
    total, row, name = sum(count for _, count in rows), 30, 140
    height = max(60, row * len(rows) + 8)
    top = max((count for _, count in rows), default=1)
    room = width - name - 100
    drawn, so_far = [], 0
    for i, (label, count) in enumerate(rows):
        so_far += count
        y, length = i * row + 4, room * count / top
        share = f"{so_far / total:.0%}" if total else ""
        drawn += [
            _text(name - 10, y + 19, _cut(label, 18), "name end"),
            f'<rect class="defect" x="{name}" y="{y + 4}" width="{length:.1f}" height="20">'
            f"<title>{html.escape(label)}: {count}</title></rect>",
            _text(name + length + 8, y + 19, f"{count:,}", "figure"),
            _text(width - 4, y + 19, share, "tick end"),
        ]
    return _svg(width, height, drawn, caption)


def control(
    values: Sequence[float], centre: float, lower: Sequence[float], upper: Sequence[float],
    marks: dict[int, str], titles: Sequence[str], caption: str, width: int = 760,
    height: int = 240,
) -> str:  # fmt: skip
    """A control chart: points, centre, limits that may step, and the points where a rule spoke."""
    finite = [v for v in [*values, *upper] if math.isfinite(v)]
    plot = _Plot(width, height, 0, round_up(max(finite, default=1.0) * 1.05))
    count = max(1, len(values))

    def x(i: float) -> float:
        return LEFT + plot.width * (i + 0.5) / count

    def line(points: Sequence[float], look: str) -> str:
        path = " ".join(f"{x(i):.1f},{plot.y(v):.1f}" for i, v in enumerate(points))
        return f'<polyline class="{look}" points="{path}"/>'

    drawn = [plot.axis(percent=True), line(upper, "limit"), line(lower, "limit")]
    drawn.append(line([centre] * len(values), "centre"))
    drawn.append(line(values, "trace"))
    for i, value in enumerate(values):
        rule = marks.get(i, "")
        title = f"{titles[i]}: {value:.2%}" + (f", {rule}" if rule else "")
        said = f"<title>{html.escape(title)}</title>"
        px, py = x(i), plot.y(value)
        if rule:
            drawn.append(f'<path class="signal" d="M{px:.1f} {py - 8:.1f}l8 14h-16z">{said}</path>')
        else:
            drawn.append(f'<circle class="point" cx="{px:.1f}" cy="{py:.1f}" r="3">{said}</circle>')
    return _svg(width, height, drawn, caption)


def histogram(
    groups: Sequence[tuple[str, Sequence[float]]], low: float, high: float, caption: str,
    unit: str = "", bins: int = 40, width: int = 360, height: int = 140,
) -> str:  # fmt: skip
    """How often values lie where, of several groups (class, values) stacked."""
    span = (high - low) or 1.0
    counts = [[0] * bins for _ in groups]
    for heap, (_, values) in zip(counts, groups, strict=True):
        for value in values:
            heap[min(bins - 1, max(0, int((value - low) / span * bins)))] += 1
    bars = [
        Bar(
            f"{_number(low + span * i / bins)}{unit}" if i % max(1, bins // 4) == 0 else "",
            f"{_number(low + span * i / bins)}–{_number(low + span * (i + 1) / bins)}{unit}: "
            + " + ".join(str(heap[i]) for heap in counts),
            tuple(heap[i] for heap in counts),
        )
        for i in range(bins)
    ]
    return stacked(bars, [look for look, _ in groups], caption, width, height)


def heat(
    places: Sequence[tuple[float, float]], size: tuple[int, int], picture: str, caption: str,
    cells: int = 32,
) -> str:  # fmt: skip
    """Where on the product defects were: a grid over its picture. ``places`` in picture pixels."""
    width, height = size
    cell = max(width, height) / cells
    grid: dict[tuple[int, int], int] = {}
    for px, py in places:
        if 0 <= px < width and 0 <= py < height:
            at = int(px // cell), int(py // cell)
            grid[at] = grid.get(at, 0) + 1
    most = max(grid.values(), default=1)
    drawn = [f'<image href="{html.escape(picture)}" width="{width}" height="{height}"/>']
    for (cx, cy), count in sorted(grid.items()):
        strength = 0.25 + 0.6 * count / most
        drawn.append(
            f'<rect class="hot" x="{cx * cell:.1f}" y="{cy * cell:.1f}" width="{cell:.1f}"'
            f' height="{cell:.1f}" opacity="{strength:.2f}"><title>{count}</title></rect>'
        )
    return _svg(width, height, drawn, caption)


class _Plot:
    """The place between the axes, and its scale."""

    def __init__(self, width: int, height: int, low: float, high: float) -> None:
        self.width, self._height = width - LEFT - RIGHT, height - TOP - BOTTOM
        self._low, self._high = low, high if high > low else low + 1.0

    def y(self, value: float) -> float:
        share = (min(value, self._high) - self._low) / (self._high - self._low)
        return TOP + self._height * (1 - share)

    def axis(self, percent: bool = False) -> str:
        lines = []
        for i in range(5):
            value = self._low + (self._high - self._low) * i / 4
            y = self.y(value)
            said = f"{value:.1%}" if percent else _number(value)
            ends = f'x1="{LEFT}" x2="{LEFT + self.width}" y1="{y:.1f}" y2="{y:.1f}"'
            lines.append(f'<line class="grid" {ends}/>')
            lines.append(_text(LEFT - 6, y + 4, said, "tick end"))
        return "".join(lines)


def round_up(value: float) -> float:
    """A round number that is not less, and whose quarters are round too."""
    if value <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    return next(
        power * m for m in (1.2, 1.6, 2, 2.4, 4, 6, 8, 10, 12) if power * m >= value * 0.999
    )


def _number(value: float) -> str:
    """On an axis: three digits, of a larger one all before its point, and never an exponent."""
    return f"{value:,.0f}" if value >= 999.5 else f"{value:.3g}"


def _text(x: float, y: float, said: str, look: str) -> str:
    return f'<text class="{look}" x="{x:.1f}" y="{y:.1f}">{html.escape(said)}</text>'


def _cut(said: str, most: int) -> str:
    return said if len(said) <= most else f"{said[: most - 1]}…"


def _svg(width: int, height: int, drawn: Sequence[str], caption: str) -> str:
    return (
        f'<svg class="chart" viewBox="0 0 {width} {height}" role="img"'
        f' aria-label="{html.escape(caption)}">{"".join(drawn)}</svg>'
    )
