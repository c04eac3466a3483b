"""A report that a machine or a page asks for is printed by a process of its own (S14)."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path
from typing import Any

import pytest
from quality_parts import words_of

from inspector import printed
from inspector.config import Quality, load_station
from inspector.quality.printing import Press

STATION = Path(__file__).parent.parent.parent / "station_configs" / "bottle-line.yaml"


def test_a_station_s_own_report_has_its_subgroups_and_its_tolerances(
    made: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the MES and the pages have it made."""
    for name, limits in (("can", (1, 2)), ("bottle", (11.6, 12.4)), ("jar", (3, 4))):
        measure = {"name": "height", "at_least": limits[0], "at_most": limits[1]}
        tool = {"name": "neck", "kind": "measure", "params": {"measures": [measure]}}
        (tmp_path / f"{name}.yaml").write_text(json.dumps({"name": name, "tools": [tool]}))
    station = load_station(STATION).model_copy(update={
        "data": made.data, "quality": Quality(subgroup=400),
        "recipes": [tmp_path / f"{name}.yaml" for name in ("can", "bottle", "jar")],
    })  # fmt: skip
    out = tmp_path / "report.pdf"
    asked = ["printed", "report", *Press(station).words("B-1", out, "en", False)]
    monkeypatch.setattr("sys.argv", asked)
    monkeypatch.setattr("os.nice", lambda steps: 0)
    printed.main()
    said = words_of(out)
    assert "in subgroups of 400" in said and station.line in said
    assert "Capability" in said and re.search(r"neck/height +\d+ +1[12]\.\d{4} +0\.0[78]\d", said)
    assert re.search(r"1\.\d\d \(1\.\d\d–1\.\d\d\)", said), "of the bottle's tolerance"


def test_who_leaves_before_the_report_is_made_is_told_no_other_reason(made: Any) -> None:
    """A cancelled request was answered that it had taken too long."""
    station = load_station(STATION).model_copy(update={"data": made.data})

    async def leave() -> int:
        press = Press(station)
        asked = asyncio.create_task(press.report("B-1", "en"))
        await asyncio.sleep(0.05)
        asked.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asked
        return press._making

    assert asyncio.run(leave()) == 0
