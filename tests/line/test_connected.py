"""Cameras that come and go under the line: what their input lines said is not known meanwhile."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from plc_blocks import plc_status
from ruamel.yaml import YAML

from inspector.cameras.messages import CameraEvent, EventKind, frames_endpoint
from inspector.cameras.outbox import Outbox
from inspector.config import load_station
from inspector.display import AlarmCode
from inspector.line.gate import Told
from inspector.line.line import Line
from inspector.line.output import OutputGate
from inspector.line.process import load_recipes, open_line
from inspector.line.watch import show
from inspector.part import Frame, Mode
from inspector.registers import Action, GateReason, Trigger

STEP = {"name": "patch", "kind": "illumination", "view": "side", "roi": [0, 0, 64, 48],
        "params": {"low": 60, "high": 200}}  # fmt: skip
RUNS = {"line_running": True}


@pytest.fixture
def line(tmp_path: Path) -> Iterator[Line]:
    """With a gate on an output, and the drive's feedback on a camera's input line."""
    (tmp_path / "run").mkdir()
    for output in ("gate", "belt"):
        (tmp_path / output).write_text("")
    written: dict[str, Any] = {
        "station": "T-01", "data": "data", "recipes": ["grey.yaml"], "judges": 1,
        "cameras": [{"name": "side", "serial": "V001", "trigger": "hardware",
                     "signals": {"line_running": "Line2"}}],
        "output": {"path": "gate", "conveyor": "belt"}, "store": {"reserve_mb": 0, "stop_mb": 0},
        "batch": {"id": "B-1"}, "clock": "trusted",
    }  # fmt: skip
    recipe = {"name": "grey", "views": ["side"], "tools": [STEP]}
    for name, content in (("station.yaml", written), ("grey.yaml", recipe)):
        with (tmp_path / name).open("w") as file:
            YAML(typ="safe").dump(content, file)
    station = load_station(tmp_path / "station.yaml")
    line = open_line(station, tmp_path / "run", load_recipes(station))
    yield line
    line.close()


def camera(line: Line, tmp_path: Path) -> Outbox:
    """A camera's process that has just opened its camera, and the belt runs."""
    outbox = Outbox(frames_endpoint(tmp_path / "run"), "side", 0)
    outbox.event(CameraEvent("side", EventKind.CONNECTED, "", {}))
    outbox.event(CameraEvent("side", EventKind.SIGNALS, "", RUNS))
    heard(line)
    return outbox


def heard(line: Line) -> None:
    line.take_frames()
    show(line)


def permit(line: Line, number: int) -> None:
    line.matching.newest = number
    far_ns = time.monotonic_ns() + 3_600_000_000_000
    line.gate.decide(0, number, Action.PERMIT, GateReason.NONE, far_ns)


def revoked(line: Line) -> list[int]:
    told = [event for event in line.gate.take() if isinstance(event, Told)]
    return [event.part for event in told if event.action is Action.REVOKE]


def test_a_camera_process_that_is_killed_is_lost_at_once(line: Line, tmp_path: Path) -> None:
    """It cannot tell; in by-pass, too, the station is not ready while its lines are not heard."""
    line.modes.set(Mode.BYPASS, "erika", "strobe broken", 60_000_000_000, at_ns=0)
    outbox = camera(line, tmp_path)
    assert "side" in line.connected.heard_ns and not line.inputs.unknown
    outbox._hang_up()
    heard(line)
    assert "side" not in line.connected.heard_ns and line.inputs.unknown == {"side"}
    assert [a.detail for a in line.alarms.standing()] == ["side: its process has ended"]


def test_a_belt_that_nobody_heard_may_have_stood_so_no_part_under_way_passes(
    line: Line, tmp_path: Path
) -> None:
    """A gate that is timed by the belt's speed would open for another part (I2)."""
    outbox = camera(line, tmp_path)
    permit(line, 1)
    outbox._hang_up()
    heard(line)
    assert revoked(line) == [1] and line.halted
    with closing(camera(line, tmp_path)):
        permit(line, 2)
        heard(line)
        assert not line.halted and revoked(line) == []


def test_a_belt_that_stood_and_runs_again_by_the_time_the_line_looks_has_stood(
    line: Line, tmp_path: Path
) -> None:
    """The line was busy elsewhere meanwhile, and its gate opened by how far parts had not gone."""
    with closing(camera(line, tmp_path)) as outbox:
        permit(line, 1)
        for signals in ({"line_running": False}, RUNS):
            outbox.event(CameraEvent("side", EventKind.SIGNALS, "", signals))
        heard(line)
        assert revoked(line) == [1] and not line.halted
        permit(line, 2)
        line.inputs.fresh = True
        show(line)
        assert revoked(line) == []


def test_a_camera_that_was_opened_anew_has_not_told_what_its_lines_said_meanwhile(
    line: Line, tmp_path: Path
) -> None:
    with closing(camera(line, tmp_path)) as outbox:
        permit(line, 1)
        outbox.event(CameraEvent("side", EventKind.CONNECTED, "", {}))
        heard(line)
        assert revoked(line) == [1]
        outbox.event(CameraEvent("side", EventKind.SIGNALS, "", RUNS))
        heard(line)
        assert not line.halted


def test_a_belt_that_the_station_stops_itself_takes_its_parts_places_away(
    line: Line, tmp_path: Path
) -> None:
    """While it comes to rest a part that is refused would come to the gate in another's window."""
    with closing(camera(line, tmp_path)):
        permit(line, 1)
        line.stop.why[AlarmCode.LIGHT] = "the reference patch is wrong"
        show(line)
        assert revoked(line) == [1] and line.halted
        line.stop.reset()
        show(line)
        assert not line.halted
        permit(line, 2)
        show(line)
        assert revoked(line) == []


def test_edges_that_are_no_parts_hide_none_that_is_under_way_when_the_belt_stands(
    line: Line, tmp_path: Path
) -> None:
    """A contactor that opens is heard on the trigger's line, too: of more edges than there is room
    for parts those before them kept their permits."""
    with closing(camera(line, tmp_path)) as outbox:
        permit(line, 1)
        line.matching.newest += 2 * line.station.travel.most_parts
        line.eye.newest = line.matching.newest
        outbox.event(CameraEvent("side", EventKind.SIGNALS, "", {"line_running": False}))
        heard(line)
        assert revoked(line) == [1]


def test_a_part_that_is_counted_is_expected_at_the_gate(line: Line) -> None:
    frame = Frame("side", 1, 1, 0, time.monotonic_ns())
    line.matching.frame(frame)
    line._count(frame)
    assert isinstance(line.gate, OutputGate)
    assert {part: permitted for part, (_, permitted) in line.gate._plan.items()} == {1: None}


def test_with_a_plc_too_no_place_is_known_while_such_a_line_is_not_heard(
    line: Line, tmp_path: Path
) -> None:
    def told(counter: int) -> bool:
        """Whether part 1 may still pass."""
        triggers = tuple(Trigger(n, 0, 1) for n in range(1, counter + 1))
        status = plc_status(part_counter=counter, triggers=triggers, plc_ms=2)
        line._plc(status, time.monotonic_ns(), True)
        return not line.zone._parts or not line.zone._parts[1].refused

    with closing(camera(line, tmp_path)) as outbox:
        assert told(0) and told(1)
        outbox.event(CameraEvent("side", EventKind.LOST, "unplugged", {}))
        heard(line)
        assert not told(1)
