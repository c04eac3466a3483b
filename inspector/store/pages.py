"""Questions to the ledger that go through many parts: a page at a time, each bounded in time.

Enters: a `History` and what is asked for. Leaves: parts of a batch, batches with their positions,
and the ledger's tail. Every room may import this. Pages follow the
ledger's positions, which never change, so a page that was read stays read.
"""

from __future__ import annotations

from inspector.part import GateAction, GateDecision, Outcome, Verdict
from inspector.store import layout, schema
from inspector.store.holds import Run
from inspector.store.layout import desk_record
from inspector.store.query import BATCH_SPAN, History, PartHistory
from inspector.store.records import (
    OUTCOME_NUMBER,
    BatchChange,
    Defined,
    DeskRecord,
    Event,
    Kind,
    Record,
)
from inspector.store.related import reading
from inspector.store.stretch import onwards

PORTION = 500
"""Positions that are looked at in one go."""
CONTEXTS = 2000
"""Newest contexts, a few for each batch, that are gone through for the station's names."""


def parts_of(
    history: History,
    *,
    batch: str | None = None,
    outcome: Outcome | None = None,
    before: int | None = None,
    limit: int = 50,
) -> tuple[tuple[PartHistory, ...], int | None]:
    """The newest parts recorded before position ``before``, newest first.

    Returns:
        The parts, and where the next page begins; None when there is no more.
    """
    low, high = 0, 1 << 62
    with history.line() as line:
        if batch is not None:
            low, high = line.execute(BATCH_SPAN, (batch,)).fetchone()
        faulty = outcome in (Outcome.REJECT, Outcome.ERROR)
        table = "faulty" if faulty else "record"
        kind = f" AND substr(body, 2, 1) = x'{Kind.VERDICT:02x}'"
        which = f" AND outcome = {OUTCOME_NUMBER[outcome]}" if outcome and faulty else ""
        at = high + 1 if before is None else min(before, high + 1)
        found: list[PartHistory] = []
        while len(found) <= limit:
            rows = line.execute(
                f"SELECT position FROM {table} WHERE position < ? AND position >= ?"
                f"{which if faulty else kind} ORDER BY position DESC LIMIT ?",
                (at, low, min(PORTION, limit + 1)),
            ).fetchall()
            if not rows:
                return tuple(found[:limit]), None
            at = -onwards(-at, -rows[-1][0])
            for (position,) in rows:
                verdict = history.record(position)
                assert isinstance(verdict, Verdict)
                wanted = outcome is None or verdict.outcome is outcome
                if wanted and (batch is None or verdict.batch == batch):
                    found.append(history.part_at(position))
                    if len(found) > limit:
                        break
    return tuple(found[:limit]), found[limit - 1].position


def streams(history: History) -> tuple[str, ...]:
    """Every stream of parts, oldest first."""
    with history.line():
        return tuple(history.streams())


def stations(history: History) -> tuple[str, ...]:
    """The names under which the station has judged, as its newest contexts have them, sorted: one,
    and more where it was renamed or took the place of another."""
    with history.line() as line:
        rows = line.execute(
            "SELECT position FROM definition WHERE what = ? ORDER BY position DESC LIMIT ?",
            (Defined.CONTEXT.value, CONTEXTS),
        ).fetchall()
        return tuple(sorted({str(history.definition(position).value[1]) for (position,) in rows}))


def last_sequence(history: History, stream: str) -> int:
    """The highest part number with a verdict in ``stream``; 0 if there is none."""
    with history.line() as line:
        highest = [
            line.execute("SELECT max(sequence) FROM verdict WHERE stream = ?", (at,)).fetchone()[0]
            for at in history.streams().get(stream, ())
        ]
    return max((number for number in highest if number is not None), default=0)


def newest(history: History) -> Verdict | None:
    """The verdict that was recorded last."""
    found = history.found(
        Verdict,
        f"SELECT position FROM record WHERE substr(body, 2, 1) = x'{Kind.VERDICT:02x}'"
        " ORDER BY position DESC LIMIT 1",
    )
    return found[0][1] if found else None


def batch_ids(
    history: History, *, before: int | None = None, limit: int = 50
) -> tuple[tuple[str, int], ...]:
    """``(id, position at which it began)`` of batches, the newest beginning first."""
    with history.line() as line:
        return tuple(
            line.execute(
                "SELECT id, min(position) AS began FROM (SELECT batch AS id, first AS position"
                " FROM tally UNION ALL SELECT id, position FROM batch) GROUP BY id"
                " HAVING began < ? ORDER BY began DESC LIMIT ?",
                (1 << 62 if before is None else before, limit),
            ).fetchall()
        )


