"""Reviews: a new record each, an index that can be made anew, κ by its formula (I4, I9, S9)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from inspector.part import Outcome, PartId, Severity, new_part_id
from inspector.store import DeskLedger, History, LineLedger, RecordError, verify
from inspector.store.bench import sample_verdict
from inspector.store.reviews import (
    Agreement,
    Decision,
    Label,
    Opinion,
    Reviews,
    add_review,
    agreement_of,
)

PASS, REJECT = Outcome.PASS, Outcome.REJECT
BOX = Label("scratch", Severity.MINOR, (1.0, 2.0, 30.0, 40.0))


class Place:
    """A station's data with ten parts, of which number 50 is a reject."""

    def __init__(self, data: Path) -> None:
        self.data = data
        self.parts: list[PartId] = []
        with LineLedger.open(data, station="s1") as ledger:
            for number in range(41, 51):
                verdict = sample_verdict(number)
                self.parts.append(verdict.part_id)
                ledger.add_verdict(verdict)
        self.desk = DeskLedger.open(data)
        self.history = History(data)
        self.reviews = Reviews(data)

    def say(self, who: str, part: int, decision: Decision, outcome: Outcome, *labels: Label) -> int:
        opinion = Opinion(self.parts[part], decision, outcome, "side", labels, "looked again")
        return add_review(self.desk, self.history, opinion, who)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    place = Place(tmp_path)
    yield place
    place.reviews.close()
    place.history.close()
    place.desk.close()


def test_an_override_is_a_record_of_its_own_and_the_newest_is_first(place: Place) -> None:
    place.say("anna", 9, Decision.CONFIRM, REJECT)
    place.say("anna", 9, Decision.OVERRIDE, PASS, BOX)
    first, second = place.reviews.find(part=place.parts[9])
    assert (first.opinion.decision, second.opinion.decision) == ("override", "confirm")
    assert first.was is REJECT and first.opinion.outcome is PASS and first.opinion.labels == (BOX,)
    assert first.reviewer == "anna" and first.batch == "L2417A" and first.sequence == 50
    assert place.reviews.newest_of(place.parts[9]) == first
    assert verify(place.data).ok


def test_pages_go_on_where_they_ended(place: Place) -> None:
    made = [place.say("anna", n, Decision.CONFIRM, PASS) for n in range(9)]
    page = place.reviews.find(batch="L2417A", limit=4)
    rest = place.reviews.find(batch="L2417A", before=page[-1].position, limit=100)
    assert [r.position for r in (*page, *rest)] == made[::-1]
    assert place.reviews.find(batch="another") == ()
    assert len(place.reviews.find(reviewer="anna")) == 9 and not place.reviews.find(reviewer="ben")


def test_a_second_opinion_waits_for_somebody_else(place: Place) -> None:
    place.say("anna", 3, Decision.SECOND_OPINION, REJECT)
    place.say("anna", 3, Decision.CONFIRM, PASS)
    (open_one,) = place.reviews.pending()
    assert open_one.opinion.part == place.parts[3] and place.reviews.pending(not_by="anna") == ()
    place.say("ben", 3, Decision.CONFIRM, PASS)
    assert place.reviews.pending() == ()


def test_an_old_batchs_open_request_is_counted_whatever_others_ask(place: Place) -> None:
    place.say("anna", 3, Decision.SECOND_OPINION, PASS)
    body = place.reviews.record(0).body | {"batch": "other"}
    others = [("review", body | {"part": str(new_part_id())}, "anna") for _ in range(600)]
    place.desk.add_all(others)

    assert (place.reviews.pending_in("L2417A"), place.reviews.pending_in("other")) == (1, 600)
    assert place.reviews.pending_in("none") == 0


def test_the_index_is_made_again_from_the_records(place: Place) -> None:
    place.say("anna", 3, Decision.SECOND_OPINION, REJECT)
    place.say("ben", 4, Decision.CONFIRM, PASS)
    before = place.reviews.find(), place.reviews.pending()
    place.reviews.close()
    for file in place.data.glob("reviews.db*"):
        file.unlink()
    place.reviews = Reviews(place.data)
    assert (place.reviews.find(), place.reviews.pending()) == before


def test_kappa_is_cohens() -> None:
    # Cohen's own example shape: 20 both yes, 15 both no, 5 and 10 apart: κ = 0.4.
    found = agreement_of({("pass", "pass"): 20, ("pass", "reject"): 5, ("reject", "pass"): 10,
                          ("reject", "reject"): 15})  # fmt: skip
    assert found.parts == 50 and found.agreed == 35
    assert found.kappa == pytest.approx(0.4)
    assert agreement_of({("pass", "pass"): 7}) == Agreement(7, 7, None)
    assert agreement_of({}) == Agreement(0, 0, None)


def test_two_reviewers_agree_by_their_newest_judgements(place: Place) -> None:
    for n in range(10):
        place.say("anna", n, Decision.RELABEL, REJECT if n > 4 else PASS)
        place.say("ben", n, Decision.RELABEL, REJECT if n > 5 else PASS)
    place.say("ben", 5, Decision.RELABEL, REJECT)
    place.say("ben", 0, Decision.SECOND_OPINION, REJECT)
    assert place.reviews.agreement("anna", "ben") == Agreement(10, 10, 1.0)
    assert place.reviews.agreement("anna", "nobody").parts == 0


@pytest.mark.parametrize(
    ("opinion", "why"),
    [
        ({"decision": Decision.CONFIRM, "outcome": PASS}, "override it"),
        ({"decision": Decision.OVERRIDE, "outcome": REJECT, "reason": "x"}, "confirm or relabel"),
        ({"decision": Decision.OVERRIDE, "outcome": PASS}, "needs a reason"),
        ({"decision": Decision.CONFIRM, "outcome": Outcome.ERROR}, "`pass` or `reject`"),
        ({"labels": (Label("x"),)}, "either a box or a polygon"),
        ({"labels": (Label("x", box=(5.0, 0.0, 5.0, 1.0)),)}, "x1 < x2"),
        ({"labels": (Label("x", box=(0.0, 0.0, float("nan"), 1.0)),)}, "x1 < x2"),
        ({"labels": (Label("x", polygon=((0.0, 0.0), (1.0, 1.0))),)}, "3 to"),
        ({"labels": (Label(" ", box=(0.0, 0.0, 1.0, 1.0)),)}, "needs a name"),
    ],
)
def test_an_opinion_that_contradicts_itself_is_refused(place: Place, opinion: dict[str, object],
                                                       why: str) -> None:  # fmt: skip
    said = {"part": place.parts[9], "decision": Decision.CONFIRM, "outcome": REJECT} | opinion
    with pytest.raises(RecordError, match=why):
        add_review(place.desk, place.history, Opinion(**said), "anna")  # type: ignore[arg-type]
    with pytest.raises(RecordError, match="no part has the id"):
        unknown = Opinion(PartId(place.parts[9].__class__(int=7)), Decision.CONFIRM, REJECT)
        add_review(place.desk, place.history, unknown, "anna")
    assert place.history.desk() == ()
