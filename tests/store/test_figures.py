"""Figures of a period against a ledger whose content is known. (S12)"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from quality_parts import part
from web.shift_of_parts import HOUR_NS, write_shift

from inspector.part import Batch, Mode, Outcome, Verdict, new_part_id
from inspector.store import History, LineLedger
from inspector.store.aside import Aside
from inspector.store.bench import sample_verdict
from inspector.store.figures import faulty, latencies_ms, pareto, period, sample, scores

PARTS = 600


@pytest.fixture(scope="module")
def now_ns() -> int:
    return time.time_ns()


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory, now_ns: int) -> Iterator[History]:
    data = tmp_path_factory.mktemp("shift")
    write_shift(data, PARTS, 6.0, now_ns=now_ns)
    with History(data) as history:
        yield history


@pytest.fixture(scope="module")
def verdicts(history: History) -> list[Verdict]:
    return [p.verdict for p in history.last(PARTS)]


def test_slices_hold_every_part_once(
    history: History, verdicts: list[Verdict], now_ns: int
) -> None:
    found = period(history, [(now_ns - 7 * HOUR_NS, now_ns + HOUR_NS)], 16)

    assert (found.parts, found.errors) == (PARTS, 0)
    assert found.rejected == sum(v.outcome is Outcome.REJECT for v in verdicts)
    for slice in found.slices:
        inside = [v for v in verdicts if slice.from_ns <= v.times.utc_ns < slice.to_ns]
        assert abs(slice.parts - len(inside)) <= 1  # ids tell the time to the millisecond
        assert slice.passed == slice.parts - slice.rejected


def test_an_hour_is_a_sixth_of_six(history: History, now_ns: int) -> None:
    found = period(history, [(now_ns - HOUR_NS, now_ns + 1_000_000)], 4)

    assert abs(found.parts - PARTS // 6) <= 1


def test_labels_are_counted_in_the_period_only(
    history: History, verdicts: list[Verdict], now_ns: int
) -> None:
    found = period(history, [(now_ns - HOUR_NS, now_ns + HOUR_NS)], 4)
    since = now_ns - HOUR_NS
    expected = Counter(
        f.label for v in verdicts if v.times.utc_ns >= since for f in v.findings if not f.ok
    )

    assert dict(pareto(history, found.spans)) == dict(expected)
    assert pareto(history, found.spans, view="code") == ()
    assert len(faulty(history, found.spans)) == sum(expected.values())


def test_a_period_without_parts_is_empty_everywhere(history: History) -> None:
    found = period(history, [(0, HOUR_NS)], 3)

    assert (found.parts, found.spans) == (0, ())
    assert pareto(history, found.spans) == () and faulty(history, found.spans) == ()
    assert sample(history, found) == ()


def test_another_batch_has_none_of_it(history: History, now_ns: int) -> None:
    whole = [(now_ns - 7 * HOUR_NS, now_ns + HOUR_NS)]
    assert period(history, whole, 4, ["other"]).parts == 0
    assert period(history, whole, 4, []).parts == 0
    assert period(history, whole, 4, ["other", "L2417A"]).parts == PARTS


def test_a_batch_that_went_on_after_another_one_has_its_own_parts_once(
    ledger: LineLedger, tmp_path: Path
) -> None:
    """A board of one product had those of another in it."""
    for number in range(1, 121):
        batch = "B" if 43 < number <= 83 else "A"
        if number in (1, 41, 81):  # each begins behind what is under way
            ledger.add_batch(Batch("B" if number == 41 else "A"), "begin", "line")
        ledger.add_verdict(sample_verdict(number, batch=batch))
    ledger.commit()
    now = time.time_ns()
    with History(tmp_path) as history:
        for batches, parts, rejected in (("AB", 120, 2), ("A", 80, 1), ("B", 40, 1)):
            found = period(history, [(now - HOUR_NS, now + HOUR_NS)], 1, batches)
            assert (found.parts, found.rejected) == (parts, rejected)


def test_what_is_under_way_when_a_rival_batch_comes_again_is_still_its_own(
    ledger: LineLedger, tmp_path: Path
) -> None:
    """The rival was taken to be there from its beginning on, because it had had parts before."""
    begins = {1: "A", 31: "B", 61: "A", 91: "B", 121: "A"}
    for number in range(1, 151):
        if number in begins:
            ledger.add_batch(Batch(begins[number]), "begin", "line")
        of = begins[max(n for n in begins if n <= max(1, number - 3))]  # three are under way
        outcome = Outcome.REJECT if number == 92 else Outcome.PASS
        ledger.add_verdict(part(number, outcome=outcome, batch=of))
    ledger.commit()
    with History(tmp_path) as history:
        found = {b: period(history, [(0, 1 << 62)], 1, [b]) for b in "AB"}
    assert {b: (p.parts, p.rejected) for b, p in found.items()} == {"A": (90, 1), "B": (60, 0)}


def test_parts_of_a_clock_that_was_hours_ahead_bring_no_others_into_their_hour(
    ledger: LineLedger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever was rejected until the clock came to where it had been was counted there."""
    monkeypatch.setattr("inspector.store.figures.NEAR", 10)
    for number in range(1, 121):
        utc = HOUR_NS * (8 if number <= 20 else number // 10)
        verdict = part(number, outcome=Outcome.PASS if number % 10 else Outcome.REJECT)
        ledger.add_verdict(replace(verdict, part_id=new_part_id(utc)))
    ledger.commit()
    with History(tmp_path) as history:
        for batches in (None, ["B-1"]):
            found = period(history, [(8 * HOUR_NS, 9 * HOUR_NS)], 1, batches)
            assert (found.parts, found.rejected) == (30, 3)
        assert sum(len(faulty(history, [span])) for span in found.spans) == 3


def test_what_was_no_production_is_in_no_figure(ledger: LineLedger, tmp_path: Path) -> None:
    """Seeded parts are there to be rejected, those of a set-up say how it was set up, and what was
    by-passed nobody has judged."""
    modes = (
        (10, Mode.SETUP, (5, 6)), (20, Mode.AUTO, (15,)), (24, Mode.CHALLENGE, (21, 22, 24)),
        (60, Mode.AUTO, (50,)), (64, Mode.CHALLENGE, (61, 62, 63)), (70, Mode.BYPASS, ()),
    )  # fmt: skip
    for number in range(1, 71):
        mode, bad = next((mode, bad) for last, mode, bad in modes if number <= last)
        outcome = Outcome.REJECT if number in bad else Outcome.PASS
        if mode is Mode.BYPASS:
            outcome = Outcome.NOT_INSPECTED
        label = "real" if mode is Mode.AUTO else "seeded"
        ledger.add_verdict(part(number, outcome=outcome, label=label, mode=mode))
    ledger.commit()
    now = time.time_ns()
    with History(tmp_path) as history:
        for view in ("", "side"):
            found = period(history, [(now - HOUR_NS, now + HOUR_NS)], 1, view=view)
            assert (found.parts, found.rejected, found.errors, found.unseen) == (52, 2, 0, 6)
        within = [(found.spans[0][0], found.spans[0][1] - 20)]  # ends among the second challenge
        assert pareto(history, found.spans) == pareto(history, within) == (("real", 2),)
        assert [v.sequence for v in faulty(history, found.spans)] == [50, 15]
        fifth = history.by_sequence("plc-1", 5)
        with history.line() as line:
            aside = Aside(line, history.definition)
            assert fifth is not None and aside.passed((0, fifth.position)) == 4


def test_stretches_with_gaps_hold_what_lies_in_them_alone(
    history: History, verdicts: list[Verdict], now_ns: int
) -> None:
    """Such as one shift of a week."""
    stretches = [(now_ns - k * HOUR_NS, now_ns - (k - 1) * HOUR_NS) for k in (5, 3)]
    found = period(history, stretches, 8)
    inside = [v for v in verdicts if any(a <= v.times.utc_ns < b for a, b in stretches)]
    wrong = Counter(f.label for v in inside for f in v.findings if not f.ok)

    assert len(found.slices) == 8
    assert abs(found.parts - len(inside)) <= 2
    assert abs(sum(dict(pareto(history, found.spans)).values()) - wrong.total()) <= 2
    assert abs(len(faulty(history, found.spans)) - wrong.total()) <= 2


def test_a_cameras_rejects_are_those_in_which_it_saw_what_is_wrong(
    history: History, now_ns: int
) -> None:
    whole = [(now_ns - 7 * HOUR_NS, now_ns + HOUR_NS)]
    everybody = period(history, whole, 4)

    assert period(history, whole, 4, view="side").rejected == everybody.rejected > 0
    blind = period(history, whole, 4, view="code")
    assert (blind.rejected, blind.parts) == (0, everybody.parts)


def test_a_sample_is_spread_over_the_period(history: History, now_ns: int) -> None:
    found = period(history, [(now_ns - 6 * HOUR_NS, now_ns + 1_000_000)], 6)
    looked = sample(history, found, 60)

    assert 55 <= len(looked) <= 60
    gaps = [b.sequence - a.sequence for a, b in pairwise(looked)]
    assert max(gaps) <= 2 * PARTS // 60
    good, bad = scores(looked)["bottle"]
    assert len(good) == len(looked) and not bad
    assert all(0 < ms < 100 for ms in latencies_ms(looked))
