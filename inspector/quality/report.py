"""A batch on paper: the ledger goes in, one PDF comes out, in English or Chinese.

Enters: ``<data>``, a batch. Leaves: counts and whether they agree, yield, what was wrong, control
charts, pictures of defects, first article and challenge tests, deviations, signatures, and the
proof that the ledger behind all this was not changed. ``inspector.printed`` runs it in a process of
its own.
"""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

import cv2
from reportlab.platypus import Flowable, Image, Spacer, Table

from inspector.config import Quality
from inspector.part import Disposition, GateAction, Outcome, Verdict
from inspector.quality import challenge, paper
from inspector.quality.batch_facts import Facts, deviation, gather, labels_of
from inspector.quality.paper import BAD, BODY, DEEP, GOOD, INK, NOTE, WARN, WIDTH
from inspector.quality.report_charts import spc
from inspector.quality.report_words import Say, Words
from inspector.quality.spc import Limits
from inspector.store import History, ImageRecord
from inspector.store.files import fresh_file
from inspector.store.keys import PUBLIC_NAME, public_key

PICTURES = 9
LINES_MAX = 40
"""Rows of a table; of what is over nothing that failed is left out, and the rest is counted."""
ATTEMPTS_MAX = 5
"""Sheets of first articles: a conveyor that runs through a set-up fails one with every bad part."""


def batch_report(
    data: Path, batch: str, out: Path, language: str = "en", plan: Quality | None = None,
    limits: Mapping[str, Limits] | None = None, check: bool = True,
    places: tuple[str, str] = ("", ""), say: Say = str,
) -> Facts:  # fmt: skip
    """Write the report of ``batch`` to ``out``.

    Args:
        plan: the station's, for its subgroups; ``limits``: its tolerances by recipe's name.
        check: verify the ledger; a large one takes minutes.
        places: the station's site and line.
        say: what the record says, in ``language``.

    Raises:
        QualityError: no such language.
        StoreError: the batch has no part, or the ledger cannot be read.
    """
    words = Words(language, say)
    paper.speak(language)
    facts = gather(data, batch, plan, limits, check)
    facts.site, facts.line = places
    with History(data, bound_s=60.0) as history:
        story = list(_story(facts, words, data, history))
    told = f"{words['root']} {facts.root[:16]}"
    running = f"{words['batch_report']} {batch} · {facts.station} · {told}"
    with fresh_file(out) as new:
        paper.write(
            new, story, title=f"{words['batch_report']} {batch}", running=running,
            page=lambda number: words["page"].format(number), author=facts.station,
        )  # fmt: skip
    return facts


def _story(facts: Facts, w: Any, data: Path, history: History) -> Iterator[Flowable]:
    # as on every page: what could not be judged was rejected, and is no good part
    judged = facts.counts.total() - facts.counts[Outcome.NOT_INSPECTED]
    share = f"{100 * facts.counts[Outcome.PASS] / judged:.2f} %" if judged else "–"
    yield from paper.heading(w["batch_report"], facts.batch, [
        (w["product"], facts.product), (w["recipe"], ", ".join(facts.recipes)),
        (w["station"], facts.station),
        (w["line"], " · ".join(filter(None, (facts.site, facts.line)))),
        (w["expected"], "; ".join(f"{w.say(k)} {v}" for k, v in facts.texts.items() if v)),
        (w["began"], moment(facts.began_ns)),
        (w["ended"], moment(facts.ended_ns) if facts.closed else w["running"]),
        (w["software"], ", ".join(facts.software)),
        (w["digest"], ", ".join(d[:16] for d in facts.digests)),
        (w["models"], ", ".join(d[:16] for d in facts.models)),
        (w["made"], moment(int(datetime.now(UTC).timestamp() * 1e9))),
    ])  # fmt: skip
    stands = (
        f"stands_{facts.standing}" if facts.standing else "ended" if facts.closed else "running"
    )
    held = facts.standing not in (None, Disposition.RELEASE)
    yield paper.tiles([
        (w["inspected"], f"{judged:,}", INK), (w["yield"], share, DEEP),
        (w["rejected"], f"{facts.counts[Outcome.REJECT]:,}", INK),
        (w["errors"], f"{facts.counts[Outcome.ERROR]:,}",
         WARN if facts.counts[Outcome.ERROR] else INK),
        (w["status"], w[stands], BAD if held else GOOD),
    ])  # fmt: skip
    yield Spacer(1, 8)
    yield from _counts(facts, w)
    if facts.labels:
        named = [(w.say(label), n) for label, n in facts.labels.most_common()]
        yield from paper.section(w["pareto"], paper.pareto(named))
    yield from spc(facts, w)
    yield from _pictures(facts, w, data, history)
    yield from _articles(facts, w)
    yield from _challenges(facts, w)
    yield from _deviations(facts, w)
    yield from _signatures(facts, w)
    yield from _proof(facts, w, data)


