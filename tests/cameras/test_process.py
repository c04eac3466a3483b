"""A camera's process, from the trigger edge to the line's frame, through every fault."""

from __future__ import annotations

import ctypes
import json
import os
import signal
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from inspector.cameras.folder import FolderCamera
from inspector.cameras.messages import CameraEvent, EventKind, ring_path
from inspector.cameras.outbox import Outbox
from inspector.cameras.process import SIGNALS_MS, drain
from inspector.cameras.receiver import FrameReceiver
from inspector.cameras.ring import Place, RingReader, RingWriter
from inspector.config import Camera
from inspector.virtual.wire import Fault, Wire

SIDE = "name: side, serial: V001"
CODE = "name: code, user_id: code"
Start = Any


def test_each_edge_becomes_one_frame_of_each_camera(run_camera: Start, camera_bench: Any) -> None:
    line = run_camera(SIDE, CODE)
    for count, index in enumerate((0, 5, 6, 19), start=1):
        camera_bench.wire.pulse(index)
        frames = {frame.view: frame for frame in (line.frame(), line.frame())}
        side, code = frames["side"], frames["code"]
        np.testing.assert_array_equal(line.receiver.pixels(code), camera_bench.code[index])
        expected = cv2.cvtColor(camera_bench.side[index], cv2.COLOR_BayerRGGB2BGR)
        np.testing.assert_array_equal(line.receiver.pixels(side), expected)
        assert side.edge == code.edge == side.frame_id == count
        assert side.device_ns <= side.host_ns <= time.monotonic_ns()
        assert line.receiver.still_valid(side) and line.receiver.still_valid(code)


def test_an_open_cameras_features_lie_in_the_run_directory_with_ranges_and_help(
    run_camera: Start, camera_bench: Any, tmp_path: Path
) -> None:
    line = run_camera(SIDE)
    camera_bench.wire.pulse(0)
    line.frame()

    rows = json.loads((tmp_path / "camera-side.features.json").read_text())
    exposure = next(row for row in rows if row["name"] == "ExposureTime")
    assert exposure["access"] == "RW" and exposure["unit"] and exposure["tooltip"]
    assert exposure["minimum"] < exposure["value"] < exposure["maximum"]


def test_a_frame_is_valid_until_as_many_pictures_as_the_ring_has_slots(
    run_camera: Start, camera_bench: Any
) -> None:
    line = run_camera(CODE + ", buffers: 4")
    camera_bench.wire.pulse(0)
    first = line.frame()
    for index in range(1, 5):
        assert line.receiver.still_valid(first)
        camera_bench.wire.pulse(index)
        line.frame()
    assert not line.receiver.still_valid(first)


