"""What is done seldom is done at once, what is done often is done together. (S2)"""

from __future__ import annotations

from inspector.pace import Pace

MS = 1_000_000


def done_at(pace: Pace, wanted_ms: list[float]) -> list[float]:
    """When each of these is done, one after the other, by somebody who waits as he is told."""
    now_ms, instants = 0.0, []
    for wanted in wanted_ms:
        now_ms = max(now_ms, wanted)
        while early_ns := pace.put_off_ns(round(now_ms * MS)):
            now_ms += early_ns / MS
        instants.append(now_ms)
    return instants


def test_what_comes_no_faster_than_the_pace_never_waits() -> None:
    evenly = [20.0 * i for i in range(50)]
    in_pairs = [20.0 * (i // 2) + 6 * (i % 2) for i in range(50)]
    assert done_at(Pace(8 * MS, 3), evenly) == evenly
    assert done_at(Pace(8 * MS, 3), in_pairs) == in_pairs


def test_after_a_rest_a_burst_goes_through_and_then_one_at_a_time() -> None:
    assert done_at(Pace(8 * MS, 3), [100.0] * 6) == [100, 100, 100, 108, 116, 124]


def test_who_asks_too_early_and_often_makes_nobody_wait_longer() -> None:
    pace = Pace(10 * MS, 2)
    assert done_at(pace, [0.0, 0.0]) == [0, 0]
    for instant_us in range(10_000):
        assert pace.put_off_ns(instant_us * 1000) == 10 * MS - instant_us * 1000
    assert done_at(pace, [10.0, 10.0]) == [10, 20]


def test_a_long_rest_is_no_credit_for_a_longer_burst() -> None:
    pace = Pace(10 * MS, 2)
    assert done_at(pace, [0.0, 100_000, 100_000, 100_000]) == [0, 100_000, 100_000, 100_010]
