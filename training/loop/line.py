"""The running virtual line of the story: its films, its station, and what the world counts at its
gate."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any

from inspector.release.stage import Stage, standings
from inspector.trial import Plan, Trial, wait_for
from inspector.virtual.filmset import FilmSet, render_set
from training.loop.story import DEFECT, LoopFailed, Story

RATE = 5.0
"""Parts per second."""


class Watch:
    """Waits for what the world counts, and keeps the curve."""

    def __init__(self, story: Story, trial: Trial) -> None:
        self._story, self._trial = story, trial

    def counts(self) -> dict[str, int]:
        """Of the new defect and of all parts, by the world, as of now."""
        world = self._trial.now()
        torn = world["defective_by_label"].get(DEFECT, 0)
        through = world["escapes_by_label"].get(DEFECT, 0)
        point = (world["gate_passed"] + world["gate_rejects"], torn, through)
        if not self._story.series or self._story.series[-1] != point:
            self._story.series.append(point)
        return {
            "parts": point[0], "torn": torn, "torn_escaped": through,
            "defective": world["defective"], "escaped": world["escapes"],
            "false_rejects": world["false_rejects"], "triggers": world["triggers"],
        }  # fmt: skip

    def since(self, start: dict[str, int]) -> dict[str, Any]:
        """What has happened since ``start``."""
        now = self.counts()
        found: dict[str, Any] = {name: now[name] - start[name] for name in now}
        good = found["parts"] - found["defective"]
        found["escape_rate"] = round(found["torn_escaped"] / max(found["torn"], 1), 4)
        found["false_reject_rate"] = round(found["false_rejects"] / max(good, 1), 4)
        return found

    def parts(self) -> int:
        """That have come to the gate."""
        return self.counts()["parts"]

    def reach(self, parts: int) -> None:
        """Until so many parts have come to the gate."""
        self.until(lambda: self.parts() >= parts, f"part {parts} did not come", 60 + parts)

    def settle(self) -> None:
        """Until every part that was fed has left."""
        self.until(lambda: self._trial.now()["state"] == "done", "parts do not leave", 900)
        self.counts()

    def until(self, condition: Callable[[], object], what: str, seconds: float) -> None:
        """Waits for ``condition``. Raises ``LoopFailed`` with ``what`` did not come."""

        def alive() -> bool:
            self.counts()
            time.sleep(0.2)
            return self._trial.station is not None and self._trial.station.poll() is None

        if not wait_for(condition, seconds, alive):
            raise LoopFailed(f"{what}; read {self._trial.plan.folder}/station.log")


def draw(story: Story) -> tuple[FilmSet, FilmSet]:
    """The parts that run over the line, and those of other films that measure."""
    size, workers = story.size, len(os.sched_getaffinity(0))
    whole = size.before + size.shown + size.meanwhile + size.shadowed * 3 + size.after + 20
    films = render_set(
        "bottle-line", 700 + story.seed, whole, story.folder / "films", 0.1, workers=workers,
        novelty=DEFECT, novelty_rate=size.novelty_rate, novelty_from=size.before,
    )  # fmt: skip
    held = render_set(
        "bottle-line", 900 + story.seed, size.held_out, story.folder / "held", 0.6,
        workers=workers, mixed=True, novelty=DEFECT, novelty_rate=0.6,
    )  # fmt: skip
    return films, held


def plan_of(story: Story, films: FilmSet, hub: str) -> Plan:
    """The line at five parts a second, reporting to ``hub``."""
    size = story.size
    return Plan(
        films, story.folder / "line", rate=RATE, parts=size.before + size.shown, travel_s=2.0,
        station={
            "clock": "trusted", "quality": None, "plant": {"port": 0},
            "stop.rejects_in_a_row": 0, "stop.confirmation_failed": False,
            "store.pass_image_every": 1, "store.reserve_mb": 0, "store.stop_mb": 0,
            "plc.timeout_ms": 1000,
            "sync": {"hub": hub, "every_s": 1.0, "samples": {"novelty": False}},
            "releases": {
                "source": str((story.folder / "channels").resolve()), "channel": "canary",
                "poll_s": 1.0, "shadow_share": 1.0, "planned_disagreement": True,
                "probation_parts": 5000,
            },
        },
    )  # fmt: skip


def stage_of(trial: Trial, release: str) -> Stage | None:
    """Where the release of this title stands at the station; None until it is installed."""
    return next((s.stage for s in standings(trial.data) if s.release.title == release), None)


def judged(trial: Trial, release: str) -> int:
    """Parts that it has judged in shadow."""
    found = (s.tally.get("judged", 0) for s in standings(trial.data) if s.release.title == release)
    return int(next(found, 0))


def wait_for_records(trial: Trial, triggers: int) -> None:
    """Until the last part's verdict is on record."""
    wait_for(lambda: trial.ledger()["verdicts"] >= triggers, 60.0)
