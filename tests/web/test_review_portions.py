"""What is reviewed comes in portions: all of it once, whatever lies between."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from inspector.part import Outcome, Verdict
from inspector.store import DeskLedger, History, LineLedger
from inspector.store.bench import sample_verdict
from inspector.store.records import ImageRecord
from inspector.store.reviews import Decision, Label, Opinion, Reviews, add_review
from inspector.web import review
from inspector.web.review import Kind, _found, _tells

PORTION = 3
PASS, REJECT = Outcome.PASS, Outcome.REJECT


class Place:
    """A station that has made passes of little certainty, half of them of another batch."""

    def __init__(self, data: Path) -> None:
        self.made: list[Verdict] = []
        with LineLedger.open(data, station="s1") as ledger:
            for number in range(1, 21):
                sure = sample_verdict(number, batch="odd" if number % 2 else "even")
                cap, *others = sure.findings
                made = replace(sure, findings=(replace(cap, score=0.5), *others))
                ledger.add_verdict(made)
                ledger.add_image(
                    ImageRecord(made.part_id, "side", "ab" * 32, f"images/{number}.jpg", 1)
                )
                self.made.append(made)
        self.desk = DeskLedger.open(data)
        self.history = History(data)
        self.reviews = Reviews(data)

    def say(self, who: str, number: int, decision: Decision) -> None:
        outcome = REJECT if decision is Decision.OVERRIDE else PASS
        opinion = Opinion(self.made[number - 1].part_id, decision, outcome, reason="seen again")
        add_review(self.desk, self.history, opinion, who)

    def numbers(self, kind: Kind, batch: str | None = None, begin_ns: int = 0) -> list[int]:
        """What a page that asks on until there is no more has in its gallery."""
        seen: list[int] = []
        before = None
        while True:
            found, before = _found(self.history, self.reviews, "qin", kind, batch, begin_ns, before)
            assert len(found) <= PORTION
            seen += [part.verdict.sequence for part in found]
            if before is None:
                return seen


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    monkeypatch.setattr(review, "PORTION", PORTION)
    place = Place(tmp_path)
    yield place
    place.reviews.close()
    place.history.close()
    place.desk.close()


def test_near_misses_that_follow_each_other_are_all_shown(place: Place) -> None:
    assert place.numbers("near") == list(range(20, 0, -1))
    assert place.numbers("near", "odd") == list(range(19, 0, -2))


def test_overrides_are_all_shown_whatever_was_said_between_them(place: Place) -> None:
    for number in range(1, 11):
        place.say("qin", number, Decision.CONFIRM if number % 3 else Decision.OVERRIDE)
    place.say("mei", 9, Decision.OVERRIDE)
    for number in range(11, 21):
        place.say("qin", number, Decision.CONFIRM)

    assert place.numbers("override") == [9, 6, 3]
    assert place.numbers("override", "odd") == [9, 3]


def test_a_second_opinion_is_asked_for_in_the_batch_that_was_chosen(place: Place) -> None:
    for number in range(1, 9):
        place.say("mei", number, Decision.SECOND_OPINION)

    assert place.numbers("second") == [8, 7, 6, 5, 4, 3, 2, 1]
    assert place.numbers("second", "even") == [8, 6, 4, 2]


def test_a_day_ends_what_the_line_made_and_not_what_was_said_late(place: Place) -> None:
    """An old part that was overridden today stands before younger ones."""
    for number in (20, 19, 18, 17, 16, 3):
        place.say("qin", number, Decision.OVERRIDE)
    since = place.made[14].times.utc_ns

    assert place.numbers("override", begin_ns=since) == [3, 16, 17, 18, 19, 20]
    assert place.numbers("near", begin_ns=since)[:6] == [20, 19, 18, 17, 16, 15]
    assert 1 not in place.numbers("near", begin_ns=since)


def test_a_passed_part_is_here_for_what_was_uncertain_and_for_what_a_person_has_drawn(
    place: Place,
) -> None:
    part = place.history.part(place.made[0].part_id)
    assert part is not None
    wanted = (("cap", "side"), ("", "side"), ("text", "code"), ("scratch", ""))
    assert [_tells(part, place.reviews, *one) for one in wanted] == [True, True, False, False]
    drawn = Label("scratch", box=(1.0, 1.0, 9.0, 9.0))
    opinion = Opinion(part.verdict.part_id, Decision.OVERRIDE, REJECT, "code", (drawn,), "escaped")
    add_review(place.desk, place.history, opinion, "qin")

    assert _tells(part, place.reviews, "scratch", "code")
    assert not _tells(part, place.reviews, "scratch", "side")


def test_near_misses_since_a_day_are_not_looked_for_in_all_that_was_before(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a line has none, a page went back to its very first part."""
    monkeypatch.setattr(review, "NEAR", 0.1)
    monkeypatch.setattr(review, "SEARCHED", 4)
    since = place.made[-1].times.utc_ns
    found = _found(place.history, place.reviews, "qin", "near", None, since, None)

    assert found == ([], None)
