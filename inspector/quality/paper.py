"""How our printed pages look: font, colours, styles, charts.

Enters: numbers and words. Leaves: reportlab flowables. ``report.py`` and ``sheet.py`` import it,
and only in a process of their own: no PDF runs where the line's or the plant's answers are made.
The font is a subset of Noto Sans CJK SC and Noto Sans (OFL), made by ``scripts/font``: one hand for
all languages.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from html import escape
from pathlib import Path
from typing import Any

from reportlab.graphics.shapes import Drawing, Line, PolyLine, Rect, String
from reportlab.lib.colors import Color, HexColor, white
from reportlab.lib.enums import TA_RIGHT
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.platypus import (
    BaseDocTemplate,
    Flowable,
    Frame,
    KeepTogether,
    PageTemplate,
    Paragraph,
    Spacer,
    Table,
)

FONT = "InspectorSans"
INK, SOFT, RULE = HexColor("#16202c"), HexColor("#5c6b7a"), HexColor("#d5dce3")
DEEP, PALE = HexColor("#0f4c81"), HexColor("#eef3f8")
GOOD, BAD, WARN = HexColor("#1b7f4b"), HexColor("#b3261e"), HexColor("#b26a00")
MARGIN = 18 * mm
WIDTH = A4[0] - 2 * MARGIN


def _style(name: str, size: float, colour: Color = INK, **more: Any) -> ParagraphStyle:
    return ParagraphStyle(
        name, fontName=FONT, fontSize=size, leading=size * 1.45, textColor=colour,
        **more,
    )  # fmt: skip


BODY = _style("body", 8.5)
NOTE = _style("note", 7.5, SOFT)
CELL = _style("cell", 8)
NUMBER = _style("number", 8, alignment=TA_RIGHT)
HEAD = _style("head", 7.5, SOFT)
HEAD_RIGHT = _style("head-right", 7.5, SOFT, alignment=TA_RIGHT)
SECTION = _style("section", 12.5, DEEP, spaceBefore=6, spaceAfter=3)
TITLE = _style("title", 21)
BIG = _style("big", 19)
KICKER = _style("kicker", 8.5, DEEP)

LONGEST = 1000
"""Characters of a text: a code holds thousands, and a row that is higher than a page is refused."""


def speak(language: str) -> None:
    """Ready the font, and break lines as ``language`` does: Chinese has no spaces between words."""
    load_font()
    for style in (BODY, NOTE, CELL, NUMBER, HEAD, HEAD_RIGHT, SECTION, TITLE, BIG, KICKER):
        style.wordWrap = "CJK" if language == "zh" else None


def load_font() -> None:
    """Register the font, once."""
    if FONT not in pdfmetrics.getRegisteredFontNames():
        pdfmetrics.registerFont(TTFont(FONT, Path(__file__).parent / "InspectorSans.ttf"))
        pdfmetrics.registerFontFamily(FONT, FONT, FONT, FONT, FONT)


def text(value: object, style: ParagraphStyle = CELL) -> Paragraph:
    """Plain text as a paragraph; nothing in it is markup. Of a long one its beginning is printed,
    and how much there is of it."""
    return Paragraph(_plain(value), style)


def coloured(value: object, colour: Color, style: ParagraphStyle = CELL) -> Paragraph:
    """The same in a colour."""
    return Paragraph(f'<font color="#{colour.hexval()[2:]}">{_plain(value)}</font>', style)


def _plain(value: object) -> str:
    said = str(value)
    return escape(said if len(said) <= LONGEST else f"{said[:LONGEST]}… ({len(said):,})")


def figure(value: float, span: float) -> str:
    """A number with as many decimals as tell a hundredth of ``span`` apart: of four digits a
    chart's centre and its limits may be one and the same."""
    decimals = 2 - math.floor(math.log10(span)) if 0 < span < math.inf else 4
    return f"{value:.{min(max(decimals, 0), 9)}f}"


