"""Who did what, from both ledgers: found, in order, a page at a time (I9, S16)."""

from __future__ import annotations

from pathlib import Path

import pytest

from inspector.part import Batch
from inspector.store import DeskLedger, LineLedger
from inspector.store.audit import DESK, LINE, Asked, kinds, trail

SECOND = 1_000_000_000


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Ten deeds of two people, one of the line itself, in both ledgers, a second apart."""
    now = [0]

    def clock() -> int:
        now[0] += SECOND
        return now[0]

    with (
        LineLedger.open(tmp_path, station="s1", utc_ns=clock) as line,
        DeskLedger.open(tmp_path, utc_ns=clock) as desk,
    ):
        line.add_batch(Batch("B1", "water"), "begin", "anna")
        desk.add("sign_in", {"how": "pin"}, "anna")
        line.add_event("command", "anna", command="pause")
        line.add_event("alarm", "line", code="jam")
        desk.add("disposition", {"disposition": "hold", "batch": "B1"}, "Qin")
        for number in range(5):
            desk.add("review", {"part": f"p{number}", "label": "scratch"}, "Qin")
        line.commit()
    return tmp_path


def test_both_ledgers_are_one_trail_the_newest_first(data: Path) -> None:
    found = trail(data)
    assert found.before is None
    assert [d.what for d in found.deeds] == [
        *["review"] * 5, "disposition", "alarm", "command", "sign_in", "batch",
    ]  # fmt: skip
    assert {d.ledger for d in found.deeds} == {LINE, DESK}
    times = [d.utc_ns for d in found.deeds]
    assert times == sorted(times, reverse=True)


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        (Asked(who="ANNA"), ["command", "sign_in", "batch"]),
        (Asked(what="disposition"), ["disposition"]),
        (Asked(text="scratch P3"), ["review"]),
        (Asked(text="b1"), ["disposition", "batch"]),
        (Asked(people=True, to_ns=5 * SECOND), ["command", "sign_in", "batch"]),
        (Asked(from_ns=10 * SECOND), ["review"]),
        (Asked(who="nobody"), []),
    ],
)
def test_what_is_asked_for_is_found(data: Path, asked: Asked, found: list[str]) -> None:
    assert [d.what for d in trail(data, asked).deeds] == found


def test_pages_follow_each_other_without_a_gap(data: Path) -> None:
    whole = [(d.ledger, d.position) for d in trail(data).deeds]
    pages, before = [], None
    while True:
        page = trail(data, before=before, limit=3)
        pages += [(d.ledger, d.position) for d in page.deeds]
        if page.before is None:
            break
        before = page.before
    assert pages == whole


def test_a_clock_that_was_behind_for_a_while_hides_nothing(tmp_path: Path) -> None:
    """A machine whose battery is empty begins in 1970, until NTP answers."""
    now = [100 * SECOND]
    with (
        LineLedger.open(tmp_path, station="s1", utc_ns=lambda: now[0]) as line,
        DeskLedger.open(tmp_path, utc_ns=lambda: now[0]) as desk,
    ):
        line.add_event("command", "anna", command="bypass")
        desk.add("review", {"part": "p1"}, "Qin")
        now[0] = SECOND
        line.add_event("command", "anna", command="pause")
        desk.add("review", {"part": "p2"}, "Qin")
        now[0] = 101 * SECOND
        line.add_event("command", "anna", args={"lot": "L7"}, command="resume")
        line.commit()

    asked = Asked(from_ns=90 * SECOND)
    found = trail(tmp_path, asked)
    assert [d.text for d in found.deeds] == [
        "command resume, args lot: L7",
        "part p1",
        "command bypass",
    ]
    assert found.before is None and trail(tmp_path, asked, limit=3).before is None
    assert trail(tmp_path, asked, limit=2).before is not None


def test_kinds_are_those_that_have_happened(data: Path) -> None:
    assert set(kinds(data)) == {"batch", "sign_in", "command", "alarm", "disposition", "review"}


def test_a_station_that_never_ran_has_an_empty_trail(tmp_path: Path) -> None:
    assert trail(tmp_path).deeds == ()
