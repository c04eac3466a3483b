"""Challenge tests: when one is due, what came of it, what is held when it fails (S7, I2)."""

from __future__ import annotations

from typing import Any

import pytest
from quality_parts import part

from inspector.config import Challenge, Seeded
from inspector.part import GateAction, GateDecision, Mode, Outcome, Verdict
from inspector.quality.challenge import Challenges, Result
from inspector.store import BatchChange, Event

SEEDED = [Seeded(name="scratched", label="scratch"), Seeded(name="no cap", label="missing cap")]
MINUTE = 60_000_000_000
START = 1_764_000_000_000_000_000


def challenges(**fields: Any) -> Challenges:
    return Challenges(Challenge(seeded=SEEDED, **{"every_parts": 10} | fields))


def produce(watch: Challenges, first: int, last: int) -> None:
    for number in range(first, last + 1):
        assert watch.record(part(number)) is None


def ask(watch: Challenges, first: int, count: int = 2) -> Result | None:
    result = {"from": first, "to": first + count - 1, "stream": "plc-1"}
    body = {"command": "challenge", "result": result}
    return watch.record(Event("command", "otto", START + first * 40_000_000, 1, body))


def seeded(number: int, label: str, outcome: Outcome = Outcome.REJECT) -> Verdict:
    return part(number, outcome=outcome, label=label, mode=Mode.CHALLENGE)


def gate(verdict: Verdict, action: GateAction = GateAction.REJECT, heard: int = 5) -> GateDecision:
    number = verdict.sequence
    return GateDecision(verdict.part_id, verdict.stream, number, action, "defect", 1, heard)


def feed(watch: Challenges, *parts: tuple[Verdict, GateDecision]) -> Result | None:
    result = None
    for verdict, told in parts:
        watch.record(verdict)
        result = watch.record(told) or result
    return result


def test_seeded_defects_that_are_rejected_make_it_good() -> None:
    watch = challenges()
    produce(watch, 1, 5)
    ask(watch, 6)
    one, two = seeded(6, "scratch"), seeded(7, "missing cap")
    result = feed(watch, (one, gate(one)), (two, gate(two)))
    assert result is not None and result.result == "good" and result.hold == []
    assert result.body["asked_by"] == "otto" and result.body["since_good"] == 5
    assert watch.parts == 0


def test_one_that_passes_fails_it_and_holds_what_was_made_since_the_last_good_one() -> None:
    watch = challenges()
    produce(watch, 1, 5)
    ask(watch, 6)
    good = seeded(6, "scratch"), seeded(7, "missing cap")
    feed(watch, *((v, gate(v)) for v in good))
    produce(watch, 8, 12)
    ask(watch, 13)
    one, two = seeded(13, "scratch"), seeded(14, "", Outcome.PASS)
    result = feed(watch, (one, gate(one)), (two, gate(two, GateAction.PERMIT)))
    assert result is not None and result.result == "failed"
    assert "no cap: it was not rejected" in result.why
    assert result.hold == [("plc-1", 8, 12), ("plc-1", 13, 14)]


def test_parts_that_came_back_are_held_like_those_that_came_first() -> None:
    watch = challenges(at_batch_end=True)
    produce(watch, 3, 5)
    for number in (1, 2, 6, 7):
        assert watch.record(part(number, mode=Mode.REINSPECT)) is None
    ask(watch, 8)
    one, two = seeded(8, "scratch"), seeded(9, "", Outcome.PASS)
    result = feed(watch, (one, gate(one)), (two, gate(two, GateAction.PERMIT)))
    assert result is not None and result.hold == [("plc-1", 1, 7), ("plc-1", 8, 9)]


def judged_behind_a_window(watch: Challenges) -> Result:
    """A good challenge whose gate answers late: three parts behind it are judged meanwhile."""
    produce(watch, 1, 3)
    ask(watch, 4, 1)
    missed = seeded(4, "scratch")
    watch.record(missed)
    produce(watch, 5, 7)
    result = watch.record(gate(missed))
    assert result is not None and result.result == "good"
    return result


