"""A camera that the belt's encoder triggers: pictures by way and not by time (S2, S18)."""

from __future__ import annotations

import time
from bisect import bisect_left
from collections.abc import Callable
from pathlib import Path
from typing import Any

import genicam
import numpy as np
import pytest
from genicam.genapi import NodeMap
from pydantic import ValidationError

from inspector.cameras import encoder
from inspector.cameras.features import FeatureError
from inspector.cameras.genicam import GenicamCamera
from inspector.cameras.producers import VIRTUAL
from inspector.cameras.shot import CameraRefused, Shot
from inspector.config import Camera
from inspector.virtual.conveyor import Conveyor
from inspector.virtual.machine import Machine
from inspector.virtual.wire import Wire

EVERY = 500
EVERY_MM = 50.0
CYCLE_NS = 4_000_000
COUNTS_MM = 0.15
"""A count, and what a belt's speed changes within a cycle that is taken for a steady one."""


def camera(**settings: Any) -> GenicamCamera:
    wanted = {"name": "side", "serial": "V001", "trigger": "encoder", "every_counts": EVERY}
    return GenicamCamera(Camera(**wanted | settings))


class Belt:
    """The virtual line's belt in a time of its own, and what a camera at its encoder took.

    No instant of the test's machine enters: the camera exposes when the belt says so.
    """

    def __init__(self, wire: Wire, encoder_start: int = 0) -> None:
        self.now_ns = time.monotonic_ns()
        self.conveyor = Conveyor(Machine(encoder_start=encoder_start), self.now_ns)
        self.wire = wire
        self.path: list[tuple[int, float]] = []
        self.shots: list[Shot] = []
        self.tell()

    def tell(self) -> None:
        self.path.append((self.now_ns, self.conveyor.mm()))
        self.wire.turn(self.conveyor.encoder(), len(self.shots), self.now_ns)

    def run(self, source: GenicamCamera, seconds: float) -> list[Shot]:
        """Lets the belt go on, and takes every picture that its encoder asks for."""
        before = len(self.shots)
        for _ in range(round(seconds * 1e9 / CYCLE_NS)):
            self.now_ns += CYCLE_NS
            list(self.conveyor.advance(self.now_ns))
            self.tell()
            asked = source._nodes.CounterValue.get_value(False, True)
            while len(self.shots) < asked:
                shot = source.grab(10_000)
                assert isinstance(shot, Shot)
                self.shots.append(shot)
                source.give_back()
        return self.shots[before:]

    def mm(self, at_ns: int) -> float:
        """Where the belt stood."""
        after = bisect_left(self.path, (at_ns, -np.inf))
        (t0, mm0), (t1, mm1) = self.path[after - 1], self.path[after]
        return mm0 + (mm1 - mm0) * (at_ns - t0) / (t1 - t0)


@pytest.fixture
def belt(camera_bench: Any) -> Belt:
    return Belt(camera_bench.wire)


def assert_every_50_mm(belt: Belt, shots: list[Shot]) -> None:
    """One picture at each new multiple of the way, in the order of the belt, none left out."""
    seen = [belt.mm(shot.device_ns) for shot in shots]
    wanted = [EVERY_MM * shot.edge for shot in shots]
    np.testing.assert_allclose(seen, wanted, atol=COUNTS_MM)
    assert [shot.edge for shot in belt.shots] == list(range(1, len(belt.shots) + 1))
    assert [shot.frame_id for shot in belt.shots] == list(range(1, len(belt.shots) + 1))


def test_pictures_come_by_the_belts_way_through_ramp_stop_and_new_speed(belt: Belt) -> None:
    with camera() as source:
        belt.conveyor.run(1000)
        ramp = belt.run(source, 0.5)
        belt.conveyor.run(0)
        brake = belt.run(source, 0.3)
        assert not belt.run(source, 2.0), "a belt that stands exposes nothing, however long"
        belt.conveyor.run(250)
        slow = belt.run(source, 1.0)
        assert_every_50_mm(belt, ramp + brake + slow)
    between_ns = np.diff([shot.device_ns for shot in slow[1:]])
    assert np.allclose(between_ns, EVERY_MM / 250 * 1e9, rtol=0.01), "a quarter of the speed …"
    fast_ns = ramp[-1].device_ns - ramp[-2].device_ns
    assert fast_ns == pytest.approx(EVERY_MM / 1000 * 1e9, rel=0.01), "… is four times the time"