def write(
    path: Path, story: list[Flowable], *, title: str, running: str,
    page: Callable[[int], str], author: str,
) -> None:  # fmt: skip
    """The document at ``path``. ``running`` stands at the foot of every page beside its number."""
    load_font()

    def decorate(canvas: Any, document: Any) -> None:
        canvas.saveState()
        canvas.setStrokeColor(RULE)
        canvas.line(MARGIN, 14 * mm, A4[0] - MARGIN, 14 * mm)
        canvas.setFont(FONT, 7)
        canvas.setFillColor(SOFT)
        canvas.drawString(MARGIN, 10 * mm, running)
        canvas.drawRightString(A4[0] - MARGIN, 10 * mm, page(document.page))
        canvas.restoreState()

    document = BaseDocTemplate(
        str(path), pagesize=A4, leftMargin=MARGIN, rightMargin=MARGIN, topMargin=16 * mm,
        bottomMargin=18 * mm, title=title, author=author, subject=running,
    )  # fmt: skip
    frame = Frame(
        MARGIN, 18 * mm, WIDTH, A4[1] - 34 * mm, leftPadding=0, rightPadding=0, topPadding=0,
        bottomPadding=0,
    )  # fmt: skip
    document.addPageTemplates(PageTemplate("page", [frame], onPage=decorate))
    document.build(story)


def heading(title: str, lead: str, details: Sequence[tuple[str, str]]) -> list[Flowable]:
    """The head of the first page: what this is, of what, and the facts that name it."""
    facts = [[text(name, HEAD), text(value)] for name, value in details if value]
    half = (len(facts) + 1) // 2
    rows = [
        [*facts[i], *(facts[half + i] if half + i < len(facts) else ["", ""])] for i in range(half)
    ]
    block: list[Flowable] = [text(title, KICKER), text(lead, TITLE), Spacer(1, 5)]
    if rows:
        block.append(Table(
            rows, [26 * mm, WIDTH / 2 - 26 * mm] * 2, hAlign="LEFT",
            style=[("VALIGN", (0, 0), (-1, -1), "TOP"), ("LEFTPADDING", (0, 0), (-1, -1), 0),
                   ("TOPPADDING", (0, 0), (-1, -1), 1), ("BOTTOMPADDING", (0, 0), (-1, -1), 1),
                   ("LINEABOVE", (0, 0), (-1, 0), 0.6, DEEP)],
        ))  # fmt: skip
    return [*block, Spacer(1, 8)]


def tiles(values: Sequence[tuple[str, str, Color]]) -> Table:
    """Key figures side by side: name, value, colour of the value."""
    width = WIDTH / len(values)
    cells = [[coloured(value, colour, BIG), text(name, HEAD)] for name, value, colour in values]
    return Table(
        [[Table([[big], [small]], [width - 10], style=[("LEFTPADDING", (0, 0), (-1, -1), 0),
                ("TOPPADDING", (0, 0), (-1, -1), 0), ("BOTTOMPADDING", (0, 0), (-1, -1), 2)])
          for big, small in cells]],
        [width] * len(values),
        style=[("BACKGROUND", (0, 0), (-1, -1), PALE), ("LEFTPADDING", (0, 0), (-1, -1), 8),
               ("TOPPADDING", (0, 0), (-1, -1), 6), ("BOTTOMPADDING", (0, 0), (-1, -1), 4),
               ("LINEBEFORE", (1, 0), (-1, -1), 2, white)],
    )  # fmt: skip


def section(title: str, *content: Flowable, whole: bool = True) -> list[Flowable]:
    """A titled section; ``whole``: the title and what follows stay on one page."""
    body = [text(title, SECTION), *content, Spacer(1, 7)]
    return [KeepTogether(body)] if whole else [KeepTogether(body[:2]), *body[2:]]


def table(
    head: Sequence[str], rows: Sequence[Sequence[object]], widths: Sequence[float],
    right: Sequence[int] = (),
) -> Table:  # fmt: skip
    """A table with light rules; ``widths`` are shares of the line, ``right`` columns of numbers."""
    total = sum(widths)
    lines: list[list[Any]] = [
        [text(name, HEAD_RIGHT if i in right else HEAD) for i, name in enumerate(head)]
    ]
    for row in rows:
        lines.append([
            cell if isinstance(cell, Flowable) else text(cell, NUMBER if i in right else CELL)
            for i, cell in enumerate(row)
        ])  # fmt: skip
    return Table(
        lines, [WIDTH * width / total for width in widths], repeatRows=1,
        style=[("LINEBELOW", (0, 0), (-1, 0), 0.8, DEEP),
               ("LINEBELOW", (0, 1), (-1, -1), 0.3, RULE),
               ("VALIGN", (0, 0), (-1, -1), "TOP"), ("LEFTPADDING", (0, 0), (-1, -1), 2),
               ("RIGHTPADDING", (0, 0), (-1, -1), 4), ("TOPPADDING", (0, 0), (-1, -1), 2.2),
               ("BOTTOMPADDING", (0, 0), (-1, -1), 2.2)],
    )  # fmt: skip