def test_parts_judged_behind_a_good_challenge_are_held_when_the_next_one_fails() -> None:
    watch = Challenges(Challenge(seeded=SEEDED[:1]))
    result = judged_behind_a_window(watch)
    assert watch.parts == 3, "of the next one"
    for follower in (watch, again := Challenges(Challenge(seeded=SEEDED[:1]))):
        if follower is again:
            follower.resume(result.body)
        produce(follower, 8, 9)
        ask(follower, 10, 1)
        passed = seeded(10, "", Outcome.PASS)
        failed = feed(follower, (passed, gate(passed, GateAction.PERMIT)))
        assert failed is not None and failed.hold == [("plc-1", 5, 9), ("plc-1", 10, 10)]


def test_parts_judged_behind_a_challenge_that_fails_are_held_with_it() -> None:
    watch = Challenges(Challenge(seeded=SEEDED[:1]))
    produce(watch, 1, 3)
    ask(watch, 4, 1)
    passed = seeded(4, "", Outcome.PASS)
    watch.record(passed)
    produce(watch, 5, 7)
    failed = watch.record(gate(passed, GateAction.PERMIT))
    assert failed is not None and failed.hold == [("plc-1", 1, 7), ("plc-1", 4, 4)]


def stop(watch: Challenges, upto: int, stream: str = "plc-1") -> Result | None:
    result = {"code": "challenge_failed", "stopped": True, "stream": stream, "upto": upto}
    body = {"command": "announce", "result": result}
    return watch.record(Event("command", "quality", START + upto * 40_000_000, 1, body))


@pytest.mark.parametrize("recorded", [0, 3, 6])
def test_what_went_by_between_a_failure_and_the_stop_is_held_too(recorded: int) -> None:
    """Its verdict may be on record then, or still to come: the line says how far it had counted."""
    watch = challenges()
    produce(watch, 1, 3)
    ask(watch, 4, 1)
    missed = seeded(4, "", Outcome.PASS)
    watch.record(missed)
    failed = watch.record(gate(missed, GateAction.PERMIT)) or watch.at(START + 100 * MINUTE)
    assert failed is not None and failed.hold == [("plc-1", 1, 3), ("plc-1", 4, 4)]
    produce(watch, 5, 4 + recorded)
    held = stop(watch, 10)
    assert held is not None and held.result == "stopped" and held.hold == [("plc-1", 5, 10)]
    assert failed.why in held.why
    produce(watch, 11, 12)
    assert watch.parts == 2


def test_a_line_that_stops_at_once_has_let_nothing_more_through() -> None:
    watch = challenges(every_parts=2)
    produce(watch, 1, 2)
    assert watch.at(START + 100 * MINUTE) is not None
    assert stop(watch, 2) is None


def test_a_line_that_counts_anew_before_it_stops_is_held_by_stream() -> None:
    watch = challenges(every_parts=2)
    produce(watch, 1, 2)
    assert watch.at(START + 100 * MINUTE) is not None
    watch.record(part(3))
    watch.record(part(1, stream="plc-2"))
    held = stop(watch, 2, "plc-2")
    assert held is not None and held.hold == [("plc-1", 3, 3), ("plc-2", 1, 1)]


def test_a_reject_that_the_gate_never_heard_of_fails_it() -> None:
    watch = challenges()
    produce(watch, 1, 3)
    ask(watch, 4)
    one, two = seeded(4, "scratch"), seeded(5, "missing cap")
    result = feed(watch, (one, gate(one)), (two, gate(two, heard=0)))
    assert result is not None and result.result == "failed" and "acknowledged" in result.why


def test_rejected_for_another_defect_is_not_found() -> None:
    watch = challenges()
    ask(watch, 1)
    one, two = seeded(1, "smeared date"), seeded(2, "missing cap")
    result = feed(watch, (one, gate(one)), (two, gate(two)))
    assert result is not None and result.result == "failed" and "not for 'scratch'" in result.why


