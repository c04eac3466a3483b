"""Every route of the MES's interface against the one role table, with every role (I9, S16)."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest
from plant.test_attacks import WHY, WRITES

from inspector.identity import MAY, Action, Role

TAKES = {
    "POST /rejects": Action.REJECT,
    "POST /dispositions": Action.DISPOSE,
    "POST /reviews": Action.REVIEW,
    "POST /batches": Action.START_BATCH,
    "POST /batches/{id}/start": Action.START_BATCH,
    "POST /batches/{id}/close": Action.END_BATCH,
    "POST /batches/{id}/hold": Action.DISPOSE,
    "POST /batches/{id}/release": Action.DISPOSE,
    "POST /batches/{id}/reject": Action.DISPOSE,
    "POST /changeover": Action.CHANGE_OVER,
    "POST /periods": Action.RESET_COUNTS,
    "POST /links": Action.LINK,
    "POST /recalls": Action.DISPOSE,
    "POST /recalls/{id}/lift": Action.DISPOSE,
    "POST /tags": Action.TELL_TAGS,
    "POST /webhooks": Action.CONFIGURE,
    "DELETE /webhooks/{name}": Action.CONFIGURE,
}
"""What each write asks the table for."""
EXPORTS = {"GET /batches/{id}/report", "GET /recalls/{id}/parts", "GET /recalls/{id}/export"}
"""Reads that take data out of the station; every other one takes ``view``."""
STREAMS = {"GET /events"}
"""It never ends."""


@pytest.mark.slow
def test_every_role_gets_what_the_table_says_and_nothing_else(plant: Any) -> None:
    assert set(TAKES) == set(WRITES), WHY
    clients = {
        role: plant.client(plant.key(f"walks-{role}", role)) for role in Role if role != "system"
    }
    paths = plant.client("").get("/openapi.json").json["paths"]
    nobody = plant.client("")
    for path, operations in paths.items():
        for method in operations:
            name = f"{method.upper()} {path.removeprefix('/api/v1')}"
            if name in STREAMS:
                continue
            action = TAKES.get(name, Action.EXPORT if name in EXPORTS else Action.VIEW)
            place = path.replace("{name}", "x")
            for part in ("{id}", "{part}", "{serial}", "{batch}", "{stream}", "{sequence}"):
                place = place.replace(part, "1" if part == "{sequence}" else str(uuid4()))
            body = WRITES.get(name)
            assert nobody(method.upper(), place, body).status == 401, name
            for role, client in clients.items():
                status = client(method.upper(), place, body).status
                assert (status == 403) == (role not in MAY[action]), f"{name}: {role} got {status}"
