"""Cameras of makers who do some things otherwise: our producer beside another description of the
camera, and behind a library that answers some of the questions in its place."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from inspector.cameras import features, node_map
from inspector.cameras.devices import enumerate_devices
from inspector.cameras.genicam import GenicamCamera
from inspector.cameras.producers import VIRTUAL, virtual_producer
from inspector.cameras.shot import Bad, CameraLost, CameraRefused, Shot
from inspector.config import Camera


@pytest.fixture
def maker(camera_bench: Any, tmp_path: Path) -> Callable[..., str]:
    """A producer whose cameras describe themselves as ours, but for the changes, and whose
    functions are ours, but for the C code of ``instead``; there ``OURS(name)`` is our function."""

    def described(*changes: tuple[str, str], instead: str = "") -> str:
        folder = tmp_path / "maker"
        folder.mkdir()
        ours = folder / "maker.cti"
        shutil.copy(virtual_producer(), ours)
        text = (VIRTUAL / "producer.xml").read_text("utf-8")
        for before, after in changes:
            assert text.count(before) == 1, before
            text = text.replace(before, after)
        (folder / "producer.xml").write_text(text, "utf-8")
        return str(in_place_of(ours, instead)) if instead else str(ours)

    return described


def in_place_of(ours: Path, code: str) -> Path:
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("NO C COMPILER: install gcc to test what other makers' producers answer")
    theirs, source = ours.with_name("theirs.cti"), ours.with_name("theirs.c")
    source.write_text(
        '#define _GNU_SOURCE\n#include "gentl.h"\n#include <dlfcn.h>\n#include <string.h>\n'
        "#define OURS(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))\n" + code
    )
    flags = ["-shared", "-fPIC", "-Wl,--no-as-needed", f"-I{VIRTUAL}"]
    linked = [str(source), str(ours), "-o", str(theirs), "-ldl"]
    subprocess.run([compiler, *flags, *linked], check=True, timeout=60)
    return theirs


def camera(producer: str, **settings: Any) -> GenicamCamera:
    return GenicamCamera(
        Camera(**{"name": "side", "serial": "V001", "producer": producer} | settings)
    )


UNREADABLE = ("<Address>0xA8</Address>", "<Address>0xFF8</Address>")
"""Its temperature is announced, and refused to whoever asks."""


def test_a_feature_that_cannot_be_read_keeps_no_camera_away(
    maker: Callable[..., str], camera_bench: Any
) -> None:
    producer = maker(UNREADABLE)
    with camera(producer) as side:
        assert "DeviceTemperature" not in side.identity.node_map
        assert side.identity.node_map["Width"] == 64
        assert "temperature_c" not in side.statistics()
        camera_bench.wire.pulse(4)
        assert isinstance(side.grab(2000), Shot)
    (row,) = (r for r in node_map([producer], "V001") if r["name"] == "DeviceTemperature")
    assert row["value"] is None


UNDECIDED = (
    (
        "    <pValue>GainReg</pValue>",
        "    <pIsAvailable>NoReg</pIsAvailable>\n    <pValue>GainReg</pValue>",
    ),
    (
        '  <FloatReg Name="GainReg">',
        """  <IntReg Name="NoReg">
    <Address>0xFF8</Address><Length>8</Length><AccessMode>RO</AccessMode><pPort>Device</pPort>
    <Cachable>NoCache</Cachable><Endianess>LittleEndian</Endianess>
  </IntReg>
  <FloatReg Name="GainReg">""",
    ),
)
"""Whether it has a gain stands in a register that it refuses."""


def test_a_feature_of_which_a_camera_will_not_say_whether_it_is_there_is_not(
    maker: Callable[..., str],
) -> None:
    producer = maker(*UNDECIDED)
    with camera(producer) as side:
        assert "Gain" not in side.identity.node_map
    with pytest.raises(CameraRefused, match="side: Gain: is not available now"):
        camera(producer, features={"Gain": 3.0})


def test_what_the_camera_itself_refuses_is_told_with_its_name(maker: Callable[..., str]) -> None:
    producer = maker(("<Max>24</Max>", "<Max>48</Max>"))
    with pytest.raises(
        CameraRefused, match=r"side: Gain: the camera refuses 30.*refuses its value"
    ):
        camera(producer, features={"Gain": 30.0})


COUNT_MAY_BE_OFF = (
    "<pValue>ChunkCounterValueReg</pValue>",
    "<pIsAvailable>CountEnabled</pIsAvailable><pValue>ChunkCounterValueReg</pValue>",
)
CHUNKS_ARE_CHOSEN_WHEN_ACTIVE = (
    '  <Integer Name="ChunkFrameID" NameSpace="Standard">',
    """  <Enumeration Name="ChunkSelector" NameSpace="Standard">
    <pIsAvailable>ChunkModeActiveReg</pIsAvailable>
    <EnumEntry Name="FrameID" NameSpace="Standard"><Value>0</Value></EnumEntry>
    <EnumEntry Name="CounterValue" NameSpace="Standard"><Value>1</Value></EnumEntry>
    <Value>0</Value>
    <pSelected>ChunkEnable</pSelected>
  </Enumeration>
  <Boolean Name="ChunkEnable" NameSpace="Standard">
    <pIsAvailable>ChunkModeActiveReg</pIsAvailable><pValue>ChunkEnableChosen</pValue>
  </Boolean>
  <Integer Name="ChunkEnableChosen">
    <pIndex>ChunkSelector</pIndex><pValueIndexed Index="1">CountEnabled</pValueIndexed>
    <pValueDefault>FrameIDEnabled</pValueDefault>
  </Integer>
  <Integer Name="FrameIDEnabled"><Value>0</Value></Integer>
  <Integer Name="CountEnabled"><Value>0</Value></Integer>
  <Integer Name="ChunkFrameID" NameSpace="Standard">""",
)
"""As Basler's and others: chunk mode must be active before a chunk can be enabled."""
NO_COUNT = (
    '  <Integer Name="ChunkFrameID" NameSpace="Standard">',
    '  <Integer Name="CountEnabled"><Value>0</Value></Integer>\n'
    '  <Integer Name="ChunkFrameID" NameSpace="Standard">',
)


