"""Which parts on hold an operator is asked to look for (S11)."""

from __future__ import annotations

from typing import Any

import pytest

from inspector.plant.holding import has_passed, said
from inspector.store.holds import Run

HELD = Run("plc-1", 20, 24)


def asked(*runs: tuple[int, int, str], stream: str = "plc-1") -> dict[str, Any]:
    return {
        "answer": {
            "runs": [{"stream": stream, "first": a, "last": b, "gate": gate} for a, b, gate in runs]
        }
    }


@pytest.mark.parametrize(
    ("body", "passed"),
    [
        (asked((20, 24, "passed")), True),
        (asked((20, 24, "pending")), False),
        (asked((20, 22, "passed"), (23, 24, "pending")), True),
        (asked((20, 24, "unknown")), True),
        (asked((1, 9, "passed"), (20, 24, "pending")), False),
        (asked((20, 24, "passed"), stream="plc-2"), False),
        ({"gate": "pending"}, False),  # by hand, on the operator page
        ({"gate": "passed"}, True),
        ({}, True),  # a challenge that failed holds what was made since the last good one
    ],
)
def test_what_lies_in_the_bin_is_not_looked_for(body: dict[str, Any], passed: bool) -> None:
    assert has_passed(body, HELD) is passed


def test_parts_are_named_with_the_newest_reason() -> None:
    runs = [Run("plc-1", 40, 40), HELD, Run("plc-1", 3, 3), Run("plc-1", 1, 1)]
    assert said(runs[:2], "overfilled") == "20 to 24, 40: overfilled"
    assert said(runs, "overfilled") == "3, 20 to 24, 40 …: overfilled"
