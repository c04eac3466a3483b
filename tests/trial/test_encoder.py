"""A whole station whose cameras the belt's encoder triggers (S2; I1, I2).

Each part of a flighted belt is judged by its own pictures, through a new speed, a stop and a step
back, while the encoder runs over.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from inspector.part import Outcome
from inspector.store.query import History
from inspector.trial import PITCH_MM, Plan, Trial, running

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

PARTS = 120
EVERY = round(PITCH_MM / 0.1)
SCHEDULE = [
    {"at_part": 30, "do": "speed", "mm_s": 500},
    {"at_part": 50, "do": "speed", "mm_s": 1000},
    {"at_part": 70, "do": "stop", "ms": 400},
    {"at_part": 90, "do": "reverse", "mm": 3, "ms": 100},
]
MACHINE = {
    "infeed_mm": 130.0,
    "encoder_start": (1 << 32) - 40_000,
}
"""The first part begins 190 mm before the eye: the fourth picture is its own, 10 mm behind it."""


@pytest.fixture(scope="module")
def trial(coded: Any, plan: Callable[..., Plan], watch: Callable[[Trial], Any]) -> Any:
    cameras = [
        {
            "name": name, "serial": serial, "frame_timeout_ms": 600,
            "trigger": "encoder", "every_counts": EVERY,
        }
        for name, serial in (("side", "V001"), ("code", "V002"))
    ]  # fmt: skip
    world = {"schedule": SCHEDULE, **{f"machine.{name}": of for name, of in MACHINE.items()}}
    wanted = plan(coded, rate=20.0, parts=PARTS, world=world, station={"cameras": cameras})
    with running(wanted) as trial:
        watch(trial).finish()
        yield trial


def test_every_part_is_judged_by_its_own_pictures(
    trial: Any, coded: Any, audit: Callable[[Trial], Any]
) -> None:
    auditor = audit(trial)
    auditor.check(coded)
    outcomes = [verdict.outcome for verdict in auditor.verdicts().values()]
    judged = [outcome for outcome in outcomes if outcome is not Outcome.ERROR]
    assert len(outcomes) == PARTS
    assert len(judged) >= 0.8 * PARTS, auditor.summary()


def test_pictures_of_the_empty_belt_before_the_first_part_are_nobodys(trial: Any) -> None:
    with History(trial.data, bound_s=30.0) as history:
        told = [str(event.body["what"]) for event in history.events("camera", 100)]
    assert told.count("connected") == 2
    assert "frozen" not in told