def test_chunks_are_enabled_when_chunk_mode_is_active(
    maker: Callable[..., str], camera_bench: Any
) -> None:
    with camera(maker(COUNT_MAY_BE_OFF, CHUNKS_ARE_CHOSEN_WHEN_ACTIVE)) as side:
        camera_bench.wire.pulse(4)
        shot = side.grab(2000)
        assert isinstance(shot, Shot)
        assert shot.edge == 1


def test_a_count_that_no_picture_carries_is_none_and_loses_no_camera(
    maker: Callable[..., str], camera_bench: Any
) -> None:
    with camera(maker(COUNT_MAY_BE_OFF, NO_COUNT)) as side:
        for frame_id in (1, 2):
            camera_bench.wire.pulse(4)
            shot = side.grab(2000)
            assert isinstance(shot, Shot)
            assert (shot.frame_id, shot.edge) == (frame_id, -1)
            side.give_back()


def user_set(access: str, address: str, value: int) -> tuple[tuple[str, str], ...]:
    """``UserSetLoad`` writes ``value`` into the register at ``address``."""
    return (
        (
            "    <pFeature>TimestampLatch</pFeature>",
            "    <pFeature>TimestampLatch</pFeature><pFeature>UserSetLoad</pFeature>",
        ),
        (
            '  <Command Name="TimestampLatch" NameSpace="Standard">',
            f"""  <Command Name="UserSetLoad" NameSpace="Standard">
    <pValue>UserSetLoadReg</pValue><CommandValue>{value}</CommandValue>
  </Command>
  <IntReg Name="UserSetLoadReg">
    <Address>{address}</Address><Length>8</Length><AccessMode>{access}</AccessMode>
    <pPort>Device</pPort><Cachable>NoCache</Cachable><Endianess>LittleEndian</Endianess>
  </IntReg>
  <Command Name="TimestampLatch" NameSpace="Standard">""",
        ),
    )


def test_a_user_set_that_is_loaded_undoes_nothing_that_the_station_sets(
    maker: Callable[..., str], camera_bench: Any
) -> None:
    producer = maker(*user_set("WO", address="0x70", value=0))  # its TriggerMode is Off
    wanted = {"TriggerActivation": "AnyEdge", "UserSetLoad": True, "ExposureTime": 250.0}
    with camera(producer, features=wanted) as side:
        assert side.identity.node_map["TriggerMode"] == "On"
        assert side.grab(100) is None, "nobody has triggered it"
        names = [setting["name"] for setting in side.identity.settings]
    assert names[:2] == ["TriggerActivation", "UserSetLoad"]
    assert names[-1] == "ExposureTime"


