"""Where things come from and where they go: links come in, traces go out, forwards and backwards.

Enters: material lots, cases, pallets and shipments from the MES or a second station; a lot, a
batch, a unit or a part to be traced. Leaves: records of the desk, and what hangs together.
``app.py`` imports it.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID, uuid4

from fastapi import APIRouter, Query

from inspector.identity import Action, authorise
from inspector.part import PartId, Verdict
from inspector.plant.access import ETAGGED, PROBLEMS, Viewer, Writer
from inspector.plant.desk import Desk
from inspector.plant.linkwords import (
    ConsumedWords,
    EventSaid,
    LinkSaid,
    LinkWords,
    MaterialSaid,
    PackedWords,
    ShippedWords,
    TracedBatch,
    TraceSaid,
    UnitSaid,
    UnpackedWords,
)
from inspector.plant.parts import part_detail, part_said
from inspector.plant.problems import Problem
from inspector.plant.requests import Done
from inspector.plant.selection import run_said, runs_of
from inspector.plant.times import moment, now, utc_ns
from inspector.plant.words import Selection, Serial, Word
from inspector.store import History
from inspector.store.batches import State
from inspector.store.genealogy import KIND, Consumed, Unit, joined
from inspector.store.holds import Run
from inspector.store.pages import beginnings_of, begun_between
from inspector.store.query import PartHistory
from inspector.store.recalls import (
    Affected,
    Criteria,
    MaterialLot,
    UnknownCriterion,
    affected,
    units_affected,
)
from inspector.store.spans import events_near, parts_in

UNITS_SAID = 1000
EARLIER = 20
Asked = Annotated[Word | None, Query()]


def router(desk: Desk) -> APIRouter:
    """``/links`` and ``/trace``."""
    routes = APIRouter(tags=["genealogy"], responses=PROBLEMS)

    @routes.post("/links", status_code=201)
    def post_link(asked: LinkWords, by: Writer) -> LinkSaid:
        """A material lot goes into a batch, parts into a case, cases onto a pallet, a pallet to a
        customer."""
        authorise(by.who, Action.LINK)
        named = {"POST": "/links", "body": asked.model_dump(mode="json", by_alias=True)}
        return by.once(desk.requests, named, lambda: _linked(desk, asked), LinkSaid)

    @routes.get("/trace", responses=ETAGGED)
    def get_trace(
        who: Viewer,
        lot: Asked = None,
        material: Asked = None,
        batch: Asked = None,
        unit: Asked = None,
        serial: Annotated[Serial | None, Query()] = None,
        part: UUID | None = None,
    ) -> TraceSaid:
        """From a material `lot` (of a `material`), a `batch` or a `unit` forwards to the parts, the
        cases, the pallets and where they went; from a `serial` or a `part` backwards to its batch,
        the material lots in it and what the machine did. Give exactly one."""
        given = [name for name, value in
                 (("lot", lot), ("batch", batch), ("unit", unit), ("serial", serial),
                  ("part", part)) if value is not None]  # fmt: skip
        if len(given) != 1:
            raise Problem(422, "invalid-request", "give one of lot, batch, unit, serial or part")
        with desk.history() as history:
            if serial is not None or part is not None:
                return _backwards(desk, history, serial, part)
            criteria = Criteria(
                lots=(MaterialLot(lot, material or ""),) if lot else (),
                batches=(batch,) if batch else (),
                units=(unit,) if unit else (),
            )
            try:
                found = affected(history, desk.genealogy, criteria)
            except UnknownCriterion as error:
                raise Problem(404, "unknown-criterion", str(error)) from None
            return _forwards(desk, history, found)

    return routes


def unit_said(unit: Unit) -> UnitSaid:
    """A unit in the interface's words."""
    sent = unit.shipped
    return UnitSaid(
        id=unit.id,
        level=unit.level,
        parent=unit.parent or None,
        destination=sent.destination if sent else None,
        document=sent.document if sent else None,
        shipped_at=moment(sent.at_ns) if sent else None,
    )


def _linked(desk: Desk, asked: Any) -> Done:
    record: dict[str, Any] = {"relation": asked.relation}
    runs: list[Run] = []
    batches: list[str] = []
    match asked:
        case ConsumedWords():
            record |= {
                "batch": asked.batch,
                "material": asked.material,
                "lot": asked.lot,
                "supplier": asked.supplier,
                "from": _ns(asked.from_),
                "to": _ns(asked.to),
            }
        case PackedWords():
            _must_not_be_a_circle(desk, asked)
            with desk.history() as history:
                runs, batches = _contents(history, asked)
            record |= {
                "unit": asked.unit,
                "level": asked.level,
                "units": list(asked.units),
                "serials": list(asked.serials),
                "runs": [[run.stream, run.first, run.last] for run in runs],
                "batches": batches,
            }
        case ShippedWords():
            _must_be_known(desk, asked.units)
            record |= {
                "units": list(asked.units),
                "destination": asked.destination,
                "document": asked.document,
                "at": _ns(asked.at or now()),
            }
        case UnpackedWords():
            _must_be_known(desk, [asked.unit])
            record["unit"] = asked.unit
    answer = LinkSaid(
        id=str(uuid4()),
        at=now(),
        relation=asked.relation,
        runs=[run_said(run) for run in runs],
        batches=batches,
    )
    return Done(KIND, 201, answer.model_dump(mode="json"), record)


def _contents(history: History, asked: PackedWords) -> tuple[list[Run], list[str]]:
    """The parts that are packed, and the batches that they are of. Raises ``Problem`` 404."""
    verdicts = _named(history, asked)
    runs = list(joined(_one(verdict) for verdict in verdicts))
    batches = dict.fromkeys(verdict.batch for verdict in verdicts)
    if asked.sequences is not None:
        runs, more = _counted(history, runs, asked)
        batches |= dict.fromkeys(more)
    return runs, list(batches)


