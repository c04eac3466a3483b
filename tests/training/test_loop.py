"""The story of docs/loop.md in its short form, on a running virtual line (S9, S20; I1, I3, I7)."""

from __future__ import annotations

from pathlib import Path

import pytest

from training.loop import SHORT, Size, run
from training.loop.plot import plot


def test_the_curve_shows_a_rate_and_what_happened() -> None:
    series = [(n, n // 2, n // 2 if n < 200 else 100) for n in range(0, 400, 5)]
    svg = plot(series, [(0.0, 0, "drawing"), (1.0, 50, "the defect <begins>"), (9.0, 200, "gone")])
    assert svg.startswith("<svg") and svg.rstrip().endswith("</svg>")
    assert "the defect &lt;begins&gt;" in svg and "drawing" not in svg and "polyline" in svg


def test_the_long_form_shows_at_least_a_hundred_parts_with_the_defect() -> None:
    size = Size()
    assert size.shown * size.novelty_rate * 0.9 >= 100 <= size.after * size.novelty_rate * 0.9


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_new_defect_goes_from_the_first_escape_to_the_release_that_ends_it(
    tmp_path: Path,
) -> None:
    figures = run(tmp_path / "loop", SHORT)

    line = figures["line"]
    assert line["triggers"] == line["verdicts"] and line["ledger_ok"]
    assert line["unjudged_passed"] == 0 and not line["restarted"]
    torn = figures["evaluation"]["by_defect"]["label_torn"]
    assert torn["surely_better"]
    assert not any(d["surely_worse"] for d in figures["evaluation"]["by_defect"].values())
    assert figures["before"]["escape_rate"] > 0.5 > figures["after"]["escape_rate"]
    assert figures["reviews"]["wrong"] > 0
    assert figures["release"]["shadow"]["judged"] >= SHORT.shadowed
    assert (tmp_path / "loop" / "loop.svg").exists()
