"""The people of the story: who signs, and QA, who is wrong about one part in twenty."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import numpy as np

from inspector.bus import run_dir
from inspector.identity import Role, Users
from inspector.store import History
from inspector.trial import Trial
from inspector.virtual.filmset import FilmSet
from training.loop.story import DEFECT, ROOT, LoopFailed, Story

WRONG = 0.05


def give_keys(folder: Path) -> dict[str, Any]:
    """Who builds and who approves, with a key each."""
    from training.release import make_key, read_key

    keys = {}
    for name in ("ben", "anna"):
        make_key(folder / "keys" / f"{name}.key")
        keys[name] = read_key(folder / "keys" / f"{name}.key")
    return keys


def review(story: Story, trial: Trial, films: FilmSet) -> dict[str, int]:
    """QA's hour: every torn part on record, and some others; one in twenty is told wrong."""
    users = Users(trial.data)
    for name in ("quinn", "erika"):
        role = Role.QA if name == "quinn" else Role.ENGINEER
        users.add_user(name, [role], password="a long password", principal=ROOT)
    key = users.add_key("quinn", principal=ROOT)
    url = (run_dir(trial.data) / "plant.url").read_text()
    rng = np.random.default_rng(story.seed)
    truth = films.truth()
    with History(trial.data, bound_s=30.0) as history:
        parts = history.last(100_000)[::-1]
    told = {"parts": 0, "torn": 0, "wrong": 0, "overrides": 0}
    others = 0
    with httpx.Client(base_url=url, headers={"Authorization": f"Bearer {key}"}, timeout=30) as api:
        for part in parts:
            verdict = part.verdict
            if verdict.sequence > films.count or verdict.outcome not in ("pass", "reject"):
                continue
            true = truth[verdict.sequence - 1]
            marks = [d for d in true["defects"] if d["view"] == "side"]
            torn = any(d["label"] == DEFECT for d in true["defects"])
            if not torn:
                others += 1
                if others > story.size.good_reviews:
                    continue
            if not part.images:
                continue
            bad = bool(true["defects"])
            wrong = bool(rng.random() < WRONG)
            labels = [
                {"label": d["label"], "severity": d["severity"], "box": d["box"]} for d in marks
            ]
            if wrong:
                bad = not bad
                labels = [_imagined(rng)] if bad else []
            outcome = "reject" if bad else "pass"
            right = outcome == verdict.outcome
            answer = api.post(
                "api/v1/reviews",
                json={
                    "part": str(verdict.part_id), "view": "side", "outcome": outcome,
                    "decision": ("relabel" if labels else "confirm") if right else "override",
                    "labels": labels, "reason": "seen on the picture", "sample": True,
                },
            )  # fmt: skip
            if answer.status_code != 201:
                raise LoopFailed(f"a review is refused: {answer.text[:300]}")
            told["parts"] += 1
            told["torn"] += torn
            told["wrong"] += wrong
            told["overrides"] += not right
    return told


def _imagined(rng: np.random.Generator) -> dict[str, Any]:
    """What somebody marks who is wrong."""
    x, y = rng.uniform(230, 380), rng.uniform(210, 360)
    box = [round(float(v), 1) for v in (x, y, x + 40, y + 30)]
    return {"label": DEFECT, "severity": "major", "box": box}
