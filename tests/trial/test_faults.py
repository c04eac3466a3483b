"""A whole station under faults (I1, I2, I5): the world judges, and outlives what is killed."""

from __future__ import annotations

import os
import random
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from inspector import store
from inspector.part import GateAction, Outcome, Verdict
from inspector.store.query import History, PartHistory
from inspector.trial import CONFIGS, Plan, Trial, running, wait_for
from inspector.virtual.film import FilmSet
from inspector.virtual.world import control

RATE = 12.0
SETTLED = {"clock": "trusted", "stop.rejects_in_a_row": 0, "stop.confirmation_failed": False}


def finish(trial: Trial, seconds: float) -> dict[str, Any]:
    """Let the last part leave the gate, end both; the world's final report."""
    ended = wait_for(trial.done, seconds)
    trial.stop_station()
    report = trial.stop()
    assert ended, (trial.plan.folder / "station.log").read_text()[-3000:]
    return report


def histories(trial: Trial) -> dict[int, PartHistory]:
    """Every part of the ledger by its number."""
    with History(trial.data, bound_s=30.0) as history:
        parts = history.last(100_000)
    assert len({(p.verdict.stream, p.verdict.sequence) for p in parts}) == len(parts)
    return {part.verdict.sequence: part for part in parts}


def verdicts(trial: Trial) -> dict[int, Verdict]:
    return {number: part.verdict for number, part in histories(trial).items()}


# -- one run with every fault of a camera and of the link -------------------------------------

PICTURE_FAULTS = {
    20: "drop",
    30: "incomplete",
    40: "missed",
    50: "freeze",
    60: "wrong_size",
}
LATE_PART, LOST_PART, CUT_PART, SLOW_PART, PARTS = 70, 85, 125, 150, 190


@pytest.fixture(scope="module")
def faulty(films: FilmSet, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trial]:
    schedule: list[dict[str, Any]] = [
        {"at_part": part, "do": fault, "cameras": 1} for part, fault in PICTURE_FAULTS.items()
    ]
    schedule += [
        {"at_part": LATE_PART, "do": "delay", "ms": 400, "cameras": 1},
        {"at_part": LOST_PART, "do": "disconnect", "ms": 700, "cameras": 2},
        {"at_part": CUT_PART, "do": "cut", "ms": 600},
        {"at_part": SLOW_PART, "do": "slow", "ms": 60},
        {"at_part": SLOW_PART + 10, "do": "slow", "on": False},
    ]
    folder = tmp_path_factory.mktemp("faulty")
    world = {"schedule": schedule}
    with running(Plan(films, folder, RATE, PARTS, world=world, station=SETTLED)) as trial:
        finish(trial, PARTS / RATE + 40)
        yield trial


def test_every_trigger_has_exactly_one_verdict_and_one_gate_decision(faulty: Trial) -> None:
    ledger, world = faulty.ledger(), faulty.report()
    assert world["triggers"] == PARTS
    assert sorted(verdicts(faulty)) == list(range(1, PARTS + 1))
    assert ledger["gate_decisions"] == PARTS


@pytest.mark.parametrize(("part", "fault"), PICTURE_FAULTS.items(), ids=PICTURE_FAULTS.values())
def test_a_part_whose_picture_is_faulty_is_an_error_and_its_neighbours_are_judged(
    faulty: Trial, part: int, fault: str
) -> None:
    found = verdicts(faulty)
    assert found[part].outcome is Outcome.ERROR, found[part]
    assert found[part].reasons
    assert found[part - 1].outcome is not Outcome.ERROR, found[part - 1]
    assert found[part + 1].outcome is not Outcome.ERROR, found[part + 1]


def test_a_late_picture_is_an_error_and_never_the_next_parts(faulty: Trial) -> None:
    found = verdicts(faulty)
    assert found[LATE_PART].outcome is Outcome.ERROR
    assert found[LATE_PART + 12].outcome is not Outcome.ERROR


