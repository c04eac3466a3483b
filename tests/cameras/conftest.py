"""A camera's process beside the test, and the line's end of it."""

from __future__ import annotations

import select
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from inspector.cameras.messages import CameraEvent, EventKind, frames_endpoint
from inspector.cameras.receiver import FrameReceiver
from inspector.part import Frame, Pixels


class LineEnd:
    """What the line sees, with deadlines."""

    def __init__(self, receiver: FrameReceiver) -> None:
        self.receiver = receiver
        self.events: list[CameraEvent] = []

    def next(self, seconds: float = 4.0) -> Frame | CameraEvent:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            select.select([self.receiver], [], [], 0.05)
            message = self.receiver.receive()
            if message is not None:
                return message
        raise AssertionError(f"nothing came within {seconds} s; so far: {self.events}")

    def frame(self, seconds: float = 4.0) -> Frame:
        while True:
            message = self.next(seconds)
            if isinstance(message, Frame):
                return message
            self.events.append(message)

    def picture(self, seconds: float = 4.0) -> Pixels:
        pixels = self.receiver.pixels(self.frame(seconds))
        assert pixels is not None, "it was overwritten"
        return pixels

    def event(self, kind: EventKind, seconds: float = 4.0) -> CameraEvent:
        for at, event in enumerate(self.events):
            if event.kind is kind:
                return self.events.pop(at)
        while True:
            message = self.next(seconds)
            if isinstance(message, CameraEvent):
                if message.kind is kind:
                    return message
                self.events.append(message)


class Cameras:
    """Starts camera processes from YAML lines and gives the line's end of them, connected."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.children: list[subprocess.Popen[bytes]] = []
        self.receivers: list[FrameReceiver] = []

    def __call__(self, *cameras: str, wait: bool = True) -> LineEnd:
        names = [camera.split("name: ")[1].split(",")[0] for camera in cameras]
        station = self.folder / "station.yaml"
        listed = "".join(f"  - {{{camera}}}\n" for camera in cameras)
        station.write_text(
            f"station: T\nrecipes: [r.yaml]\nbatch: {{id: B}}\ncameras:\n{listed}", "utf-8"
        )
        self.receivers.append(FrameReceiver(frames_endpoint(self.folder), names))
        for name in names:
            words = ["-m", "inspector.cameras.process", station, self.folder, name]
            command = [sys.executable, *words]
            self.children.append(subprocess.Popen(command))
        line = LineEnd(self.receivers[-1])
        for _ in names if wait else ():
            line.event(EventKind.CONNECTED, 15)
        return line


@pytest.fixture
def run_camera(tmp_path: Path) -> Iterator[Cameras]:
    cameras = Cameras(tmp_path)
    yield cameras
    for child in cameras.children:
        child.terminate()
    try:
        ends = [child.wait(5) for child in cameras.children]
    finally:
        for child in cameras.children:
            child.kill()
        for receiver in cameras.receivers:
            receiver.close()
    assert set(ends) <= {0, -9}, "a camera process must end in order"
