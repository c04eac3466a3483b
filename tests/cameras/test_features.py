"""Features of a camera: set in order, checked, read back, told."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from harvesters.core import Harvester

from inspector.cameras import features
from inspector.cameras.devices import enumerate_devices
from inspector.cameras.producers import virtual_producer


@pytest.fixture
def nodes(camera_bench: Any) -> Iterator[Any]:
    harvester: Harvester = enumerate_devices([str(virtual_producer())])
    with harvester.create({"serial_number": "V001"}) as acquirer:
        yield acquirer.remote_device.node_map
    harvester.reset()


def test_features_are_set_in_their_order_and_read_back(nodes: Any) -> None:
    wanted = {"Width": 32, "OffsetX": 32, "ExposureTime": 250, "TriggerMode": "On"}
    done = features.apply(nodes, wanted)
    assert [(s.name, s.wanted, s.value) for s in done] == [
        ("Width", 32, 32),
        ("OffsetX", 32, 32),
        ("ExposureTime", 250, 250.0),
        ("TriggerMode", "On", "On"),
    ]
    assert isinstance(done[2].value, float)


def test_a_whole_number_may_be_written_with_a_point(nodes: Any) -> None:
    (done,) = features.apply(nodes, {"Width": 32.0})
    assert done.value == 32


def test_the_order_matters(nodes: Any) -> None:
    with pytest.raises(features.FeatureError, match=r"OffsetX: 32 is outside 0 … 0"):
        features.apply(nodes, {"OffsetX": 32, "Width": 32})


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("ExposureTme", 1, "ExposureTme: no such feature; did you mean ExposureTime?"),
        ("ExposureTime", 5, "ExposureTime: 5 is outside 10 … 1000000 us"),
        ("ExposureTime", "long", "ExposureTime: 'long' is not a number"),
        ("Width", 33, "Width: 33 is not 8 + n·2; try 32 or 34"),
        ("Width", 32.5, "Width: 32.5 is not a whole number"),
        ("Width", True, "Width: True is not a whole number"),
        ("SensorWidth", 32, "SensorWidth: is read only"),
        ("TriggerSource", "Lime0", "TriggerSource: 'Lime0' is none of Software, Line0, "
         "Encoder0; did you mean Line0?"),
        ("PixelFormat", "Mono8", "PixelFormat: 'Mono8' is none of BayerRG8"),
        ("ChunkModeActive", "yes", "ChunkModeActive: 'yes' is not true or false"),
        ("TriggerSoftware", 5, "TriggerSoftware: 5 is not true"),
        ("Root", 1, "Root: is no feature that can be set"),
    ],
)  # fmt: skip
def test_a_mistake_is_told_with_its_mend(nodes: Any, name: str, value: Any, message: str) -> None:
    with pytest.raises(features.FeatureError) as told:
        features.apply(nodes, {name: value})
    assert str(told.value).startswith(message)


def test_a_locked_feature_is_told(nodes: Any) -> None:
    nodes.TLParamsLocked.value = 1
    with pytest.raises(features.FeatureError, match="Width: is read only"):
        features.apply(nodes, {"Width": 32})


def test_a_command_is_executed(nodes: Any) -> None:
    (setting,) = features.apply(nodes, {"TimestampLatch": True})
    assert setting.value is None
    assert nodes.TimestampLatchValue.value > 0


def test_the_snapshot_holds_every_readable_feature(nodes: Any) -> None:
    seen = features.snapshot(features.rows(nodes))
    assert seen["DeviceSerialNumber"] == "V001"
    assert seen["PixelFormat"] == "BayerRG8"
    assert "TriggerSoftware" not in seen and "TLParamsLocked" not in seen


def test_a_description_has_kind_access_limits_and_entries(nodes: Any) -> None:
    rows = {row["name"]: row for row in features.rows(nodes)}
    width = rows["Width"]
    assert (width["kind"], width["access"], width["minimum"], width["maximum"]) == (
        "integer", "RW", 8, 64,
    )  # fmt: skip
    assert rows["TriggerSource"]["entries"] == ("Software", "Line0", "Encoder0")
    assert rows["ExposureTime"]["unit"] == "us"
    assert rows["DeviceTemperature"]["access"] == "RO"


@pytest.mark.parametrize(
    ("name", "counts"),
    [
        ("StreamLostPacketCount", True),
        ("StreamMissedPacketCount", True),
        ("Statistic_Failed_Packet_Count", True),
        ("StatPacketMissed", True),
        ("StreamLostFrameCount", False),
        ("StreamPacketResendRequestCount", False),
        ("Statistic_Total_Packet_Count", False),
        ("GevSCPSPacketSize", False),
    ],
)
def test_lost_packets_are_known_by_the_makers_names(name: str, counts: bool) -> None:
    assert bool(features._LOST_PACKETS.search(name)) is counts


def test_a_camera_that_counts_no_packets_has_no_such_node(nodes: Any) -> None:
    assert features.lost_packets((None, nodes)) is None
