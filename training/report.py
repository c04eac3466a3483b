"""An evaluation as a page: figures, curves and the worst pictures enter, one HTML file leaves.

Self-contained: pictures and curves are inside, so that it can be filed with the release.
``report_pdf`` prints the same. Imported by that, ``assess``, the command line and ``loop``.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Any

import cv2
import numpy as np

from inspector.part import Pixels
from training.cases import Case, Known

WORST = 12
_STYLE = """
body{font:15px/1.5 system-ui,sans-serif;max-width:1080px;margin:2rem auto;padding:0 1rem;
color:#1b1f24}
h1{font-size:1.5rem}h2{margin-top:2.2rem;font-size:1.15rem;border-bottom:1px solid #d0d7de}
table{border-collapse:collapse;margin:.6rem 0}td,th{padding:.25rem .7rem;text-align:right;
border-bottom:1px solid #eaeef2}td:first-child,th:first-child{text-align:left}
.bad{color:#b42318;font-weight:600}.good{color:#1a7f37;font-weight:600}
figure{display:inline-block;margin:.4rem;vertical-align:top;max-width:330px}
figure img{max-width:320px;border:1px solid #d0d7de}figcaption{font-size:.82rem;color:#57606a}
svg{border:1px solid #eaeef2;margin:.3rem}.muted{color:#57606a}
"""


@dataclass(frozen=True, slots=True)
class Contents:
    """What a report shows, on a screen or on paper."""

    title: str
    facts: Mapping[str, str]
    figures: Mapping[str, Any]
    """As `figures.figures` gives them."""
    comparison: Mapping[str, Any] | None = None
    """With the champion, as `figures.compare` gives it."""
    thresholds: Mapping[str, Any] = field(default_factory=dict)
    curves: Mapping[str, Any] = field(default_factory=dict)
    pictures: Sequence[tuple[str, bytes]] = ()
    """Captions and JPEGs of the worst mistakes."""


def page(shown: Contents) -> str:
    """The report as one HTML file."""
    title, figures = escape(shown.title), shown.figures
    parts = [
        f"<!doctype html><html lang='en'><meta charset='utf-8'><title>{title}</title>"
        f"<style>{_STYLE}</style><h1>{title}</h1>",
        _pairs(shown.facts),
        "<h2>What would have happened</h2>",
        _overall(figures),
        "<h2>Escapes by defect</h2>",
        _by_defect(figures, shown.comparison),
    ]
    if shown.comparison is not None:
        parts += ["<h2>Against the champion, on the same parts</h2>", _against(shown.comparison)]
    if shown.thresholds:
        parts += ["<h2>Thresholds by cost</h2>", _thresholds(shown.thresholds)]
    if shown.curves:
        parts += ["<h2>Precision over recall</h2>"]
        parts += [_curve(name, curve) for name, curve in sorted(shown.curves.items())]
    parts += ["<h2>By station, product, batch and light</h2>", _slices(figures["slices"])]
    if shown.pictures:
        parts.append("<h2>The worst</h2>")
        parts += [
            f"<figure><img src='data:image/jpeg;base64,{base64.b64encode(jpeg).decode()}'>"
            f"<figcaption>{escape(caption)}</figcaption></figure>"
            for caption, jpeg in shown.pictures
        ]
    return "\n".join(parts) + "\n"


def worst(
    cases: Sequence[Case], parts: Sequence[Known], most: int = WORST
) -> list[tuple[str, bytes]]:
    """Pictures of the mistakes that cost most: escapes of critical defects first."""
    order = {"critical": 0, "major": 1, "minor": 2}

    def cost(pair: tuple[Case, Known]) -> tuple[int, float]:
        case = pair[0]
        if case.escape:
            return min(order.get(s, 1) for s in case.defects.values()), 0.0
        return 3, -max(case.found.values(), default=0.0)

    wrong = [(c, k) for c, k in zip(cases, parts, strict=True) if not c.right]
    found = []
    for case, known in sorted(wrong, key=cost)[:most]:
        what = "let through" if case.escape else f"rejected: {'; '.join(case.reasons[:2])}"
        names = ", ".join(case.defects) or "good"
        found.append((f"{case.name} — {names} — {what}", _drawn(known)))
    return found


def _drawn(known: Known) -> bytes:
    """All views side by side, what is wrong framed in red."""
    shown: list[Pixels] = []
    for view, pixels in known.example.frames.items():
        colour = cv2.cvtColor(pixels, cv2.COLOR_GRAY2BGR) if pixels.ndim == 2 else pixels.copy()
        for where, _, box in known.boxes:
            if where == view:
                x1, y1, x2, y2 = (round(v) for v in box)
                cv2.rectangle(colour, (x1 - 3, y1 - 3), (x2 + 3, y2 + 3), (40, 40, 220), 2)
        shown.append(cv2.resize(colour, (round(colour.shape[1] * 300 / colour.shape[0]), 300)))
    whole = np.concatenate(shown, 1)
    return cv2.imencode(".jpg", whole, (cv2.IMWRITE_JPEG_QUALITY, 82))[1].tobytes()


def _pairs(facts: Mapping[str, str]) -> str:
    rows = "".join(
        f"<tr><td>{escape(k)}</td><td style='text-align:left'>{escape(str(v))}</td></tr>"
        for k, v in facts.items()
    )
    return f"<table>{rows}</table>"


def _share(share: Mapping[str, Any]) -> str:
    if not share["n"]:
        return "<span class='muted'>none</span>"
    low, high = share["interval95"]
    hits = round(share["value"] * share["n"])
    return (
        f"{share['value'] * 100:.2f} % <span class='muted'>({hits} of {share['n']}; "
        f"{low * 100:.2f}–{high * 100:.2f})</span>"
    )


def _overall(f: Mapping[str, Any]) -> str:
    rows = [
        ("escapes", _share(f["escapes"])),
        *((f"  {s}", _share(v)) for s, v in f["escapes_by_severity"].items()),
        ("false rejects", _share(f["false_rejects"])),
        ("not judged", str(f["errors"])),
        ("time per part", f"p50 {f['latency_ms']['p50']} ms, p99 {f['latency_ms']['p99']} ms"),
    ]
    body = "".join(f"<tr><td>{escape(a)}</td><td>{b}</td></tr>" for a, b in rows)
    return f"<table>{body}</table>"


def _by_defect(f: Mapping[str, Any], comparison: Mapping[str, Any] | None) -> str:
    head = "<tr><th>defect</th><th>escapes (95 %)</th>"
    head += "<th>champion's</th><th>McNemar p</th></tr>" if comparison else "</tr>"
    rows = []
    for name, share in f["escapes_by_defect"].items():
        row = f"<tr><td>{escape(name)}</td><td>{_share(share)}</td>"
        if comparison:
            other = comparison["by_defect"][name]
            mark = "good" if other["surely_better"] else "bad" if other["surely_worse"] else ""
            row += f"<td>{_share(other['before'])}</td><td class='{mark}'>{other['p']:.4g}</td>"
        rows.append(row + "</tr>")
    return f"<table>{head}{''.join(rows)}</table>"


def _against(c: Mapping[str, Any]) -> str:
    text = (
        f"<p>{len(c['mended'])} parts judged right that were judged wrong, {len(c['spoilt'])} the "
        f"other way; p = {c['p']:.4g} (McNemar, exact). {len(c['flips'])} verdicts change.</p>"
    )
    rows = "".join(
        f"<tr class='{'good' if flip['right'] else 'bad'}'><td>{escape(flip['part'])}</td>"
        f"<td>{flip['from']} → {flip['to']}</td><td>{escape(', '.join(flip['defects']) or 'good')}"
        f"</td><td style='text-align:left'>{escape('; '.join(flip['reasons']))}</td></tr>"
        for flip in c["flips"][:100]
    )
    head = "<tr><th>part</th><th>verdict</th><th>truly</th><th>why</th></tr>"
    return text + (f"<table>{head}{rows}</table>" if rows else "")


def _thresholds(found: Mapping[str, Any]) -> str:
    head = (
        "<tr><th>label</th><th>threshold</th><th>equally cheap</th><th>escapes there</th>"
        "<th>false rejects there</th></tr>"
    )
    rows = "".join(
        f"<tr><td>{escape(name)}</td><td>{t['threshold']:.2f}</td>"
        f"<td>{t['between'][0]:.2f}–{t['between'][1]:.2f}</td><td>{_share(t['escapes'])}</td>"
        f"<td>{_share(t['false_rejects'])}</td></tr>"
        for name, t in sorted(found.items())
    )
    return f"<table>{head}{rows}</table>"


def _curve(name: str, curve: Mapping[str, Any]) -> str:
    side, edge = 190, 24
    points = " ".join(
        f"{edge + r * side:.1f},{edge + (1 - p) * side:.1f}" for r, p, _ in curve["points"]
    )
    ap = "–" if curve["ap"] is None else f"{curve['ap']:.3f}"
    return (
        f"<svg width='{side + 2 * edge}' height='{side + 2 * edge}' role='img'>"
        f"<text x='{edge}' y='16' font-size='12'>{escape(name)} · AP {ap}</text>"
        f"<rect x='{edge}' y='{edge}' width='{side}' height='{side}' fill='none' stroke='#d0d7de'/>"
        f"<polyline points='{points}' fill='none' stroke='#0969da' stroke-width='2'/></svg>"
    )


def _slices(slices: Mapping[str, Any]) -> str:
    rows = []
    for by, groups in slices.items():
        for value, group in groups.items():
            rows.append(
                f"<tr><td>{escape(by)}: {escape(value or '–')}</td><td>{group['parts']}</td>"
                f"<td>{_share(group['escapes'])}</td><td>{_share(group['false_rejects'])}</td></tr>"
            )
    head = "<tr><th></th><th>parts</th><th>escapes</th><th>false rejects</th></tr>"
    return f"<table>{head}{''.join(rows)}</table>"
