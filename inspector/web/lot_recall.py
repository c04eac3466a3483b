"""A recall from a batch's page: found first, held in one step when somebody has signed.

Enters: criteria, by the address. Leaves: what is affected and where it went; a drill on record; all
of it on hold; a CSV. The search and the record are `inspector.store.recalls`, as for the MES. Only
``lot`` imports this.
"""

from __future__ import annotations

import html
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from urllib.parse import urlencode

import anyio.to_thread
from nicegui import ui

from inspector.bus import NoAnswer
from inspector.identity import Action, IdentityError
from inspector.quality.recalling import Recall, recall
from inspector.quality.stopping import Heard, stop_all
from inspector.store import StoreError
from inspector.store.genealogy import Genealogy, Unit
from inspector.store.recalls import (
    Affected,
    Criteria,
    MaterialLot,
    TooWide,
    UnknownCriterion,
    affected,
    as_csv,
    units_affected,
)
from inspector.store.signatures import Signature, Subject
from inspector.web import days, panels, signing
from inspector.web.controls import button, card, choice, pressed, put, search_form, table, way
from inspector.web.desk import Desk
from inspector.web.frame import Shown
from inspector.web.moments import moment_of

WAYS = ("batch", "lot", "defect", "time")
UNITS_SHOWN = 200
REASON_MAX = 500


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is recalled: the same names as in the address."""

    by: str = ""
    """One of `WAYS`; empty where nobody has asked yet."""
    lot: str = ""
    """Material and lot, with a tab between them."""
    defect: str = ""
    since: str = ""
    until: str = ""

    def criteria(self, batch: str) -> Criteria | None:
        """In the store's words; None where something is missing."""
        if self.by == "lot" and self.lot:
            material, _, lot = self.lot.partition("\t")
            return Criteria(lots=(MaterialLot(lot, material),))
        if self.by == "defect" and self.defect:
            return Criteria(batches=(batch,), defect=self.defect)
        if self.by == "time":
            begin, end = moment_of(self.since) or 0, moment_of(self.until, 1) or 0
            return Criteria(span=(begin, end)) if 0 < begin < end else None
        return Criteria(batches=(batch,)) if self.by == "batch" else None


@dataclass(frozen=True, slots=True)
class Hit:
    """What a search has found; or why it could not."""

    found: Affected | None
    units: tuple[Unit, ...] = ()
    why: str = ""


def search(desk: Desk, batch: str, wanted: Wanted) -> Hit | None:
    """What ``wanted`` affects; None where nothing is asked. It changes nothing."""
    criteria = wanted.criteria(batch)
    if criteria is None:
        return None
    try:
        with desk.history() as history, Genealogy(desk.data) as genealogy:
            found = affected(history, genealogy, criteria)
            return Hit(found, units_affected(genealogy, found))
    except (UnknownCriterion, TooWide) as error:
        return Hit(None, (), str(error))


def lines(desk: Desk, hit: Hit) -> Iterator[str]:
    """What is affected, as CSV."""
    assert hit.found is not None
    yield "\ufeff"
    with desk.history() as history:
        yield from as_csv(hit.found, hit.units, history)


def show(
    shown: Shown, batch: str, wanted: Wanted, hit: Hit | None, lots: list[tuple[str, str]],
    defects: list[str], beat: Heard,
) -> None:  # fmt: skip
    """The panel: criteria, what is affected, what can be done."""
    with card(shown.word("recall"), "lot-recall") as section:
        section.props('id="recall"')
        ui.label(shown.word("recall.more"))
        with ui.element("nav").classes("lot-tabs"):
            for way in WAYS:
                link = _address(batch, Wanted(by=way))
                here = ' aria-current="true"' if way == (wanted.by or "batch") else ""
                put(f'<a class="button" href="{html.escape(link)}#recall"{here}>'
                    f"{shown.word(f'recall.{way}')}</a>")  # fmt: skip
        _form(shown, batch, wanted, lots, defects)
        if wanted.by and hit is None and wanted.by == "time" and wanted.since + wanted.until:
            _note(shown.word("recall.time.needed"))
        elif hit is not None and hit.found is None:
            _note(shown.word("recall.unknown", shown.said(hit.why)))
        elif hit is not None and hit.found is not None:
            if not hit.found.parts:
                ui.label(shown.word("recall.nothing")).classes("empty")
                return
            _found(shown, hit)
            _acts(shown, batch, wanted, hit, beat)


