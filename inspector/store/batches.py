"""The life of a batch: what state it is in, and what may be done with it next.

Enters: the line's beginnings and ends, the desk's plans and dispositions. Leaves: one `State`, the
newest plan, and for every step either the state that follows or a refusal that says why. Every room
may import this. Nothing here writes: a step is recorded as a desk record of kind ``batch``
(``action`` ``plan``, ``start`` or ``close``, ``batch``, ``product``, ``recipe``, ``texts``,
``order``, ``target``, ``operator``) or ``disposition`` (`holds`; its field ``state`` says what the
batch is then), and by the line as a `BatchChange`.

``planned → running → closed → released | rejected``; each of them but rejected may go on hold, and
a closed one may go on. Rejected is final; what is released is closed for good, but may be recalled.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from inspector.part import Disposition
from inspector.store.deskindex import DeskIndex, Projection
from inspector.store.holds import KIND as DECISION
from inspector.store.holds import Holds
from inspector.store.pages import batch_known, changes_of
from inspector.store.query import History
from inspector.store.records import DeskRecord

KIND = "batch"
"""The kind of the desk's records of plans and starts."""
VERSION = 1
_TABLES = """
CREATE TABLE lot (id TEXT PRIMARY KEY, action TEXT, position INTEGER) WITHOUT ROWID;
CREATE INDEX lot_action ON lot (action, position);
"""


class State(StrEnum):
    """Where a batch is in its life."""

    PLANNED = "planned"
    RUNNING = "running"
    ON_HOLD = "on_hold"
    CLOSED = "closed"
    RELEASED = "released"
    REJECTED = "rejected"


class Step(StrEnum):
    """What somebody wants to do with a batch."""

    PLAN = "plan"
    START = "start"
    CLOSE = "close"
    HOLD = "hold"
    RELEASE = "release"
    REJECT = "reject"
    GO_ON = "go_on"
    """Let a paused line produce it."""


class Refused(Exception):
    """A step that cannot follow; ``str()`` says why, and what would do."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What was ordered."""

    product: str = ""
    """A GTIN, where the product has one."""
    recipe: str = ""
    texts: Mapping[str, str] = field(default_factory=dict)
    """Expected print by name, such as ``lot`` and ``date``."""
    order: str = ""
    target: int | None = None
    """Good parts that are wanted."""
    operator: str = ""


@dataclass(frozen=True, slots=True)
class Life:
    """A batch as it stands."""

    state: State | None
    """None: nobody has ever heard of it."""
    begun: bool
    ended: bool
    """The line works on another one, or on none."""


_S = State
NEXT: Mapping[Step, Mapping[State, State]] = {
    Step.PLAN: {_S.PLANNED: _S.PLANNED},
    Step.START: {_S.PLANNED: _S.RUNNING, _S.CLOSED: _S.RUNNING},
    Step.CLOSE: {_S.PLANNED: _S.CLOSED, _S.RUNNING: _S.CLOSED},
    Step.HOLD: dict.fromkeys(
        (_S.PLANNED, _S.RUNNING, _S.ON_HOLD, _S.CLOSED, _S.RELEASED), _S.ON_HOLD
    ),
    Step.RELEASE: {_S.ON_HOLD: _S.RELEASED, _S.CLOSED: _S.RELEASED},
    Step.REJECT: {_S.ON_HOLD: _S.REJECTED, _S.CLOSED: _S.REJECTED},
    Step.GO_ON: {_S.RUNNING: _S.RUNNING},
}
"""What follows from what. Of a batch that is on hold and not closed, see `after`."""
_WHY: Mapping[State, str] = {
    _S.PLANNED: "is planned and has not begun",
    _S.RUNNING: "runs; close it first",
    _S.ON_HOLD: "is on hold; release it first",
    _S.CLOSED: "is closed",
    _S.RELEASED: "is released, and closed for good; give what is made now an id of its own",
    _S.REJECTED: "is rejected, which is final",
}


def after(id: str, life: Life, step: Step) -> State:
    """The state of batch ``id`` when ``step`` is done.

    Raises:
        Refused: the step cannot follow.
    """
    if life.state is None:
        if step is Step.PLAN:
            return State.PLANNED
        if step is Step.START:
            return State.RUNNING
        raise Refused(f"there was never a batch {id!r}")
    if life.state is State.ON_HOLD and not life.ended:
        if step is Step.CLOSE:
            return State.ON_HOLD
        if step is Step.RELEASE:
            return State.RUNNING if life.begun else State.PLANNED
        if step is Step.REJECT:
            raise Refused(f"batch {id!r} is on hold and still runs; close it first")
    state = NEXT[step].get(life.state)
    if state is None:
        why = "runs already" if (life.state, step) == (_S.RUNNING, Step.START) else _WHY[life.state]
        raise Refused(f"batch {id!r} {why}")
    return state


