"""Parts that must not go on: whoever has a gate takes their permits back, PLC or not. (I2)"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from inspector.bus import Answer
from inspector.config import Station, load_station
from inspector.identity import Action, Principal, Role
from inspector.quality.stopping import AtGate, refuse
from inspector.store import History, LineLedger
from inspector.store.bench import sample_verdict
from inspector.store.holds import Run

MES = Principal("mes", frozenset({Role.MACHINE}))
STATION = """
station: BOT-L3-01
data: data
recipes: [bottle.yaml]
cameras: [{name: side, source: folder, folder: pictures}]
travel: {gate_mm: 500, pitch_min_mm: 20}
batch: {id: L2417A}
"""


class Desk:
    """Beside a line that has judged ten parts, the first eight of which have left."""

    def __init__(self, folder: Path, gate: str) -> None:
        (folder / "station.yaml").write_text(STATION + gate)
        self.station: Station = load_station(folder / "station.yaml")
        self.asked: list[Mapping[str, Any]] = []
        with LineLedger.open(self.station.data, station="BOT-L3-01") as ledger:
            for number in range(1, 11):
                ledger.add_verdict(sample_verdict(number))
            self.stream = ledger.streams()[-1]

    def history(self) -> History:
        return History(self.station.data)

    def ask(self, action: Action, args: Mapping[str, Any], principal: Principal) -> Answer:
        assert action is Action.REJECT and principal is MES
        self.asked.append(args)
        return Answer(True, {"first": 9, "last": args["last"], "too_late": 9 - args["first"]})


@pytest.mark.parametrize("gate", ["plc: {port: 5020}", "output: {path: gate}"])
def test_the_line_is_asked_wherever_there_is_a_gate(tmp_path: Path, gate: str) -> None:
    desk = Desk(tmp_path, gate)
    with desk.history() as history:
        said, detail = refuse(desk, history, MES, [Run(desk.stream, 7, 10)], "overfilled")
    assert [(args["first"], args["last"]) for args in desk.asked] == [(7, 10)]
    assert said == [
        AtGate(Run(desk.stream, 7, 8), "passed"), AtGate(Run(desk.stream, 9, 10), "pending"),
    ]  # fmt: skip
    assert not detail


def test_a_station_without_a_gate_says_so(tmp_path: Path) -> None:
    desk = Desk(tmp_path, "")
    with desk.history() as history:
        said, _ = refuse(desk, history, MES, [Run(desk.stream, 7, 10)], "overfilled")
    assert said == [AtGate(Run(desk.stream, 7, 10), "none")] and not desk.asked