def _form(
    shown: Shown, batch: str, wanted: Wanted, lots: list[tuple[str, str]], defects: list[str]
) -> None:
    by = wanted.by or "batch"
    fields = [f'<input type="hidden" name="{n}" value="{html.escape(v)}">'
              for n, v in (("id", batch), ("by", by))]  # fmt: skip
    if by == "lot":
        fields.append(choice(shown.word("recall.lot.which"), "lot", wanted.lot, lots))
    if by == "defect":
        named = [(defect, shown.said(defect)) for defect in defects]
        fields.append(choice(shown.word("recall.defect.which"), "defect", wanted.defect, named))
    if by == "time":
        fields += [
            days.field(shown, shown.word(word), name, value, clock=True)
            for word, name, value in (
                ("recall.from", "since", wanted.since), ("recall.to", "until", wanted.until),
            )
        ]  # fmt: skip
    put(search_form("/desk/batch#recall", fields, shown.word("recall.find")))


def _found(shown: Shown, hit: Hit) -> None:
    assert hit.found is not None
    sent = [unit for unit in hit.units if unit.shipped]
    places = {unit.shipped.destination for unit in sent if unit.shipped}
    loose = sum(run.last - run.first + 1 for run in hit.found.runs)
    tiles = (
        (hit.found.parts, "recall.parts"), (len(hit.found.batches), "recall.batches"),
        (loose, "recall.runs"), (len(hit.units), "recall.units"), (len(sent), "recall.out"),
        (len(places), "recall.places"),
    )  # fmt: skip
    put(panels.tiles(shown, [(f"{n:,}", word) for n, word in tiles]))
    if hit.units:
        _places(shown, hit.units)
    if hit.found.batches:
        put("<p>" + " · ".join(
            f'<a href="/desk/batch?{html.escape(urlencode({"id": b}))}">{html.escape(b)}</a>'
            for b in hit.found.batches
        ) + "</p>")  # fmt: skip


def _places(shown: Shown, units: tuple[Unit, ...]) -> None:
    """Where it went: a row for each destination, what has not left first."""
    rows: dict[tuple[str, str], tuple[Counter[str], int]] = {}
    for unit in units:
        at = unit.shipped
        key = (at.destination, at.document) if at else ("", "")
        counts, when = rows.setdefault(key, (Counter(), 0))
        counts[unit.level or shown.word("trace.unit")] += 1
        rows[key] = (counts, max(when, at.at_ns if at else 0))
    listed = sorted(rows.items(), key=lambda row: (row[0][0] != "", -row[1][0].total()))
    table(
        [shown.word(w) for w in
         ("trace.destination", "trace.document", "recall.units", "trace.shipped")],
        [
            (
                place or shown.word("trace.here"), document,
                ", ".join(f"{n:,} × {level}" for level, n in counts.most_common()),
                shown.moment(when, seconds=False) if when else "",
            )
            for (place, document), (counts, when) in listed[:UNITS_SHOWN]
        ],
        shown.word("recall.places"),
        {0: "strong", 3: "moment"},
    )  # fmt: skip