def test_a_belt_that_ran_back_exposes_again_only_beyond_its_furthest_point(belt: Belt) -> None:
    with camera() as source:
        belt.conveyor.move(520, 1000)
        assert len(belt.run(source, 1.0)) == 10
        belt.conveyor.move(-220, 500)
        assert not belt.run(source, 1.0)
        belt.conveyor.move(240, 500)
        assert not belt.run(source, 1.0), "to 540 mm: new ground, but no 50 mm of it yet"
        belt.conveyor.move(70, 500)
        shots = belt.run(source, 1.0)
        assert [round(belt.mm(shot.device_ns)) for shot in shots] == [550, 600]
        assert_every_50_mm(belt, shots)
        assert source.counters.missed_triggers == source.counters.lost_frames == 0


def test_a_belt_that_trembles_where_it_stands_exposes_nothing(belt: Belt) -> None:
    with camera() as source:
        belt.conveyor.move(100, 500)
        assert len(belt.run(source, 1.0)) == 2
        for _ in range(20):
            for mm in (-0.3, 0.3):
                belt.conveyor.move(mm, 100)
                assert not belt.run(source, 0.04)


def test_the_count_runs_over_without_a_gap(camera_bench: Any) -> None:
    belt = Belt(camera_bench.wire, encoder_start=(1 << 32) - 1_200)
    with camera() as source:
        belt.conveyor.run(1000)
        shots = belt.run(source, 0.6)
        assert belt.conveyor.encoder() < (1 << 32) - 1_200, "it did run over"
        assert len(shots) >= 8
        assert_every_50_mm(belt, shots)
        assert source._nodes.EncoderValue.get_value(False, True) == round(belt.conveyor.mm() * 10)


def test_a_picture_shows_what_lay_before_the_camera_and_an_empty_belt_is_never_the_same(
    camera_bench: Any,
) -> None:
    wire = camera_bench.wire
    wire.turn(0)
    with camera() as source:
        pictures = []
        for count, part in ((500, None), (1000, None), (1500, 7), (2000, 3)):
            wire.turn(count, part)
            shot = source.grab(10_000)
            assert isinstance(shot, Shot)
            pictures.append(shot.data.reshape(48, 64).copy())
            source.give_back()
    assert np.ptp(pictures[0]) == np.ptp(pictures[1]) == 0
    assert pictures[0][0, 0] != pictures[1][0, 0], "else it would count as frozen"
    np.testing.assert_array_equal(pictures[2], camera_bench.side[7])
    np.testing.assert_array_equal(pictures[3], camera_bench.side[3])


def test_more_pulses_than_a_camera_remembers_are_missed_triggers(camera_bench: Any) -> None:
    wire = camera_bench.wire
    wire.turn(0)
    edges = []
    with camera(every_counts=1, buffers=100) as source:
        for count, exposed in ((10, 10), (110, 64), (120, 10)):
            wire.turn(count, count)
            for _ in range(exposed):
                shot = source.grab(10_000)
                assert isinstance(shot, Shot)
                edges.append(shot.edge)
                source.give_back()
        assert edges == [*range(1, 75), *range(111, 121)]
        assert (source.counters.missed_triggers, source.counters.lost_frames) == (36, 0)
        source._nodes.CounterSelector.value = "Counter1"
        assert source._nodes.CounterValue.value == 36


def test_a_cameras_process_sends_the_belts_pictures_with_their_count(
    run_camera: Callable[..., Any], camera_bench: Any
) -> None:
    camera_bench.wire.turn(0)
    line = run_camera("name: side, serial: V001, trigger: encoder, every_counts: 500")
    for picture, count in enumerate((400, 500, 1000, 900, 1499, 1500)):
        camera_bench.wire.turn(count, picture)
    frames = [line.frame(), line.frame(), line.frame()]
    assert [(frame.frame_id, frame.edge) for frame in frames] == [(1, 1), (2, 2), (3, 3)]


