"""Our GenTL producer, through harvesters as a station drives it, and through its C interface."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from genicam import genapi, gentl
from harvesters.core import Harvester

from inspector.cameras.producers import SOURCES, VIRTUAL, virtual_producer
from inspector.virtual.film import PixelFormat, write_film
from inspector.virtual.producer import DEVICES, Device, write_devices
from inspector.virtual.wire import Fault

HARDWARE = {"TriggerMode": "On", "TriggerSource": "Line0"}
SOFTWARE = {"TriggerMode": "On", "TriggerSource": "Software"}


@pytest.fixture
def harvester() -> Iterator[Harvester]:
    harvester = Harvester()
    harvester.add_file(str(virtual_producer()))
    yield harvester
    harvester.reset()


@pytest.fixture
def opened(harvester: Harvester, camera_bench: Any) -> Iterator[Callable[..., Any]]:
    """Opens the side camera and starts it with the features given."""
    acquirers = []

    def open_side(**features: Any) -> Any:
        until = time.monotonic() + 3
        harvester.update()
        while time.monotonic() < until:
            if "V001" in [d.serial_number for d in harvester.device_info_list]:
                break  # else a test, or the one before it, has unplugged it for a moment
            time.sleep(0.02)
            harvester.update()
        acquirer = harvester.create({"serial_number": "V001"})
        acquirers.append(acquirer)
        nodes = acquirer.remote_device.node_map
        for name, value in {"AcquisitionMode": "Continuous", **features}.items():
            nodes.get_node(name).value = value
        acquirer.start()
        return acquirer

    yield open_side
    for acquirer in acquirers:
        acquirer.destroy()


def picture(acquirer: Any, timeout: float = 2.0) -> tuple[np.ndarray, int]:
    with acquirer.fetch(timeout=timeout) as buffer:
        image = buffer.payload.components[0]
        return image.data.reshape(image.height, image.width).copy(), buffer.module.frame_id


def test_the_devices_of_the_list_are_there_with_their_names(
    harvester: Harvester, camera_bench: Any
) -> None:
    harvester.update()
    found = [(d.serial_number, d.user_defined_name) for d in harvester.device_info_list]
    assert found == [("V001", "side"), ("V002", "code")]


def test_a_software_trigger_exposes_the_next_picture(
    opened: Callable[..., Any], camera_bench: Any
) -> None:
    acquirer = opened(**SOFTWARE)
    for index in range(25):
        acquirer.remote_device.node_map.TriggerSoftware.execute()
        image, frame_id = picture(acquirer)
        assert frame_id == index + 1
        np.testing.assert_array_equal(image, camera_bench.side[index % 20])


def test_an_edge_on_the_wire_exposes_the_picture_it_asks_for(
    opened: Callable[..., Any], camera_bench: Any
) -> None:
    camera_bench.wire.pulse(3)  # before the camera is opened: not its edge
    acquirer = opened(**HARDWARE, ChunkModeActive=True)
    nodes = acquirer.remote_device.node_map
    for count, index in enumerate((4, 17, 4, 39), start=1):
        before = time.monotonic_ns()
        camera_bench.wire.pulse(index)
        with acquirer.fetch(timeout=2) as buffer:
            image = buffer.payload.components[0].data.reshape(48, 64)
            np.testing.assert_array_equal(image, camera_bench.side[index % 20])
            assert buffer.module.frame_id == nodes.ChunkFrameID.value == count
            assert nodes.ChunkCounterValue.value == nodes.CounterValue.value == count
            assert before <= nodes.ChunkTimestamp.value <= time.monotonic_ns()
            assert nodes.ChunkExposureTime.value == nodes.ExposureTime.value


def test_a_pulse_wakes_the_camera_at_once(opened: Callable[..., Any], camera_bench: Any) -> None:
    acquirer = opened(**HARDWARE)
    waits = []
    for index in range(9):
        begin = time.monotonic()
        camera_bench.wire.pulse(index)
        picture(acquirer)
        waits.append(time.monotonic() - begin)
    assert np.median(waits) < 0.05, "without the futex a camera looks every 200 ms"


def test_a_region_of_interest_is_cut_out_exactly(
    opened: Callable[..., Any], camera_bench: Any
) -> None:
    acquirer = opened(Width=32, Height=20, OffsetX=6, OffsetY=10, **SOFTWARE)
    acquirer.remote_device.node_map.TriggerSoftware.execute()
    np.testing.assert_array_equal(picture(acquirer)[0], camera_bench.side[0][10:30, 6:38])


def test_the_free_running_camera_keeps_its_rate(opened: Callable[..., Any]) -> None:
    acquirer = opened(AcquisitionFrameRate=200.0, TriggerMode="Off")
    begin = time.monotonic()
    ids = [picture(acquirer)[1] for _ in range(60)]
    assert 0.25 < time.monotonic() - begin < 2.0
    assert ids == sorted(ids)


def test_a_single_frame_acquisition_gives_one(opened: Callable[..., Any]) -> None:
    acquirer = opened(AcquisitionMode="SingleFrame", TriggerMode="Off")
    assert picture(acquirer)[1] == 1
    assert acquirer.try_fetch(timeout=0.1) is None


@pytest.mark.parametrize(
    ("name", "value"),
    [("Width", 65), ("Width", 4), ("OffsetX", 2), ("ExposureTime", 1.0), ("PixelFormat", "Mono8"),
     ("SensorWidth", 10), ("TriggerSource", "Line9"), ("FaultMode", "Fire")],
)  # fmt: skip
def test_what_a_node_cannot_be_is_refused(
    opened: Callable[..., Any], name: str, value: Any
) -> None:
    with pytest.raises((genapi.GenericException, gentl.GenericException)):
        opened(**{name: value})


def test_the_node_map_has_the_usual_names(opened: Callable[..., Any]) -> None:
    nodes = opened().remote_device.node_map
    assert nodes.DeviceSerialNumber.value == "V001"
    assert nodes.DeviceUserID.value == "side"
    assert nodes.DeviceModelName.value == "Virtual camera"
    assert 30 < nodes.DeviceTemperature.value < 45
    assert (nodes.SensorWidth.value, nodes.SensorHeight.value) == (64, 48)
    assert nodes.PayloadSize.value == 64 * 48
    nodes.LineSelector.value = "Line1"
    assert nodes.LineMode.value == "Output"
    nodes.LineSource.value = "UserOutput0"
    nodes.UserOutputValue.value = True
    assert nodes.LineStatus.value is True
    nodes.LineSelector.value = "Line0"
    assert nodes.LineMode.value == "Input"


class TestFaults:
    def test_drop_exposes_a_picture_that_never_comes(
        self, opened: Callable[..., Any], camera_bench: Any
    ) -> None:
        acquirer = opened(**HARDWARE)
        camera_bench.wire.pulse(1, Fault.DROP)
        camera_bench.wire.pulse(2)
        image, frame_id = picture(acquirer)
        np.testing.assert_array_equal(image, camera_bench.side[2])
        assert frame_id == 2

    def test_incomplete_delivers_half(self, opened: Callable[..., Any], camera_bench: Any) -> None:
        acquirer = opened(**HARDWARE)
        camera_bench.wire.pulse(1, Fault.INCOMPLETE)
        (event,) = acquirer._new_buffer_event_monitor_dict.values()
        event.update_event_data(2000)
        assert not event.buffer.is_complete()
        assert event.buffer.size_filled == 64 * 24

    def test_delay_comes_late_and_in_order(
        self, opened: Callable[..., Any], camera_bench: Any
    ) -> None:
        acquirer = opened(**HARDWARE)
        begin = time.monotonic()
        camera_bench.wire.pulse(1, Fault.DELAY, 120)
        camera_bench.wire.pulse(2)
        assert [picture(acquirer)[1] for _ in range(2)] == [1, 2]
        assert time.monotonic() - begin >= 0.12

    def test_freeze_repeats_the_picture(
        self, opened: Callable[..., Any], camera_bench: Any
    ) -> None:
        acquirer = opened(**HARDWARE)
        camera_bench.wire.pulse(1)
        camera_bench.wire.pulse(2, Fault.FREEZE)
        (first, one), (second, two) = picture(acquirer), picture(acquirer)
        np.testing.assert_array_equal(first, second)
        assert (one, two) == (1, 2)

    def test_wrong_size_has_half_the_lines(
        self, opened: Callable[..., Any], camera_bench: Any
    ) -> None:
        acquirer = opened(**HARDWARE)
        camera_bench.wire.pulse(1, Fault.WRONG_SIZE)
        assert picture(acquirer)[0].shape == (24, 64)

    def test_a_missed_trigger_is_counted_and_exposes_nothing(
        self, opened: Callable[..., Any], camera_bench: Any
    ) -> None:
        acquirer = opened(**HARDWARE, ChunkModeActive=True)
        nodes = acquirer.remote_device.node_map
        camera_bench.wire.pulse(1, Fault.MISS_TRIGGER)
        camera_bench.wire.pulse(2)
        with acquirer.fetch(timeout=2) as buffer:
            assert buffer.module.frame_id == 1
            assert nodes.ChunkCounterValue.value == 2
        nodes.CounterSelector.value = "Counter1"
        assert nodes.CounterValue.value == 1

    @pytest.mark.parametrize("fault", [Fault.DISCONNECT, Fault.VANISH])
    def test_a_disconnected_camera_comes_back_after_its_time(
        self,
        opened: Callable[..., Any],
        camera_bench: Any,
        harvester: Harvester,
        fault: Fault,
    ) -> None:
        acquirer = opened(**HARDWARE)
        (event,) = acquirer._new_buffer_event_monitor_dict.values()
        camera_bench.wire.pulse(1, fault, 400, cameras=0b01)
        begin = time.monotonic()
        tells = gentl.IoException if fault is Fault.DISCONNECT else gentl.TimeoutException
        with pytest.raises(tells):
            event.update_event_data(300)
        with pytest.raises((genapi.GenericException, gentl.GenericException)):
            acquirer.remote_device.node_map.Width.get_value(False, True)
        with pytest.raises(gentl.IoException):
            acquirer.destroy()  # harvesters gives up half-way when AcquisitionStop fails …
        acquirer.destroy()  # … and completes at the second call
        harvester.update()
        if time.monotonic() - begin < 0.3:
            assert [d.serial_number for d in harvester.device_info_list] == ["V002"]
        again = opened(**HARDWARE)
        assert time.monotonic() - begin >= 0.4
        camera_bench.wire.pulse(5)
        np.testing.assert_array_equal(picture(again)[0], camera_bench.side[5])

    def test_the_fault_nodes_do_the_same_without_a_wire(
        self, opened: Callable[..., Any], camera_bench: Any
    ) -> None:
        acquirer = opened(**SOFTWARE, FaultMode="Drop", FaultCount=2)
        for _ in range(3):
            acquirer.remote_device.node_map.TriggerSoftware.execute()
        assert picture(acquirer)[1] == 3
        assert acquirer.remote_device.node_map.FaultCount.value == 0

    def test_a_fault_befalls_the_cameras_of_its_mask_only(
        self, opened: Callable[..., Any], camera_bench: Any
    ) -> None:
        acquirer = opened(**HARDWARE)
        camera_bench.wire.pulse(1, Fault.DROP, cameras=0b10)
        assert picture(acquirer)[1] == 1


def test_a_device_that_is_open_is_busy_for_others(
    opened: Callable[..., Any], camera_bench: Any
) -> None:
    opened()
    code = (
        "import sys; from harvesters.core import Harvester; from genicam import gentl\n"
        "h = Harvester(); h.add_file(sys.argv[1]); h.update()\n"
        "print([d.access_status for d in h.device_info_list])\n"
        "try: h.create({'serial_number': 'V001'})\n"
        "except gentl.ResourceInUseException: print('busy')\n"
        "h.reset()"
    )
    child = subprocess.run(
        [sys.executable, "-c", code, str(virtual_producer())],
        capture_output=True, text=True, timeout=20, check=True,
    )  # fmt: skip
    assert child.stdout.split("\n")[:2] == ["[4, 1]", "busy"]


@pytest.mark.parametrize("damage", ["missing", "truncated", "magic", "header"])
def test_a_damaged_film_is_refused_in_words(
    harvester: Harvester, camera_bench: Any, damage: str
) -> None:
    film = camera_bench.folder / "side.film"
    film.chmod(0o644)
    content = bytearray(film.read_bytes())
    if damage == "missing":
        film.unlink()
    elif damage == "truncated":
        film.write_bytes(content[:-1])
    elif damage == "magic":
        film.write_bytes(b"X" + content[1:])
    else:
        content[12] ^= 1
        film.write_bytes(content)
    harvester.update()
    with pytest.raises(gentl.IoException, match=r"side\.film"):
        harvester.create({"serial_number": "V001"})


def entries(name: str) -> int:
    return len(list(Path("/proc/self", name).iterdir()))


def test_opening_and_closing_leaves_nothing_behind(harvester: Harvester, camera_bench: Any) -> None:
    def cycle() -> None:
        harvester.update()
        with harvester.create({"serial_number": "V001"}) as acquirer:
            nodes = acquirer.remote_device.node_map
            nodes.TriggerMode.value, nodes.TriggerSource.value = "On", "Software"
            acquirer.start()
            nodes.TriggerSoftware.execute()
            picture(acquirer)

    cycle()
    files, threads = entries("fd"), entries("task")
    maps = Path("/proc/self/maps").read_text().count("side.film")
    for _ in range(5):
        cycle()
    assert entries("fd") == files
    assert entries("task") == threads
    assert Path("/proc/self/maps").read_text().count("side.film") == maps == 0


def test_the_list_of_devices_refuses_what_it_cannot_hold(tmp_path: Path) -> None:
    film = tmp_path / "a.film"
    with pytest.raises(ValueError, match="white space"):
        write_devices(tmp_path / "list", [Device("V1", "my camera", film)])
    with pytest.raises(ValueError, match="needs its own"):
        write_devices(tmp_path / "list", [Device("V1", "a", film), Device("V1", "b", film)])


def test_the_sources_compile_without_a_warning(tmp_path: Path) -> None:
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("NO C COMPILER: install gcc to test the virtual camera's sources")
    code = [str(VIRTUAL / name) for name in SOURCES if name.endswith(".c")]
    flags = ["-O2", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-pthread"]
    subprocess.run([compiler, *flags, *code, "-o", str(tmp_path / "p.so")], check=True, timeout=60)


class TestCInterface:
    """What harvesters does not reach: waiting without Python's lock, and sizes."""

    @pytest.fixture
    def lib(self, camera_bench: Any) -> Iterator[ctypes.CDLL]:
        lib = ctypes.CDLL(str(virtual_producer()))
        assert lib.GCInitLib() == 0
        yield lib
        assert lib.GCCloseLib() == 0

    @staticmethod
    def stream(lib: ctypes.CDLL) -> tuple[ctypes.c_void_p, ctypes.c_void_p]:
        handles = [ctypes.c_void_p() for _ in range(5)]
        system, interface, device, stream, event = handles
        assert lib.TLOpen(ctypes.byref(system)) == 0
        assert lib.TLOpenInterface(system, b"virtual0", ctypes.byref(interface)) == 0
        assert lib.IFOpenDevice(interface, b"V002", 4, ctypes.byref(device)) == 0
        assert lib.DevOpenDataStream(device, b"stream0", ctypes.byref(stream)) == 0
        assert lib.GCRegisterEvent(stream, 1, ctypes.byref(event)) == 0
        return stream, event

    @staticmethod
    def wait(lib: ctypes.CDLL, event: ctypes.c_void_p, ms: int) -> int:
        data, size = (ctypes.c_void_p * 2)(), ctypes.c_size_t(16)
        result: int = lib.EventGetData(event, data, ctypes.byref(size), ctypes.c_uint64(ms))
        return result

    def test_a_wait_ends_with_its_time_out(self, lib: ctypes.CDLL) -> None:
        _, event = self.stream(lib)
        begin = time.monotonic()
        assert self.wait(lib, event, 80) == -1011
        assert 0.07 < time.monotonic() - begin < 1.0

    def test_a_killed_wait_ends_at_once(self, lib: ctypes.CDLL) -> None:
        _, event = self.stream(lib)
        results: list[int] = []
        waiter = threading.Thread(target=lambda: results.append(self.wait(lib, event, 2**63)))
        waiter.start()
        assert lib.EventKill(event) == 0
        waiter.join(3)
        assert results == [-1012]

    def test_a_closed_stream_ends_its_wait(self, lib: ctypes.CDLL) -> None:
        stream, event = self.stream(lib)
        results: list[int] = []
        waiter = threading.Thread(target=lambda: results.append(self.wait(lib, event, 2**63)))
        waiter.start()
        assert lib.DSClose(stream) == 0
        waiter.join(3)
        assert results == [-1006]

    def test_a_size_is_told_and_a_small_buffer_refused(self, lib: ctypes.CDLL) -> None:
        size, kind = ctypes.c_size_t(), ctypes.c_int32()
        asked = (ctypes.byref(kind), None, ctypes.byref(size))
        assert lib.GCGetInfo(1, *asked) == 0
        assert (kind.value, size.value) == (1, len("Inspector") + 1)
        small, size = ctypes.create_string_buffer(4), ctypes.c_size_t(4)
        assert lib.GCGetInfo(1, ctypes.byref(kind), small, ctypes.byref(size)) == -1016

    def test_an_event_for_which_there_is_no_room_waits_for_who_has_it(
        self, lib: ctypes.CDLL
    ) -> None:
        stream, event = self.stream(lib)
        buffer, size = ctypes.c_void_p(), ctypes.c_size_t(24 * 32)
        assert lib.DSAllocAndAnnounceBuffer(stream, size, None, ctypes.byref(buffer)) == 0
        assert lib.DSQueueBuffer(stream, buffer) == 0
        assert lib.DSFlushQueue(stream, 0) == 0, "what is queued goes to the output as it is"
        data, small = (ctypes.c_void_p * 2)(), ctypes.c_size_t(8)
        wait = ctypes.c_uint64(10)
        assert lib.EventGetData(event, data, ctypes.byref(small), wait) == -1016
        assert self.wait(lib, event, 10) == 0, "it was taken off the queue, and so lost for ever"

    def test_a_stale_handle_is_refused(self, lib: ctypes.CDLL) -> None:
        stream, event = self.stream(lib)
        assert lib.DSClose(stream) == 0
        assert lib.DSFlushQueue(stream, 4) == -1006
        assert self.wait(lib, event, 10) == -1006
        assert lib.DSFlushQueue(ctypes.c_void_p(0x1234), 4) == -1006


@pytest.mark.slow
def test_two_thousand_pictures_a_second_at_vga(
    harvester: Harvester, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    frames = np.random.default_rng(0).integers(0, 256, (8, 480, 640), np.uint8)
    write_film(tmp_path / "vga.film", frames, 640, 480, PixelFormat.BayerRG8)
    devices = write_devices(tmp_path / "devices", [Device("V900", "vga", tmp_path / "vga.film")])
    monkeypatch.setenv(DEVICES, str(devices))
    harvester.update()
    with harvester.create({"serial_number": "V900"}) as acquirer:
        nodes = acquirer.remote_device.node_map
        nodes.AcquisitionMode.value = "Continuous"
        nodes.TriggerMode.value, nodes.TriggerSource.value = "On", "Software"
        acquirer.start()
        begin = time.monotonic()
        for _ in range(4000):
            nodes.TriggerSoftware.execute()
            with acquirer.fetch(timeout=2):
                pass
        assert 4000 / (time.monotonic() - begin) > 2000
