"""A batch's report as a PDF: asked for by the MES, made by another process.

Enters: a batch's id, a language. Leaves: the PDF of `inspector.quality.printing`. ``app.py``
imports it.
"""

from __future__ import annotations

import asyncio
from typing import Annotated, Literal

from fastapi import APIRouter, Query
from fastapi.responses import Response

from inspector.identity import Action, authorise
from inspector.plant.access import PROBLEMS, Viewer
from inspector.plant.batches import BatchId
from inspector.plant.desk import Desk
from inspector.plant.problems import Problem
from inspector.quality.errors import QualityError
from inspector.quality.printing import Busy, Press, TooLong, file_name
from inspector.store.pages import batch_known


def router(desk: Desk) -> APIRouter:
    """``/batches/{id}/report``."""
    routes = APIRouter(tags=["batches"], responses=PROBLEMS)
    press = Press(desk.station)

    @routes.get(
        "/batches/{id}/report",
        response_class=Response,
        responses={200: {"content": {"application/pdf": {}}}},
    )
    async def get_report(
        id: BatchId,
        who: Viewer,
        language: Literal["en", "zh"] = "en",
        verify: Annotated[bool, Query(description="Verify the whole ledger too: minutes.")] = False,
    ) -> Response:
        """The batch on paper: counts, yield, Pareto, control charts, pictures of defects, first
        article, challenge tests, deviations, signatures, ledger proof."""
        authorise(who, Action.EXPORT)
        if not await asyncio.to_thread(_known, desk, id):
            raise Problem(404, "unknown-batch", f"there was never a batch {id!r}")
        try:
            content = await press.report(id, language, verify)
        except Busy as error:
            raise Problem(503, "busy", str(error), headers={"Retry-After": "5"}) from None
        except TooLong as error:
            raise Problem(503, "too-long", str(error)) from None
        except QualityError as error:
            raise Problem(409, "no-report", str(error)) from None
        headers = {"Content-Disposition": f'attachment; filename="{file_name(id)}"'}
        return Response(content, media_type="application/pdf", headers=headers)

    return routes


def _known(desk: Desk, id: str) -> bool:
    with desk.history() as history:
        return batch_known(history, id) and history.batch(id).last_utc_ns > 0