def test_a_picture_lasts_while_its_part_can_be_on_its_way(
    run_camera: Start, camera_bench: Any
) -> None:
    """Of 16 pictures at 190 parts/s the oldest lasted 84 ms, and its part had 300 to go (I6)."""
    line = run_camera(CODE)
    camera_bench.wire.pulse(0)
    first = line.frame()
    for index in range(1, 500 // 20 + 1):  # the default way to the gate, by the smallest pitch
        camera_bench.wire.pulse(index)
        line.frame()
    assert line.receiver.still_valid(first)


def test_a_line_that_is_too_late_is_told_of_the_overrun(
    run_camera: Start, camera_bench: Any
) -> None:
    line = run_camera(CODE + ", buffers: 3")
    ring = RingReader(ring_path(line.receiver._endpoint, "code"))
    for index in range(6):
        camera_bench.wire.pulse(index)
        until = time.monotonic() + 3
        while not ring.holds(Place(index % 3, 2 + index // 3 * 2)) and time.monotonic() < until:
            time.sleep(0.002)
    received = [line.next() for _ in range(6)]
    overruns = [m.detail["edge"] for m in received if isinstance(m, CameraEvent)]
    assert overruns == [1, 2, 3]
    assert [m.edge for m in received if not isinstance(m, CameraEvent)] == [4, 5, 6]


def test_what_was_set_is_reported_with_the_node_map(run_camera: Start, camera_bench: Any) -> None:
    line = run_camera(SIDE + ", features: {ExposureTime: 120.0, Gain: 3}", wait=False)
    detail = line.event(EventKind.CONNECTED).detail
    asked = {s["name"]: (s["wanted"], s["value"]) for s in detail["set"]}
    assert asked["ExposureTime"] == (120.0, 120.0)
    assert asked["TriggerSource"] == ("Line0", "Line0")
    assert list(asked)[-2:] == ["ExposureTime", "Gain"]
    assert detail["node_map"]["ExposureTime"] == 120.0
    assert detail["device"]["serial"] == "V001"


class TestFaults:
    @pytest.mark.parametrize(
        ("fault", "kind"),
        [
            (Fault.INCOMPLETE, EventKind.INCOMPLETE),
            (Fault.WRONG_SIZE, EventKind.WRONG_SIZE),
            (Fault.FREEZE, EventKind.FROZEN),
            (Fault.DROP, EventKind.LOST_FRAMES),
            (Fault.MISS_TRIGGER, EventKind.MISSED_TRIGGERS),
        ],
    )
    def test_a_part_without_its_picture_is_told_and_the_next_one_comes(
        self, run_camera: Start, camera_bench: Any, fault: Fault, kind: EventKind
    ) -> None:
        line = run_camera(CODE)
        camera_bench.wire.pulse(1)
        line.frame()
        camera_bench.wire.pulse(2, fault)
        camera_bench.wire.pulse(3)
        frame = line.frame()
        assert frame.edge == 3
        np.testing.assert_array_equal(line.receiver.pixels(frame), camera_bench.code[3])
        event = line.event(kind)
        if "edge" in event.detail and event.detail["edge"] is not None:
            assert event.detail["edge"] == 2
        others = {e.kind for e in line.events} - {EventKind.CONNECTED, EventKind.STATISTICS}
        assert not others, "one fault, one alarm"

    def test_a_delayed_picture_keeps_its_edge(self, run_camera: Start, camera_bench: Any) -> None:
        line = run_camera(CODE)
        camera_bench.wire.pulse(1, Fault.DELAY, 150)
        frame = line.frame()
        assert frame.edge == 1
        assert frame.host_ns - frame.device_ns >= 150_000_000

    def test_a_delayed_picture_says_when_it_was_exposed(
        self, run_camera: Start, camera_bench: Any
    ) -> None:
        """By its camera's clock, which was compared with ours: the way here has no part in it."""
        line = run_camera(CODE)
        before_ns = time.monotonic_ns()
        camera_bench.wire.pulse(1, Fault.DELAY, 150)
        after_ns = time.monotonic_ns()
        frame = line.frame()
        assert before_ns <= frame.exposed_ns <= frame.host_ns - 150_000_000 + (after_ns - before_ns)

    @pytest.mark.parametrize("fault", [Fault.DISCONNECT, Fault.VANISH])
    def test_a_lost_camera_is_an_alarm_within_two_seconds_and_resumes_by_itself(
        self, run_camera: Start, camera_bench: Any, fault: Fault
    ) -> None:
        line = run_camera(CODE)
        camera_bench.wire.pulse(1)
        line.frame()
        begin = time.monotonic()
        camera_bench.wire.pulse(2, fault, 600)
        assert line.event(EventKind.LOST, 2.0)
        assert time.monotonic() - begin < 2.0
        line.event(EventKind.CONNECTED, 3.0)
        assert time.monotonic() - begin >= 0.6
        camera_bench.wire.pulse(3)
        frame = line.frame()
        assert frame.edge == 1, "its counters start anew"
        np.testing.assert_array_equal(line.receiver.pixels(frame), camera_bench.code[3])


def test_a_killed_camera_process_leaves_nothing_that_stops_the_next_one(
    run_camera: Start, camera_bench: Any
) -> None:
    line = run_camera(CODE)
    camera_bench.wire.pulse(1)
    held = line.picture()
    pixels = held.copy()
    os.kill(run_camera.children[0].pid, signal.SIGKILL)
    run_camera.children[0].wait()
    line.receiver.close()
    again = run_camera(CODE)
    camera_bench.wire.pulse(2)
    np.testing.assert_array_equal(again.picture(), camera_bench.code[2])
    np.testing.assert_array_equal(held, pixels)


def test_an_idle_camera_ends_though_a_foreign_thread_was_given_the_signal(
    run_camera: Start, camera_bench: Any
) -> None:
    """The kernel may hand a process's signal to any thread; a thread of numpy's runs no Python."""
    run_camera(SIDE)
    (child,) = run_camera.children
    threads = [int(task.name) for task in Path(f"/proc/{child.pid}/task").iterdir()]
    foreign = next(thread for thread in threads if thread != child.pid)
    assert ctypes.CDLL(None, use_errno=True).tgkill(child.pid, foreign, signal.SIGTERM) == 0
    assert child.wait(2) == 0


def test_a_camera_that_is_not_there_is_told_once_and_looked_for(
    run_camera: Start, camera_bench: Any
) -> None:
    line = run_camera("name: side, serial: V009", wait=False)
    event = line.event(EventKind.REFUSED)
    assert event.message == (
        "side: no camera has serial V009; there are: "
        "serial V001, user_id side; serial V002, user_id code"
    )
    with pytest.raises(AssertionError, match="nothing came"):
        line.next(0.7)
    assert run_camera.children[0].poll() is None


def test_a_software_trigger_of_the_line_is_a_frame(run_camera: Start, camera_bench: Any) -> None:
    line = run_camera(SIDE, CODE + ", trigger: software")
    for index in range(3):
        line.receiver.trigger("code")
        frame = line.frame()
        np.testing.assert_array_equal(line.receiver.pixels(frame), camera_bench.code[index])
        assert frame.edge is None


def test_a_picture_that_the_line_asked_for_is_not_kept_waiting(
    run_camera: Start, camera_bench: Any
) -> None:
    """It is 20 ms on its way, meanwhile another one may be asked for."""
    slow = "{FaultMode: Delay, FaultArgument: 20, FaultCount: 100}"
    line = run_camera(SIDE, f"{CODE}, trigger: software, features: {slow}")
    waited_s = []
    for _ in range(5):
        asked_s = time.monotonic()
        line.receiver.trigger("code")
        line.frame()
        waited_s.append(time.monotonic() - asked_s)
    assert min(waited_s) < 0.08


def test_lines_of_a_camera_that_waits_to_be_asked_are_asked_as_often_as_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An e-stop was heard up to 100 ms late."""
    cv2.imwrite(str(tmp_path / "1.png"), np.zeros((8, 8), np.uint8))
    config = Camera(name="side", source="folder", folder=tmp_path, trigger="software")
    config = config.model_copy(update={"signals": {"estop_clear": "Line2"}})
    outbox, waits_ms = Outbox(str(tmp_path / "frames"), "side", 0), list[int]()
    monkeypatch.setattr(outbox, "asked_to_trigger", lambda ms: ms and waits_ms.append(ms))
    ring = RingWriter(tmp_path / "ring", 2, 64)
    drain(FolderCamera(config), ring, config, outbox, lambda: bool(waits_ms))
    ring.remove()
    assert waits_ms == [SIGNALS_MS]


def test_what_was_asked_of_a_camera_that_was_away_is_not_exposed_when_it_comes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A burst of pictures for parts that had gone by kept those waiting that had not. What is asked
    as soon as it has come is."""
    cv2.imwrite(str(tmp_path / "1.png"), np.zeros((8, 8), np.uint8))
    config = Camera(name="side", source="folder", folder=tmp_path, trigger="software")
    endpoint, rounds = str(tmp_path / "frames"), iter(range(4))
    with FrameReceiver(endpoint, ["side"]) as line, closing(Outbox(endpoint, "side", 0)) as outbox:
        outbox.event(CameraEvent("side", EventKind.LOST, "unplugged"))
        while line.receive() is None:
            pass
        line.trigger("side", "side")
        tell = outbox.event
        monkeypatch.setattr(outbox, "event", lambda event: (tell(event), line.trigger("side")))
        source, ring = FolderCamera(config), RingWriter(tmp_path / "ring", 2, 64)
        drain(source, ring, config, outbox, lambda: next(rounds, None) is None)
        ring.remove()
    assert source.counters.frames == 1


def test_events_wait_for_a_line_that_is_away(run_camera: Start, camera_bench: Any) -> None:
    line = run_camera(CODE)
    endpoint = line.receiver._endpoint
    line.receiver.close()
    camera_bench.wire.pulse(1, Fault.INCOMPLETE)
    with FrameReceiver(endpoint, ["code"]) as receiver:
        line.receiver = receiver
        assert line.event(EventKind.INCOMPLETE).detail["frame_id"] == 1
        camera_bench.wire.pulse(2)
        np.testing.assert_array_equal(line.picture(), camera_bench.code[2])


def test_a_world_that_starts_anew_is_found_on_its_new_wire(
    run_camera: Start, camera_bench: Any
) -> None:
    line = run_camera(CODE)
    camera_bench.wire.pulse(1)
    line.frame()
    with Wire.create(camera_bench.wire.path) as anew:
        line.event(EventKind.CONNECTED, 4)
        anew.pulse(2)
        np.testing.assert_array_equal(line.picture(), camera_bench.code[2])


def test_only_what_somebody_looks_at_is_developed_and_late_is_told(
    run_camera: Start, camera_bench: Any
) -> None:
    line = run_camera(SIDE + ", buffers: 3")
    camera_bench.wire.pulse(4)
    frame = line.frame()
    whole = cv2.cvtColor(camera_bench.side[4], cv2.COLOR_BayerRGGB2BGR)

    seen = line.receiver.pixels(frame, (8, 4, 32, 20))
    assert seen is not None
    np.testing.assert_array_equal(seen[4:20, 8:32], whole[4:20, 8:32])
    np.testing.assert_array_equal(line.receiver.pixels(frame), whole)
    assert line.receiver.still_valid(frame)

    camera_bench.wire.pulse(5)
    late = line.frame()
    ring = RingReader(ring_path(line.receiver._endpoint, "side"))
    until = time.monotonic() + 5
    for index in (6, 7, 8):
        camera_bench.wire.pulse(index)
        time.sleep(0.02)
    while ring.holds(Place(1, 2)):
        assert time.monotonic() < until
        time.sleep(0.002)
    assert line.receiver.pixels(late, (8, 4, 32, 20)) is None
    assert not line.receiver.still_valid(late)
    assert line.receiver.still_valid(frame), "its pixels are the thread's own"
