"""A challenge test is due when another release has taken over; one that fails sends it back."""

from __future__ import annotations

from pathlib import Path

import pytest

from inspector.identity import Action
from inspector.quality.challenge import Challenges
from inspector.qualityplan import Challenge, Seeded
from inspector.release.process import probation
from inspector.release.stage import Change
from inspector.release.watch import why_back
from inspector.releaseplan import Releases
from inspector.store import Event, History, LineLedger


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
