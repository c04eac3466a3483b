"""A release as the centre makes one, installed beside the line whose pictures are taken.

Enters: the trial's recipe, models and films. Leaves: a signed release in its data folder, proven on
this machine. `screenshots` imports this.
"""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from ruamel.yaml import YAML

from inspector.identity import Principal, Role
from inspector.part import Batch
from inspector.release import install
from inspector.release.trust import trust
from inspector.trial import CONFIGS
from training.release import Example, approve, make, make_key, read_key

if TYPE_CHECKING:
    from inspector.trial import Trial

ADMIN = Principal("setup", frozenset({Role.ADMIN}))
PARTS = 4
DAY = date(2026, 11, 25)


def installed(trial: Trial) -> None:
    """``bottle-line/2``, built by lena and approved by mei."""
    folder = trial.plan.folder / "centre"
    folder.mkdir()
    films = trial.plan.films
    recipe = folder / "bottle-line.yaml"
    yaml = YAML()
    settings = yaml.load(CONFIGS / "recipes" / "bottle-line.yaml")
    settings["revision"] = 2
    yaml.dump(settings, recipe)
    views = {view: films.film(view) for view in ("side", "code")}
    printed = {"lot": films.lot, "date": films.date}
    batch = Batch("parity", films.product, texts=printed)
    examples = [
        Example(f"part-{i}", {view: film.picture(i) for view, film in views.items()}, batch, DAY)
        for i in range(PARTS)
    ]
    keys = {}
    for name, role in (("lena", "builder"), ("mei", "approver")):
        path: Path = make_key(folder / f"{name}.key")
        keys[name] = read_key(folder / f"{name}.key")
        trust(trial.data, path, role, name, ADMIN)
    out = folder / "bottle-line-2.release"
    make(
        recipe, CONFIGS.parent / "models", examples, out, version="2", number=2, builder="lena",
        key=keys["lena"], card={"why": "scratches on the label"}, threads=1,
    )  # fmt: skip
    approve(out, "mei", keys["mei"])
    install(out, trial.data, "erik", threads=1)