LOADS_FOR_A_WHILE = """
GC_API GCWritePort(PORT_HANDLE p, uint64_t address, const void *in, size_t *n) {
  return OURS(GCWritePort)(p, address, in, n);
}
GC_API GCReadPort(PORT_HANDLE p, uint64_t address, void *out, size_t *n) {
  static int looks;
  GC_ERROR error = OURS(GCReadPort)(p, address, out, n);
  if (address == 0x108 && *(char *)out && ++looks == 3) {
    uint64_t loaded = 0;
    size_t size = sizeof loaded;
    OURS(GCWritePort)(p, address, &loaded, &size);
  }
  return error;
}
"""


def test_what_follows_a_command_waits_until_it_is_done(maker: Callable[..., str]) -> None:
    """The register that it writes into reads 1 until then."""
    loads = user_set("RW", address="0x108", value=1)
    harvester = enumerate_devices([maker(*loads, instead=LOADS_FOR_A_WHILE)])
    with harvester.create({"serial_number": "V001"}) as acquirer:
        nodes = acquirer.remote_device.node_map
        features.apply(nodes, {"UserSetLoad": True})
        assert not nodes.UserOutputValue.get_value(False, True)
    harvester.reset()


SOURCE_IS_LOCKED_WHILE_ON = (
    '    <EnumEntry Name="Software" NameSpace="Standard"><Value>0</Value></EnumEntry>',
    "    <pIsLocked>TriggerModeReg</pIsLocked>\n"
    '    <EnumEntry Name="Software" NameSpace="Standard"><Value>0</Value></EnumEntry>',
)


@pytest.mark.parametrize("named", [{}, {"TriggerSource": "Line0"}])
def test_a_source_that_is_locked_while_the_trigger_is_on_is_set_while_it_is_off(
    maker: Callable[..., str], camera_bench: Any, named: dict[str, str]
) -> None:
    with camera(maker(SOURCE_IS_LOCKED_WHILE_ON), features=named) as side:
        read_back = {setting["name"]: setting["value"] for setting in side.identity.settings}
        assert read_back["TriggerSource"] == "Line0"
        assert side.identity.node_map["TriggerMode"] == "On"
        camera_bench.wire.pulse(4)
        assert isinstance(side.grab(2000), Shot)


NO_CHOICE_OF_A_SOURCE = (
    ("    <pFeature>TriggerSource</pFeature>\n", ""),
    ('<Enumeration Name="TriggerSource" NameSpace="Standard">', '<Enumeration Name="Only">'),
)


