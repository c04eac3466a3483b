"""What a model learns from is the same on a machine of two cores and on one of sixteen."""

from __future__ import annotations

import operator
import os

import pytest

from training.rendered import rendered


@pytest.mark.parametrize("cores", [1, 3])
def test_things_come_in_the_seeds_order_whatever_the_cores(
    cores: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(cores)))
    found = rendered(operator.mul, range(1, 8), "train", at_once=2)
    assert found == ["train" * seed for seed in range(1, 8)]
