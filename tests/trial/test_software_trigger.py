"""A whole station whose cameras have no trigger line: it asks for each part's pictures (S2; I1).

A camera on ``trigger: software`` shows the next picture of its film whenever it is asked, so one
picture too many or too few, and each part after it would be judged by its neighbour's.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from inspector.part import Outcome
from inspector.trial import Plan, Trial, running

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

PARTS = 60


def test_each_part_is_judged_by_the_pictures_that_the_line_asked_for(
    coded: Any,
    plan: Callable[..., Plan],
    watch: Callable[[Trial], Any],
    audit: Callable[[Trial], Any],
) -> None:
    cameras = [
        {"name": name, "serial": serial, "frame_timeout_ms": 300, "trigger": "software"}
        for name, serial in (("side", "V001"), ("code", "V002"))
    ]
    with running(plan(coded, rate=8.0, parts=PARTS, station={"cameras": cameras})) as trial:
        watch(trial).finish()
        auditor = audit(trial)
        auditor.check(coded)
        outcomes = [verdict.outcome for verdict in auditor.verdicts().values()]
        assert len(outcomes) == PARTS
        judged = [outcome for outcome in outcomes if outcome is not Outcome.ERROR]
        assert len(judged) >= 0.8 * PARTS, auditor.summary()