class TestSettings:
    def test_the_nodes_are_those_of_the_standard_and_stored_with_the_run(
        self, camera_bench: Any
    ) -> None:
        with camera() as source:
            told = {s["name"]: s["value"] for s in source.identity.settings}
        assert told.items() >= {
            "TriggerMode": "On", "TriggerSource": "Encoder0", "EncoderSelector": "Encoder0",
            "EncoderMode": "HighResolution", "EncoderDivider": 500,
            "EncoderOutputMode": "PositionUp",
        }.items()  # fmt: skip

    def test_what_the_station_file_names_itself_is_its_own(self, camera_bench: Any) -> None:
        own = {"EncoderMode": "FourPhase", "EncoderDivider": 125, "EncoderOutputMode": "Motion"}
        wire = camera_bench.wire
        wire.turn(0)
        with camera(every_counts=None, features=own) as source:
            wire.turn(500)
            wire.turn(0)
            edges = []
            for _ in range(2):
                shot = source.grab(10_000)
                assert isinstance(shot, Shot)
                edges.append(shot.edge)
                source.give_back()
        assert edges == [1, 2], "once on the way there, and once on the way back"

    @pytest.mark.parametrize(
        ("wrong", "says"),
        [
            ({"EncoderSourceB": "Off"}, "side: EncoderSourceB: is Off, so nothing counts"),
            ({"EncoderSourceA": "Line2"}, "'Line2' is none of Off, Line8, Line9; did you mean"),
            ({"EncoderOutputMode": "Off"}, "EncoderOutputMode: is Off, so no movement exposes"),
            ({"EncoderOutputMode": "PositonUp"}, "did you mean PositionUp?"),
        ],
    )
    def test_an_encoder_that_would_expose_nothing_is_refused_in_words(
        self, camera_bench: Any, wrong: dict[str, Any], says: str
    ) -> None:
        with pytest.raises(CameraRefused) as told:
            camera(features=wrong)
        assert says in str(told.value)

    def test_a_way_beyond_the_cameras_divider_is_refused_with_its_range(
        self, camera_bench: Any
    ) -> None:
        with pytest.raises(CameraRefused, match="EncoderDivider: 2000000 is outside 1"):
            camera(every_counts=2_000_000)

    def test_a_camera_that_no_encoder_triggers_says_what_does(self) -> None:
        entry = '<EnumEntry Name="Encoder0" NameSpace="Standard"><Value>2</Value></EnumEntry>'
        description = (VIRTUAL / "producer.xml").read_text()
        assert entry in description
        nodes = NodeMap()
        nodes.load_xml_from_string(description.replace(entry, ""))
        config = Camera(name="side", trigger="encoder", every_counts=EVERY)
        with pytest.raises(FeatureError, match="no encoder triggers this camera, only Software, L"):
            encoder.defaults(nodes, config)

    def test_a_camera_without_a_trigger_says_so(self) -> None:
        viky = str(Path(genicam.__file__).parent / "viky.cti")
        with pytest.raises(CameraRefused, match="no trigger; use `trigger: free`"):
            camera(producer=viky, serial="0")

    @pytest.mark.parametrize(
        ("wrong", "says"),
        [
            ({"every_counts": None}, "`trigger: encoder` needs `every_counts`"),
            ({"every_counts": 0}, "greater than or equal to 1"),
            ({"trigger": "hardware"}, "`every_counts` needs `trigger: encoder`"),
            ({"features": {"EncoderDivider": 4}}, "remove it from `features`"),
            ({"source": "folder", "folder": "photos"}, "a folder has no encoder"),
        ],
    )
    def test_what_cannot_be_is_refused_by_the_station_file(
        self, wrong: dict[str, Any], says: str
    ) -> None:
        with pytest.raises(ValidationError, match=says):
            camera(**wrong)
