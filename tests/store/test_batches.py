"""The life of a batch: every step leads to a named state or is refused with its reason (S11)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from inspector.part import Batch
from inspector.store import DeskLedger, History, LineLedger
from inspector.store.batches import Batches, Life, Plan, Refused, State, Step, after
from inspector.store.holds import Holds


class Place:
    def __init__(self, data: Path) -> None:
        self.line = LineLedger.open(data, station="s1")
        self.desk, self.holds, self.batches = DeskLedger.open(data), Holds(data), Batches(data)
        self.data = data

    def begin(self, id: str) -> None:
        self.line.add_batch(Batch(id, "04012345123456", "bottle"), "begin", "mes")

    def end(self, id: str) -> None:
        self.line.add_batch(Batch(id), "end", "mes")

    def decide(self, id: str, disposition: str, state: str) -> None:
        self.desk.add("disposition", {"disposition": disposition, "batch": id, "reason": "r",
                                      "state": state}, "qa")  # fmt: skip

    def plan(self, id: str, action: str = "plan", **more: Any) -> None:
        self.desk.add("batch", {"action": action, "batch": id} | more, "mes")

    def life(self, id: str) -> Life:
        self.line.commit()
        with History(self.data) as history:
            return self.batches.life(history, self.holds, id)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    place = Place(tmp_path)
    yield place
    place.batches.close()
    place.holds.close()
    place.desk.close()
    place.line.close()


def test_a_batch_lives_from_its_plan_to_its_release(place: Place) -> None:
    assert place.life("A") == Life(None, False, False)
    place.plan("A", order="4711", target=1000, texts={"lot": "L1"}, product="04012345123456")
    assert place.life("A").state is State.PLANNED
    assert place.batches.plan("A") == Plan("04012345123456", "", {"lot": "L1"}, "4711", 1000)
    assert [id for id, _ in place.batches.planned()] == ["A"]
    place.begin("A")
    place.plan("A", "start")
    assert place.life("A") == Life(State.RUNNING, True, False)
    assert place.batches.planned() == ()
    place.decide("A", "hold", "on_hold")
    assert place.life("A") == Life(State.ON_HOLD, True, False)
    place.decide("A", "release", "running")
    assert place.life("A").state is State.RUNNING
    place.end("A")
    assert place.life("A") == Life(State.CLOSED, True, True)
    place.decide("A", "release", "released")
    assert place.life("A").state is State.RELEASED
    place.decide("A", "hold", "on_hold")  # a recall
    assert place.life("A") == Life(State.ON_HOLD, True, True)
    place.decide("A", "scrap", "rejected")
    place.decide("A", "release", "released")  # whoever writes it: scrap is final
    assert place.life("A").state is State.REJECTED


def test_the_batch_that_began_last_runs_and_no_other(place: Place) -> None:
    place.begin("A")
    place.begin("B")  # the line never ended A: it was given another station file
    assert place.life("A").state is State.CLOSED and place.life("B").state is State.RUNNING
    place.end("B")
    place.begin("B")
    assert place.life("B") == Life(State.RUNNING, True, False)


def test_a_plan_may_be_closed_unused(place: Place) -> None:
    place.plan("A")
    place.plan("A", "close")
    assert place.life("A") == Life(State.CLOSED, False, True)


@pytest.mark.parametrize(
    ("state", "step", "why"),
    [
        (State.RUNNING, Step.START, "runs already"),
        (State.RUNNING, Step.RELEASE, "close it first"),
        (State.RUNNING, Step.REJECT, "close it first"),
        (State.RUNNING, Step.PLAN, "close it first"),
        (State.PLANNED, Step.RELEASE, "has not begun"),
        (State.ON_HOLD, Step.START, "release it first"),
        (State.CLOSED, Step.CLOSE, "is closed"),
        (State.RELEASED, Step.START, "an id of its own"),
        (State.RELEASED, Step.RELEASE, "closed for good"),
        (State.REJECTED, Step.RELEASE, "final"),
        (State.REJECTED, Step.HOLD, "final"),
        (State.REJECTED, Step.START, "final"),
        (None, Step.CLOSE, "never a batch"),
    ],
)
def test_a_step_that_cannot_follow_says_why(state: State | None, step: Step, why: str) -> None:
    begun = state not in (None, State.PLANNED)
    with pytest.raises(Refused, match=why):
        after("A", Life(state, begun, begun and state is not State.RUNNING), step)


def test_what_is_on_hold_goes_back_to_where_it_was() -> None:
    held = State.ON_HOLD
    assert after("A", Life(held, True, False), Step.RELEASE) is State.RUNNING
    assert after("A", Life(held, True, False), Step.CLOSE) is State.ON_HOLD
    assert after("A", Life(held, True, True), Step.RELEASE) is State.RELEASED
    assert after("A", Life(held, False, False), Step.RELEASE) is State.PLANNED
    assert after("A", Life(held, True, True), Step.REJECT) is State.REJECTED
    with pytest.raises(Refused, match="still runs"):
        after("A", Life(held, True, False), Step.REJECT)
    assert after("A", Life(State.CLOSED, True, True), Step.START) is State.RUNNING
