"""An evaluation on paper: what ``report`` shows on a page enters, a PDF leaves.

Figures with their intervals, the champion's beside them, thresholds, curves and the worst pictures:
for the file that goes with a release, to be signed and kept. The look is that of the station's own
printed reports. Imported by ``assess``.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from reportlab.graphics.shapes import Drawing, PolyLine, Rect, String
from reportlab.lib.utils import ImageReader
from reportlab.platypus import Flowable, Image, Spacer, Table

from inspector.quality import paper
from inspector.quality.paper import BAD, BODY, DEEP, GOOD, INK, NOTE, RULE, SOFT, WIDTH
from training.report import Contents

FLIPS_MAX = 60
"""Changed verdicts that are listed; the others are counted."""
CURVES_ROW, PICTURES_ROW = 4, 3


def print_report(path: Path, shown: Contents) -> None:
    """Writes the report of ``shown`` to ``path``."""
    paper.speak("en")
    paper.write(
        path, list(_story(shown)), title=shown.title, running=shown.title,
        page="page {}".format, author="inspector",
    )  # fmt: skip


def _story(shown: Contents) -> Iterator[Flowable]:
    figures = shown.figures
    kicker, _, subject = shown.title.partition(" of ")
    yield from paper.heading(kicker, subject or shown.title, list(shown.facts.items()))
    yield paper.tiles([
        ("parts", f"{figures['parts']:,}", INK),
        ("defective", f"{figures['defective']:,}", INK),
        ("escapes", _percent(figures["escapes"]), BAD if figures["escapes"]["value"] else GOOD),
        ("false rejects", _percent(figures["false_rejects"]), DEEP),
        ("time, p99", f"{figures['latency_ms']['p99']:.0f} ms", INK),
    ])  # fmt: skip
    yield Spacer(1, 8)
    yield from _overall(figures)
    yield from _by_defect(figures, shown.comparison)
    if shown.comparison is not None:
        yield from _against(shown.comparison)
    if shown.thresholds:
        yield from _thresholds(shown.thresholds)
    if shown.curves:
        drawn = [_curve(name, curve) for name, curve in sorted(shown.curves.items())]
        grid = _grid(drawn, CURVES_ROW)
        yield from paper.section("Precision over recall", grid[0])
        yield from grid[1:]
    yield from _slices(figures["slices"])
    if shown.pictures:
        width = WIDTH / PICTURES_ROW - 6
        cells = [
            [_picture(jpeg, width), paper.text(caption, NOTE)] for caption, jpeg in shown.pictures
        ]
        grid = _grid(cells, PICTURES_ROW)
        yield from paper.section("The worst", grid[0])
        yield from grid[1:]


def _overall(figures: Mapping[str, Any]) -> list[Flowable]:
    rows: list[list[object]] = [
        ["escapes", *_share(figures["escapes"])],
        *([f"of these, {s}", *_share(v)] for s, v in figures["escapes_by_severity"].items()),
        ["false rejects", *_share(figures["false_rejects"])],
        ["not judged", f"{figures['errors']:,}", "", ""],
    ]
    head = ("", "share", "of", "95 % interval")
    table = paper.table(head, rows, (3, 1.4, 1.4, 2), (1, 2, 3))
    return paper.section("What would have happened", table)


def _by_defect(figures: Mapping[str, Any], comparison: Mapping[str, Any] | None) -> list[Flowable]:
    rows: list[list[object]] = []
    for name, share in figures["escapes_by_defect"].items():
        row: list[object] = [name, *_share(share)]
        if comparison is not None:
            other = comparison["by_defect"][name]
            said = f"{other['p']:.3g}"
            row += [
                _percent(other["before"]),
                paper.coloured(said, GOOD) if other["surely_better"]
                else paper.coloured(said, BAD) if other["surely_worse"] else said,
            ]  # fmt: skip
        rows.append(row)
    if not rows:
        return paper.section("Escapes by defect", paper.text("No part had a defect.", BODY))
    head, widths, right = (
        ["defect", "escapes", "of", "95 % interval"],
        [3.0, 1.3, 1.3, 2],
        [1, 2, 3],
    )
    if comparison is not None:
        head += ["champion's", "McNemar p"]
        widths += [1.5, 1.5]
        right += [4, 5]
    return paper.section("Escapes by defect", paper.table(head, rows, widths, right), whole=False)


def _against(c: Mapping[str, Any]) -> list[Flowable]:
    said = (
        f"{len(c['mended'])} parts are judged right that were judged wrong, {len(c['spoilt'])} the "
        f"other way; p = {c['p']:.3g} (McNemar, exact). {len(c['flips'])} verdicts change."
    )
    content: list[Flowable] = [paper.text(said, BODY)]
    rows: list[list[object]] = [
        [
            flip["part"],
            paper.coloured(f"{flip['from']} → {flip['to']}", GOOD if flip["right"] else BAD),
            ", ".join(flip["defects"]) or "good",
            "; ".join(flip["reasons"]),
        ]
        for flip in c["flips"][:FLIPS_MAX]
    ]
    if len(c["flips"]) > FLIPS_MAX:
        rows.append(["", f"and {len(c['flips']) - FLIPS_MAX} more", "", ""])
    if rows:
        content.append(paper.table(("part", "verdict", "truly", "why"), rows, (2.6, 1.6, 2, 4)))
    return paper.section("Against the champion, on the same parts", *content, whole=False)


def _thresholds(found: Mapping[str, Any]) -> list[Flowable]:
    rows: list[list[object]] = [
        [name, f"{t['threshold']:.2f}", f"{t['between'][0]:.2f}–{t['between'][1]:.2f}",
         _percent(t["escapes"]), _percent(t["false_rejects"])]
        for name, t in sorted(found.items())
    ]  # fmt: skip
    head = ("label", "threshold", "equally cheap", "escapes there", "false rejects there")
    table = paper.table(head, rows, (3, 1.3, 1.6, 1.6, 1.9), (1, 2, 3, 4))
    return paper.section("Thresholds by cost", table)


def _slices(slices: Mapping[str, Any]) -> list[Flowable]:
    rows: list[list[object]] = [
        [by, value or "–", f"{group['parts']:,}", _percent(group["escapes"]),
         _percent(group["false_rejects"])]
        for by, groups in slices.items() for value, group in groups.items()
    ]  # fmt: skip
    if not rows:
        return []
    table = paper.table(
        ("by", "", "parts", "escapes", "false rejects"), rows, (1.3, 3, 1.2, 1.5, 1.7), (2, 3, 4)
    )
    return paper.section("By station, product, batch and light", table, whole=False)


def _curve(name: str, curve: Mapping[str, Any]) -> Drawing:
    wide = WIDTH / CURVES_ROW - 8
    side, left, bottom = wide - 18, 12.0, 12.0
    drawing = Drawing(wide, side + bottom + 16)
    ap = "–" if curve["ap"] is None else f"{curve['ap']:.3f}"
    drawing.add(_said(0, side + bottom + 6, f"{name} · AP {ap}", 7.5, INK))
    drawing.add(Rect(left, bottom, side, side, fillColor=None, strokeColor=RULE))
    drawing.add(_said(left, 3, "0", 6, SOFT))
    drawing.add(_said(left + side - 30, 3, "recall 1", 6, SOFT))
    flat = [v for r, p, _ in curve["points"] for v in (left + r * side, bottom + p * side)]
    if len(flat) > 2:
        drawing.add(PolyLine(flat, strokeColor=DEEP, strokeWidth=1.2))
    return drawing


def _grid(cells: Sequence[Any], across: int) -> list[Table]:
    """Rows of ``across`` cells, each a table of its own, so that they break between pages."""
    style = [("VALIGN", (0, 0), (-1, -1), "TOP"), ("LEFTPADDING", (0, 0), (-1, -1), 0),
             ("BOTTOMPADDING", (0, 0), (-1, -1), 6)]  # fmt: skip
    rows = [list(cells[i : i + across]) for i in range(0, len(cells), across)]
    return [
        Table([[*row, *[""] * (across - len(row))]], [WIDTH / across] * across, style=style)
        for row in rows
    ]


def _picture(jpeg: bytes, width: float) -> Image:
    wide, high = ImageReader(io.BytesIO(jpeg)).getSize()
    height = width * high / wide
    if height > 170:
        width, height = width * 170 / height, 170.0
    return Image(io.BytesIO(jpeg), width, height, hAlign="LEFT")


def _said(x: float, y: float, words: str, size: float, colour: Any) -> String:
    return String(x, y, words, fontName=paper.FONT, fontSize=size, fillColor=colour)


def _percent(share: Mapping[str, Any]) -> str:
    return f"{100 * share['value']:.2f} %" if share["n"] else "–"


def _share(share: Mapping[str, Any]) -> list[str]:
    """Share, of how many, and its interval."""
    if not share["n"]:
        return ["–", "0", ""]
    low, high = share["interval95"]
    hits = round(share["value"] * share["n"])
    return [_percent(share), f"{hits} of {share['n']}", f"{100 * low:.2f}–{100 * high:.2f} %"]
