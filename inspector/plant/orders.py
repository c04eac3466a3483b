"""What the MES has the line do: one command on the bus, its answer, the desk's record of both.

Enters: who asks and for what. Leaves: the line's words, once its own record of it is durable.
``batches.py`` and ``periods.py`` import it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import uuid4

from inspector.identity import Action, Principal
from inspector.plant.batchwords import LineSaid
from inspector.plant.desk import Desk
from inspector.plant.requests import Done
from inspector.plant.times import now
from inspector.store.cursor import newest_desk
from inspector.store.pages import events_of

REQUEST = "request"
"""Kind of the desk's record of what the line was asked for."""
NEWEST = 500
"""Newest commands and requests among which one is looked for whose answer nobody heard."""


def obeyed(desk: Desk, who: Principal, action: Action, args: Any, status: int) -> Done:
    """The line has done it. Raises ``Problem`` 409 where it refuses, 503 where it is silent."""
    return told(action, args, desk.command(action, args, who), status)


def told(action: Action, args: Any, result: Mapping[str, Any], status: int) -> Done:
    """The line has said ``result``."""
    return Done(REQUEST, status, answer(result), {"action": str(action), "args": args})


def answer(result: Mapping[str, Any]) -> dict[str, Any]:
    """The body of an answer: what was said, when, and under which id."""
    return LineSaid(id=str(uuid4()), at=now(), result=dict(result)).model_dump(mode="json")


def unheard(
    desk: Desk, who: Principal, action: Action, args: Mapping[str, Any], known: int
) -> Mapping[str, Any] | None:
    """What the line said to this command after position ``known``, if it has obeyed it."""
    with desk.history() as history:
        for position, event in events_of(history, "command", limit=NEWEST):
            said = event.body["result"]
            given = (event.principal, event.body["command"], event.body["args"])
            if given == (who.id, action, args) and position > known and "refused" not in said:
                return dict(said)
    return None


def recorded(desk: Desk, action: Action, args: Mapping[str, Any]) -> int:
    """How far the line had come when the desk recorded last that it had obeyed this; -1: never."""
    with desk.history() as history:
        for _, record in newest_desk(history, REQUEST, NEWEST):
            if (record.body["action"], record.body["args"]) == (action, args):
                return record.line.newest
    return -1
