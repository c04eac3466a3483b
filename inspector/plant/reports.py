"""A batch's report as a PDF: asked for by the MES, made by another process.

Enters: a batch's id, a language. Leaves: the PDF that ``inspector report`` writes. It is made in a
process of its own, niced, a few at a time: no PDF runs where answers are due in milliseconds.
``app.py`` imports it.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from pathlib import Path
from typing import Annotated, Literal

from fastapi import APIRouter, Query
from fastapi.responses import Response

from inspector.identity import Action, authorise
from inspector.plant.access import PROBLEMS, Viewer
from inspector.plant.batches import BatchId
from inspector.plant.desk import Desk
from inspector.plant.problems import Problem
from inspector.store.pages import batch_known

TOGETHER = 2
"""Reports that are made at once; whoever asks for more comes again."""
LIMIT_S = 300.0
"""A batch of a million parts takes a minute; with its ledger verified, some."""


def router(desk: Desk) -> APIRouter:
    """``/batches/{id}/report``."""
    routes = APIRouter(tags=["batches"], responses=PROBLEMS)
    making = 0

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
        nonlocal making
        authorise(who, Action.EXPORT)
        if not await asyncio.to_thread(_known, desk, id):
            raise Problem(404, "unknown-batch", f"there was never a batch {id!r}")
        if making >= TOGETHER:
            raise Problem(503, "busy", "other reports are being made", headers={"Retry-After": "5"})
        making += 1
        try:
            content = await _make(desk, id, language, verify)
        finally:
            making -= 1
        name = "".join(c if c.isalnum() or c in "-_." else "_" for c in id if c.isascii())
        headers = {"Content-Disposition": f'attachment; filename="{name or "batch"}.pdf"'}
        return Response(content, media_type="application/pdf", headers=headers)

    return routes


def _known(desk: Desk, id: str) -> bool:
    with desk.history() as history:
        return batch_known(history, id) and history.batch(id).last_utc_ns > 0


async def _make(desk: Desk, id: str, language: str, verify: bool) -> bytes:
    with tempfile.TemporaryDirectory(prefix="inspector-report-") as folder:
        out = Path(folder) / "report.pdf"
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "inspector.quality.report", str(desk.data), id, str(out),
            language, "verify" if verify else "-", desk.station.site, desk.station.line,
            stdin=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        try:
            _, said = await asyncio.wait_for(process.communicate(), LIMIT_S)
        except (TimeoutError, asyncio.CancelledError):
            process.kill()
            await process.wait()
            raise Problem(503, "too-long", f"not made within {LIMIT_S:g} s") from None
        if process.returncode:
            raise Problem(409, "no-report", said.decode("utf-8", "replace").strip()[-300:])
        return await asyncio.to_thread(out.read_bytes)