def test_a_trigger_without_a_choice_of_sources_is_taken_as_it_is(maker: Callable[..., str]) -> None:
    with camera(maker(*NO_CHOICE_OF_A_SOURCE)) as side:
        assert side.identity.node_map["TriggerMode"] == "On"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"trigger": "software"}, "side: TriggerSource: no such feature"),
        ({"trigger": "encoder", "every_counts": 5}, "no encoder triggers this camera, only a line"),
    ],
)
def test_a_trigger_that_cannot_be_chosen_is_refused_in_words(
    maker: Callable[..., str], settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(CameraRefused, match=message):
        camera(maker(*NO_CHOICE_OF_A_SOURCE), **settings)


SAYS_NO_SIZE = """
static int told = TOLD; /* pictures whose width it tells, before it stops */
GC_API DSGetBufferInfo(DS_HANDLE s, BUFFER_HANDLE b, INFO_CMD what, INFO_DATATYPE *t, void *out,
                       size_t *n) {
  if (what == BUFFER_INFO_WIDTH && told-- <= 0) return GC_ERR_NOT_AVAILABLE;
  return OURS(DSGetBufferInfo)(s, b, what, t, out, n);
}
"""
"""As Baumer's and others with chunks: the size of a picture is not told with it."""


def test_a_producer_that_never_tells_a_pictures_size_sends_what_was_set(
    maker: Callable[..., str], camera_bench: Any
) -> None:
    with camera(maker(instead=SAYS_NO_SIZE.replace("TOLD", "0"))) as side:
        for _ in range(2):
            camera_bench.wire.pulse(4)
            shot = side.grab(2000)
            assert isinstance(shot, Shot)
            assert shot.data.tobytes() == camera_bench.side[4].tobytes()
            side.give_back()


def test_a_picture_without_its_size_among_others_is_none(
    maker: Callable[..., str], camera_bench: Any
) -> None:
    """Its buffer may hold what it held before: another part's picture."""
    with camera(maker(instead=SAYS_NO_SIZE.replace("TOLD", "1"))) as side:
        camera_bench.wire.pulse(4)
        assert isinstance(side.grab(2000), Shot)
        side.give_back()
        camera_bench.wire.pulse(5)
        bad = side.grab(2000)
    assert isinstance(bad, Bad)
    assert (bad.kind, bad.frame_id, bad.edge) == ("incomplete", 2, 2)


NEEDS_MANY_BUFFERS = """
GC_API DSGetInfo(DS_HANDLE s, INFO_CMD what, INFO_DATATYPE *t, void *out, size_t *n) {
  GC_ERROR error = OURS(DSGetInfo)(s, what, t, out, n);
  if (what == STREAM_INFO_BUF_ANNOUNCE_MIN && out) *(size_t *)out = 20;
  return error;
}
"""


def test_a_producer_that_needs_more_buffers_gets_them(
    maker: Callable[..., str], camera_bench: Any
) -> None:
    with camera(maker(instead=NEEDS_MANY_BUFFERS), buffers=4) as side:
        camera_bench.wire.pulse(4)
        assert isinstance(side.grab(2000), Shot)


GIGE_CHUNKS = """
/* As GigE Vision lays chunks: each with its number and length behind it, both big-endian; and as
 * FLIR's Grasshopper (harvesters, issue 276): what is filled goes on behind the last of them. */
enum { IMAGE = 64 * 48, CHUNKS = IMAGE + 8 + 32 + 8, FILLED = CHUNKS + 24 };
GC_API DSGetInfo(DS_HANDLE s, INFO_CMD what, INFO_DATATYPE *t, void *out, size_t *n) {
  GC_ERROR error = OURS(DSGetInfo)(s, what, t, out, n);
  if (what == STREAM_INFO_PAYLOAD_SIZE && out) *(size_t *)out = FILLED;
  return error;
}
GC_API DevGetInfo(DEV_HANDLE d, INFO_CMD what, INFO_DATATYPE *t, void *out, size_t *n) {
  GC_ERROR error = OURS(DevGetInfo)(d, what, t, out, n);
  if (what == DEVICE_INFO_TLTYPE && out) strcpy(out, "GEV");
  return error;
}
GC_API IFGetDeviceInfo(IF_HANDLE i, const char *id, INFO_CMD what, INFO_DATATYPE *t, void *out,
                       size_t *n) {
  GC_ERROR error = OURS(IFGetDeviceInfo)(i, id, what, t, out, n);
  if (what == DEVICE_INFO_TLTYPE && out) strcpy(out, "GEV");
  return error;
}
GC_API DSGetBufferInfo(DS_HANDLE s, BUFFER_HANDLE b, INFO_CMD what, INFO_DATATYPE *t, void *out,
                       size_t *n) {
  GC_ERROR error = OURS(DSGetBufferInfo)(s, b, what, t, out, n);
  if (what == BUFFER_INFO_SIZE_FILLED && out) *(size_t *)out = FILLED;
  if (what == BUFFER_INFO_DELIVERED_CHUNKPAYLOADSIZE && out) *(size_t *)out = CHUNKS;
  return error;
}
static const unsigned char image_tag[] = {0, 0, 0, 99, 0, 0, IMAGE >> 8, IMAGE & 255};
static const unsigned char chunk_tag[] = {0, 0, 0, 1, 0, 0, 0, 32};
GC_API EventGetData(EVENT_HANDLE e, void *out, size_t *n, uint64_t timeout_ms) {
  GC_ERROR error = OURS(EventGetData)(e, out, n, timeout_ms);
  if (error) return error;
  struct buffer { unsigned char *base; } *buffer = *(void **)out;
  memmove(buffer->base + IMAGE + 8, buffer->base + IMAGE, 32);
  memcpy(buffer->base + IMAGE, image_tag, 8);
  memcpy(buffer->base + IMAGE + 40, chunk_tag, 8);
  memset(buffer->base + CHUNKS, 0xAA, FILLED - CHUNKS);
  return 0;
}
"""


def test_the_chunks_of_a_gige_camera_end_where_they_are_said_to_end(
    maker: Callable[..., str], camera_bench: Any
) -> None:
    with camera(maker(instead=GIGE_CHUNKS)) as side:
        for edge in (1, 2):
            camera_bench.wire.pulse(4)
            shot = side.grab(2000)
            assert isinstance(shot, Shot)
            assert shot.data.tobytes() == camera_bench.side[4].tobytes()
            assert shot.edge == edge
            side.give_back()


LINES_FROM_1 = (
    ('    <EnumEntry Name="Line0" NameSpace="Standard"><Value>0</Value></EnumEntry>\n', ""),
    ("<pValue>LineStatusAllReg</pValue>", "<pValue>FirstLineFirst</pValue>"),
    (
        '  <IntReg Name="LineStatusAllReg">',
        """  <IntSwissKnife Name="FirstLineFirst">
    <pVariable Name="ALL">LineStatusAllReg</pVariable><Formula>ALL &gt;&gt; 1</Formula>
  </IntSwissKnife>
  <IntReg Name="LineStatusAllReg">""",
    ),
)
"""Its first line is Line1, and that is bit 0 of LineStatusAll, as SFNC counts."""


def test_a_signal_is_its_own_lines_wherever_the_maker_counts_lines_from(
    maker: Callable[..., str], camera_bench: Any
) -> None:
    wired = {"bin_full": "Line2", "air_ok": "Line3"}
    with camera(maker(*LINES_FROM_1), signals=wired) as side:
        camera_bench.wire.hold(3, True)
        assert side.signals() == {"bin_full": False, "air_ok": True}


NO_STREAM = """
GC_API DevOpenDataStream(DEV_HANDLE d, const char *id, DS_HANDLE *out) { return GC_ERR_IO; }
"""


def test_a_camera_that_gives_no_stream_is_told_in_words_and_without_a_traceback(
    maker: Callable[..., str], capfd: pytest.CaptureFixture[str]
) -> None:
    producer = maker(instead=NO_STREAM)
    with pytest.raises(CameraRefused, match="camera V001 cannot be opened: "):
        node_map([producer], "V001")
    with pytest.raises(CameraLost, match="cannot be opened: "):
        camera(producer)
    assert "Traceback" not in capfd.readouterr().err


def test_the_end_of_a_range_is_told_to_its_last_digit(maker: Callable[..., str]) -> None:
    """Rounded to six digits it was said to be what it refused."""
    producer = maker(("<Max>24</Max>", "<Max>23.9999988</Max>"))
    with pytest.raises(CameraRefused, match=r"Gain: 24\.0 is outside 0 … 23\.9999988 dB"):
        camera(producer, features={"Gain": 24.0})


def triggers(*names: str) -> tuple[tuple[str, str], ...]:
    """A camera with these triggers, whose ``TriggerMode`` matters of ``ExposureStart`` alone."""
    entries = "".join(
        f'    <EnumEntry Name="{name}" NameSpace="Standard"><Value>{at}</Value></EnumEntry>\n'
        for at, name in enumerate(names)
    )
    return (
        (
            '    <EnumEntry Name="FrameStart" NameSpace="Standard"><Value>0</Value></EnumEntry>\n',
            entries,
        ),
        ("    <pValue>TriggerSelectorReg</pValue>", "    <Value>0</Value>"),
        ("    <pValue>TriggerModeReg</pValue>", "    <pValue>TriggerModeChosen</pValue>"),
        (
            '  <IntReg Name="TriggerModeReg">',
            f"""  <Integer Name="TriggerModeChosen">
    <pIndex>TriggerSelector</pIndex>
    <pValueIndexed Index="{names.index("ExposureStart")}">TriggerModeReg</pValueIndexed>
    <pValueDefault>OthersMode</pValueDefault>
  </Integer>
  <Integer Name="OthersMode"><Value>0</Value></Integer>
  <IntReg Name="TriggerModeReg">""",
        ),
    )


@pytest.mark.parametrize(
    ("there", "named"),
    [
        (("FrameStart", "ExposureStart"), {"TriggerSelector": "ExposureStart"}),
        (("AcquisitionStart", "ExposureStart"), {}),
    ],
)
def test_the_trigger_that_is_selected_is_the_one_that_is_switched_on(
    maker: Callable[..., str],
    camera_bench: Any,
    there: tuple[str, ...],
    named: dict[str, str],
) -> None:
    with camera(maker(*triggers(*there)), features=named) as side:
        assert side.grab(100) is None, "nobody has triggered it"
        camera_bench.wire.pulse(4)
        assert isinstance(side.grab(2000), Shot)
