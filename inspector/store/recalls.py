"""Which parts are affected, where they are, and where they went: traces and recalls (S11, S14).

Enters: a `Criteria`, the ledger, the genealogy. Leaves: an `Affected`: whole batches, runs of part
numbers, the units around them with their destinations. Every room may import this. Nothing is read
part by part: a batch is a name, a span of time is found by halving each stream, so that a recall
takes the same time however many parts there are.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from inspector.part import Disposition, Verdict
from inspector.store.export import harmless
from inspector.store.genealogy import Consumed, Genealogy, Unit, joined
from inspector.store.holds import KIND as HOLDS
from inspector.store.holds import Run, still_held
from inspector.store.pages import batch_known
from inspector.store.query import History
from inspector.store.records import DeskRecord
from inspector.store.related import desk_records
from inspector.store.spans import MARGIN_NS, parts_in, runs_of_batch, runs_spanning

KIND = "recall"
"""The kind of the desk's record of a drill; a recall that holds is a ``disposition``."""
RECALL, LIFTED = "recall", "recall_lifted"
"""Causes of dispositions."""
DEFECTS_MAX = 5000
SERIAL_MAX = 5000
"""Parts of one serial: a printer that is stuck gives it to all."""


class UnknownCriterion(ValueError):
    """Nothing is known of what was named; ``str()`` says of what."""


class TooWide(ValueError):
    """So much is affected that another criterion must name it."""


@dataclass(frozen=True, slots=True)
class MaterialLot:
    """A lot of something that is put in."""

    lot: str
    material: str = ""
    """Empty: of any material."""


@dataclass(frozen=True, slots=True)
class Criteria:
    """What is recalled; each criterion adds to it."""

    lots: tuple[MaterialLot, ...] = ()
    batches: tuple[str, ...] = ()
    span: tuple[int, int] | None = None
    """From (included) to (not included), UTC ns, by when the parts triggered."""
    serials: tuple[str, ...] = ()
    runs: tuple[Run, ...] = ()
    units: tuple[str, ...] = ()
    """Cases, pallets: all parts within."""
    defect: str = ""
    """A label: the parts on which it was found, of all time, or of ``batches`` alone, which are
    then not recalled whole."""


@dataclass(frozen=True, slots=True)
class Affected:
    """What is meant."""

    batches: tuple[str, ...]
    """Whole ones."""
    runs: tuple[Run, ...]
    """Parts of other batches."""
    parts: int
    """How many, of all modes and outcomes."""
    materials: tuple[Consumed, ...]
    """The uses of the material lots that were named."""


def affected(history: History, genealogy: Genealogy, criteria: Criteria) -> Affected:
    """The parts that ``criteria`` names.

    Raises:
        UnknownCriterion: a lot, batch, serial or unit that nobody has heard of.
        TooWide: more than `DEFECTS_MAX` parts had the defect, or `SERIAL_MAX` a serial.
    """
    whole = {} if criteria.defect else dict.fromkeys(criteria.batches)
    runs = list(criteria.runs)
    for batch in criteria.batches:
        if not batch_known(history, batch):
            raise UnknownCriterion(f"there was never a batch {batch!r}")
    materials: list[Consumed] = []
    partly: list[tuple[str, list[Run]]] = []
    for wanted in criteria.lots:
        uses = genealogy.batches_of(wanted.lot, wanted.material)
        if not uses:
            of = f" of {wanted.material!r}" if wanted.material else ""
            raise UnknownCriterion(f"no batch has consumed a material lot {wanted.lot!r}{of}")
        materials += uses
        for use in uses:
            part_of = _part_of(history, use)
            if part_of is None:
                whole[use.batch] = None
            else:
                partly.append((use.batch, part_of))
    runs += [run for batch, some in partly if batch not in whole for run in some]
    if criteria.span is not None:
        runs += runs_spanning(history, *criteria.span)
    for serial in criteria.serials:
        parts = history.by_serial(serial, SERIAL_MAX + 1)
        if not parts:
            raise UnknownCriterion(f"no part carried the serial {serial!r}")
        if len(parts) > SERIAL_MAX:
            raise TooWide(f"more than {SERIAL_MAX} parts carried {serial!r}; name batches")
        runs += [_one(part.verdict) for part in parts]
    for unit in criteria.units:
        if genealogy.unit(unit) is None:
            raise UnknownCriterion(f"nothing was ever packed into a unit {unit!r}")
        runs += genealogy.inside(unit)[1]
    if criteria.defect:
        runs += _with_defect(history, criteria)
    kept = tuple(joined(runs))
    counted = sum(parts_in(history, batch) for batch in whole)
    counted += _count(kept)
    return Affected(tuple(whole), kept, counted, tuple(materials))


def units_affected(genealogy: Genealogy, found: Affected) -> tuple[Unit, ...]:
    """The units around what is affected: cases, pallets, with where they went."""
    units: dict[str, Unit] = {}
    for batch in found.batches:
        units |= {unit.id: unit for unit in genealogy.units_of_batch(batch)}
    units |= {unit.id: unit for unit in genealogy.units_of_runs(found.runs)}
    return tuple(units.values())


