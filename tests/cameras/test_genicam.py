"""A GenICam camera: chosen among others, busy, coloured, lost; our producer and viky.cti (S2)."""

from __future__ import annotations

import hashlib
import json
import shutil
import struct
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import genicam
import numpy as np
import pytest

from inspector.cameras import list_devices, node_map
from inspector.cameras.devices import open_device, select
from inspector.cameras.formats import FORMATS, Packing, PixelFormat
from inspector.cameras.genicam import GenicamCamera
from inspector.cameras.messages import EventKind
from inspector.cameras.pixels import convert, empty
from inspector.cameras.producers import (
    PATH,
    VIRTUAL,
    ProducerError,
    producer_files,
    virtual_producer,
)
from inspector.cameras.shot import Bad, CameraLost, CameraRefused, Shot
from inspector.config import Camera
from inspector.virtual.film import write_film
from inspector.virtual.producer import Device, write_devices
from inspector.virtual.wire import Fault

VIKY = str(Path(genicam.__file__).parent / "viky.cti")


def camera(**settings: Any) -> GenicamCamera:
    return GenicamCamera(Camera(**{"name": "side", "serial": "V001"} | settings))


@pytest.fixture
def viky() -> Iterator[dict[str, Any]]:
    rows = list_devices([VIKY])
    if not rows:
        pytest.skip("viky.cti shows no device on this machine")
    yield rows[0]


class TestChoice:
    def test_by_serial_or_user_id(self, camera_bench: Any) -> None:
        with camera(serial="", user_id="code") as chosen:
            assert chosen.identity.device["serial"] == "V002"

    @pytest.mark.parametrize(
        ("settings", "message"),
        [
            ({"serial": ""}, "2 cameras have nothing (any device)"),
            ({"serial": "V003"}, "no camera has serial V003"),
            ({"user_id": "code"}, "no camera has serial V001 and user_id code"),
            ({"ip": "10.0.0.7"}, "no camera has serial V001 and ip 10.0.0.7"),
        ],
    )
    def test_none_or_several_are_refused_with_a_list(
        self, camera_bench: Any, settings: dict[str, Any], message: str
    ) -> None:
        with pytest.raises(CameraRefused) as told:
            camera(**settings)
        assert message in str(told.value)
        assert "serial V001, user_id side; serial V002, user_id code" in str(told.value)

    def test_by_ip_address(self, camera_bench: Any) -> None:
        side, code = camera_bench.devices
        devices = [replace(side, ip="10.0.0.7"), replace(code, ip="10.0.0.8")]
        write_devices(camera_bench.folder / "devices", devices)
        with camera(serial="", ip="10.0.0.8") as chosen:
            assert chosen.identity.device["serial"] == "V002"
        rows = node_map(["virtual"], "10.0.0.8")
        assert next(r["value"] for r in rows if r["name"] == "DeviceSerialNumber") == "V002"
        with pytest.raises(CameraRefused, match=r"no camera has ip 10\.0\.0\.9.*ip 10\.0\.0\.7"):
            camera(serial="", ip="10.0.0.9")

    def test_a_doubled_user_id_is_ambiguous(self, camera_bench: Any) -> None:
        film = camera_bench.devices[0].film
        devices = [Device("V001", "side", film), Device("V003", "side", film)]
        write_devices(camera_bench.folder / "devices", devices)
        with pytest.raises(CameraRefused, match="2 cameras have user_id side"):
            camera(serial="", user_id="side")

    def test_a_camera_in_use_is_refused_and_taken_when_it_is_free(
        self, camera_bench: Any, run_camera: Callable[..., Any]
    ) -> None:
        with camera():
            line = run_camera("name: side, serial: V001", wait=False)
            event = line.event(EventKind.REFUSED, 10)
            assert event.message == "camera V001 is in use by another program"
        line.event(EventKind.CONNECTED, 10)


