"""The measure is measured: known cases of mAP, intervals, redrawing."""

from __future__ import annotations

import numpy as np
import pytest

from training.evaluate import average_precision, bootstrap, mean_average_precision, wilson
from training.pictures import Picture


def picture(*boxes: tuple[float, float, float, float], label: int = 0) -> Picture:
    return Picture(
        np.zeros((8, 8, 3), np.uint8),
        np.array(boxes, np.float32).reshape(-1, 4),
        np.full(len(boxes), label, np.int64),
    )


def found(*rows: tuple[float, ...]) -> np.ndarray:
    return np.array(rows, np.float32).reshape(-1, 6)


def test_finding_everything_and_nothing_else_is_one() -> None:
    truth = picture((0, 0, 10, 10), (20, 20, 30, 30))
    rows = found((0, 0, 10, 10, 0.9, 0), (20, 20, 30, 30, 0.8, 0))
    assert mean_average_precision([rows], [truth], 1)[0] == 1.0


def test_a_second_box_on_one_object_is_false() -> None:
    truth = picture((0, 0, 10, 10), (20, 20, 30, 30))
    rows = found((0, 0, 10, 10, 0.9, 0), (0, 0, 10, 10, 0.85, 0), (20, 20, 30, 30, 0.8, 0))
    # recall 0.5 at precision 1, then 1.0 at 2/3: 51 points of 1 and 50 of 2/3
    assert mean_average_precision([rows], [truth], 1)[0] == pytest.approx((51 + 50 * 2 / 3) / 101)


def test_an_overlap_under_the_limit_finds_nothing() -> None:
    rows = found((0, 0, 10, 4, 0.9, 0))
    assert mean_average_precision([rows], [picture((0, 0, 10, 10))], 1)[0] == 0.0


def test_classes_without_objects_do_not_count_and_padding_is_nothing() -> None:
    rows = found((0, 0, 10, 10, 0.9, 0), (0, 0, 0, 0, 0.0, 1))
    value, each = mean_average_precision([rows], [picture((0, 0, 10, 10))], 2)
    assert value == 1.0 and each[0] == 1.0 and np.isnan(each[1])


def test_precision_is_interpolated_from_the_right() -> None:
    scored = [(0.9, False), (0.8, True), (0.7, True)]
    assert average_precision(scored, 2) == pytest.approx(2 / 3)
    assert np.isnan(average_precision([], 0))


def test_wilson_is_honest_at_the_edge() -> None:
    none = wilson(0, 300)
    assert none.low == 0.0 and none.high == pytest.approx(0.01264, abs=1e-4)
    assert wilson(0, 0).high == 1.0


def test_the_bootstrap_surrounds_the_mean() -> None:
    values = np.arange(100) / 100
    low, high = bootstrap(lambda chosen: float(values[chosen].mean()), 100)
    assert low < values.mean() < high