def pareto(rows: Sequence[tuple[str, int]]) -> Drawing:
    """What was wrong, the most frequent first, as bars; beside each the share of all so far."""
    rows = rows[:12]
    height, label, total = 13.0, 120.0, sum(n for _, n in rows) or 1
    drawing = Drawing(WIDTH, height * len(rows) + 4)
    span, so_far = WIDTH - label - 92, 0
    most = max((n for _, n in rows), default=1)
    for i, (name, count) in enumerate(rows):
        y = drawing.height - height * (i + 1)
        so_far += count
        drawing.add(_string(label - 6, y + 3, _cut(name, label - 8, 8), 8, INK, "end"))
        bar = max(1.0, span * count / most)
        drawing.add(Rect(label, y + 1.5, bar, height - 4.5, fillColor=DEEP, strokeColor=None))
        said = f"{count:,} · {100 * so_far / total:.0f} %"
        drawing.add(_string(label + bar + 5, y + 3, said, 7.5, SOFT, "start"))
    return drawing


def control_chart(
    points: Sequence[float], centre: float, lower: Sequence[float], upper: Sequence[float],
    signals: Sequence[int], *, shown: Callable[[float], str], caption: str, height: float = 92,
) -> Drawing:  # fmt: skip
    """Points with centre and limits; those that are signals are marked."""
    drawing = Drawing(WIDTH, height)
    left, right, bottom, top = 40.0, 50.0, 10.0, height - 20
    values = [*points, *upper, *(value for value in lower)]
    low, high = min(values), max(values)
    pad = (high - low) * 0.08 or abs(high) * 0.1 or 1.0
    low, high = (0.0 if low == 0 else low - pad), high + pad

    def x(i: float) -> float:
        return float(left + (WIDTH - left - right) * (i + 0.5) / max(1, len(points)))

    def y(value: float) -> float:
        return float(bottom + (top - bottom) * (value - low) / (high - low))

    drawing.add(_string(0, height - 9, caption, 8, INK, "start"))
    for value in (low, high):
        drawing.add(_string(left - 5, y(value) - 2.5, shown(value), 6.5, SOFT, "end"))
    drawing.add(Line(left, bottom, left, top, strokeColor=RULE, strokeWidth=0.5))
    for limits, name in ((upper, "UCL"), (lower, "LCL")):
        steps = []
        for i, value in enumerate(limits):
            steps += [x(i - 0.5), y(value), x(i + 0.5), y(value)]
        drawing.add(PolyLine(steps, strokeColor=BAD, strokeWidth=0.7, strokeDashArray=(3, 2)))
        if limits and (name == "UCL" or limits[-1] > low):
            said = f"{name} {shown(limits[-1])}"
            drawing.add(_string(WIDTH - right + 4, y(limits[-1]) - 2.5, said, 6.5, BAD, "start"))
    drawing.add(Line(left, y(centre), WIDTH - right, y(centre), strokeColor=GOOD, strokeWidth=0.7))
    drawing.add(_string(WIDTH - right + 4, y(centre) - 2.5, shown(centre), 6.5, GOOD, "start"))
    flat = [v for i, p in enumerate(points) for v in (x(i), y(p))]
    if len(points) > 1:
        drawing.add(PolyLine(flat, strokeColor=DEEP, strokeWidth=0.9))
    marked = set(signals)
    for i, point in enumerate(points):
        size = 4.4 if i in marked else 2.6
        drawing.add(Rect(
            x(i) - size / 2, y(point) - size / 2, size, size, rx=size / 2, ry=size / 2,
            fillColor=BAD if i in marked else DEEP, strokeColor=None,
        ))  # fmt: skip
    return drawing


def _string(x: float, y: float, said: str, size: float, colour: Color, anchor: str) -> String:
    return String(x, y, said, fontName=FONT, fontSize=size, fillColor=colour, textAnchor=anchor)


def _cut(said: str, width: float, size: float) -> str:
    load_font()
    while said and pdfmetrics.stringWidth(said, FONT, size) > width:
        said = said[:-2].rstrip() + "…"
    return said