def batch_known(history: History, batch: str) -> bool:
    """Whether a batch of this name ever began or had a part."""
    with history.line() as line:
        return (
            line.execute(
                "SELECT 1 FROM tally WHERE batch = ?1 UNION ALL"
                " SELECT 1 FROM batch WHERE id = ?1 LIMIT 1",
                (batch,),
            ).fetchone()
            is not None
        )


def begun_between(history: History, first: int, last: int) -> tuple[str, ...]:
    """The batches that began between two positions, both included, oldest first."""
    within = "SELECT position FROM batch WHERE position BETWEEN ? AND ? ORDER BY position"
    found = history.found(BatchChange, within, first, last)
    return tuple(dict.fromkeys(change.id for _, change in found if change.action == "begin"))


def changes_of(history: History, batch: str) -> tuple[BatchChange, ...]:
    """The beginnings and ends of one batch, oldest first."""
    of_batch = "SELECT position FROM batch WHERE id = ? ORDER BY position"
    return tuple([change for _, change in history.found(BatchChange, of_batch, batch)])


def beginnings_of(history: History, batch: str) -> list[BatchChange]:
    """Each time that a batch was begun, oldest first: the newest says what it is now."""
    return [change for change in changes_of(history, batch) if change.action == "begin"]


def gates_of(history: History, run: Run) -> tuple[GateDecision, ...]:
    """The last thing the gate was told about each part of ``run``, as far as it was told."""
    last = (
        "SELECT max(position) FROM gate WHERE stream = ? AND sequence BETWEEN ? AND ?"
        " GROUP BY sequence ORDER BY sequence"
    )
    with history.line():
        streams = history.streams().get(run.stream, ())
    found = [history.found(GateDecision, last, at, run.first, run.last) for at in streams]
    return tuple([gate for of_stream in found for _, gate in of_stream])


def tail(
    history: History, after: int, limit: int = 200, *, passes: bool = False
) -> tuple[list[tuple[int, Record]], int]:
    """What happened after position ``after``: events, beginnings and ends of batches, parts that
    are no pass (with ``passes``: every part), and revoked permits; oldest first.

    Returns:
        The records with their positions, and the position up to which the ledger was read.
    """
    kinds = ", ".join(f"x'{k:02x}'" for k in (Kind.VERDICT, Kind.GATE, Kind.EVENT, Kind.BATCH))
    found: list[tuple[int, Record]] = []
    with history.line() as line:
        end = line.execute("SELECT coalesce(max(position), -1) FROM main.record").fetchone()[0]
        upto = min(end, after + 20 * limit)
        rows = line.execute(
            f"SELECT position, body FROM record WHERE position > ? AND position <= ?"
            f" AND substr(body, 2, 1) IN ({kinds}) ORDER BY position",
            (after, upto),
        ).fetchall()
        for position, body in rows:
            record = layout.decode_record(body, history.definition)
            if _is_news(record) or (passes and isinstance(record, Verdict)):
                found.append((position, record))
                if len(found) == limit:
                    return found, position
    return found, max(after, upto)


def events_of(history: History, *kinds: str, limit: int = 100) -> list[tuple[int, Event]]:
    """The line's newest events of these kinds, newest first, with their positions."""
    wanted = ", ".join("?" * len(kinds))
    newest = f"SELECT position FROM event WHERE kind IN ({wanted}) ORDER BY position DESC LIMIT ?"
    return history.found(Event, newest, *kinds, limit)


def desk_tail(
    history: History, after: int | None, limit: int = 200
) -> list[tuple[int, DeskRecord]]:
    """The desk's records after position ``after``, oldest first; the newest one if it is None."""
    path = history.data_dir / schema.DESK_FILE
    if not path.exists():
        return []
    with reading(path) as desk:
        where, order = ("position > ?", "") if after is not None else ("position >= ?", " DESC")
        rows = desk.execute(
            f"SELECT position, body FROM record WHERE {where} ORDER BY position{order} LIMIT ?",
            (-1 if after is None else after, limit),
        ).fetchall()
    return [(position, desk_record(body)) for position, body in rows]


def _is_news(record: Record) -> bool:
    if isinstance(record, Verdict):
        return record.outcome in (Outcome.REJECT, Outcome.ERROR)
    if isinstance(record, GateDecision):
        return record.action is GateAction.REVOKE or record.reason == "command"
    return isinstance(record, Event | BatchChange)
