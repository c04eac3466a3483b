"""What is owed to parts without a verdict: in few words, however many, and in their order."""

from __future__ import annotations

from typing import Any, cast

import pytest

from inspector.line.changeover import Job, Plan
from inspector.line.owed import FULL, Owed, Span
from inspector.line.restart import split
from inspector.part import Batch, Mode, Part
from inspector.store import RecordError, StoreFull

JOB = Job(cast("Any", None), Batch("B-1", "", "", {}), "grey@1", ("side",))
NEXT = Job(cast("Any", None), Batch("B-2", "", "", {}), "grey@1", ("side",))
NO_ROOM = StoreFull("no room")


def refuse(owed: Owed, *numbers: int, job: Job = JOB, error: Exception = NO_ROOM) -> None:
    for number in numbers:
        owed.refused(Part("plc-1", number, 0, 0, Mode.AUTO, job.batch.id), job, error)


def test_parts_in_a_row_are_one_span_and_are_taken_in_stretches() -> None:
    owed = Owed()
    refuse(owed, *range(1, 100_001))
    assert owed.parts == 100_000
    (first,) = owed.take(300)
    assert first == Span("plc-1", range(1, 301), JOB, Mode.AUTO, FULL)
    assert owed.parts == 99_700
    (rest,) = owed.take(1_000_000)
    assert rest.numbers == range(301, 100_001) and not owed


def test_what_differs_is_no_row() -> None:
    owed = Owed()
    refuse(owed, 1, 2, 4)
    refuse(owed, 5, job=NEXT)
    refuse(owed, 6, job=NEXT, error=RecordError("too long"))
    taken = owed.take(10)
    assert [span.numbers for span in taken] == [
        range(1, 3), range(4, 5), range(5, 6), range(6, 7),
    ]  # fmt: skip
    assert [span.planned for span in taken] == [JOB, JOB, NEXT, NEXT]
    assert taken[-1].why == "its verdict was refused: too long"


@pytest.mark.parametrize(
    ("newest", "older", "kept"),
    [
        (0, [range(1, 4), range(7, 9)], []),
        (1, [range(1, 4), range(7, 8)], [range(8, 9)]),
        (3, [range(1, 3)], [range(3, 4), range(7, 9)]),
        (9, [], [range(1, 4), range(7, 9)]),
    ],
)
def test_the_newest_are_told_from_those_before(
    newest: int, older: list[range], kept: list[range]
) -> None:
    assert split([range(1, 4), range(7, 9)], newest) == (older, kept)


def test_a_row_of_parts_is_known_by_the_jobs_that_it_spans() -> None:
    plan = Plan(JOB)
    plan.change(NEXT, 50)
    assert list(plan.over(range(10, 50))) == [(range(10, 50), JOB)]
    assert list(plan.over(range(50, 60))) == [(range(50, 60), NEXT)]
    assert list(plan.over(range(48, 60))) == [(range(48, 50), JOB), (range(50, 60), NEXT)]