def test_a_part_that_could_not_be_judged_makes_it_inconclusive() -> None:
    watch = challenges()
    produce(watch, 1, 4)
    ask(watch, 5)
    one, two = seeded(5, "scratch"), seeded(6, "", Outcome.ERROR)
    result = feed(watch, (one, gate(one)), (two, gate(two)))
    assert result is not None and result.result == "inconclusive" and result.hold == []
    assert watch.parts == 4, "it counts as none"


def test_parts_that_never_come_make_it_inconclusive_after_a_minute() -> None:
    watch = challenges()
    ask(watch, 1)
    assert watch.at(START) is None
    result = watch.at(START + 2 * MINUTE)
    assert result is not None and result.result == "inconclusive" and "no part" in result.why


def test_an_inconclusive_one_is_due_until_it_is_repeated() -> None:
    watch = challenges(every_parts=0, grace_minutes=10)
    produce(watch, 1, 4)
    ask(watch, 5)
    one, two = seeded(5, "scratch"), seeded(6, "", Outcome.ERROR)
    feed(watch, (one, gate(one)), (two, gate(two)))
    assert watch.due_ns and watch.why == "repeat it: no cap: side: no frame within 200 ms"
    assert watch.at(watch.due_ns + 9 * MINUTE) is None
    missed = watch.at(watch.due_ns + 10 * MINUTE)
    assert missed is not None and missed.result == "missed" and missed.hold == [("plc-1", 1, 4)]


def test_an_inconclusive_one_where_nothing_was_made_is_not_missed() -> None:
    watch = challenges(grace_minutes=10)
    ask(watch, 1)
    assert watch.at(START + 2 * MINUTE) is not None
    assert watch.at(START + 60 * MINUTE) is None


def test_seeded_parts_that_come_after_their_minute_are_judged_all_the_same() -> None:
    """The line stood: its next parts are the seeded ones still, and one that passes is at large."""
    watch = challenges()
    produce(watch, 1, 3)
    ask(watch, 4)
    assert watch.at(START + 2 * MINUTE) is not None
    one, two = seeded(4, "scratch"), seeded(5, "", Outcome.PASS)
    result = feed(watch, (one, gate(one)), (two, gate(two, GateAction.PERMIT)))
    assert result is not None and result.result == "failed"
    assert result.hold == [("plc-1", 1, 3), ("plc-1", 4, 5)]


def test_one_that_failed_for_want_of_a_part_fails_once() -> None:
    watch = challenges()
    ask(watch, 4)
    watch.record(seeded(4, "", Outcome.PASS))
    failed = watch.at(START + 2 * MINUTE)
    assert failed is not None and failed.result == "failed"
    two = seeded(5, "missing cap")
    assert feed(watch, (two, gate(two))) is None


def test_one_that_is_asked_for_anew_hides_no_seeded_part_that_passed() -> None:
    watch = challenges()
    produce(watch, 1, 3)
    ask(watch, 4)
    watch.record(seeded(4, "", Outcome.PASS))
    failed = ask(watch, 5)
    assert failed is not None and failed.result == "failed"
    assert failed.hold == [("plc-1", 1, 3), ("plc-1", 4, 5)]
    assert watch.window is not None and watch.window.first == 5


def test_one_that_is_asked_for_anew_fails_for_no_word_that_is_still_to_come() -> None:
    watch = challenges()
    produce(watch, 1, 3)
    ask(watch, 4)
    watch.record(seeded(4, "scratch"))
    ended = ask(watch, 5)
    assert ended is not None and ended.result == "inconclusive" and ended.hold == []
    one, two = seeded(5, "scratch"), seeded(6, "missing cap")
    good = feed(watch, (one, gate(one)), (two, gate(two)))
    assert good is not None and good.result == "good"


