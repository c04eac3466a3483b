"""Parts are judged beside the loop, several at once; nobody waits for one that hangs. (S7, I2)"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from datetime import date

import numpy as np
import pytest

from inspector.line.judges import WAITING, Judged, Judges
from inspector.line.matching import Candidate
from inspector.part import Batch, Mode, Outcome, Part, Pixels
from inspector.recipe import Judgement, Recipe

DAY = date(2026, 1, 1)
SPOTS = """
tools:
  - {name: spots, kind: blob, params: {area: [4, 5000]}}
  - {name: all, kind: detect, params: {model: bottle-line-int8/1, threshold: 0.02}}
"""


def candidate(number: int) -> Candidate:
    return Candidate(Part("plc-1", number, 1, 9, Mode.AUTO, "B1"), triggered=True)


def judgement(reason: str = "") -> Judgement:
    return Judgement(Outcome.PASS, (reason,), (), None, 1.0)


class Pair:
    """Two judges, and a gate at which everything they judge waits."""

    def __init__(self) -> None:
        self.judges = Judges(2)
        self.open = threading.Event()
        self.begun = threading.Semaphore(0)

    def waiting(self, reason: str) -> Callable[[], Judgement]:
        def judge() -> Judgement:
            self.begun.release()
            assert self.open.wait(30)
            return judgement(reason)

        return judge

    def rested(self) -> None:
        end = time.monotonic() + 30
        while len(self.judges._resting) < 2:
            assert time.monotonic() < end
            time.sleep(0.001)

    def take(self, count: int) -> list[Judged]:
        taken: list[Judged] = []
        end = time.monotonic() + 30
        while len(taken) < count:
            assert time.monotonic() < end
            taken += self.judges.take()
        return taken


@pytest.fixture
def pair() -> Iterator[Pair]:
    made = Pair()
    yield made
    made.open.set()
    made.judges.close()


def test_two_parts_are_judged_at_once_and_one_more_may_wait(pair: Pair) -> None:
    for number in (1, 2, 3):
        assert pair.judges.free
        pair.judges.give(candidate(number), pair.waiting(f"part {number}"))
        pair.judges.wake()

    assert pair.begun.acquire(timeout=30)
    assert pair.begun.acquire(timeout=30)
    assert not pair.judges.free, f"{WAITING} waits, and no more"
    assert pair.judges.take() == []

    pair.open.set()
    taken = pair.take(3)
    assert {t.candidate.part.sequence: t.judgement.reasons[0] for t in taken} == {
        1: "part 1", 2: "part 2", 3: "part 3",
    }  # fmt: skip
    assert pair.judges.free
    assert pair.judges.under_way == 0


def test_what_fails_is_told_and_the_judge_goes_on(pair: Pair) -> None:
    def broken() -> Judgement:
        raise MemoryError("no room for the heat map")

    pair.judges.give(candidate(1), broken)
    pair.judges.give(candidate(2), lambda: judgement("well"))
    pair.judges.wake()
    first, second = sorted(pair.take(2), key=lambda t: t.candidate.part.sequence)

    assert isinstance(first.judgement, MemoryError)
    assert isinstance(second.judgement, Judgement)


def test_since_when_the_slowest_is_at_its_part_is_known(pair: Pair) -> None:
    assert pair.judges.since_ns(7) == 7
    began_ns = time.monotonic_ns()
    pair.judges.give(candidate(1), pair.waiting("hangs"))
    pair.judges.wake()
    assert pair.begun.acquire(timeout=30)
    for _ in range(50):  # the other judge is not held up by it
        pair.judges.give(candidate(2), lambda: judgement())
        pair.judges.wake()
        pair.take(1)
    now_ns = time.monotonic_ns()

    assert began_ns <= pair.judges.since_ns(now_ns) < now_ns
    pair.open.set()
    pair.take(1)
    assert pair.judges.since_ns(now_ns) == now_ns


def test_one_part_at_a_time_is_always_the_same_judges(pair: Pair) -> None:
    """A judge that nobody needs sleeps on: his caches are cold, and waking him costs a switch."""

    def who() -> Judgement:
        return judgement(str(threading.get_ident()))

    seen = set()
    pair.rested()
    for number in range(20):
        pair.judges.give(candidate(number), who)
        pair.judges.wake()
        (judged,) = pair.take(1)
        assert isinstance(judged.judgement, Judgement)
        seen.add(judged.judgement.reasons)
        pair.rested()
    assert len(seen) == 1


def test_who_hangs_does_not_keep_the_line_from_ending(pair: Pair) -> None:
    judges, hangs = Judges(1), threading.Event()
    judges.give(candidate(1), lambda: judgement(str(hangs.wait(30))))

    judges.close()

    hangs.set()


def test_a_recipe_judges_as_many_parts_at_once_as_it_was_made_for(
    recipe_of: Callable[..., Recipe],
) -> None:
    recipe = recipe_of(SPOTS, judges=2)
    rng = np.random.default_rng(3)
    sheets = [sheet(rng, count) for count in range(12)]
    alone = [recipe.judge({"image": s}, Batch("B"), DAY).findings for s in sheets]
    judges, given = Judges(2), 0
    found: dict[int, object] = {}
    while len(found) < len(sheets):
        while given < len(sheets) and judges.free:
            picture = sheets[given]
            given += 1
            judges.give(
                candidate(given), lambda p=picture: recipe.judge({"image": p}, Batch("B"), DAY)
            )
            judges.wake()
        found |= {t.candidate.part.sequence: t.judgement.findings for t in judges.take()}
    judges.close()

    assert [found[n + 1] for n in range(len(sheets))] == alone
    assert len({len(f) for f in alone}) > 5, "the sheets differ"
    assert any(f.kind == "detect" for findings in alone for f in findings)


def sheet(rng: np.random.Generator, count: int) -> Pixels:
    """A grey sheet with so many dark spots."""
    picture = np.full((240, 320), 200, np.uint8)
    for cell in rng.choice(48, count, replace=False):
        y, x = 40 * (cell // 8) + 12, 40 * (cell % 8) + 12
        picture[y : y + 14, x : x + 14] = 40
    return picture