def _named(history: History, asked: PackedWords) -> list[Verdict]:
    """The parts that are named one by one. Raises ``Problem`` 404."""
    found = []
    for serial in asked.serials:
        parts = history.by_serial(serial, 1)
        if not parts:
            raise Problem(404, "unknown-part", f"no part carried the serial {serial!r}")
        found.append(parts[0].verdict)
    for id in asked.parts:
        part = history.part(PartId(id))
        if part is None:
            raise Problem(404, "unknown-part", f"no part has the id {id}")
        found.append(part.verdict)
    return found


def _counted(history: History, runs: list[Run], asked: PackedWords) -> tuple[list[Run], list[str]]:
    """``runs`` with the range of numbers, and the batches that lie in the range."""
    (run,) = runs_of(history, Selection(sequences=asked.sequences))
    batches: dict[str, None] = {}
    positions: list[int] = []
    # A batch is a stretch of numbers: halve until both ends are of one batch.
    stack = [(run.first, run.last)]
    while stack:
        first, last = stack.pop()
        low, high = (history.by_sequence(run.stream, number) for number in (first, last))
        ends = [part.verdict.batch for part in (low, high) if part is not None]
        positions += [part.position for part in (low, high) if part is not None]
        batches |= dict.fromkeys(ends)
        if last - first > 1 and len(set(ends)) != 1:
            middle = (first + last) // 2
            stack += [(first, middle), (middle, last)]
    if positions:  # a batch that went on after another one has it between its ends
        batches |= dict.fromkeys(begun_between(history, min(positions), max(positions)))
    return list(joined([*runs, run])), list(batches)


def _must_not_be_a_circle(desk: Desk, asked: PackedWords) -> None:
    for unit in asked.units:
        inside, _ = desk.genealogy.inside(unit)
        if unit == asked.unit or any(found.id == asked.unit for found in inside):
            raise Problem(409, "circle", f"unit {asked.unit!r} is itself within {unit!r}")


def _must_be_known(desk: Desk, units: Iterable[str]) -> None:
    for unit in units:
        if desk.genealogy.unit(unit) is None:
            raise Problem(404, "unknown-unit", f"nothing was ever packed into a unit {unit!r}")


def _forwards(desk: Desk, history: History, found: Affected) -> TraceSaid:
    units = units_affected(desk.genealogy, found)
    names = dict.fromkeys([*found.batches, *(use.batch for use in found.materials)])
    for unit in units[:UNITS_SAID] if not names else ():
        names |= dict.fromkeys(desk.genealogy.batches_in(unit.id))
    return TraceSaid(
        batches=[_batch(desk, history, id) for id in names],
        runs=[run_said(run) for run in found.runs],
        parts=found.parts,
        units=[unit_said(unit) for unit in units[:UNITS_SAID]],
        units_total=len(units),
    )


def _backwards(desk: Desk, history: History, serial: str | None, part: UUID | None) -> TraceSaid:
    if part is not None:
        one = history.part(PartId(part))
        found: tuple[PartHistory, ...] = () if one is None else (one,)
        if one is not None and one.verdict.serial:
            others = history.by_serial(one.verdict.serial, EARLIER)
            found += tuple([p for p in others if p.position < one.position])
    else:
        found = history.by_serial(serial or "", EARLIER)
    if not found:
        raise Problem(404, "unknown-part", "no such part was inspected here")
    verdict = found[0].verdict
    units = desk.genealogy.holder(verdict.stream, verdict.sequence)
    at = verdict.times.utc_ns
    traced = _batch(desk, history, verdict.batch)
    known = desk.genealogy.materials_of(verdict.batch)
    traced.materials = [_material(use) for use in known if _covers(use, at)]
    return TraceSaid(
        batches=[traced],
        runs=[run_said(_one(verdict))],
        parts=1,
        units=[unit_said(unit) for unit in units],
        units_total=len(units),
        part=part_detail(desk, found[0]),
        earlier=[part_said(desk, other) for other in found[1:]],
        events=[
            EventSaid(
                kind=event.kind,
                principal=event.principal,
                at=moment(event.utc_ns),
                body=dict(event.body),
            )
            for event in events_near(history, found[0].position)
        ],
    )


def _batch(desk: Desk, history: History, id: str) -> TracedBatch:
    begun = beginnings_of(history, id)
    return TracedBatch(
        id=id,
        product=begun[-1].product if begun else "",
        state=desk.batches.life(history, desk.holds, id).state or State.PLANNED,
        parts=parts_in(history, id),
        materials=[_material(use) for use in desk.genealogy.materials_of(id)],
    )


def _material(use: Consumed) -> MaterialSaid:
    return MaterialSaid.model_validate(
        {
            "batch": use.batch,
            "material": use.material,
            "lot": use.lot,
            "supplier": use.supplier,
            "from": None if use.from_ns is None else moment(use.from_ns),
            "to": None if use.to_ns is None else moment(use.to_ns),
        }
    )


def _covers(use: Consumed, at_ns: int) -> bool:
    """Whether the material went in when the part was made, or a second before or after."""
    begin = 0 if use.from_ns is None else use.from_ns - 10**9
    return begin <= at_ns and (use.to_ns is None or at_ns < use.to_ns + 10**9)


def _one(verdict: Verdict) -> Run:
    return Run(verdict.stream, verdict.sequence, verdict.sequence)


def _ns(at: datetime | None) -> int | None:
    return None if at is None else utc_ns(at)
