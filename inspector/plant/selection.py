"""Which parts are meant: a selection of the MES enters, runs of part numbers leave.

The ledger answers; the line is not asked. The plant's routes import it.
"""

from __future__ import annotations

from inspector.part import PartId
from inspector.plant.problems import Problem
from inspector.plant.times import utc_ns
from inspector.plant.words import RunOf, Selection
from inspector.store import History
from inspector.store.holds import Run
from inspector.store.pages import last_sequence, newest, streams
from inspector.store.spans import TooMany, runs_between

SERIALS_MAX = 1000


def runs_of(history: History, asked: Selection, ahead: int = 0) -> list[Run]:
    """The parts that ``asked`` names.

    Args:
        ahead: part numbers beyond the newest verdict that may be named: parts on their way.

    Raises:
        Problem: 404, no such part; 422, too many.
    """
    if asked.part is not None:
        found = history.part(PartId(asked.part))
        if found is None:
            raise Problem(404, "unknown-part", f"no part has the id {asked.part}")
        return [_one(found.verdict.stream, found.verdict.sequence)]
    if asked.serial is not None:
        parts = history.by_serial(asked.serial, SERIALS_MAX)
        if not parts:
            raise Problem(404, "unknown-part", "no part carried this serial")
        return sorted({_one(p.verdict.stream, p.verdict.sequence) for p in parts})
    if asked.time is not None:
        try:
            runs = runs_between(history, utc_ns(asked.time.from_), utc_ns(asked.time.to))
        except TooMany as error:
            raise Problem(422, "too-many-parts", str(error)) from None
        if not runs:
            raise Problem(404, "unknown-part", "no part triggered in this time")
        return runs
    if asked.sequence is not None:
        stream, first = asked.sequence.stream, asked.sequence.number
        return [_counted(history, stream, first, first, ahead)]
    assert asked.sequences is not None
    numbers = asked.sequences
    return [_counted(history, numbers.stream, numbers.first, numbers.last, ahead)]


def run_said(run: Run) -> RunOf:
    """A run in the interface's words."""
    return RunOf(stream=run.stream, first=run.first, last=run.last)


def _counted(history: History, stream: str | None, first: int, last: int, ahead: int) -> Run:
    latest = newest(history)
    if latest is None:
        raise Problem(404, "unknown-part", "no part has been inspected here yet")
    stream = stream or latest.stream
    if stream not in streams(history):
        raise Problem(404, "unknown-stream", f"no part was ever counted in stream {stream!r}")
    known = last_sequence(history, stream)
    if stream != latest.stream:
        ahead = 0
    if last > known + ahead:
        raise Problem(
            404, "unknown-part", f"stream {stream!r} has come to part {known}; {last} is beyond it"
        )
    return Run(stream, first, last)


def _one(stream: str, sequence: int) -> Run:
    return Run(stream, sequence, sequence)
