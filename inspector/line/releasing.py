"""What must be signed before a job may let a part pass, and whether it is (I2).

Enters: the station file's ``quality``, a job, a claim that it is signed. Leaves: the job with what
it awaits, or the reason why it is still not released. Imports the line's jobs, config and store;
``acts.py`` and ``process.py`` call it.

Until it is signed the line moves, every part is judged and recorded in mode ``setup``, and every
part is rejected. The line believes no one who says that somebody has signed: it reads the
signature's own record at the desk.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4

from inspector.config import Quality
from inspector.line.changeover import Job
from inspector.store.signatures import given

CLEARANCE, ARTICLE = "line_clearance", "first_article"
"""Kinds of signatures; their subject is the job's ``awaits``."""
SIGNATURES_MAX = 8


class Unsigned(Exception):
    """The job is not released; ``str()`` says what is missing."""


def awaiting(quality: Quality | None, planned: Job, before: Job | None) -> Job:
    """``planned`` with what it awaits, coming after ``before`` (None: nothing)."""
    if quality is None:
        return planned
    new_batch = before is None or before.batch.id != planned.batch.id
    new_recipe = before is None or before.recipe.digest != planned.recipe.digest
    owed = before.needs if before is not None else ()
    article = quality.first_article
    needs = []
    if (quality.line_clearance and new_batch) or (CLEARANCE in owed and not new_batch):
        needs.append(CLEARANCE)
    if article and (new_recipe or (article.each_batch and new_batch) or ARTICLE in owed):
        needs.append(ARTICLE)
    return replace(planned, awaits=uuid4().hex, needs=tuple(needs)) if needs else planned


def owed(planned: Job) -> dict[str, Any]:
    """What whoever asked for the job is told about it; empty when nothing is owed."""
    return {"awaits": planned.awaits, "needs": list(planned.needs)} if planned.awaits else {}


def signed(data: Path, planned: Job, args: Mapping[str, Any]) -> list[str]:
    """Who signed what ``planned`` awaits, as ``kind: name``.

    Raises:
        Unsigned: something is missing, or is a signature under something else.
        StoreError: the desk cannot be read.
    """
    if not planned.awaits:
        raise Unsigned("the line awaits no signature; it is released")
    if args.get("id") != planned.awaits:
        raise Unsigned(f"the line awaits signatures under {planned.awaits}, not {args.get('id')!r}")
    positions = args.get("signatures")
    if not isinstance(positions, list) or len(positions) > SIGNATURES_MAX:
        raise Unsigned("`signatures` is a list of positions at the desk")
    found = {}
    for position in positions:
        number = isinstance(position, int) and not isinstance(position, bool)
        if number and 0 < position < 1 << 63:  # SQLite counts no further
            signature = given(data, position)
            if signature is not None and signature.subject == planned.awaits:
                found[signature.kind] = signature.name
    missing = [kind for kind in planned.needs if kind not in found]
    if missing:
        raise Unsigned(f"not signed: {', '.join(missing)}")
    return [f"{kind}: {name}" for kind, name in found.items()]
