"""Parts with a dark spot each, growing from part to part, as a line that judged them kept them."""

from __future__ import annotations

import time
from datetime import date
from pathlib import Path

import numpy as np

from inspector.part import Batch, Mode, Times, Verdict, new_part_id
from inspector.recipe import load
from inspector.store import ImageArchive, LineLedger

RECIPE = """\
# A white tile; no spot on it may be large.
name: tile
revision: 1
views: [side]
tools:
  - name: spots
    kind: blob
    roi: [20, 20, 220, 140]      # the tile without its rim
    params:
      threshold: {method: fixed, level: 120}
      area: [300, 100000]        # square pixels, measured on forty tiles
"""


def write_tiles(data: Path, recipe: Path, parts: int = 24) -> None:
    """``parts`` tiles with spots of 4, 6, 8 … px side; ``recipe`` judged each on the line."""
    judge = load(recipe)
    now_ns = time.time_ns()
    batch = Batch("T1", "tile", "tile", {"lot": "T1"})
    with (
        LineLedger.open(data, station="BOT-L3-01") as ledger,
        ImageArchive(data, reserve_mb=0, pass_image_every=1) as archive,
    ):
        ledger.add_batch(batch, "begin", "line")
        for number in range(1, parts + 1):
            pixels = np.full((160, 240, 3), 230, np.uint8)
            side = 2 + 2 * number
            pixels[60 : 60 + side, 90 : 90 + side] = 20
            judged = judge.judge({"side": pixels}, batch, date.today())
            utc_ns = now_ns - (parts - number) * 1_000_000_000
            verdict = Verdict(
                part_id=new_part_id(utc_ns), station="BOT-L3-01", stream="plc-1", sequence=number,
                outcome=judged.outcome, mode=Mode.AUTO, batch=batch.id,
                times=Times(1_000_000, 3_000_000, 9_000_000, utc_ns, "boot", True),
                recipe=f"{judge.name}@{judge.revision}", recipe_digest=judge.digest,
                model_digests=(), software="0.1.0", reasons=judged.reasons,
                findings=judged.findings,
            )  # fmt: skip
            archive.offer(verdict, {"side": pixels})
            ledger.add_verdict(verdict)
        for image in archive.close():
            ledger.add_image(image)
