"""What the MES has the line do: one command on the bus, its answer, the desk's record of both.

Enters: who asks and for what. Leaves: the line's words, once its own record of it is durable.
``batches.py`` and ``periods.py`` import it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar
from uuid import uuid4

from fastapi import Response
from pydantic import BaseModel

from inspector.identity import Action, Principal
from inspector.plant.batchwords import LineSaid
from inspector.plant.desk import Desk
from inspector.plant.rejects import now, replied
from inspector.plant.requests import Done, Once

S = TypeVar("S", bound=BaseModel)
REQUEST = "request"
"""Kind of the desk's record of what the line was asked for."""


def once(
    desk: Desk, who: Principal, key: str | None, path: str, body: Any, act: Callable[[], Done],
    response: Response, said: type[S],
) -> S:  # fmt: skip
    """Do ``act``, or give again what was answered to the same request under the same ``key``."""
    status, answer, again = desk.requests.once(Once(who, key, {"POST": path, "body": body}), act)
    return replied(response, status, said.model_validate(answer), again)


def obeyed(desk: Desk, who: Principal, action: Action, args: Any, status: int) -> Done:
    """The line has done it. Raises ``Problem`` 409 where it refuses, 503 where it is silent."""
    result = desk.command(action, args, who)
    answer = LineSaid(id=str(uuid4()), at=now(), result=dict(result)).model_dump(mode="json")
    return Done(REQUEST, status, answer, {"action": str(action), "args": args})
