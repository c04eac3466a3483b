"""Whether the counts of a batch agree: the PLC's, the ledger's, the gate's (I1).

Enters: a `History`, a batch, and the PLC's counters now where the batch runs. Leaves: what was
counted at the infeed, at the eye and behind the gate beside what the ledger holds, and each
difference in words. Every room may import this.

The line records a ``period`` event whenever a batch begins, the line starts, the PLC counts anew or
a person resets the counts: ``batch``, ``stream``, ``first`` (part number), ``why``, ``counters``
(``infeed``, ``triggers``, ``commanded``, ``confirmed``) as they stood then, ``closes`` (those of
the stream before, as they were last seen) where another stream begins, and of the period that ends
``refused`` (parts that the gate was told to refuse), ``alarmed`` (rejects whose confirmation
failed, of which an alarm told), and what the gate did without being told: ``late``, ``withheld``,
``alone`` and ``through`` (`Period` says what they mean). A period is what lies between two such
events.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

from inspector.part import Outcome
from inspector.store.cursor import batch_span, events_within
from inspector.store.query import History
from inspector.store.records import Event

KIND = "period"
IN_TRANSIT = 3
"""Parts that may stand between the infeed sensor and the eye at each end of a period."""
IN_LANE = 6
"""Rejects that may be under way to the sensor that confirms them at each end."""
LATE = 32
"""Periods that may be recorded between a batch's last part and its own."""
_U32 = 0xFFFF_FFFF
_COUNTERS = ("infeed", "triggers", "commanded", "confirmed")
AT_GATE = ("late", "withheld", "alone", "through")
"""What the gate did without being told, by its name in a ``period`` record."""


@dataclass(frozen=True, slots=True)
class Period:
    """A stretch of one stream in which one batch was made."""

    stream: str
    first: int
    """Part number."""
    why: str
    principal: str
    utc_ns: int
    infeed: int
    triggers: int
    commanded: int
    """Rejects that the PLC gave."""
    confirmed: int
    """Rejects that were seen behind the gate."""
    refused: int | None
    """Parts that the station told the gate to refuse; None where it was restarted in between."""
    alarmed: int | None
    """Rejects without a confirmation of which an alarm told."""
    open: bool
    """It goes on."""
    late: int | None = None
    """Rejects, where the decision may have come too late, of which an alarm told; None as above."""
    withheld: int | None = None
    """Rejects by the PLC while the station was not *ready*."""
    alone: int | None = None
    """Rejects by the PLC of parts that nobody had refused: a difference."""
    through: int | None = None
    """Refused parts that the gate let through: a difference."""


@dataclass(frozen=True, slots=True)
class Reconciliation:
    """The counts of a batch side by side."""

    periods: tuple[Period, ...]
    verdicts: int
    """Of all modes, in the ledger."""
    differences: tuple[str, ...]
    """Each count that should equal another and does not, in words."""


def reconcile(
    history: History, batch: str, now: Mapping[str, int] | None = None, under_way: int = 0
) -> Reconciliation | None:
    """The counts of ``batch``; None where no counter but the station's own ever ran.

    Args:
        now: the PLC's counters and what the gate did untold, by name, where the batch runs.
        under_way: parts that have triggered and have no verdict yet.
    """
    events = _events_of(history, batch)
    periods = []
    unknown = 0
    for event, following in events:
        end = _end(event, following, now)
        if end is None:
            unknown += 1
            continue
        periods.append(_period(event, following, end))
    if not events:
        return None
    summary = history.batch(batch)
    verdicts = sum(summary.counts.values()) + summary.others
    if unknown:
        # The PLC lost its counters while the station was away: nobody can compare.
        return Reconciliation(tuple(periods), verdicts, ())
    return Reconciliation(
        tuple(periods), verdicts, tuple(_differences(periods, verdicts, under_way, summary.counts))
    )


def _differences(
    periods: list[Period], verdicts: int, under_way: int, counts: Mapping[Outcome, int]
) -> list[str]:
    found = []
    triggers = sum(period.triggers for period in periods)
    if not 0 <= triggers - verdicts <= under_way:
        found.append(f"{triggers} triggers, {verdicts} verdicts")
    ends = 2 * len(periods)
    infeed = sum(period.infeed for period in periods)
    if abs(infeed - triggers) > ends * IN_TRANSIT:
        found.append(f"{infeed} parts at the infeed, {triggers} triggers")
    commanded = sum(period.commanded for period in periods)
    confirmed = sum(period.confirmed for period in periods)
    alarmed = sum(max(0, period.alarmed or 0) for period in periods)
    unexplained = commanded - confirmed - alarmed
    if not -ends * IN_LANE <= unexplained <= ends * IN_LANE:
        found.append(f"{commanded} rejects commanded, {confirmed} confirmed, {alarmed} alarmed")
    if alone := sum(period.alone or 0 for period in periods):
        found.append(f"{alone} rejects at the gate, of parts that nobody had refused")
    if through := sum(period.through or 0 for period in periods):
        found.append(f"{through} refused parts that the gate let through")
    refused = [period.refused for period in periods]
    if all(number is not None for number in refused):
        told = sum(number or 0 for number in refused)
        faulty = counts[Outcome.REJECT] + counts[Outcome.ERROR]
        if told < faulty - under_way:
            found.append(f"{faulty} rejects and errors, of which {told} were refused at the gate")
    return found


def _end(event: Event, following: Event | None, now: Mapping[str, int] | None) -> Any:
    if following is None:
        return now
    if following.body["stream"] == event.body["stream"]:
        return following.body["counters"]
    return following.body.get("closes")


def _period(event: Event, following: Event | None, end: Mapping[str, int]) -> Period:
    begin = event.body["counters"]
    counted = {name: int(end[name]) - int(begin[name]) & _U32 for name in _COUNTERS}
    told: Mapping[str, Any] = following.body if following else end
    return Period(
        stream=str(event.body["stream"]),
        first=int(event.body["first"]),
        why=str(event.body["why"]),
        principal=event.principal,
        utc_ns=event.utc_ns,
        refused=following.body.get("refused") if following else None,
        alarmed=following.body.get("alarmed") if following else None,
        open=following is None,
        late=_whole(told.get("late")),
        withheld=_whole(told.get("withheld")),
        alone=_whole(told.get("alone")),
        through=_whole(told.get("through")),
        **counted,
    )


def _whole(value: Any) -> int | None:
    return int(value) if isinstance(value, int | float) else None


def _events_of(history: History, batch: str) -> list[tuple[Event, Event | None]]:
    """The batch's ``period`` events, each with the one that follows it, oldest first."""
    span = batch_span(history, batch)
    if span is None:
        return []
    events = events_within(history, KIND, span)
    # One that was short may begin at the gate after others began at the eye.
    late = "SELECT position FROM event WHERE kind = ? AND position > ? ORDER BY position LIMIT ?"
    events += [event for _, event in history.found(Event, late, KIND, span[1], LATE)]
    return [
        (event, following)
        for event, following in zip_longest(events, events[1:])
        if event.body.get("batch") == batch
    ]
