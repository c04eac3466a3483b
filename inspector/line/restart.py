"""What the ledger still knows when the line starts, or its PLC does: which parts it missed.

Enters: the ledger, a stream, and how far the authority has counted. Leaves: the numbers that owe a
verdict, the parts that have one, and what was asked about those to come. Imports store, identity
and part; ``line.py`` calls it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from inspector.identity import Action
from inspector.part import PartId
from inspector.store import History, LineLedger

BACKFILL = 1000
"""Parts that went by while the station was away and get an ``error`` record each; where there were
more, one event names the whole range."""
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

    numbers: Sequence[int]
    """Those that get an ``error`` record, at most ``BACKFILL``."""
    unobserved: int
    """How many went by in all."""
    recorded: int
    """The highest number that has a verdict; 0 if none has."""


def gap_before(ledger: LineLedger, stream: str, counter: int) -> Gap:
    """What ``stream`` lacks of the parts up to ``counter``."""
    recorded = ledger.last_sequence(stream)
    if recorded is None:
        return Gap(range(max(1, counter - BACKFILL + 1), counter + 1), counter, 0)
    numbers = ledger.missing(stream, counter, BACKFILL, _first_number(ledger, stream))
    return Gap(numbers, max(len(numbers), counter - recorded), recorded)


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
