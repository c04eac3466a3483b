"""Attribute agreement of a recipe: the same parts judged again and again, as the line would.

Enters: a recipe, a folder of pictures of good, borderline and bad parts, each part fed several
times. Leaves: within-run and between-run agreement and κ with their intervals. Only the command
line and tests import this.

50 parts fed 10 times each is the usual study: a third of them clear, a third borderline. The
pictures of one part must come from feeding it again, not from copying a file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from datetime import date
from pathlib import Path
from typing import Any

from inspector.part import Batch, Outcome, Pixels
from inspector.pictures import DEPTHS, bits_of, is_picture, read_image
from inspector.quality.agreement import Agreement, agreement
from inspector.quality.errors import QualityError
from inspector.recipe import Recipe, load

TRUTHS = ("good", "borderline", "bad")


def study(
    recipe_file: Path,
    folder: Path,
    texts: Mapping[str, str],
    models: Path,
    threads: int = 2,
    today: date | None = None,
    told: Callable[[int, int], None] = lambda done, of: None,
) -> dict[str, Any]:
    """Judge every picture of ``folder`` and compare; dates as on ``today``. ``told``: how many
    parts are done, of how many.

    Raises:
        QualityError: the folder is no study; the text says what is missing.
    """
    parts = list(_parts(folder))
    if len(parts) < 2:
        found = parts[0][0] if parts else "none"
        raise QualityError(f"{folder}: a study compares two parts at least; there is {found}")
    recipe = load(recipe_file, models, threads=threads)
    recipe.warm_up()
    batch, day = Batch("study", texts=dict(texts), recipe=recipe.name), today or date.today()
    files = (file for _, _, runs in parts for run in runs for file in run.values())
    bits = recipe.file.bits or bits_of(files) or DEPTHS[-1]
    ratings, truths = [], []
    for number, (name, truth, runs) in enumerate(parts):
        told(number, len(parts))
        judged = []
        for run in runs:
            outcome = recipe.judge(_frames(recipe, run, bits, name), batch, day).outcome
            # the gate knows two sides: what could not be judged goes to the reject side, too
            judged.append("pass" if outcome is Outcome.PASS else "reject")
        ratings.append(judged)
        truths.append(truth)
    clear = [i for i, truth in enumerate(truths) if truth != "borderline"]
    whole = agreement(ratings)
    against = None
    if len(clear) >= 2:
        wanted = ["pass" if truths[i] == "good" else "reject" for i in clear]
        against = agreement([ratings[i] for i in clear], wanted)
    return _said(whole, against, [name for name, _, _ in parts], truths, ratings)


def _said(
    whole: Agreement, against: Agreement | None, names: list[str], truths: list[str],
    ratings: list[list[str]],
) -> dict[str, Any]:  # fmt: skip
    said: dict[str, Any] = {
        "parts": whole.parts,
        "runs": whole.runs,
        "between_runs": asdict(whole.between),
        "fleiss_kappa": asdict(whole.fleiss),
        "flipping": [
            {"part": names[i], "truth": truths[i], "reject": ratings[i].count("reject"),
             "of": len(ratings[i])} for i in whole.flipping
        ],
        "verdict": whole.verdict if against is None else against.verdict,
    }  # fmt: skip
    if against is not None:
        assert against.always_right is not None
        said |= {
            "within_runs": [asdict(run) for run in against.against],
            "cohen_kappa": [asdict(kappa) for kappa in against.cohen],
            "always_right": asdict(against.always_right),
            "escapes": sum("pass" in r for r, t in zip(ratings, truths, strict=True) if t == "bad"),
            "false_rejects": sum(
                "reject" in r for r, t in zip(ratings, truths, strict=True) if t == "good"
            ),
        }
    return said


def _parts(folder: Path) -> Iterator[tuple[str, str, list[dict[str, Path]]]]:
    """Each part's name, truth, and pictures by view for each run."""
    if not any((folder / truth).is_dir() for truth in TRUTHS):
        raise QualityError(
            f"{folder} has none of the folders {', '.join(TRUTHS)}; each holds a folder per part"
        )
    count = 0
    for truth in TRUTHS:
        root = folder / truth
        for part in sorted(root.iterdir()) if root.is_dir() else ():
            if not part.is_dir():
                continue
            runs: dict[str, dict[str, Path]] = {}
            for file in sorted(part.iterdir()):
                if is_picture(file):
                    run, _, view = file.stem.partition("-")
                    other = runs.setdefault(run, {}).setdefault(view, file)
                    if other != file:
                        what = f"{other.name} and {file.name} show one view of one run"
                        raise QualityError(f"{part}: {what}; take one of them out")
            if len(runs) < 2:
                raise QualityError(f"{part}: {len(runs)} runs; a part is fed at least twice")
            if count and count != len(runs):
                raise QualityError(f"{part}: {len(runs)} runs, other parts have {count}")
            count = len(runs)
            yield f"{truth}/{part.name}", truth, list(runs.values())


def _frames(recipe: Recipe, files: Mapping[str, Path], bits: int, name: str) -> dict[str, Pixels]:
    """One run's pictures by view."""
    frames: dict[str, Pixels] = {}
    for view, file in files.items():
        pixels, flaw = read_image(file, bits)
        if pixels is None:
            raise QualityError(f"{file.parent}: {flaw}; take it again or leave the run out")
        frames[view or recipe.views[0]] = pixels
    if missing := [view for view in recipe.views if view not in frames]:
        wanted = missing[0]
        raise QualityError(f"{name}: no picture of view {wanted!r}; name it RUN-{wanted}.png")
    return frames
