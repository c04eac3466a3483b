"""What happens, as it happens: server-sent events that a client can take up again.

Enters: the tails of both ledgers. Leaves: `WHATWG server-sent events
<https://html.spec.whatwg.org/multipage/server-sent-events.html>`_. An event's id is the pair of
positions up to which the client has read, so `Last-Event-ID` misses nothing, however long it was
away and whatever was restarted. ``app.py`` imports it.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated, Any

import anyio.to_thread
from fastapi import APIRouter, Header, Query, Request
from fastapi.responses import StreamingResponse

from inspector.part import GateDecision, Verdict
from inspector.plant.access import PROBLEMS, Viewer
from inspector.plant.desk import Desk
from inspector.plant.problems import Problem
from inspector.plant.times import moment
from inspector.store import BatchChange, DeskRecord, Event
from inspector.store.pages import desk_tail, tail

LOOK_S = 0.1
"""How often the ledgers' ends are looked at."""
QUIET_S = 10.0
"""A comment is sent after this long without an event, so that a dead connection shows."""
READERS_MAX = 16
"""Clients at once; each costs two small queries per look."""
PORTION = 200
RULE = "rule"
"""Kind of the desk's record that a rule has fired."""
QUALITY = ("challenge", "drift", "first_article", "health", "maintenance", "spc")
"""Kinds of records of the quality process; each goes out whole, as ``quality.KIND``."""
FIRED = ("rule", "why", "batch", "label", "parts", "did", "maintenance")
"""Fields of such a record that everyone hears of."""
Place = Annotated[str | None, Query(max_length=48)]


@dataclass(frozen=True, slots=True)
class At:
    """How far a client has read: the newest position of the line's and of the desk's ledger."""

    line: int
    desk: int

    def __str__(self) -> str:
        return f"{self.line}.{self.desk}"


def router(desk: Desk) -> APIRouter:
    """``/events``."""
    routes = APIRouter(tags=["events"], responses=PROBLEMS)
    readers = 0

    @routes.get(
        "/events",
        response_class=StreamingResponse,
        responses={200: {"content": {"text/event-stream": {"schema": {"type": "string"}}}}},
    )
    async def get_events(
        who: Viewer,
        request: Request,
        last_event_id: Annotated[str | None, Header(max_length=48)] = None,
        after: Place = None,
    ) -> StreamingResponse:
        """Rejected parts, what the gate said about revoked ones, alarms, batches, requests.

        Begins now, or behind `Last-Event-ID` (or `after`); `after=-1.-1` begins with the first
        record.
        """
        nonlocal readers
        place = last_event_id or after
        known = _place(place) if place else None
        at = await anyio.to_thread.run_sync(taken_up, desk, known)
        if readers >= READERS_MAX:
            raise Problem(
                503, "too-many-readers", "close a stream first", headers={"Retry-After": "5"}
            )

        async def stream() -> AsyncIterator[str]:
            nonlocal readers
            readers += 1
            try:
                async for text in _stream(desk, at, request.state.still):
                    yield text
            finally:
                readers -= 1

        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        return StreamingResponse(stream(), media_type="text/event-stream", headers=headers)

    return routes


async def _stream(desk: Desk, at: At, still: Callable[[], Awaitable[Any]]) -> AsyncIterator[str]:
    # A first event without a type and data of its own: the client knows its place at once.
    yield f"retry: 1000\nid: {at}\nevent: begin\ndata: {{}}\n\n"
    quiet = 0.0
    while True:
        try:
            await still()
        except Problem:  # a key that was revoked hears no more; who comes again is told so
            return
        events, at = await anyio.to_thread.run_sync(news, desk, at)
        for place, kind, data in events:
            yield f"id: {place}\nevent: {kind}\ndata: {json.dumps(data, default=str)}\n\n"
        if events:
            quiet = 0.0
            continue
        await asyncio.sleep(LOOK_S)
        quiet += LOOK_S
        if quiet >= QUIET_S:
            quiet = 0.0
            yield f": {at}\n\n"


def news(desk: Desk, at: At) -> tuple[list[tuple[At, str, dict[str, Any]]], At]:
    """What has happened since ``at``: each event's place, name and data; and where to go on."""
    events = []
    with desk.history() as history:
        records, line = tail(history, at.line, PORTION)
        for position, record in records:
            kind, data = line_event(record)
            events.append((At(position, at.desk), kind, data | {"position": position}))
        requests = desk_tail(history, at.desk, PORTION)
    for position, made in requests:
        at = At(line, position)
        kind, data = desk_event(made)
        events.append((at, kind, data | {"desk_position": position}))
    return events, At(line, at.desk)


def line_event(record: Any) -> tuple[str, dict[str, Any]]:
    """Name and data of something in the line's ledger."""
    if isinstance(record, Verdict):
        return f"part.{record.outcome}", {
            "part": str(record.part_id),
            "stream": record.stream,
            "sequence": record.sequence,
            "batch": record.batch,
            "mode": record.mode,
            "serial": record.serial,
            "reasons": list(record.reasons),
            "at": moment(record.times.utc_ns).isoformat(),
        }
    if isinstance(record, GateDecision):
        return "gate", {
            "part": str(record.part_id),
            "stream": record.stream,
            "sequence": record.sequence,
            "action": record.action,
            "reason": record.reason,
            "acknowledged": bool(record.acknowledged_ns),
        }
    if isinstance(record, BatchChange):
        return f"batch.{record.action}", {
            "batch": record.id,
            "product": record.product,
            "recipe": record.recipe,
            "principal": record.principal,
            "at": moment(record.utc_ns).isoformat(),
        }
    assert isinstance(record, Event)
    return record.kind, {
        **record.body,
        "principal": record.principal,
        "at": moment(record.utc_ns).isoformat(),
    }


def desk_event(record: DeskRecord) -> tuple[str, dict[str, Any]]:
    """Name and data of something at the desk: who asked, and the answer that was given."""
    if record.kind == RULE:
        return "rule.fired", {
            **{name: record.body.get(name) for name in FIRED},
            "at": moment(record.utc_ns).isoformat(),
        }
    if record.kind in QUALITY:
        return f"quality.{record.kind}", {
            **record.body,
            "principal": record.principal,
            "at": moment(record.utc_ns).isoformat(),
        }
    cause = record.body.get("cause")
    answer = record.body.get("answer")
    return f"desk.{cause or record.kind}", {
        "principal": record.principal,
        "at": moment(record.utc_ns).isoformat(),
        "reason": record.body.get("reason", ""),
        "requester": record.body.get("requester", ""),
        "answer": answer if isinstance(answer, dict) else None,
    }


def newest(desk: Desk) -> At:
    """Behind the last record of both ledgers."""
    with desk.history() as history:
        newest = desk_tail(history, None, 1)
        return At(history.size() - 1, newest[-1][0] if newest else -1)


def taken_up(desk: Desk, known: tuple[int, int] | None) -> At:
    """Where a reader goes on that had come to ``known``; behind the last record where it is new. A
    ledger that came back from a back-up is shorter than what had been read of it: what is recorded
    from now on is news all the same."""
    end = newest(desk)
    return end if known is None else At(min(known[0], end.line), min(known[1], end.desk))


def _place(text: str) -> tuple[int, int]:
    if not re.fullmatch(r"(-1|[0-9]{1,18})\.(-1|[0-9]{1,18})", text):
        raise Problem(422, "invalid-place", "an event's id is two positions, such as 1200.7")
    line, _, made = text.partition(".")
    return int(line), int(made)
