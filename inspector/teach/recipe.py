"""Pictures go in, a recipe with its bank beside it comes out. Imported by ``teach``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from inspector.config import ConfigError
from inspector.part import Pixels
from inspector.recipe import name_for, read
from inspector.store.files import write_whole
from inspector.teach.anomaly import BACKBONE, FALSE_REJECT, Taught, teach_anomaly
from inspector.teach.follow import Leader, is_taught, leader_of
from inspector.teach.material import of_one_shape
from inspector.teach.pictures import Progress, TeachError
from inspector.teach.thorough import add_network
from inspector.tools.bank import Bank, keep_bank
from inspector.tools.onnx import Shelf
from inspector.tools.step import Roi, Unjudged, crop
from inspector.tools.texture import MOST_PX

STEP = "surface"


def teach(
    good: Sequence[Pixels],
    bad: Sequence[Pixels],
    out: Path,
    *,
    models: Path,
    threads: int = 2,
    roi: Roi | None = None,
    follow: Path | None = None,
    false_reject: float = FALSE_REJECT,
    backbones: Sequence[str] = (),
    run: Path | None = None,
    epochs: int | None = None,
    bits: int | None = None,
    megapixels: float = MOST_PX / 1e6,
    progress: Progress = lambda what, done, total: None,
) -> dict[str, Any]:
    """Teaches a recipe what lies under ``roi`` in ``good``; what it was measured to do.

    With ``follow``, a recipe, the new step follows its ``align`` step. With ``run``, the folder of
    a training, also by a network (``--thorough``), trained for ``epochs`` instead of the plan's.
    ``bits`` are those of the values in the files that the pictures came from, where these keep
    sixteen: the recipe says so to who judges others. Pictures are looked at in ``megapixels``, and
    large ones also in their own size for what is small. Good pictures of another shape than nearly
    all of them are left out; ``stands_out`` gives the numbers of those far from all others. Raises
    ``TeachError``, ``ConfigError``, ``ModelError``, ``StoreError`` or ``OSError``.
    """
    next_revision(out)
    shelf = Shelf(models, threads)
    leader = leader_of(follow, shelf) if follow else None
    good, bad = (cut(pictures, roi, leader, shelf) for pictures in (good, bad))
    taught, kept, report = taught_from(
        good,
        bad,
        shelf,
        backbones=backbones or (BACKBONE,),
        false_reject=false_reject,
        most_px=round(megapixels * 1e6),
        run=run,
        epochs=epochs,
        progress=progress,
    )
    if stands := report.get("stands_out"):
        report["stands_out"] = {**stands, "numbers": [kept[i] for i in stands["numbers"]]}
    digest = write_recipe(taught.bank, report, out, roi, leader, bits)
    return {"recipe": str(out), "bank": digest, **report}


def taught_from(
    good: Sequence[Pixels],
    bad: Sequence[Pixels],
    shelf: Shelf,
    *,
    backbones: Sequence[str] = (BACKBONE,),
    false_reject: float = FALSE_REJECT,
    most_px: int = MOST_PX,
    run: Path | None = None,
    epochs: int | None = None,
    progress: Progress,
) -> tuple[Taught, list[int], dict[str, Any]]:
    """What is taught by those of the pictures that have one shape, which of the good ones they
    are, and the report with a sentence on those that are ``left_out``. Raises as ``teach``."""
    kept, left_out = of_one_shape(good)
    good = [good[i] for i in kept]
    taught = teach_anomaly(
        good,
        shelf,
        bad,
        backbones=backbones,
        false_reject=false_reject,
        most_px=most_px,
        progress=progress,
    )
    if run is not None:
        taught = add_network(taught, good, bad, run, shelf, false_reject, progress, epochs)
    return taught, kept, {**taught.report, **({"left_out": left_out} if left_out else {})}


def cut(
    pictures: Sequence[Pixels], roi: Roi | None, leader: Leader | None, shelf: Shelf
) -> list[Pixels]:
    """What the step that is taught will see of each picture. Raises ``TeachError``."""
    if leader is not None:
        return leader.turned_back(pictures, shelf, roi)
    try:
        return [crop(pixels, roi) for pixels in pictures]
    except Unjudged as error:
        raise TeachError(f"{error}; draw the ROI on these pictures") from None


def write_recipe(
    bank: Bank,
    report: dict[str, Any],
    out: Path,
    roi: Roi | None = None,
    leader: Leader | None = None,
    bits: int | None = None,
) -> str:
    """Writes the recipe ``out`` with one ``anomaly`` step, behind ``leader``; its bank's digest.

    A recipe that teaching wrote before is taught anew, its revision counted up; one with other
    steps is never overwritten. Raises ``TeachError``, ``StoreError`` or ``OSError``.
    """
    revision = next_revision(out)
    out.parent.mkdir(parents=True, exist_ok=True)
    digest = keep_bank(bank, out.parent)
    if leader is not None:
        leader.keep_golden(out.parent)
    share = report["false_reject"]
    low, high = (f"{100 * v:.1f}" for v in share["interval95"])
    lines = [
        f"# Taught from {report['good']} good parts, each judged by what did not know it: "
        f"{share['seen']} rejected",
        f"# (95 %: {low} to {high} % of good parts; {100 * share['wanted']:g} % were asked for).",
        *([f"# {report['left_out']}."] if "left_out" in report else []),
        f"name: {name_for(out)}",
        f"revision: {revision}",
        *([f"views: [{leader.view}]"] if leader else []),
        *([f"bits: {bits}    # of the values in picture files of sixteen bits"] if bits else []),
        "tools:",
        *([leader.yaml()] if leader else []),
        f"  - name: {STEP}",
        "    kind: anomaly",
        *([f"    follow: {leader.step.name}"] if leader else []),
        *([f"    roi: [{', '.join(map(str, roi))}]"] if roi else []),
        "    params:",
        f"      bank: {digest}",
        "      threshold: 0.5    # higher lets more pass",
        "",
    ]
    write_whole(out, "\n".join(lines).encode())
    return digest


def next_revision(out: Path) -> int:
    """The revision that a recipe taught into ``out`` gets. Raises ``TeachError`` when ``out`` is
    another recipe, or no recipe."""
    if out.suffix not in (".yaml", ".yml"):
        raise TeachError(f"{out} is no recipe's name; it ends in .yaml")
    if not out.exists():
        return 1
    try:
        known = read(out)
    except ConfigError:
        raise TeachError(f"{out} is there and is no recipe; name another file") from None
    if not is_taught(out, STEP):
        what = "is a recipe with other steps, which are kept"
        raise TeachError(f"{out} {what}; teach into another file and copy its step there")
    return known.revision + 1