def _counts(facts: Facts, w: Any) -> list[Flowable]:
    total = facts.counts.total() + facts.others
    missing = sum(last - first + 1 - n for first, last, n in facts.streams.values())
    told = facts.gates.total()
    rows: list[list[object]] = [
        [w["triggers"], f"{total + missing:,}", ""],
        [w["records"], f"{total:,}", _agree(missing, w)],
        [w["pass"], f"{facts.counts[Outcome.PASS]:,}", ""],
        [w["reject"], f"{facts.counts[Outcome.REJECT]:,}", ""],
        [w["error"], f"{facts.counts[Outcome.ERROR]:,}", ""],
    ]
    if facts.counts[Outcome.NOT_INSPECTED]:
        rows.append([w["not_inspected"], f"{facts.counts[Outcome.NOT_INSPECTED]:,}", ""])
    rows.append([w["others"], f"{facts.others:,}", ""])
    gates: list[list[object]] = [
        [w["permits"], f"{facts.gates[GateAction.PERMIT]:,}", ""],
        [w["gate_rejects"], f"{told - facts.gates[GateAction.PERMIT]:,}", ""],
        [w["gate_silent"], f"{total - told:,}", _agree(total - told, w)],
        [w["gate_unheard"], f"{facts.unheard:,}", _agree(facts.unheard, w)],
    ]
    rows += gates if facts.has_gate else []
    if facts.differences is not None:
        for name in ("infeed", "commanded", "confirmed"):
            found = sum(getattr(period, name) for period in facts.periods)
            said = "" if facts.differences else _agree(0, w)
            rows.append([w[name], f"{found:,}", said])
        for name in ("refused", "late", "withheld"):
            known = [getattr(period, name) for period in facts.periods]
            if known and None not in known:  # else the station was restarted in between
                rows.append([w[name], f"{sum(known):,}", ""])
        rows += [["", "", paper.coloured(w.say(text), BAD)] for text in facts.differences]
    return paper.section(
        w["counts"], paper.table((w["what"], w["count"], w["check"]), rows, (5, 1.3, 3), (1,))
    )


def _agree(difference: int, w: Any) -> Flowable:
    if not difference:
        return paper.coloured(f"✓ {w['agrees']}", GOOD)
    return paper.coloured(w["differs"].format(f"{difference:,}"), BAD)


def _pictures(facts: Facts, w: Any, data: Path, history: History) -> Iterator[Flowable]:
    width = WIDTH / 3 - 6
    cells: list[Any] = []
    order = {label: i for i, (label, _) in enumerate(facts.labels.most_common())}
    first: Counter[str] = Counter()
    ranked = []
    for verdict in facts.faulty:
        label = labels_of(verdict)[0]
        first[label] += 1
        ranked.append((first[label], order.get(label, 99), verdict))
    for _, _, verdict in sorted(ranked, key=lambda row: row[:2])[:PICTURES]:
        found = history.part(verdict.part_id)
        picture = _picture(data, verdict, found.images if found else (), width)
        said = f"{w['part_n'].format(verdict.sequence)} · {w.say(verdict.reasons[0])}"
        cells.append([picture or paper.text(w["kept_for"], NOTE), paper.text(said, NOTE)])
    if not cells:
        return
    rows = [cells[i : i + 3] + [""] * (3 - len(cells[i : i + 3])) for i in range(0, len(cells), 3)]
    style = [("VALIGN", (0, 0), (-1, -1), "TOP"), ("LEFTPADDING", (0, 0), (-1, -1), 0),
             ("BOTTOMPADDING", (0, 0), (-1, -1), 6)]  # fmt: skip
    grids = [Table([row], [WIDTH / 3] * 3, style=style) for row in rows]
    yield from paper.section(w["pictures"], grids[0])
    yield from grids[1:]


