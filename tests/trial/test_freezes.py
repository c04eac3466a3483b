"""Processes that stand still and go on (I5, I6): pictures have been overwritten meanwhile, triggers
forgotten, and no part is judged by another one's."""

from __future__ import annotations

import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from inspector.part import Outcome
from inspector.trial import Plan, Trial, running

BOTH = 0
FREEZES = (
    ("line", 0.15), ("line", 0.5), ("line", 2.2), ("cameras-side", 0.3), ("cameras-code", 1.2),
    ("line", 0.25),
)  # fmt: skip
"""Who, and for how many seconds: with 25 parts/s the PLC's ring of triggers (12) is overwritten in
0.5 s, and the ring of pictures (48) in 2 s."""


@pytest.fixture(scope="module")
def frozen(
    coded: Any,
    plan: Callable[..., Plan],
    watch: Callable[[Trial], Any],
    audit: Callable[[Trial], Any],
) -> Any:
    dice = random.Random(9)
    with running(plan(coded, travel_s=0.5)) as trial:
        seen = watch(trial)
        seen.passes()
        pids = trial.pids()
        for who, seconds in FREEZES:
            seen.passes()
            time.sleep(dice.random() / trial.plan.rate)
            os.kill(pids[who], signal.SIGSTOP)
            time.sleep(seconds)
            os.kill(pids[who], signal.SIGCONT)
        seen.passes()
        for act in ("vanish", "disconnect"):
            trial.act(act, ms=900, cameras=BOTH)
            seen.go_on(5)
            seen.passes()
        same = trial.pids() == pids
        seen.finish()
        return audit(trial), same


def test_no_part_is_judged_by_the_picture_of_another(frozen: Any, coded: Any) -> None:
    auditor, _ = frozen
    auditor.check(coded, late_revokes=len(FREEZES))


def test_what_could_not_be_seen_in_time_is_an_error(frozen: Any) -> None:
    auditor, _ = frozen
    outcomes = Counter(v.outcome for v in auditor.verdicts().values())
    assert outcomes[Outcome.ERROR] >= 20, outcomes
    assert outcomes[Outcome.PASS] >= 3 * len(FREEZES), outcomes


def test_nobody_is_killed_for_a_short_stand_still(frozen: Any) -> None:
    _, same = frozen
    assert same
