"""Teaching the champion on, and measuring the new recipe before anybody may release it."""

from __future__ import annotations

import json
import os
import shutil
import time
from datetime import date
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from inspector.recipe import load
from inspector.trial import CONFIGS
from inspector.virtual.filmset import FilmSet
from training.loop.line import Watch
from training.loop.story import DEFECT, LoopFailed, Story

ROI = (192, 0, 448, 480)
MODELS = CONFIGS.parent / "models"
RECIPE = CONFIGS / "recipes" / "bottle-line.yaml"


def teach(story: Story, watch: Watch, snapshot: Any, replay: Any) -> tuple[Path, Path, float]:
    """The fine-tuned models' folder, the recipe that runs them, and how long it took."""
    import torch

    from training.detect import fit_detector
    from training.export import export_detector
    from training.fit import Schedule
    from training.policy import POLICIES
    from training.teach import Lesson, classes_of, plan_of

    began = time.monotonic()
    os.nice(10)  # the line's own processes come first; they have started already
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    start = MODELS / "bottle-line" / "1"
    classes = (*classes_of([], start, "side"), DEFECT)
    lesson = Lesson(
        "bottle-line", (snapshot, replay), "side", classes, ROI, start, (), story.size.repeat
    )
    schedule = Schedule(
        epochs=story.size.epochs, rate=6e-4, warm_up=10, average=0.98, measure_every=100
    )
    plan = plan_of(lesson, POLICIES["bottle-line"], schedule)
    pictures, measured = plan.pictures(story.folder)
    run_folder = story.folder / "run"
    net = fit_detector(
        plan.shape, pictures, measured, plan.variation, run_folder, schedule, plan.batch, start
    )
    models = story.folder / "models"
    shutil.copytree(MODELS / "line-read", models / "line-read")
    export_detector(plan, net, pictures, measured, models, "2", "scripts/loop")
    recipe = story.folder / "recipe" / "bottle-line.yaml"
    recipe.parent.mkdir()
    yaml = YAML()
    content = yaml.load(RECIPE.read_text())
    content["revision"] = int(content.get("revision", 1)) + 1
    step = next(s for s in content["tools"] if s["name"] == "appearance")
    step["params"]["model"] = "bottle-line-int8/2"
    step["params"]["defects"][DEFECT] = "major"
    with recipe.open("w") as file:
        yaml.dump(content, file)
    load(recipe, models)
    watch.counts()
    return models, recipe, time.monotonic() - began


def evaluate(story: Story, models: Path, recipe: Path, held: FilmSet) -> dict[str, Any]:
    """The new recipe against the champion on held-out parts; refused when it is not better."""
    from training.assess import assess, write
    from training.cases import of_films

    parts = list(of_films(held.folder, date.today()))
    report, shown = assess(recipe, models, parts, champion=(RECIPE, MODELS))
    write(story.folder / "evaluation", shown)
    (story.folder / "evaluation" / "report.json").write_text(json.dumps(report, indent=1))
    found = report["comparison"]["by_defect"]
    worse = [name for name, d in found.items() if d["surely_worse"]]
    worse += ["false rejects"] if _worse(report["comparison"]["false_rejects"]) else []
    if not found[DEFECT]["surely_better"]:
        raise LoopFailed(f"the intervals of {DEFECT} overlap: {found[DEFECT]}")
    if worse:
        raise LoopFailed(f"worse than the champion: {', '.join(worse)}")
    return report


def _worse(false_rejects: dict[str, Any]) -> bool:
    return bool(false_rejects["newly"] > false_rejects["no_longer"] and false_rejects["p"] < 0.05)


def short(report: dict[str, Any]) -> dict[str, Any]:
    """Of an evaluation what the story's figures keep."""
    comparison = report["comparison"]
    return {
        "parts": comparison["parts"],
        "p": comparison["p"],
        "mended": len(comparison["mended"]),
        "spoilt": len(comparison["spoilt"]),
        "false_rejects": comparison["false_rejects"],
        "by_defect": comparison["by_defect"],
        "latency_ms": report["figures"]["latency_ms"],
    }