def _picture(
    data: Path, verdict: Verdict, images: tuple[ImageRecord, ...], width: float
) -> Flowable | None:
    """The view in which the worst finding is, with a box round everything that is not ok."""
    wrong = [f for f in verdict.findings if not f.ok]
    views = [f.view for f in wrong if f.box] + [f.view for f in wrong]
    by_view = {image.view: image for image in images}
    image = next((by_view[v] for v in views if v in by_view), next(iter(images), None))
    if image is None or not (data / image.path).is_file():
        return None
    pixels = cv2.imread(str(data / image.path))
    if pixels is None:
        return None
    scale = min(1.0, 640 / max(pixels.shape[:2]))
    pixels = cv2.resize(pixels, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    for f in wrong:
        if f.box and f.view == image.view:
            x1, y1, x2, y2 = (round(v * scale) for v in f.box)
            cv2.rectangle(pixels, (x1 - 2, y1 - 2), (x2 + 2, y2 + 2), (255, 255, 255), 3)
            cv2.rectangle(pixels, (x1 - 2, y1 - 2), (x2 + 2, y2 + 2), (30, 38, 179), 2)
    jpeg = cv2.imencode(".jpg", pixels, (cv2.IMWRITE_JPEG_QUALITY, 82))[1].tobytes()
    height = width * pixels.shape[0] / pixels.shape[1]
    if height > 150:
        width, height = width * 150 / height, 150.0
    return Image(io.BytesIO(jpeg), width, height, hAlign="LEFT")


def _fitting(counts: Sequence[bool], most: int) -> list[int]:
    """Which rows are printed: all that ``counts`` says count, and of the others the newest so that
    they are ``most`` together."""
    others = [i for i, it in enumerate(counts) if not it]
    room = max(0, most - sum(counts))
    return sorted({i for i, it in enumerate(counts) if it} | {*others[len(others) - room :]})


def _articles(facts: Facts, w: Any) -> Iterator[Flowable]:
    counts = [bool(sheet["passed"] or signed) for sheet, signed in facts.articles]
    kept = _fitting(counts, ATTEMPTS_MAX)
    if left := len(counts) - len(kept):
        note = paper.text(w["more_failed"].format(f"{left:,}"), NOTE)
        yield from paper.section(w["articles"], note)
    for sheet, signed in (facts.articles[i] for i in kept):
        who = ", ".join(w["signed_by"].format(s.name) for s in signed) or w["unsigned"]
        told = (
            f"{w['attempt']} {sheet['attempt']}: {w['passed'] if sheet['passed'] else w['failed']}"
            f" · {w['station_time'].format(sheet['station_s'])} · {who}"
        )
        said = paper.coloured(told, GOOD if signed else BAD, BODY)
        yield from paper.section(w["articles"], said, steps_of(sheet, w))


def _challenges(facts: Facts, w: Any) -> list[Flowable]:
    rows: list[list[object]] = []
    counts = [record.body["result"] != challenge.GOOD for record in facts.challenges]
    kept = _fitting(counts, LINES_MAX)
    for body in (facts.challenges[i].body for i in kept):
        good = body["result"] == challenge.GOOD
        parts = "; ".join(
            f"{w.say(p['name'])}: {w.get(p['result'], p['result'])}" for p in body["parts"]
        )
        rows.append([
            moment(int(body.get("at_utc_ns") or 0)), body.get("asked_by") or "–",
            paper.coloured(w.get(body["result"], body["result"]), GOOD if good else BAD),
            parts or w.say(body["why"]),
        ])  # fmt: skip
    if not rows:
        return []
    if left := len(counts) - len(kept):
        rows.append(["", "", w["good"], w["more"].format(f"{left:,}")])
    head = (w["at"], w["asked_by"], w["result"], w["seeded"])
    return paper.section(w["challenges"], paper.table(head, rows, (2.6, 1.5, 1.7, 5)), whole=False)


def _deviations(facts: Facts, w: Any) -> list[Flowable]:
    if not facts.deviations:
        return paper.section(w["deviations"], paper.text(w["no_deviations"], BODY))
    kept = _fitting([what != "alarm" for _, what, _, _ in facts.deviations], LINES_MAX)
    rows: list[list[object]] = [
        [moment(at), w.get(what, what), deviation(what, detail, w.say), who]
        for at, what, detail, who in (facts.deviations[i] for i in kept)
    ]
    if left := len(facts.deviations) - len(kept):
        rows.append(["", w["alarm"], w["more"].format(f"{left:,}"), ""])
    head = (w["at"], w["event"], w["detail"], w["who"])
    return paper.section(w["deviations"], paper.table(head, rows, (2.6, 1.5, 5, 1.4)), whole=False)


def _signatures(facts: Facts, w: Any) -> list[Flowable]:
    if not facts.signatures:
        return paper.section(w["signatures"], paper.text(w["no_signatures"], BODY))
    rows: list[list[object]] = [
        [s.name, w.say(s.meaning), w.get(s.kind, s.kind), w.get(s.by, s.by), moment(s.utc_ns)]
        for s in facts.signatures
    ]
    head = (w["name"], w["meaning"], w["subject"], w["by"], w["at"])
    return paper.section(w["signatures"], paper.table(head, rows, (2, 3, 2.4, 1.2, 2.6)))


def _proof(facts: Facts, w: Any, data: Path) -> list[Flowable]:
    proof = facts.proof
    if facts.verified is None:
        said = paper.text(w["not_verified"])
    elif facts.verified:
        said = paper.coloured(w["bad"].format(facts.verified), BAD)
    else:
        said = paper.coloured(f"✓ {w['verified']}", GOOD)
    rows: list[list[object]] = [
        [w["root"], facts.root or "–"],
        [
            w["checkpoint"],
            f"{proof.get('number', '–')} · {proof.get('signed', '')} · "
            f"{proof.get('line', {}).get('records', 0):,} {w['records_under']}",
        ],
        [w["key"], _fingerprint(data)],
        [w["verify"], said],
    ]
    table = paper.table((w["what"], ""), rows, (2, 8))
    return paper.section(w["proof"], table, Spacer(1, 4), paper.text(w["proof_note"], NOTE))


def moment(utc_ns: int) -> str:
    """A time as the report shows it."""
    if not utc_ns:
        return "–"
    return datetime.fromtimestamp(utc_ns // 1_000_000_000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def steps_of(sheet: Mapping[str, Any], w: Any) -> Table:
    """The list of a first article, as it was worked through."""
    rows: list[list[object]] = [
        [_step_name(str(s["name"]), w), paper.coloured(*_state_words(str(s["state"]), w)),
         w.say(str(s["detail"]))] for s in sheet["steps"]
    ]  # fmt: skip
    return paper.table((w["step"], w["result"], w["seen"]), rows, (3, 1.2, 6))


def _step_name(name: str, w: Any) -> str:
    """A step of the first article in words."""
    kind, _, seeded = name.partition(": ")
    if kind == "seeded":
        return str(w["seeded_step"].format(w.say(seeded)))
    return str(w.get(kind, kind))


def _state_words(state: str, w: Any) -> tuple[str, Any]:
    """A step's state in words, and its colour."""
    return {
        "ok": (f"✓ {w['ok']}", GOOD), "failed": (f"× {w['failed']}", BAD),
        "none": (w["not_applicable"], paper.SOFT),
    }.get(state, (w["waiting"], WARN))  # fmt: skip


def _fingerprint(data: Path) -> str:
    raw = public_key(data / "keys" / PUBLIC_NAME).public_bytes_raw()
    return f"Ed25519, SHA-256 {sha256(raw).hexdigest()}"