def test_it_is_due_after_so_many_parts_and_missed_after_the_grace() -> None:
    watch = challenges(grace_minutes=10)
    produce(watch, 1, 9)
    assert not watch.due_ns
    produce(watch, 10, 10)
    assert watch.due_ns and watch.why == "10 parts are made"
    due = watch.due_ns
    produce(watch, 11, 30)
    assert watch.at(due + 9 * MINUTE) is None
    result = watch.at(due + 10 * MINUTE)
    assert result is not None and result.result == "missed"
    assert result.hold == [("plc-1", 1, 30)]


def test_it_is_due_after_so_many_minutes_of_production() -> None:
    watch = challenges(every_parts=0, every_minutes=30)
    assert watch.at(START + 60 * MINUTE) is None and not watch.due_ns, "nothing is made"
    produce(watch, 1, 2)
    began = watch.since_ns
    watch.at(began + 29 * MINUTE)
    assert not watch.due_ns
    watch.at(began + 31 * MINUTE)
    assert watch.due_ns == began + 30 * MINUTE


def test_no_minute_counts_in_which_nothing_was_made_since_the_last_one() -> None:
    """A line that stood over night after a good challenge stopped for a missed one, and held the
    first part of the morning."""
    watch = challenges(every_parts=0, every_minutes=30)
    watch.good(START - 600 * MINUTE)
    produce(watch, 1, 2)
    assert watch.at(START + MINUTE) is None and not watch.due_ns
    assert watch.at(START + 31 * MINUTE) is None and watch.why == "30 minutes are over"


def test_a_clock_that_is_set_forward_misses_no_challenge() -> None:
    """A machine without a battery for its clock begins in 1970, and its time server comes later."""
    watch = challenges(every_parts=0, every_minutes=30, grace_minutes=10)
    produce(watch, 1, 2)
    later = 1000 * MINUTE
    watch.clock_set(later)
    assert watch.at(later + START + MINUTE) is None and not watch.due_ns
    assert watch.at(later + START + 31 * MINUTE) is None and watch.due_ns
    watch.clock_set(later)
    assert watch.at(2 * later + START + 32 * MINUTE) is None, "due, and within its grace"
    missed = watch.at(2 * later + START + 41 * MINUTE)
    assert missed is not None and missed.result == "missed"


def test_a_clock_that_is_set_back_puts_no_challenge_off() -> None:
    watch = challenges(every_parts=0, every_minutes=30, grace_minutes=10)
    produce(watch, 1, 2)
    back = START - 300 * MINUTE
    assert watch.at(back) is None
    watch.at(back + 31 * MINUTE)
    assert watch.why == "30 minutes are over"
    again = back - 300 * MINUTE
    assert watch.at(again) is None
    missed = watch.at(again + 10 * MINUTE)
    assert missed is not None and missed.result == "missed"

    ask(watch, 3)
    assert watch.at(again) is None
    ended = watch.at(again + 2 * MINUTE)
    assert ended is not None and ended.result == "inconclusive"


def test_it_is_due_at_the_end_of_a_batch_and_parts_of_the_next_are_covered() -> None:
    watch = challenges(every_parts=0)
    produce(watch, 1, 5)
    end = BatchChange("B-1", "end", "otto", "", "", {}, START + MINUTE, 1)
    watch.record(end)
    assert watch.why == "batch B-1 ended"
    produce(watch, 6, 8)
    result = watch.at(START + 60 * MINUTE)
    assert result is not None and result.hold == [("plc-1", 1, 8)]


def test_a_counter_that_began_anew_is_held_by_stream() -> None:
    watch = challenges(every_parts=0)
    produce(watch, 7, 9)
    watch.record(part(1, stream="plc-2"))
    watch.record(BatchChange("B-1", "end", "otto", "", "", {}, START, 1))
    result = watch.at(START + 60 * MINUTE)
    assert result is not None and result.hold == [("plc-1", 7, 9), ("plc-2", 1, 1)]
