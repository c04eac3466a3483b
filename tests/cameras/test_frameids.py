"""Numbers of pictures that begin again at 16 bits, as GigE Vision's do, and others that do not."""

from __future__ import annotations

import pytest

from inspector.cameras.frameids import LAST, FrameIds


@pytest.mark.parametrize(
    ("told", "counted"),
    [
        ([LAST - 1, LAST, 1, 2], [LAST - 1, LAST, LAST + 1, LAST + 2]),
        ([LAST - 3, 5], [LAST - 3, LAST + 5]),
        ([LAST, LAST + 1], [LAST, LAST + 1]),
        ([40_000, 1], [40_000, 1]),
        ([0, 1, 1], [0, 1, 1]),
        ([LAST, 0, 1], [LAST, LAST + 1, LAST + 2]),
        ([0, LAST, 1], [0, LAST, LAST + 2]),
    ],
    ids=["it begins again", "with pictures lost", "more bits", "counted anew", "from nought",
         "through nought", "nought lost"],
)  # fmt: skip
def test_pictures_are_counted_on_where_their_numbers_begin_again(
    told: list[int], counted: list[int]
) -> None:
    ids = FrameIds()
    assert [ids.count(n) for n in told] == counted


def test_it_goes_on_turn_after_turn() -> None:
    ids = FrameIds()
    assert [ids.count(n % LAST + 1) for n in range(3 * LAST)] == list(range(1, 3 * LAST + 1))
