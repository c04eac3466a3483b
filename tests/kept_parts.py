"""Parts as a line that judged them kept them: each picture a part, one recipe, a second between."""

from __future__ import annotations

import time
from collections.abc import Iterable
from datetime import date
from pathlib import Path

from inspector.part import Batch, Mode, Pixels, Times, Verdict, new_part_id
from inspector.recipe import Recipe
from inspector.store import ImageArchive, LineLedger


def keep_parts(
    data: Path, recipe: Recipe, pictures: Iterable[Pixels], batch: Batch, view: str = "side"
) -> None:
    """What the line would have recorded and archived of ``pictures``, the last one made now."""
    pictures = list(pictures)
    now_ns = time.time_ns()
    with (
        LineLedger.open(data, station="BOT-L3-01") as ledger,
        ImageArchive(data, reserve_mb=0, pass_image_every=1) as archive,
    ):
        ledger.add_batch(batch, "begin", "line")
        for number, pixels in enumerate(pictures, 1):
            judged = recipe.judge({view: pixels}, batch, date.today())
            utc_ns = now_ns - (len(pictures) - number) * 1_000_000_000
            verdict = Verdict(
                part_id=new_part_id(utc_ns), station="BOT-L3-01", stream="plc-1", sequence=number,
                outcome=judged.outcome, mode=Mode.AUTO, batch=batch.id,
                times=Times(1_000_000, 3_000_000, 9_000_000, utc_ns, "boot", True),
                recipe=f"{recipe.name}@{recipe.revision}", recipe_digest=recipe.digest,
                model_digests=(), software="0.1.0", reasons=judged.reasons,
                findings=judged.findings,
            )  # fmt: skip
            archive.offer(verdict, {view: pixels})
            ledger.add_verdict(verdict)
        for image in archive.close():
            ledger.add_image(image)
