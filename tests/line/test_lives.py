"""A batch's life is enforced by the line too, whoever gives the command (S11, I9)."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from inspector.bus import Command
from inspector.identity import Action, Principal, Role
from inspector.line.lives import Desk, Lives
from inspector.line.turns import Turns
from inspector.part import Batch
from inspector.store import DeskLedger, LineLedger
from inspector.store.batches import Step

OTTO = Principal("otto", frozenset({Role.OPERATOR}))
FAR_NS = 60_000_000_000


class Place:
    """The ledgers of a station whose line makes batch A."""

    def __init__(self, data: Path) -> None:
        self.data = data
        self.line, self.desk = LineLedger.open(data, station="s1"), DeskLedger.open(data)
        self.change("A", "begin")

    def change(self, batch: str, action: str) -> None:
        self.line.add_batch(Batch(batch), action, "mes")  # type: ignore[arg-type]
        self.line.commit()

    def decide(self, batch: str, disposition: str, state: str) -> None:
        body = {"disposition": disposition, "batch": batch, "reason": "r", "state": state}
        self.desk.add("disposition", body, "qa")

    def may(self, batch: str, step: Step) -> str:
        with Desk(self.data) as desk:
            return desk.refusal(batch, step)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    place = Place(tmp_path)
    yield place
    place.desk.close()
    place.line.close()


@pytest.fixture
def turns(place: Place) -> Iterator[Turns]:
    lives = Lives(place.data)
    yield Turns(lives, lambda: "A")
    lives.close()


def command(action: Action, batch: str = "A", expiry_ns: int = FAR_NS) -> Command:
    return Command("1", action, {"id": batch}, OTTO, time.monotonic_ns() + expiry_ns, b"")


def answers(turns: Turns, count: int) -> list[tuple[Action, str]]:
    given: list[tuple[Action, str]] = []
    until = time.monotonic() + 30
    while len(given) < count:
        given += [(command.command, why) for command, why in turns.due()]
        assert time.monotonic() < until, "the desk does not answer"
        time.sleep(0.002)
    return given


def test_what_is_decided_for_good_never_begins_again(place: Place) -> None:
    place.change("A", "end")
    assert place.may("A", Step.START) == ""
    place.decide("A", "release", "released")
    assert "released" in place.may("A", Step.START)
    place.decide("A", "scrap", "rejected")
    assert "final" in place.may("A", Step.START)


def test_a_batch_on_hold_goes_on_when_it_is_released(place: Place) -> None:
    assert place.may("A", Step.GO_ON) == ""
    place.decide("A", "hold", "on_hold")
    assert "on hold" in place.may("A", Step.GO_ON)
    assert place.may("A", Step.CLOSE) == "" == place.may("B", Step.START)
    place.decide("A", "release", "running")
    assert place.may("A", Step.GO_ON) == ""


def test_a_beginning_that_is_not_on_the_disk_yet_hinders_nobody(place: Place) -> None:
    assert place.may("new", Step.GO_ON) == "" == place.may("new", Step.CLOSE)


@pytest.mark.parametrize(
    ("states", "fit"),
    [((), True), (("on_hold",), False), (("on_hold", "running"), True), (("rejected",), False)],
)
def test_a_station_file_cannot_begin_what_is_stopped(
    place: Place, states: tuple[str, ...], fit: bool
) -> None:
    names = {"on_hold": "hold", "running": "release", "rejected": "scrap"}
    for state in states:
        place.decide("A", names[state], state)
    with Desk(place.data) as desk:
        assert (desk.unfit("A") == "") is fit
        assert not desk.ended("A")
    place.change("A", "end")
    with Desk(place.data) as desk:
        assert desk.ended("A")


def test_the_line_asks_in_a_thread_and_gets_its_answers_in_order(turns: Turns) -> None:
    turns.add(command(Action.START_BATCH))
    turns.add(command(Action.RESUME))
    assert not list(turns.due()) and turns.waiting
    (first, refused), (second, obeyed) = answers(turns, 2)
    assert (first, second) == (Action.START_BATCH, Action.RESUME)
    assert refused and not obeyed and not turns.waiting


def test_who_has_given_up_is_not_obeyed(turns: Turns) -> None:
    turns.add(command(Action.START_BATCH, "B", expiry_ns=-1))
    turns.add(command(Action.START_BATCH, "B", expiry_ns=100_000))
    assert all("too late" in why for _, why in answers(turns, 2))


def test_a_desk_that_cannot_be_read_lets_nothing_begin(tmp_path: Path) -> None:
    lives = Lives(tmp_path / "nowhere")
    assert "cannot be read" in lives.ask("B", Step.START).result(30)
    lives.close()