def test_a_camera_that_was_unplugged_comes_back_by_itself(faulty: Trial) -> None:
    found = verdicts(faulty)
    assert found[LOST_PART + 1].outcome is Outcome.ERROR
    back = [n for n in range(LOST_PART + 1, CUT_PART) if found[n].outcome is not Outcome.ERROR]
    assert back, "the camera did not come back"
    with History(faulty.data) as history:
        alarms = [e for e in history.events("alarm") if "camera" in str(e.body)]
    assert alarms


def test_a_cut_link_to_the_plc_rejects_and_heals(faulty: Trial) -> None:
    found = histories(faulty)
    after = [n for n in range(CUT_PART + 20, SLOW_PART) if found[n].gates]
    permits = [n for n in after if any(g.action is GateAction.PERMIT for g in found[n].gates)]
    assert permits, "no permit after the cut"


def test_nothing_unjudged_reached_the_good_side(faulty: Trial) -> None:
    world = faulty.report()
    assert world["unjudged_passed"] == 0
    assert world["revoked_passed"] == 0
    assert world["escapes"] <= 1


def test_the_ledger_of_a_faulty_day_verifies(faulty: Trial) -> None:
    report = store.verify(faulty.data)
    assert report.ok, str(report)


# -- killed between trigger and gate ---------------------------------------------------------

KILLED_PARTS = 150


@pytest.fixture(scope="module")
def killed(films: FilmSet, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trial]:
    """The line, then a camera, then the whole station are killed with parts under way."""
    dice = random.Random(5)
    folder = tmp_path_factory.mktemp("killed")
    with running(Plan(films, folder, RATE, KILLED_PARTS, station=SETTLED)) as trial:
        reach(trial, 20 + dice.randrange(6))
        os.kill(trial.pids()["line"], signal.SIGKILL)
        reach(trial, 65 + dice.randrange(6))
        os.kill(trial.pids()["cameras-side"], signal.SIGKILL)
        reach(trial, 95 + dice.randrange(6))
        assert trial.station
        trial.station.kill()
        trial.station.wait()
        trial.start_station()
        finish(trial, KILLED_PARTS / RATE + 60)
        yield trial


def reach(trial: Trial, part: int) -> None:
    def there() -> bool:
        return bool(control(trial.world_run, "report")["report"]["triggers"] >= part)

    assert wait_for(there, 60.0), (trial.plan.folder / "station.log").read_text()[-3000:]


def test_a_killed_line_leaves_no_part_without_a_verdict(killed: Trial) -> None:
    world = killed.report()
    assert world["triggers"] == KILLED_PARTS
    assert sorted(verdicts(killed)) == list(range(1, KILLED_PARTS + 1))


def test_what_a_killed_line_did_not_judge_was_rejected(killed: Trial) -> None:
    world = killed.report()
    assert world["unjudged_passed"] == 0
    assert world["escapes"] <= 1


def test_the_line_judges_again_after_each_kill(killed: Trial) -> None:
    found = verdicts(killed)
    for first, last in ((50, 64), (80, 94), (140, 150)):
        judged = [n for n in range(first, last + 1) if found[n].outcome is not Outcome.ERROR]
        assert judged, f"nothing judged between {first} and {last}"


def test_the_ledger_of_a_killed_station_verifies(killed: Trial) -> None:
    report = store.verify(killed.data)
    assert report.ok, str(report)


# -- the wrong product ------------------------------------------------------------------------


@pytest.fixture(scope="module")
def wrong_product(juice: FilmSet, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trial]:
    folder: Path = tmp_path_factory.mktemp("wrong")
    recipe = CONFIGS / "recipes" / "bottle-line.yaml"
    plan = Plan(
        juice, folder, RATE, 30, (recipe,), world={"product": "bottle-line"}, station=SETTLED
    )
    with running(plan) as trial:
        finish(trial, 40)
        yield trial


def test_every_part_of_another_product_is_rejected(wrong_product: Trial) -> None:
    world = wrong_product.report()
    assert world["defective"] == 30
    assert world["escapes"] == 0
    assert world["gate_rejects"] == 30
