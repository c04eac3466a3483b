"""The conveyor test on the whole station: one bad part between two good ones at minimum pitch,
through ramp, stop, jog and reverse (the same a thousand times over, in simulated time, is
``tests/virtual/test_conveyor.py``)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from inspector.part import GateAction
from inspector.trial import Plan, Trial, running

PARTS = 140
RATE, PITCH_MM = 20.0, 22.0
MACHINE = {
    "item_mm": 15.0,
    "gate_mm": 440.0,
    "gate_eye_mm": 60.0,
    "window_mm": 8.0,
    "switch_ms": 3.0,
    "infeed_mm": 120.0,
}
PROGRAM = {"scan_ms": 2.0, "pitch_min_mm": 18.0, "longest_mm": 18.0}
SCHEDULE = (
    {"at_part": 20, "do": "speed", "mm_s": 220},
    {"at_part": 30, "do": "speed", "mm_s": 440},
    {"at_part": 40, "do": "stop", "ms": 300},
    {"at_part": 52, "do": "jog", "mm": 5, "ms": 50},
    {"at_part": 62, "do": "jog", "mm": 33, "ms": 0},
    {"at_part": 74, "do": "reverse", "mm": 3, "ms": 50},
    {"at_part": 84, "do": "reverse", "mm": 3, "ms": 0},
    {"at_part": 94, "do": "stop", "ms": 100},
)
LOST_PART = 105
"""Here the belt runs back so far that nobody knows any more what stands where."""


@pytest.fixture(scope="module")
def conveyed(
    coded_parts: Callable[[str], Any],
    plan: Callable[..., Plan],
    watch: Callable[[Trial], Any],
    audit: Callable[[Trial], Any],
) -> Any:
    parts = coded_parts("GB" * 30)
    schedule = [*SCHEDULE, {"at_part": LOST_PART, "do": "reverse", "mm": 40, "ms": 50}]
    world = {
        "machine": MACHINE,
        "program": PROGRAM,
        "feed": {"pitch_mm": PITCH_MM, "count": PARTS, "order": "film"},
        "schedule": schedule,
    }
    station = {
        "travel.gate_mm": MACHINE["gate_mm"],
        "travel.speed_mm_s": RATE * PITCH_MM,
        "travel.pitch_min_mm": 18.0,
    }
    trial_plan = plan(parts, rate=RATE, parts=PARTS, world=world, station=station)
    with running(trial_plan) as trial:
        watch(trial).finish()
        return audit(trial), parts


def test_no_bad_part_stays_and_none_is_mistaken_for_its_neighbour(conveyed: Any) -> None:
    auditor, parts = conveyed
    auditor.check(parts, late_revokes=1)
    assert auditor.world["defective"] == PARTS // 2
    assert auditor.world["clashes"] == 0, auditor.world


def test_a_good_part_between_two_bad_ones_stays(conveyed: Any) -> None:
    auditor, _ = conveyed
    permitted = [n for n, p in auditor.by_number().items() if _holds(p)]
    assert len([n for n in permitted if n < LOST_PART - 25]) >= 0.9 * (LOST_PART - 25) / 2
    assert auditor.world["gate_passed"] >= 0.9 * len(permitted), auditor.world


def _holds(part: Any) -> bool:
    """A permit that the PLC has and that was not taken back."""
    return bool(part.gates) and part.gates[-1].action is GateAction.PERMIT
