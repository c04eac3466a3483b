"""Sheets are printed one after the other, the newest state of each, however fast attempts fail."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from quality_parts import words_of

from inspector import printed
from inspector.config import Quality, load_station
from inspector.quality.sheets import Sheets, printing
from inspector.store import DeskLedger, LineLedger
from inspector.trial import wait_for

STATION = Path(__file__).parent.parent.parent / "station_configs" / "bottle-line.yaml"

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


def test_a_sheet_is_printed_in_the_plants_language_and_its_recipes_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What nobody asked for by hand was in English, and the labels on it in every language."""
    recipe = tmp_path / "bottle.yaml"
    recipe.write_text(json.dumps({"name": "bottle", "words": {"zh": {"scratch": "划痕"}}}))
    step = {"name": "seeded: scratch", "state": "ok", "detail": "9 of 10 passed"}
    sheet = {"batch": "B-1", "recipe": "bottle@3", "id": "a1", "attempt": 1, "passed": True,
             "recipe_digest": "", "software": "", "texts": {}, "station_s": 1.0, "parts": [],
             "steps": [step]}  # fmt: skip
    with LineLedger.open(tmp_path, station="ST-01"), DeskLedger.open(tmp_path) as desk:
        desk.add("first_article", sheet, "quality")
    station = load_station(STATION).model_copy(update={"data": tmp_path, "recipes": [recipe]})
    out = tmp_path / "sheet.pdf"
    command = printing(station, Quality(language="zh"))("a1", out)
    monkeypatch.setattr("sys.argv", command[2:])
    monkeypatch.setattr("os.nice", lambda steps: 0)
    printed.main()
    said = words_of(out)
    assert "首件检验" in said and "划痕" in said and "scratch" not in said