DISPOSED: Mapping[Step, Disposition] = {
    Step.HOLD: Disposition.HOLD,
    Step.RELEASE: Disposition.RELEASE,
    Step.REJECT: Disposition.SCRAP,
}
"""What a decision over a whole batch means for its parts."""


def decision(
    id: str, life: Life, step: Step, reason: str, requester: str
) -> tuple[str, dict[str, Any]]:
    """Kind and body of the desk's record of a decision over a whole batch: hold, release, reject.

    Raises:
        Refused: the step cannot follow.
    """
    state = after(id, life, step)
    return DECISION, {
        "cause": str(step),
        "disposition": str(DISPOSED[step]),
        "reason": reason,
        "requester": requester,
        "batch": id,
        "state": str(state),
    }


class Batches(DeskIndex):
    """The plans of a station, and the lives of its batches. Safe to share between threads."""

    def __init__(self, data_dir: Path | str) -> None:
        """Raises ``StoreError`` if the disk does not let us."""
        super().__init__(Path(data_dir), PROJECTION)

    def life(self, history: History, holds: Holds, id: str) -> Life:
        """Where batch ``id`` is in its life."""
        changes = changes_of(history, id)
        newest = next(iter(history.batch_changes(1)), None)
        runs = newest is not None and (newest.id, newest.action) == (id, "begin")
        begun = bool(changes) or batch_known(history, id)
        action = self._action(id)
        ended = (begun and not runs) or action == Step.CLOSE
        standing = holds.of_batch(id)
        state: State | None
        if standing is not None and standing.disposition is Disposition.SCRAP:
            state = State.REJECTED
        elif standing is not None and standing.disposition is not Disposition.RELEASE:
            state = State.ON_HOLD
        elif standing is not None and self._released(holds, standing.position):
            state = State.RELEASED
        elif begun:
            state = State.RUNNING if runs else State.CLOSED
        elif action is not None:
            state = State.CLOSED if action == Step.CLOSE else State.PLANNED
        else:
            state = State.ON_HOLD if standing is not None else None
        return Life(state, begun, ended)

    def plan(self, id: str) -> Plan | None:
        """What was ordered of batch ``id``, as it was said last."""
        record = self.newest(id)
        return None if record is None else plan_of(record.body)

    def newest(self, id: str) -> DeskRecord | None:
        """The desk's newest record of batch ``id``: that it was planned, started or closed."""
        with self.current() as index:
            row = index.execute("SELECT position FROM lot WHERE id = ?", (id,)).fetchone()
        return None if row is None else self.record(row[0])

    def planned(self, *, before: int | None = None, limit: int = 50) -> tuple[tuple[str, int], ...]:
        """``(id, position at the desk)`` of what is planned and has not been started through
        the desk, the newest plan first."""
        with self.current() as index:
            return tuple(
                index.execute(
                    "SELECT id, position FROM lot WHERE action = 'plan' AND position < ?"
                    " ORDER BY position DESC LIMIT ?",
                    (1 << 62 if before is None else before, limit),
                ).fetchall()
            )

    def _action(self, id: str) -> str | None:
        with self.current() as index:
            row = index.execute("SELECT action FROM lot WHERE id = ?", (id,)).fetchone()
        return None if row is None else str(row[0])

    def _released(self, holds: Holds, position: int) -> bool:
        return holds.record(position).body.get("state") == State.RELEASED


def plan_of(body: Mapping[str, Any]) -> Plan:
    """The plan in a desk record's body."""
    target = body.get("target")
    return Plan(
        str(body.get("product") or ""),
        str(body.get("recipe") or ""),
        {str(name): str(text) for name, text in (body.get("texts") or {}).items()},
        str(body.get("order") or ""),
        int(target) if isinstance(target, int) else None,
        str(body.get("operator") or ""),
    )


def _apply(index: sqlite3.Connection, position: int, record: DeskRecord) -> None:
    if record.kind != KIND:
        return
    action = Step(record.body["action"])
    index.execute(
        "INSERT OR REPLACE INTO lot VALUES (?, ?, ?)", (str(record.body["batch"]), action, position)
    )


PROJECTION = Projection("batches.db", VERSION, _TABLES, _apply)