def _acts(shown: Shown, batch: str, wanted: Wanted, hit: Hit, beat: Heard) -> None:
    assert hit.found is not None
    found = hit.found
    with ui.element("div").classes("search"):
        decides = shown.may(Action.DISPOSE)
        if decides:
            reason = reason_field(shown, "recall-reason")
            drill = button(shown.word("recall.drill"), "checks")
            hold = button(shown.word("recall.hold"), "hold").classes("danger")
        if shown.may(Action.EXPORT):
            file = f"/lot/recall.csv?{urlencode({'id': batch} | asdict(wanted))}"
            put(way(shown.word("export"), "export", file, "download"))
    note = ui.label("").classes("note").props('role="alert"')
    if not decides:
        return

    def why() -> str:
        text = reason()
        note.text = "" if text else shown.word("lot.reason.needed")
        note.classes(replace="note bad")
        return text

    def tell(word: str, *values: object, bad: bool = False) -> None:
        note.text = shown.word(word, *values)
        note.classes(replace="note bad" if bad else "note")

    async def record_drill() -> None:
        who = shown.who(Action.DISPOSE)
        if text := why():
            made = recall(found, hit.units, told(batch, wanted), text, who.id, drill=True)
            await anyio.to_thread.run_sync(shown.desk.record, made.kind, made.body, who)
            tell("recall.drill.done", made.answer["id"])

    async def hold_all() -> None:
        shown.who(Action.DISPOSE)
        if not (text := why()):
            return
        content = {"criteria": told(batch, wanted), "reason": text, "parts": found.parts,
                   "batches": list(found.batches),
                   "runs": [[r.stream, r.first, r.last] for r in found.runs]}  # fmt: skip
        subject = Subject.of("recall", f"{batch}/{wanted.by}", content, batch)
        what = shown.word("recall.signs", f"{found.parts:,}", f"{len(hit.units):,}", text)
        signature = await signing.ask(shown, subject, "meaning.recalled", Action.DISPOSE, what)
        if signature is None:
            return
        try:
            made = await anyio.to_thread.run_sync(_held, shown, batch, wanted, found, text,
                                                    signature, beat)  # fmt: skip
        except (IdentityError, StoreError, NoAnswer) as error:
            tell("recall.unknown", shown.said(str(error)), bad=True)
            return
        if made is None:
            tell("recall.changed", bad=True)
        elif made.answer["detail"]:
            tell("lot.partly", shown.said(made.answer["detail"]), bad=True)
        else:
            tell("recall.done", made.answer["id"])

    pressed(drill, record_drill)
    pressed(hold, hold_all)


def reason_field(shown: Shown, name: str) -> Callable[[], str]:
    """A field for a reason; what it gives reads it as it stands."""
    typed = [""]
    with ui.element("label").classes("field"):
        ui.html(f"<span>{shown.word('lot.reason')}</span>", sanitize=False)
        field = ui.element("input")
    field._props |= {"type": "text", "name": name, "maxlength": REASON_MAX}
    field.on(
        "input",
        lambda event: typed.__setitem__(0, str(event.args or "")),
        js_handler="(event) => emit(event.target.value)",
    )
    return lambda: typed[0].strip()[:REASON_MAX]


def _held(
    shown: Shown, batch: str, wanted: Wanted, found: Affected, reason: str, signature: Signature,
    beat: Heard,
) -> Recall | None:  # fmt: skip
    """Hold it; None: it is no longer what was signed, and nothing is held. What did not go well
    is the answer's ``detail``."""
    who = shown.who(Action.DISPOSE)
    again = search(shown.desk, batch, wanted)
    if again is None or again.found is None:
        return None
    if (again.found.batches, again.found.runs) != (found.batches, found.runs):
        return None
    stopped = stop_all(shown.desk, beat, who, found, reason)
    if not stopped.running and stopped.gate != "unknown":
        # a line that is away stops nobody from holding what is not on it
        stopped = replace(stopped, detail="")
    made = recall(again.found, again.units, told(batch, wanted), reason, signature.name, stopped)
    shown.desk.record(made.kind, made.body | {"signature": signature.position}, who)
    return made


def told(batch: str, wanted: Wanted) -> dict[str, str]:
    """What is asked for, as the record says it."""
    return {"batch": batch} | {name: value for name, value in asdict(wanted).items() if value}


def _address(batch: str, wanted: Wanted) -> str:
    asked = {name: value for name, value in asdict(wanted).items() if value}
    return f"/desk/batch?{urlencode({'id': batch} | asked)}"


def _note(text: str) -> None:
    ui.label(text).classes("note bad").props('role="alert"')
