"""What is known of a batch, in panels: figures, counts, and what people and the machine did.

Enters: a `Lot`. Leaves: panels on the page. ``lot`` imports this.
"""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from nicegui import ui

from inspector.part import Outcome
from inspector.quality.batch_facts import Facts, deviation
from inspector.store.batches import Life, Plan
from inspector.store.figures import Period
from inspector.store.genealogy import Consumed, Unit
from inspector.store.reviews import Review
from inspector.web import panels
from inspector.web.controls import put, table
from inspector.web.frame import Shown

ROWS = 50
"""Rows of a table; what is more is counted."""


@dataclass(frozen=True, slots=True)
class Lot:
    """All that the page shows of one batch."""

    id: str
    life: Life
    plan: Plan
    recipe: str
    facts: Facts
    found: Period | None
    reviews: tuple[Review, ...]
    second: int
    held: bool
    """Whether any of its parts is held for itself."""
    materials: tuple[Consumed, ...]
    units: tuple[Unit, ...]


def tiles(shown: Shown, lot: Lot) -> str:
    """The batch in six numbers."""
    counts = lot.facts.counts
    judged = counts[Outcome.PASS] + counts[Outcome.REJECT] + counts[Outcome.ERROR]
    # those of parts that could not be judged are known as well
    worst = next(iter(lot.facts.labels.most_common(1)), None) if counts[Outcome.REJECT] else None
    target = f" / {lot.plan.target:,}" if lot.plan.target else ""
    tiles = (
        (f"{counts.total():,}", "board.parts"),
        (f"{counts[Outcome.PASS] / judged:.2%}" if judged else "–", "lot.yield"),
        (f"{counts[Outcome.PASS]:,}{target}", "passed"),
        (f"{counts[Outcome.REJECT]:,}", "board.rejected"),
        (f"{counts[Outcome.ERROR]:,}", "board.errors"),
        (shown.said(worst[0]) if worst else "–", "board.worst"),
    )
    return panels.tiles(shown, tiles)


def figures(shown: Shown, lot: Lot) -> None:
    """Control chart, Pareto, parts over time, counts that are reconciled."""
    if lot.found is not None:
        put(panels.control(shown, lot.found))
        put(panels.pareto(shown, lot.facts.labels.most_common(12)))
        put(panels.over_time(shown, lot.found))
    put(panels.panel(shown.word("lot.counts"), _counts(shown, lot.facts), "narrow"))


def _counts(shown: Shown, facts: Facts) -> str:
    """Numbers side by side; what should be equal and is not stands out by word and colour."""
    recorded = facts.counts.total() + facts.others
    missing = sum(last - first + 1 - n for first, last, n in facts.streams.values())
    rows: list[tuple[str, int, int | None]] = [
        ("lot.numbers", recorded + missing, None), ("lot.verdicts", recorded, missing),
        ("lot.others", facts.others, None),
    ]  # fmt: skip
    if facts.gated:
        rows += [("lot.gated", facts.gated, recorded - facts.gated),
                 ("lot.unheard", facts.unheard, facts.unheard)]  # fmt: skip
    for name in ("infeed", "commanded", "confirmed") if facts.periods else ():
        rows.append((f"lot.{name}", sum(getattr(p, name) for p in facts.periods), None))
    drawn = "".join(
        f'<tr><td>{shown.word(word)}</td><td class="number">{n:,}</td>'
        f"<td>{_agrees(shown, off)}</td></tr>"
        for word, n, off in rows
    )
    said = "".join(
        f'<p class="differs">{html.escape(shown.said(difference))}</p>'
        for difference in facts.differences or ()
    )
    return f'<table class="table"><tbody>{drawn}</tbody></table>{said}'


def _agrees(shown: Shown, off: int | None) -> str:
    if off is None:
        return ""
    if off:
        return f'<span class="differs">▲ {shown.word("lot.differs", f"{off:,}")}</span>'
    return f'<span class="agrees">✓ {shown.word("lot.agrees")}</span>'


def evidence(shown: Shown, lot: Lot) -> None:
    """What people and the machine did: one table each, or one line that says there was nothing."""
    facts = lot.facts
    when, who, detail = shown.word("lot.when"), shown.word("lot.who"), shown.word("lot.detail")
    _listed(
        shown, "articles", (shown.word("lot.what"), detail, who),
        [
            (
                f"{shown.word('lot.attempt', sheet['attempt'])}:"
                f" {shown.word('lot.passed' if sheet['passed'] else 'lot.failed')}",
                "; ".join(_step(shown, step) for step in sheet["steps"]),
                ", ".join(shown.word("lot.signed_by", s.name) for s in signed)
                or shown.word("lot.unsigned"),
            )
            for sheet, signed in facts.articles
        ],
    )  # fmt: skip
    _listed(
        shown, "challenges", (when, shown.word("lot.what"), detail, who),
        [
            (
                shown.moment(int(c.body.get("at_utc_ns") or c.utc_ns)),
                shown.word(f"lot.result.{c.body['result']}"),
                "; ".join(
                    f"{shown.said(p['name'])}: {shown.word('lot.result.' + p['result'])}"
                    for p in c.body["parts"]
                ) or shown.said(str(c.body["why"])),
                str(c.body.get("asked_by") or ""),
            )
            for c in facts.challenges
        ],
    )  # fmt: skip
    _listed(
        shown, "deviations", (when, shown.word("lot.event"), detail, who),
        [(shown.moment(at), _event(shown, what), deviation(what, said, shown.said), by)
         for at, what, said, by in reversed(facts.deviations)],
        looks={0: "moment", 1: "phrase"},
    )  # fmt: skip
    _listed(
        shown, "signatures", (when, who, shown.word("lot.meaning"), shown.word("lot.of")),
        [(shown.moment(s.utc_ns), s.name, shown.said(s.meaning), shown.said(s.kind))
         for s in reversed(facts.signatures)],
    )  # fmt: skip
    _listed(
        shown, "reviews", (when, shown.word("lot.part"), shown.word("lot.event"),
                           shown.word("lot.became"), detail, who),
        [
            (
                shown.moment(r.utc_ns), f"#{r.sequence}", shown.word(f"lot.{r.opinion.decision}"),
                f"{shown.word(r.was)} → {shown.word(r.opinion.outcome)}", r.opinion.reason,
                r.reviewer,
            )
            for r in lot.reviews
        ],
        "whole",
    )  # fmt: skip


def _step(shown: Shown, step: Mapping[str, Any]) -> str:
    """A step of a first article, as the operator's page calls it."""
    name, _, which = str(step["name"]).partition(": ")
    word = shown.word("step.seeded", shown.said(which)) if which else shown.word(f"step.{name}")
    said = shown.said(str(step["detail"]))
    return f"{word}: {said}" if said else word


def _event(shown: Shown, what: str) -> str:
    return shown.word({"hold": "lot.disposition"}.get(what, f"lot.{what}"))


def _listed(
    shown: Shown, name: str, heads: Sequence[str], rows: Sequence[Sequence[str]],
    width: str = "half", looks: Mapping[int, str] = MappingProxyType({0: "moment"}),
) -> None:  # fmt: skip
    title = shown.word(f"lot.{name}")
    with ui.element("section").classes(f"panel {width}").props(f'id="{name}"'):
        ui.html(f"<h2>{title}</h2>", sanitize=False)
        if not rows:
            put(panels.none(shown, f"lot.no_{name}"))
            return
        table(heads, rows[:ROWS], title, looks).classes("tall")
        if len(rows) > ROWS:
            ui.label(shown.word("lot.more", len(rows) - ROWS))
