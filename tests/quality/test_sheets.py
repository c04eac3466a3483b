"""Sheets are printed one after the other, the newest state of each, however fast attempts fail."""

from __future__ import annotations

import sys
from pathlib import Path

from inspector.quality.sheets import Sheets
from inspector.trial import wait_for

PRINTS = """
import sys, pathlib, time
out, alone = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
alone.touch(exist_ok=False)  # fails where another prints
time.sleep(0.05)
with out.open("a") as file:
    file.write("printed\\n")
alone.unlink()
"""


def test_of_a_hundred_failed_attempts_the_first_and_the_newest_are_printed_never_two_at_once(
    tmp_path: Path,
) -> None:
    alone = tmp_path / "printing"
    sheets = Sheets(tmp_path, lambda id, out: (sys.executable, "-c", PRINTS, str(out), str(alone)))
    first, other = (tmp_path / "sheets" / f"first-article-{id}.pdf" for id in ("a1", "b2"))
    for _ in range(100):
        sheets.want("a1")
        sheets.turn()
    sheets.want("b2")

    def printed() -> bool:
        sheets.turn()
        return other.exists() and first.exists() and not alone.exists()

    assert wait_for(printed, 60.0)
    assert sheets._running is not None
    sheets._running.wait(60.0)
    assert first.read_text() == "printed\n" * 2
    assert other.read_text() == "printed\n"
