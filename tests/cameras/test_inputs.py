"""Signals on a camera's input lines, read from real node maps through harvesters. (S1)"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import genicam
import pytest
from pydantic import ValidationError

from inspector.cameras.genicam import GenicamCamera
from inspector.cameras.messages import EventKind, frames_endpoint
from inspector.cameras.outbox import Outbox
from inspector.cameras.process import watch
from inspector.cameras.receiver import FrameReceiver
from inspector.cameras.shot import CameraRefused
from inspector.config import Camera

WIRED = {"bin_full": "Line2", "air_ok": "!Line3", "estop_clear": "Line4"}


def camera(**settings: Any) -> Camera:
    return Camera(**{"name": "side", "serial": "V001", "signals": WIRED} | settings)


def test_each_signal_follows_its_line_and_an_inverted_one_its_opposite(camera_bench: Any) -> None:
    with GenicamCamera(camera()) as source:
        assert source.signals() == {"bin_full": False, "air_ok": True, "estop_clear": False}
        camera_bench.wire.hold(2, True)
        camera_bench.wire.hold(3, True)
        camera_bench.wire.hold(4, True)
        assert source.signals() == {"bin_full": True, "air_ok": False, "estop_clear": True}


def test_a_camera_without_the_whole_status_is_asked_line_by_line(
    camera_bench: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from inspector.cameras import features

    has = features.has
    monkeypatch.setattr(
        features, "has", lambda map, name, writable=False: name != "LineStatusAll" and
        has(map, name, writable),
    )  # fmt: skip
    camera_bench.wire.hold(2, True)
    with GenicamCamera(camera()) as source:
        assert source.signals() == {"bin_full": True, "air_ok": True, "estop_clear": False}


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("Line12", "bin_full: has no Line12; did you mean Line2?"),
        ("Line1", "bin_full: Line1 is an output, not an input"),
    ],
)
def test_a_line_that_cannot_be_read_refuses_the_camera(
    camera_bench: Any, line: str, message: str
) -> None:
    with pytest.raises(CameraRefused) as told:
        GenicamCamera(camera(signals={"bin_full": line}))
    assert message.split(";")[0] in str(told.value)


def test_a_camera_without_lines_says_so() -> None:
    viky = str(Path(genicam.__file__).parent / "viky.cti")
    with pytest.raises(CameraRefused, match="no lines to read"):
        GenicamCamera(camera(producer=viky, serial="0", trigger="free"))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"signals": {"bin_ful": "Line2"}}, "bin_full"),
        ({"signals": {"bin_full": "Line 2"}}, "pattern"),
        ({"source": "folder", "folder": "photos"}, "a folder has no input lines"),
    ],
)
def test_what_cannot_be_wired_is_refused_by_the_station_file(
    settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValidationError, match=message):
        camera(**settings)


def test_the_line_hears_of_every_change_and_of_no_other(camera_bench: Any, tmp_path: Path) -> None:
    endpoint = frames_endpoint(tmp_path)
    heard: list[dict[str, bool]] = []
    receiver = FrameReceiver(endpoint, ["side"])
    outbox = Outbox(endpoint, "side", 0)
    until = time.monotonic() + 10

    def ending() -> bool:
        while (message := receiver.receive()) is not None:
            if getattr(message, "kind", None) is EventKind.SIGNALS:
                heard.append(dict(message.detail))
        if len(heard) == 1:
            camera_bench.wire.hold(2, True)
        return len(heard) == 2 or time.monotonic() > until

    try:
        watch(camera(), outbox, ending)
    finally:
        outbox.close()
        receiver.close()
    assert [h["bin_full"] for h in heard] == [False, True]
