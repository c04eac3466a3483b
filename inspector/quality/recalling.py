"""A recall as it is recorded and answered: what was found enters, the desk's one record leaves.

Whoever recalls, a machine or a person at a page, writes the same record with the same answer in it,
under one id: so each is found, exported and lifted by the other. The MES's requests and the pages
import this.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from inspector.part import Disposition
from inspector.quality.stopping import Stopped
from inspector.store.genealogy import Unit
from inspector.store.holds import Run
from inspector.store.recalls import Affected, recall_record

UNITS_SAID = 200
"""Units and destinations that an answer lists; the export has all of them."""
NOTHING_STOPPED = Stopped(False, False, (), "")


@dataclass(frozen=True, slots=True)
class Recall:
    """One recall, or the drill of one."""

    kind: str
    """Of the desk's record."""
    record: dict[str, Any]
    """The record's body, less its answer."""
    answer: dict[str, Any]
    """JSON; its ``id`` is the recall's."""

    @property
    def body(self) -> dict[str, Any]:
        """The record's body with the answer, as a page records it."""
        return self.record | {"answer": self.answer}


def recall(
    found: Affected,
    units: Iterable[Unit],
    criteria: Mapping[str, Any],
    reason: str,
    requester: str,
    stopped: Stopped = NOTHING_STOPPED,
    *,
    drill: bool = False,
) -> Recall:
    """What is recorded of a recall whose parts were held off before, by `stopping.stop_all`."""
    units = list(units)
    sent = sorted({unit.shipped.destination for unit in units if unit.shipped})
    answer = {
        "id": str(uuid4()),
        "at": datetime.now(UTC).isoformat(),
        "drill": drill,
        "disposition": None if drill else str(Disposition.HOLD),
        "batches": list(found.batches),
        "runs": [_run(run) for run in found.runs],
        "parts": found.parts,
        "units": [_unit(unit) for unit in units[:UNITS_SAID]],
        "units_total": len(units),
        "destinations": sent[:UNITS_SAID],
        "gate": [_run(one.run) | {"gate": one.gate} for one in stopped.runs],
        "paused": stopped.paused,
        "detail": stopped.detail,
    }
    kind, record = recall_record(found, reason, requester, drill=drill)
    return Recall(kind, record | {"criteria": dict(criteria)}, answer)


def _run(run: Run) -> dict[str, Any]:
    return {"stream": run.stream, "first": run.first, "last": run.last}


def _unit(unit: Unit) -> dict[str, Any]:
    sent = unit.shipped
    shipped = datetime.fromtimestamp(sent.at_ns // 1000 / 1e6, UTC).isoformat() if sent else None
    return {
        "id": unit.id,
        "level": unit.level,
        "parent": unit.parent or None,
        "destination": sent.destination if sent else None,
        "document": sent.document if sent else None,
        "shipped_at": shipped,
    }
