"""Periods of counts: whether those of a batch agree, and a new one begun by a person (I1).

Enters: a batch; or the order to count anew. Leaves: the PLC's counters beside the ledger's, each
difference in words; the line's record of the new period, which its next checkpoint signs. Nothing
that was counted is lost: a period ends, and the ledger keeps it. ``app.py`` and ``batches.py``
import it.
"""

from __future__ import annotations

from fastapi import APIRouter

from inspector.identity import Action, authorise
from inspector.plant.access import PROBLEMS, Writer
from inspector.plant.batchwords import LineSaid, PeriodSaid, Reconciled
from inspector.plant.desk import Desk
from inspector.plant.orders import obeyed
from inspector.plant.requests import Done
from inspector.plant.times import moment
from inspector.plant.words import Why
from inspector.store import History
from inspector.store.periods import AT_GATE, reconcile

TOTALS = {
    "infeed": "gate_infeed_total",
    "triggers": "gate_triggers_total",
    "commanded": "gate_rejects_commanded_total",
    "confirmed": "gate_rejects_confirmed_total",
} | {name: f"gate_{name}" for name in AT_GATE}
"""What a ``period`` record counts, by its name there: the figure of the heartbeat that it is."""
UNDER_WAY = 25
"""Parts that may have come since the last heartbeat."""


def router(desk: Desk) -> APIRouter:
    """``/periods``."""
    routes = APIRouter(tags=["batches"], responses=PROBLEMS)

    @routes.post("/periods", status_code=201)
    def post_period(asked: Why, by: Writer) -> LineSaid:
        """Count the running batch anew from the next part on (`reset_counts`). The period before
        is closed and kept; the record of the new one is signed with the next checkpoint."""
        authorise(by.who, Action.RESET_COUNTS)
        body = asked.model_dump()

        def act() -> Done:
            return obeyed(desk, by.who, Action.RESET_COUNTS, body, 201)

        return by.once(desk.requests, {"POST": "/periods", "body": body}, act, LineSaid)

    return routes


def reconciled(desk: Desk, history: History, id: str) -> Reconciled | None:
    """The counts of batch ``id`` side by side; None where no PLC counts."""
    beat, figures = desk.heartbeat, desk.heartbeat.body.get("figures", {})
    live = None
    if beat.alive and "gate_triggers_total" in figures:
        live = {name: int(figures.get(figure, 0)) for name, figure in TOTALS.items()}
    under_way = int(figures.get("parts_in_progress", 0)) + UNDER_WAY if live else 0
    found = reconcile(history, id, live, under_way)
    if found is None:
        return None
    return Reconciled(
        agree=not found.differences,
        differences=list(found.differences),
        verdicts=found.verdicts,
        periods=[
            PeriodSaid(
                stream=period.stream,
                first=period.first,
                why=period.why,
                principal=period.principal,
                at=moment(period.utc_ns),
                infeed=period.infeed,
                triggers=period.triggers,
                rejects_commanded=period.commanded,
                rejects_confirmed=period.confirmed,
                refused=period.refused,
                alarmed=period.alarmed,
                late=period.late,
                withheld=period.withheld,
                alone=period.alone,
                through=period.through,
                open=period.open,
            )
            for period in found.periods
        ],
    )
