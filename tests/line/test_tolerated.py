"""A batch's limits on lesser findings are counted by the line, per batch and across restarts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path

import numpy as np
import pytest

from inspector.line.matching import Candidate
from inspector.line.tolerated import Tolerated
from inspector.part import Batch, Mode, Outcome, Part, Pixels, Severity
from inspector.recipe import Recipe
from inspector.store import History, LineLedger

SPOTS = """
limits: {minor: 2, major: 1}
tools:
  - {name: specks, kind: blob, severity: minor, params: {area: [4, 200]}}
  - {name: holes, kind: blob, severity: major, params: {area: [201, 5000]}}
"""


def sheet(*sides: int) -> Pixels:
    picture = np.full((80, 200), 220, np.uint8)
    for i, side in enumerate(sides):
        picture[20 : 20 + side, 20 + 60 * i : 20 + 60 * i + side] = 30
    return picture


SPECK, HOLE = sheet(8), sheet(30)


class Belt:
    """The line's way with one part: judged by what was tolerated so far, then concluded."""

    def __init__(self, data: Path, recipe: Recipe) -> None:
        self.ledger = LineLedger.open(data, station="s1")
        self.parts: dict[int, Candidate] = {}
        self.tolerated = Tolerated(self.ledger, self.parts)
        self.recipe = recipe
        self.number = 0

    def judge(self, picture: Pixels, batch: str = "B1", mode: Mode = Mode.AUTO) -> Candidate:
        self.number += 1
        candidate = Candidate(Part("plc-1", self.number, 1, 9, mode, batch), triggered=True)
        so_far = self.tolerated.so_far(candidate.part)
        day = date(2026, 1, 1)
        candidate.judgement = self.recipe.judge({"i": picture}, Batch(batch), day, True, so_far)
        self.parts[self.number] = candidate
        return candidate

    def conclude(self, candidate: Candidate, outcome: Outcome | None = None) -> Outcome:
        assert candidate.judgement is not None
        del self.parts[candidate.part.sequence]
        ended = outcome or candidate.judgement.outcome
        self.tolerated.concluded(candidate, ended)
        return ended

    def one(self, picture: Pixels, batch: str = "B1", mode: Mode = Mode.AUTO) -> str:
        return str(self.conclude(self.judge(picture, batch, mode)))


@pytest.fixture
def belt(tmp_path: Path, recipe_of: Callable[..., Recipe]) -> Iterator[Callable[[], Belt]]:
    recipe = recipe_of(SPOTS)
    made: list[Belt] = []

    def start() -> Belt:
        if made:
            made[-1].ledger.close()
        made.append(Belt(tmp_path / "data", recipe))
        return made[-1]

    yield start
    made[-1].ledger.close()


def test_as_many_parts_as_the_limit_says_pass_and_then_no_more(belt: Callable[[], Belt]) -> None:
    line = belt()

    assert [line.one(SPECK) for _ in range(4)] == ["pass", "pass", "reject", "reject"]
    assert [line.one(HOLE) for _ in range(2)] == ["pass", "reject"]


def test_another_batch_begins_anew_and_going_back_goes_on(belt: Callable[[], Belt]) -> None:
    line = belt()
    line.one(SPECK), line.one(SPECK)

    assert line.one(SPECK, "B2") == "pass"
    assert line.one(SPECK, "B1") == "reject"


def test_a_restart_goes_on_counting(belt: Callable[[], Belt]) -> None:
    line = belt()
    line.one(SPECK), line.one(HOLE)

    line = belt()

    assert [line.one(SPECK), line.one(SPECK), line.one(HOLE)] == ["pass", "reject", "reject"]


def test_parts_under_way_count_and_those_that_did_not_pass_count_no_more(
    belt: Callable[[], Belt],
) -> None:
    line = belt()
    first, second, third = (line.judge(SPECK) for _ in range(3))

    assert third.judgement is not None and third.judgement.outcome is Outcome.REJECT
    line.conclude(first, Outcome.ERROR)  # late, say: it went into the reject bin
    line.conclude(second), line.conclude(third)
    assert line.one(SPECK) == "pass"
    assert line.one(SPECK) == "reject"


def test_a_challenge_with_a_tolerable_defect_is_rejected(belt: Callable[[], Belt]) -> None:
    assert belt().one(SPECK, mode=Mode.CHALLENGE) == "reject"


def test_each_tolerated_part_is_an_event_of_its_own(
    belt: Callable[[], Belt], tmp_path: Path
) -> None:
    line = belt()
    line.one(SPECK), line.one(sheet())
    line.ledger.commit()

    with History(tmp_path / "data") as history:
        (event,) = history.events("tolerated")
    assert event.body == {
        "stream": "plc-1", "part": 1, "batch": "B1", "severities": [str(Severity.MINOR)],
    }  # fmt: skip
