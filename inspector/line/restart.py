"""What the ledger still knows when the line starts, or its PLC does: which parts it missed.

Enters: the ledger, a stream, and how far the authority has counted. Leaves: the numbers that owe a
verdict, the parts that have one, and what was asked about those to come. Imports store, identity
and part; ``line.py`` calls it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from inspector.identity import Action
from inspector.line.counters import BATCHES
from inspector.part import Outcome, PartId
from inspector.store import History, LineLedger
from inspector.store.pages import batch_ids

AWAY = "it went by while the station was away or could not record it"
"""Why such a part is an ``error``. What was known of it when the disk was full has gone with the
process, so nobody can tell the two apart."""
RUN = "plc-"
"""How the streams of a PLC's runs begin."""
BACKFILL = 1000
"""Parts that lack a verdict and get their ``error`` at once when the line starts, as some of them
may stand before the gate. Of a stream that the station has never seen, no part before them was its
own."""
MOST = 1_000_000
"""The others get it while the line works, as far as that can have happened: it is a day of a line
that makes 11 parts a second, and 0.2 GB of records. One event names what a counter that jumped, or
a station that was off for a week, has left before them."""
STREAMS = 1000
"""Openings of streams that are looked back to for the first one of this stream."""

COMMANDS = 1000
"""Commands that are looked back to for what was asked about parts that are still to come."""
UNDER_WAY = 64
"""More parts than ever wait for their acknowledgement to be written."""


@dataclass(frozen=True, slots=True)
class Count:
    """One count of the PLC: mostly all of its run."""

    stream: str
    fell: tuple[int, int] | None = None
    """From where to where the part counter fell back, and the run stayed the same: its numbers come
    twice, so the gate cannot be told of one part and not of another. None where it did not."""

    def at(self, ledger: LineLedger, counter: int) -> Count:
        """This count, or the one after it where the counter has fallen back to ``counter``."""
        recorded = ledger.last_sequence(self.stream) or 0
        if recorded <= counter:
            return self
        run, _, number = self.stream.partition(".")
        return Count(f"{run}.{int(number or 1) + 1}", (recorded, counter))


def count_of(ledger: LineLedger, stream: str) -> Count:
    """The newest count of the run that began as ``stream``."""
    with History(ledger.data_dir) as history:
        for event in history.events("stream_opened", STREAMS):
            opened, fell = str(event.body.get("stream")), event.body.get("fell")
            if opened.partition(".")[0] == stream:
                return Count(opened, (int(fell[0]), int(fell[1])) if fell else None)
    return Count(stream)


@dataclass(frozen=True, slots=True)
class Gap:
    """What is missing in a stream."""

    spans: Sequence[range]
    """Those that owe a verdict, the lowest first."""
    unobserved: int
    """How many went by in all."""
    recorded: int
    """The highest number that has a verdict; 0 if none has."""


def gap_before(ledger: LineLedger, stream: str, counter: int) -> Gap:
    """What ``stream`` lacks of the parts up to ``counter``."""
    recorded, first = ledger.last_sequence(stream), _first_number(ledger, stream)
    if recorded is not None:
        spans = ledger.missing(stream, counter, first)
    else:
        spans = [range(first or max(1, counter - BACKFILL + 1), counter + 1)]
    known = recorded is not None or first is not None
    return Gap(spans, sum(map(len, spans)) if known else counter, recorded or 0)


def run_before(ledger: LineLedger, stream: str) -> str:
    """The stream of the PLC's run before that of ``stream``; empty where there was none."""
    runs = [other for other in ledger.streams() if other.startswith(RUN) and other != stream]
    return runs[-1] if runs else ""


def left_open(ledger: LineLedger, stream: str) -> list[range]:
    """What lacks a verdict in a stream that is over, up to the last part that has one: station and
    PLC went off together before all was settled."""
    last = ledger.last_sequence(stream)
    return [] if last is None else ledger.missing(stream, last, _first_number(ledger, stream))


def split(spans: Iterable[range], newest: int) -> tuple[list[range], list[range]]:
    """``spans`` without the ``newest`` numbers of them, and those."""
    older, kept = [], []
    for span in reversed(list(spans)):
        at = max(0, len(span) - newest)
        newest -= len(span) - at
        older.append(span[:at])
        kept.append(span[at:])
    return [span for span in reversed(older) if span], [span for span in reversed(kept) if span]


def parts_of(ledger: LineLedger, stream: str, numbers: Iterable[int]) -> dict[int, PartId]:
    """The parts of ``numbers`` that have a durable verdict."""
    found = {}
    with History(ledger.data_dir) as history:
        for number in numbers:
            part = history.by_sequence(stream, number)
            if part is not None:
                found[number] = part.verdict.part_id
    return found


def undecided(ledger: LineLedger, stream: str, recorded: int) -> list[int]:
    """Of the newest parts that have a verdict, those whose gate decision is not on record: the
    process ended between the two, and what the gate was told is not known."""
    with History(ledger.data_dir) as history:
        newest = range(max(1, recorded - UNDER_WAY + 1), recorded + 1)
        parts = ((number, history.by_sequence(stream, number)) for number in newest)
        return [number for number, part in parts if part is not None and not part.gates]


def produced(ledger: LineLedger, running: str) -> dict[str, Counter[Outcome]]:
    """What each of the newest batches, and the one that runs, has made so far: the ledger counts a
    batch whole, and so does the line's heartbeat then, whenever the line started anew."""
    with History(ledger.data_dir) as history:
        ids = [id for id, _ in reversed(batch_ids(history, limit=BATCHES - 1)) if id != running]
        return {id: Counter(history.batch(id).counts) for id in (*ids, running)}


def rejected(ledger: LineLedger, stream: str, counter: int) -> list[int]:
    """The parts beyond ``counter`` that somebody has rejected before they came (I5)."""
    numbers: set[int] = set()
    for result in _obeyed(ledger, Action.REJECT, stream):
        numbers.update(range(max(int(result["first"]), counter + 1), int(result["last"]) + 1))
    return sorted(numbers)


def challenged(ledger: LineLedger, stream: str, counter: int) -> range:
    """The parts beyond ``counter`` that the newest challenge test has asked for."""
    for result in _obeyed(ledger, Action.CHALLENGE, stream):
        return range(max(int(result["from"]), counter + 1), int(result["to"]) + 1)
    return range(0)


def _obeyed(ledger: LineLedger, action: Action, stream: str) -> list[Mapping[str, Any]]:
    """What was answered to commands about parts of ``stream``, the newest first."""
    with History(ledger.data_dir) as history:
        told = [e.body for e in history.events("command", COMMANDS) if e.body["command"] == action]
    results = [body["result"] for body in told]
    return [result for result in results if result.get("stream") == stream]


def _first_number(ledger: LineLedger, stream: str) -> int | None:
    """The first part of the stream that must have a verdict; None: nobody knows. The lowest that
    has one will not do: a part before it may have been under way when all ended."""
    with History(ledger.data_dir) as history:
        opened = [
            event
            for event in history.events("stream_opened", STREAMS)
            if event.body.get("stream") == stream
        ]
    if not opened:
        return None
    first = opened[-1].body
    return int(first.get("first") or max(1, int(first["counter"]) - BACKFILL + 1))
