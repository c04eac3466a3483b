"""A whole station with real models under faults of pictures and of the link (I1, I2, I5)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from inspector.part import GateAction, Outcome
from inspector.store.query import History
from inspector.trial import CONFIGS, Plan, Trial, running
from inspector.virtual.filmset import FilmSet

RATE = 12.0
STATION = {"clock": "trusted", "stop.rejects_in_a_row": 0, "stop.confirmation_failed": False}
PICTURE_FAULTS = {
    10: "drop",
    15: "incomplete",
    20: "missed",
    25: "freeze",
    30: "wrong_size",
}
LATE_PART, LOST_PART, CUT_PART, SLOW_PART, PARTS = 35, 50, 92, 118, 136


@pytest.fixture(scope="module")
def faulty(
    films: FilmSet,
    tmp_path_factory: pytest.TempPathFactory,
    watch: Callable[[Trial], Any],
    audit: Callable[[Trial], Any],
) -> Iterator[Any]:
    schedule: list[dict[str, Any]] = [
        {"at_part": part, "do": fault, "cameras": 1} for part, fault in PICTURE_FAULTS.items()
    ]
    schedule += [
        {"at_part": LATE_PART, "do": "delay", "ms": 600, "cameras": 1},
        {"at_part": LOST_PART, "do": "disconnect", "ms": 700, "cameras": 2},
        {"at_part": CUT_PART, "do": "cut", "ms": 600},
        {"at_part": SLOW_PART, "do": "slow", "ms": 60},
        {"at_part": SLOW_PART + 10, "do": "slow", "on": False},
    ]
    folder = tmp_path_factory.mktemp("faulty")
    world = {"schedule": schedule}
    with running(Plan(films, folder, RATE, PARTS, world=world, station=STATION)) as trial:
        watch(trial).finish()
        yield audit(trial)


def test_every_trigger_has_exactly_one_verdict_and_one_gate_decision(faulty: Any) -> None:
    assert faulty.world["triggers"] == PARTS
    assert sorted(faulty.verdicts()) == list(range(1, PARTS + 1))
    assert faulty.trial.ledger()["gate_decisions"] == PARTS


@pytest.mark.parametrize(("part", "fault"), PICTURE_FAULTS.items(), ids=PICTURE_FAULTS.values())
def test_a_part_whose_picture_is_faulty_is_an_error_and_its_neighbours_are_judged(
    faulty: Any, part: int, fault: str
) -> None:
    found = faulty.verdicts()
    assert found[part].outcome is Outcome.ERROR, found[part]
    assert found[part].reasons
    assert found[part - 1].outcome is not Outcome.ERROR, found[part - 1]
    assert found[part + 1].outcome is not Outcome.ERROR, found[part + 1]


def test_a_late_picture_is_an_error_and_never_the_next_parts(faulty: Any) -> None:
    found = faulty.verdicts()
    assert found[LATE_PART].outcome is Outcome.ERROR
    assert found[LATE_PART + 12].outcome is not Outcome.ERROR


def test_a_camera_that_was_unplugged_comes_back_by_itself(faulty: Any) -> None:
    found = faulty.verdicts()
    assert found[LOST_PART + 1].outcome is Outcome.ERROR
    back = [n for n in range(LOST_PART + 1, CUT_PART) if found[n].outcome is not Outcome.ERROR]
    assert back, "the camera did not come back"
    with History(faulty.trial.data) as history:
        alarms = [e for e in history.events("alarm", 1000) if "camera" in str(e.body)]
    assert alarms


def test_a_cut_link_to_the_plc_rejects_and_heals(faulty: Any) -> None:
    found = faulty.by_number()
    after = [n for n in range(CUT_PART + 20, SLOW_PART) if found[n].gates]
    permits = [n for n in after if any(g.action is GateAction.PERMIT for g in found[n].gates)]
    assert permits, "no permit after the cut"


def test_the_day_ends_as_every_day_must(faulty: Any) -> None:
    faulty.check()
    assert faulty.world["escapes"] <= 1


# -- the wrong product ------------------------------------------------------------------------


@pytest.fixture(scope="module")
def wrong(
    request: pytest.FixtureRequest,
    films: FilmSet,
    tmp_path_factory: pytest.TempPathFactory,
    watch: Callable[[Trial], Any],
) -> dict[str, Any]:
    """What the world says of thirty parts of another product than the recipe's, which of two."""
    recipe = request.param
    other = films if recipe == "juice-line" else request.getfixturevalue("juice")
    path = CONFIGS / "recipes" / f"{recipe}.yaml"
    folder = tmp_path_factory.mktemp("wrong")
    plan = Plan(other, folder, RATE, 30, (path,), world={"product": recipe}, station=STATION)
    with running(plan) as trial:
        watch(trial).finish()
        return trial.report()


@pytest.mark.parametrize(
    "wrong", ["juice-line", pytest.param("bottle-line", marks=pytest.mark.slow)], indirect=True
)
def test_every_part_of_another_product_is_rejected(wrong: dict[str, Any]) -> None:
    """What each shipped recipe says of it is ``tests/test_wrong_product.py``."""
    assert wrong["defective"] == wrong["gate_rejects"] == wrong["triggers"] == 30
    assert wrong["escapes"] == 0