def recall_record(
    found: Affected, reason: str, requester: str, *, drill: bool = False, lifts: bool = False
) -> tuple[str, dict[str, Any]]:
    """Kind and body of the one desk record that holds all of it; or that lifts that hold; or, of a
    drill, that only says what was found."""
    body: dict[str, Any] = {
        "cause": LIFTED if lifts else RECALL,
        "reason": reason,
        "requester": requester,
        "batches": list(found.batches),
        "runs": [[run.stream, run.first, run.last] for run in found.runs],
        "parts": found.parts,
    }
    if drill:
        return KIND, body
    return HOLDS, body | {"disposition": str(Disposition.RELEASE if lifts else Disposition.HOLD)}


def lifted(history: History, data_dir: Path, id: str, found: Affected) -> Affected | None:
    """What lifting recall ``id``, which holds ``found``, releases: all but what another recall or
    anybody else wants held. None: it was lifted before."""
    records = list(desk_records(data_dir, HOLDS))
    over = {record.body.get("recall") for record in records if _cause(record) == LIFTED}
    if id in over:
        return None
    others = [
        record for record in records if _cause(record) != LIFTED and _id(record) not in over | {id}
    ]
    held, whole = still_held(others, found.runs, found.batches)
    runs = tuple(_less(found.runs, held))
    batches = tuple(batch for batch in found.batches if batch not in whole)
    parts = found.parts - sum(parts_in(history, batch) for batch in whole)
    parts += _count(runs) - _count(found.runs)
    return Affected(batches, runs, parts, found.materials)


def _cause(record: DeskRecord) -> object:
    return record.body.get("cause")


def _id(record: DeskRecord) -> object:
    """Of the recall that this record is; None of others, and of one that the command line made
    before it gave them any."""
    answer = record.body.get("answer")
    return answer.get("id") if _cause(record) == RECALL and isinstance(answer, dict) else None


def _less(runs: Iterable[Run], taken: Iterable[Run]) -> Iterator[Run]:
    """``runs`` without the parts that are ``taken``."""
    away = list(joined(taken))
    for run in runs:
        first = run.first
        for gap in away:
            if gap.stream == run.stream and run.first <= gap.last and gap.first <= run.last:
                if first < gap.first:
                    yield Run(run.stream, first, gap.first - 1)
                first = gap.last + 1
        if first <= run.last:
            yield Run(run.stream, first, run.last)


def _count(runs: Iterable[Run]) -> int:
    return sum(run.last - run.first + 1 for run in runs)


def as_csv(found: Affected, units: Iterable[Unit], history: History) -> Iterator[str]:
    """RFC 4180 lines: one of each batch, run and unit, with where the unit went."""
    yield _line("kind", "id", "level", "first", "last", "parts", "inside", "destination",
                "document", "shipped_at")  # fmt: skip
    for batch in found.batches:
        yield _line("batch", batch, "", "", "", parts_in(history, batch))
    for run in found.runs:
        yield _line("run", run.stream, "", run.first, run.last, run.last - run.first + 1)
    for unit in units:
        sent = unit.shipped
        yield _line(
            "unit", unit.id, unit.level, "", "", "", unit.parent,
            sent.destination if sent else "", sent.document if sent else "",
            datetime.fromtimestamp(sent.at_ns // 10**9, UTC).isoformat() if sent else "",
        )  # fmt: skip


def _line(*values: object) -> str:
    text = io.StringIO()
    cells = [str(value) for value in (*values, *[""] * (10 - len(values)))]
    csv.writer(text).writerow(map(harmless, cells))
    return text.getvalue()


def _part_of(history: History, use: Consumed) -> list[Run] | None:
    """The part of its batch that a use covers; None: all of it."""
    newest = next(iter(history.batch_changes(1)), None)
    runs = newest is not None and (newest.id, newest.action) == (use.batch, "begin")
    if use.to_ns is None and (use.from_ns is None or runs):
        return None  # of a batch that runs, what is still to come is meant too
    summary = history.batch(use.batch)
    if not summary.last_utc_ns:
        return None  # the batch has no part yet: whatever comes of it is meant
    begin = use.from_ns if use.from_ns is not None else 0
    end = use.to_ns if use.to_ns is not None else 1 << 62
    if begin <= summary.first_utc_ns - MARGIN_NS and end > summary.last_utc_ns + MARGIN_NS:
        return None
    begin, end = max(begin, summary.first_utc_ns), min(end, summary.last_utc_ns)
    return runs_of_batch(history, use.batch, begin, end)


def _with_defect(history: History, criteria: Criteria) -> list[Run]:
    found: list[Run] = []
    for batch in criteria.batches or (None,):
        parts = history.with_defect(criteria.defect, batch, limit=DEFECTS_MAX + 1 - len(found))
        found += [_one(part.verdict) for part in parts]
    if len(found) > DEFECTS_MAX:
        raise TooWide(f"more than {DEFECTS_MAX} parts had {criteria.defect!r}; name batches")
    return found


def _one(verdict: Verdict) -> Run:
    return Run(verdict.stream, verdict.sequence, verdict.sequence)
