"""The loop's curve: what the world counted, and what happened meanwhile, enter; an SVG leaves."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

WIDE, HIGH, LEFT, TOP, BOTTOM = 960, 430, 70, 40, 150
WINDOW = 25
"""Parts with the defect that one point of the curve is the mean of."""


def plot(series: Sequence[tuple[int, int, int]], marks: Sequence[tuple[float, int, str]]) -> str:
    """Share of the parts with the new defect that were let through, over all parts at the gate.

    ``series`` is cumulative: parts, defective ones, those let through. ``marks`` are instants with
    the parts by then; those without parts are left out.
    """
    points = _rates(series)
    most = max((p for p, _, _ in series), default=1) or 1
    wide, high = WIDE - LEFT - 30, HIGH - TOP - BOTTOM

    def x(parts: float) -> float:
        return LEFT + wide * parts / most

    def y(rate: float) -> float:
        return TOP + high * (1 - rate)

    lines = [
        f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {WIDE} {HIGH}' "
        "font-family='system-ui,sans-serif' font-size='12'>",
        f"<rect width='{WIDE}' height='{HIGH}' fill='white'/>",
        f"<text x='{LEFT}' y='22' font-size='15' fill='#1b1f24'>Parts with the new defect that "
        "are let through, counted by the world at its gate</text>",
    ]
    for rate in (0, 0.25, 0.5, 0.75, 1):
        lines.append(
            f"<line x1='{LEFT}' x2='{LEFT + wide}' y1='{y(rate):.1f}' y2='{y(rate):.1f}' "
            "stroke='#eaeef2'/>"
            f"<text x='{LEFT - 8}' y='{y(rate) + 4:.1f}' text-anchor='end' fill='#57606a'>"
            f"{rate:.0%}</text>"
        )
    shown = [(parts, what) for _, parts, what in marks if parts]
    for number, (parts, _) in enumerate(shown, 1):
        lines.append(
            f"<line x1='{x(parts):.1f}' x2='{x(parts):.1f}' y1='{TOP}' y2='{TOP + high}' "
            "stroke='#8c959f' stroke-dasharray='3 4'/>"
            f"<text x='{x(parts) + 3:.1f}' y='{TOP + 12 + 13 * (number % 2)}' fill='#57606a'>"
            f"{number}</text>"
        )
    path = " ".join(f"{x(parts):.1f},{y(rate):.1f}" for parts, rate in points)
    lines.append(f"<polyline points='{path}' fill='none' stroke='#b42318' stroke-width='2.5'/>")
    for parts in range(0, most + 1, max(100, most // 8 // 100 * 100)):
        lines.append(
            f"<text x='{x(parts):.1f}' y='{TOP + high + 18}' text-anchor='middle' "
            f"fill='#57606a'>{parts}</text>"
        )
    lines.append(
        f"<text x='{LEFT + wide}' y='{TOP + high + 34}' text-anchor='end' fill='#57606a'>"
        f"parts at the gate; each point is the mean of {WINDOW} parts with the defect</text>"
    )
    for number, (_, what) in enumerate(shown, 1):
        column, row = divmod(number - 1, 5)
        lines.append(
            f"<text x='{LEFT + column * 440}' y='{TOP + high + 56 + row * 17}' fill='#1b1f24'>"
            f"{number}  {escape(what)}</text>"
        )
    return "\n".join([*lines, "</svg>\n"])


def _rates(series: Sequence[tuple[int, int, int]]) -> list[tuple[int, float]]:
    """The mean over the last ``WINDOW`` parts with the defect, where there are so many."""
    found = []
    for index, (parts, torn, through) in enumerate(series):
        early = next((s for s in reversed(series[: index + 1]) if torn - s[1] >= WINDOW), None)
        if early is not None and torn > early[1]:
            found.append((parts, (through - early[2]) / (torn - early[1])))
    return found