class TestProducers:
    def test_a_missing_producer_is_told(self, tmp_path: Path) -> None:
        with pytest.raises(ProducerError, match=r"x\.cti: no such file"):
            camera(producer=str(tmp_path / "x.cti"))

    def test_a_file_that_is_no_producer_is_told_and_hides_no_other(
        self, camera_bench: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        broken = tmp_path / "broken.cti"
        broken.write_bytes(b"no library")
        with pytest.raises(ProducerError, match=r"broken\.cti: is no library that can be loaded"):
            camera(producer=str(broken))
        with pytest.raises(ProducerError, match=r"broken\.cti: is no library"):
            list_devices([str(broken)])
        with pytest.raises(
            CameraRefused, match=r"no camera is V001; there are: none; .*broken\.cti"
        ):
            node_map([str(broken)], "V001")
        monkeypatch.setenv(PATH, str(tmp_path))
        assert [row["serial"] for row in list_devices()] == ["V001", "V002"]

    def test_a_camera_that_two_producers_see_is_had_by_naming_one_of_them(
        self, camera_bench: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        makers = tmp_path / "makers"
        makers.mkdir()
        for name in ("one.cti", "other.cti"):
            shutil.copy(virtual_producer(), makers / name)
        shutil.copy(VIRTUAL / "producer.xml", makers)
        monkeypatch.setenv(PATH, str(makers))
        with pytest.raises(CameraRefused, match=r"2 cameras have serial V001; .*as `producer`$"):
            camera(producer="path")
        with camera(producer=str(makers / "other.cti")) as chosen:
            assert chosen.identity.device["serial"] == "V001"

    def test_the_variable_of_the_standard_lists_folders(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv(PATH, raising=False)
        with pytest.raises(ProducerError, match="lists nothing"):
            producer_files("path")
        monkeypatch.setenv(PATH, f"{tmp_path}:{Path(VIKY).parent}")
        assert producer_files("path") == (Path(VIKY),)


def test_the_list_of_devices_is_json(camera_bench: Any) -> None:
    rows = json.loads(json.dumps(list_devices(["path", "virtual"])))
    ours = [row for row in rows if row["vendor"] == "Inspector"]
    assert [(r["serial"], r["user_id"], r["state"]) for r in ours] == [
        ("V001", "side", "free"),
        ("V002", "code", "free"),
    ]


def test_the_node_map_is_json_by_serial_or_user_id(camera_bench: Any) -> None:
    rows = json.loads(json.dumps(node_map(["virtual"], "side")))
    assert {"name": "DeviceSerialNumber", "value": "V001"}.items() <= {
        k: v for r in rows if r["name"] == "DeviceSerialNumber" for k, v in r.items()
    }.items()
    with pytest.raises(CameraRefused, match="no camera is nobody; there are: V001, V002"):
        node_map(["virtual"], "nobody")


def test_the_node_map_of_a_camera_that_cannot_be_opened_is_refused_in_words(
    camera_bench: Any,
) -> None:
    gone = [replace(camera_bench.devices[0], film=camera_bench.folder / "gone.film")]
    write_devices(camera_bench.folder / "devices", gone)
    with pytest.raises(CameraRefused, match=r"camera V001 cannot be opened: .*gone\.film"):
        node_map(["virtual"], "V001")


def test_a_feature_of_the_station_file_that_cannot_be_is_refused(camera_bench: Any) -> None:
    with pytest.raises(CameraRefused, match=r"side: ExposureTime: 1\.0 is outside 10"):
        camera(features={"ExposureTime": 1.0})
    with camera():
        pass  # and the camera is not left open


def test_shots_carry_bytes_edge_and_instant(camera_bench: Any) -> None:
    with camera() as side:
        camera_bench.wire.pulse(4)
        shot = side.grab(2000)
        assert isinstance(shot, Shot)
        np.testing.assert_array_equal(shot.data.reshape(48, 64), camera_bench.side[4])
        assert (shot.frame_id, shot.edge, shot.width, shot.height) == (1, 1, 64, 48)
        side.give_back()
        assert side.grab(10) is None
        assert side.statistics()["frames"] == 1
        assert 30 < side.statistics()["temperature_c"] < 45


@pytest.mark.parametrize(("name", "cut"), [("Mono10", 2), ("Mono12", 4)])
def test_a_camera_of_more_bits_is_seen_with_its_high_eight(
    camera_bench: Any, name: str, cut: int
) -> None:
    values = np.random.default_rng(4).integers(0, 256 << cut, (5, 48, 64), np.uint16)
    (camera_bench.folder / "side.film").unlink()
    write_film(camera_bench.folder / "side.film", values, 64, 48, name)
    with camera() as side:
        camera_bench.wire.pulse(3)
        shot = side.grab(2000)
        assert isinstance(shot, Shot)
        form = FORMATS[shot.pixel_format]
        image = convert(shot.data, form, 64, 48, empty(form, 64, 48))
        np.testing.assert_array_equal(image, values[3] >> cut)
        side.give_back()


SENT = [
    *("Mono8", "Mono10", "Mono12", "Mono10p", "Mono12p", "Mono10Packed", "Mono12Packed"),
    *(f"Bayer{pattern}{bits}" for bits in (8, 10, 12) for pattern in ("RG", "GB", "GR", "BG")),
    *("RGB8", "BGR8", "RGBa8"),
]


@pytest.mark.parametrize("name", SENT)
def test_every_pixel_format_comes_through_the_producer(
    camera_bench: Any, name: str, tmp_path: Path
) -> None:
    """A level, sent in any format, is that level of eight bits again; colours keep their places."""
    form = next(f for f in FORMATS.values() if f.name == name)
    film = tmp_path / f"{name}.film"
    frame = sent(form, (40, 90, 160))
    digest = hashlib.sha256(frame).digest()
    head = struct.pack("<8s6IQ32s", b"INSPFILM", 1, 64, 48, form.code, 1, len(frame), 4096, digest)
    film.write_bytes(head.ljust(4096, b"\0") + frame)
    write_devices(camera_bench.folder / "devices", [Device("V001", "side", film)])
    with camera(trigger="software", features={"PixelFormat": name}) as side:
        side.trigger()
        shot = side.grab(2000)
        assert isinstance(shot, Shot)
        assert shot.pixel_format == form.code
        seen = convert(shot.data, form, 64, 48, empty(form, 64, 48))
    wanted = np.array([90] if form.channels == 1 else [160, 90, 40])
    middle = seen.reshape(48, 64, -1)[8:40, 8:56]
    assert np.array_equal(middle, np.broadcast_to(wanted, middle.shape))


def sent(form: PixelFormat, rgb: tuple[int, int, int]) -> bytes:
    """A picture of 64×48 in one colour, as a camera sends it: the level in the high eight bits."""
    red, green, blue = rgb
    if form.layout == "grey":
        samples = np.full((48, 64), green, np.uint16)
    elif len(form.layout) == 2:
        at = {"R": red, "G": green, "B": blue}
        first, second = form.layout
        below = {"RG": "GB", "GB": "RG", "GR": "BG", "BG": "GR"}[form.layout]
        tile = [[at[first], at[second]], [at[c] for c in below]]
        samples = np.tile(np.array(tile, np.uint16), (24, 32))
    else:
        at = {"R": red, "G": green, "B": blue, "a": 255}
        return bytes([at[c] for c in form.layout]) * (48 * 64)
    samples = samples.reshape(-1) << form.bits - 8
    if form.packing is Packing.BYTE:
        return samples.astype(np.uint8).tobytes()
    if form.packing is Packing.WORD:
        return samples.astype("<u2").tobytes()
    if form.packing is Packing.GEV:
        low = samples & (1 << form.bits - 8) - 1
        high = samples >> form.bits - 8
        three = (high[0::2], low[0::2] | low[1::2] << 4, high[1::2])
        return np.stack(three, 1).astype(np.uint8).tobytes()
    bits = samples[:, None] >> np.arange(form.bits) & 1
    return np.packbits(bits.astype(np.uint8).reshape(-1), bitorder="little").tobytes()


def test_gaps_in_the_cameras_counters_are_counted_apart(camera_bench: Any) -> None:
    with camera() as side:
        for fault in (Fault.NONE, Fault.DROP, Fault.MISS_TRIGGER, Fault.INCOMPLETE, Fault.NONE):
            camera_bench.wire.pulse(1, fault)
        shots = []
        while (shot := side.grab(300)) is not None:
            shots.append(shot)
            side.give_back()
        assert [type(s) for s in shots] == [Shot, Bad, Shot]
        counted = side.counters
        assert (counted.frames, counted.lost_frames) == (2, 1)
        assert (counted.incomplete, counted.missed_triggers) == (1, 1)
        assert counted.lost_packets == 0, "until the stream is asked"
        side.statistics()
        assert counted.lost_packets == 2, "half of 64×48 bytes, in packets of 1400"


def test_a_lost_camera_is_told_and_its_successor_opens(camera_bench: Any) -> None:
    with camera() as side:
        camera_bench.wire.pulse(1, Fault.VANISH, 0)
        assert side.grab(100) is None, "a pulled cable is silence …"
        with pytest.raises(CameraLost, match="does not answer"):
            side.statistics()  # … until the camera is asked
    with camera() as again:
        camera_bench.wire.pulse(2)
        assert isinstance(again.grab(2000), Shot)


class TestViky:
    """The demo producer of genicam's wheel: RGBa8, no trigger, somebody else's code."""

    def test_its_colour_pictures_come(self, viky: dict[str, Any]) -> None:
        with camera(producer=VIKY, serial=viky["serial"], trigger="free") as there:
            shot = there.grab(3000)
            assert isinstance(shot, Shot)
            assert shot.pixel_format == 0x02200016
            assert shot.data.size == shot.width * shot.height * 4
            there.give_back()

    def test_it_is_busy_while_open(self, viky: dict[str, Any]) -> None:
        with camera(producer=VIKY, serial=viky["serial"], trigger="free") as there:
            row = select(there._harvester, Camera(name="side", serial=viky["serial"]))
            assert row["state"] != "free"
            with pytest.raises(CameraRefused, match="in use by another program"):
                open_device(there._harvester, row)

    def test_a_trigger_that_it_does_not_have_is_refused(self, viky: dict[str, Any]) -> None:
        with pytest.raises(CameraRefused, match="no trigger; use `trigger: free`"):
            camera(producer=VIKY, serial=viky["serial"], trigger="hardware")
