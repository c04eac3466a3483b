"""Everything a belt, a PLC and hands can do between the eye and the gate (I2, I5): what is not
known is rejected, and the line comes back by itself."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

from inspector.part import GateAction
from inspector.store.query import History
from inspector.trial import Plan, Trial, running

ACTS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("stop", {"ms": 400}),
    ("jog", {"mm": 20, "ms": 100}),
    ("reverse", {"mm": 30, "ms": 100}),
    ("jam", {"ms": 300}),
    ("estop", {"ms": 300}),
    ("encoder_lost", {"ms": 300}),
    ("encoder_jump", {"mm": 70}),
    ("bounce", {"mm": 12}),
    ("touch", {}),
    ("remove", {"mm": 250}),
    ("insert", {"mm": 270, "film": 3}),
    ("flap_stuck", {"ms": 100}),
    ("restart_plc", {}),
)
KNOWN = {"stop", "jog", "bounce", "flap_stuck"}
"""What loses no zone: parts under way are still known."""

WRONG = ("unjudged_passed", "escapes")
TOO_CLOSE = re.compile(r"parts (\d+) and (\d+) are too close")


@pytest.fixture(scope="module")
def troubled(
    coded: Any,
    plan: Callable[..., Plan],
    watch: Callable[[Trial], Any],
    audit: Callable[[Trial], Any],
) -> Any:
    """One act after the other, each as soon as parts pass again."""
    losses: dict[str, int] = {}
    by_flap = dict.fromkeys(WRONG, 0)
    with running(plan(coded, travel_s=0.5)) as trial:
        seen = watch(trial)
        for act, arguments in ACTS:
            seen.passes(2)
            then = trial.now()
            trial.act(act, **arguments)
            seen.go_on(10)  # what hands did is found out by then, at the gate's eye
            now = trial.now()
            losses[act] = sum(now["zone_losses"].values()) - sum(then["zone_losses"].values())
            if act == "flap_stuck":
                by_flap = {what: now[what] - then[what] for what in WRONG}
        seen.passes()
        seen.finish()
        return audit(trial), losses, by_flap


def test_nothing_that_was_not_judged_or_is_bad_reached_the_good_side(troubled: Any) -> None:
    auditor, _, by_flap = troubled
    world = auditor.world
    # No decision moves a flap that is stuck: what passed by it is no permit of the station's.
    assert {what: world[what] for what in WRONG} == by_flap, world["last"]


def test_each_trouble_lost_the_zone_and_nothing_else_did(troubled: Any) -> None:
    _, losses, _ = troubled
    assert {act for act, lost in losses.items() if lost == 0} >= KNOWN - {"stop"}, losses
    for act in ("reverse", "jam", "estop", "encoder_lost", "encoder_jump", "remove", "insert"):
        assert losses[act] >= 1, losses


def test_every_part_of_each_run_of_the_counter_has_its_verdict(troubled: Any, coded: Any) -> None:
    auditor, _, by_flap = troubled
    auditor.check(coded, in_order=False, late_revokes=len(ACTS), by_flap=by_flap)
    assert len(auditor.streams) == 2, auditor.streams
    for stream in auditor.streams:
        numbers = sorted(auditor.by_number(stream))
        assert numbers == list(range(1, len(numbers) + 1))
    # What was at the eye between the station's last look and the restart of the counter is lost
    # to it; the ledger says that there was a break.
    assert 0 <= auditor.world["triggers"] - len(auditor.parts) <= 3


def test_the_alarms_say_what_happened(troubled: Any) -> None:
    auditor, _, _ = troubled
    with History(auditor.trial.data) as history:
        codes = {str(e.body["code"]) for e in history.events("alarm", 10_000)}
    assert {"jam", "estop", "encoder"} <= codes, codes


def test_a_double_trigger_and_touching_parts_are_all_rejected(troubled: Any) -> None:
    auditor, _, _ = troubled
    with History(auditor.trial.data) as history:
        details = [str(e.body["detail"]) for e in history.events("alarm", 10_000)]
    pairs = {found.groups() for text in details if (found := TOO_CLOSE.fullmatch(text))}
    assert pairs, details
    first_run = auditor.by_number(auditor.streams[0])
    for number in (int(n) for pair in pairs for n in pair):
        told = first_run[number].gates[-1]
        assert told.action is not GateAction.PERMIT, first_run[number]
