"""A challenge test is due when another release has taken over; one that fails sends it back."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import pytest

from inspector.identity import Action
from inspector.part import Outcome
from inspector.quality.challenge import Challenges
from inspector.qualityplan import Challenge, Seeded
from inspector.release.process import probation
from inspector.release.stage import Change, changes
from inspector.release.watch import why_back
from inspector.releaseplan import Releases
from inspector.store import Event, History, LineLedger
from inspector.store.bench import sample_verdict


def test_the_quality_room_hears_that_one_is_due() -> None:
    challenges = Challenges(Challenge(seeded=[Seeded(name="no cap")]))
    challenges.record(Event("challenge_due", "erika", 7, 7, {"why": "bottle-line/2 took over"}))
    assert challenges.due_ns == 7 and challenges.why == "bottle-line/2 took over"


@pytest.mark.parametrize(("code", "back"), [("challenge_failed", True), ("drift", False)])
def test_a_failed_one_is_a_reason_to_go_back(tmp_path: Path, code: str, back: bool) -> None:
    change = Change("r", "d", "r/2", ("", "d"), False, "", 0, "s", 1, "f" * 64, "erika")
    with LineLedger.open(tmp_path, station="T") as ledger:
        ledger.add_event(
            "command", "quality", command=str(Action.ANNOUNCE), args={"code": code, "on": True}
        )
        ledger.commit()
    with History(tmp_path) as history:
        seen = probation(history, change, 100, None)
    assert seen.challenge_failed is back
    assert bool(why_back(seen, Releases())) is back


def test_a_clock_that_is_set_back_ends_no_probation(tmp_path: Path) -> None:
    """Whatever the new release did then counted as of before it: it judged on, however bad."""
    now = [time.time_ns() + 3_600_000_000_000]
    chain = {"recipe": "r", "digest": "d", "chain": ["", "d"], "recipe_digest": "f" * 64}
    with LineLedger.open(tmp_path, station="T", utc_ns=lambda: now[0]) as ledger:
        ledger.add_event("release", "erika", **chain)
        now[0] = 1
        failed = {"code": "challenge_failed", "on": True}
        ledger.add_event("command", "quality", command=str(Action.ANNOUNCE), args=failed)
        ledger.add_verdict(replace(sample_verdict(1), recipe_digest="f" * 64))
        ledger.commit()
    with History(tmp_path) as history:
        (change,) = changes(history)
        seen = probation(history, change, 100, None)
    assert (seen.judged, seen.challenge_failed) == (1, True)


@pytest.mark.parametrize(
    ("why", "frame_ns", "blamed"),
    [
        ("appearance failed: ValueError: x", 5, 1),
        ("late: not judged in time", 5, 1),
        ("side: no frame within 200 ms", 5, 0),
        ("it went by while the station was away", 0, 0),
    ],
)
def test_a_lost_picture_is_no_fault_of_the_release(
    tmp_path: Path, why: str, frame_ns: int, blamed: int
) -> None:
    sample = sample_verdict(1)
    times = replace(sample.times, frame_ns=frame_ns and sample.times.frame_ns)
    verdict = replace(
        sample, outcome=Outcome.ERROR, reasons=(why,), findings=(), recipe_digest="f" * 64,
        times=times,
    )  # fmt: skip
    with LineLedger.open(tmp_path, station="T") as ledger:
        ledger.add_verdict(verdict)
        ledger.commit()
    change = Change("r", "d", "r/2", ("", "d"), False, "", 0, "s", 1, "f" * 64, "erika")
    with History(tmp_path) as history:
        assert probation(history, change, 100, None).errors == blamed
