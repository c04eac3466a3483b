"""What the line counts of a batch, as the screen and the PLC's poll show it."""

from __future__ import annotations

from inspector.line.counters import Counters
from inspector.part import Mode, Outcome


def test_by_passed_parts_are_counted_and_those_of_a_set_up_or_a_challenge_are_not() -> None:
    counters = Counters()
    for outcome, mode in (
        (Outcome.PASS, Mode.AUTO), (Outcome.REJECT, Mode.AUTO), (Outcome.ERROR, Mode.AUTO),
        (Outcome.NOT_INSPECTED, Mode.BYPASS), (Outcome.NOT_INSPECTED, Mode.BYPASS),
        (Outcome.PASS, Mode.SETUP), (Outcome.REJECT, Mode.CHALLENGE),
        (Outcome.PASS, Mode.REINSPECT),
    ):  # fmt: skip
        counters.judged(outcome, mode, "B-1")

    counts = counters.batch("B-1")
    assert (counts.passed, counts.rejected, counts.errors, counts.not_inspected) == (1, 1, 1, 2)
    assert counts.parts == 5 and counters.verdicts == 8
