"""The camera's end of the line's socket, and what becomes of a line that is away."""

from __future__ import annotations

import random
import select
from pathlib import Path

from inspector.cameras.messages import CameraEvent, Descriptor, EventKind, frames_endpoint
from inspector.cameras.outbox import Outbox
from inspector.cameras.receiver import FrameReceiver

LOST = CameraEvent("side", EventKind.LOST, "unplugged")
PLACE = Descriptor(1, 0, 0, 2, 1, 1, 1, 1, 1, 8, 8, 0x01080001, 64)


def heard(receiver: FrameReceiver) -> CameraEvent:
    select.select([receiver], [], [], 2.0)
    event = receiver.receive()
    assert isinstance(event, CameraEvent)
    return event


def test_pictures_for_a_line_that_is_away_are_counted_and_events_kept(tmp_path: Path) -> None:
    outbox = Outbox(frames_endpoint(tmp_path), "side", 0)
    outbox.frame(PLACE)
    outbox.event(LOST)
    assert outbox.undelivered == 1
    with FrameReceiver(frames_endpoint(tmp_path), ["side"]) as receiver:
        outbox._retry = 0.0
        outbox.flush()
        assert heard(receiver).message == "unplugged"
    outbox.close()


def test_a_line_that_starts_anew_is_found_by_itself(tmp_path: Path) -> None:
    outbox = Outbox(frames_endpoint(tmp_path), "side", 0)
    with FrameReceiver(frames_endpoint(tmp_path), ["side"]) as first:
        outbox.event(LOST)
        heard(first)
    with FrameReceiver(frames_endpoint(tmp_path), ["side"]) as second:
        outbox.event(LOST)  # finds out that the first one is gone, and keeps it
        outbox._retry = 0.0
        outbox.flush()
        assert heard(second).kind is EventKind.LOST
        second.trigger("code", "side")
        assert outbox.asked_to_trigger(1000), "the line knows whose connection it is"
    outbox.close()


def test_a_line_that_starts_anew_is_told_how_the_camera_is(tmp_path: Path) -> None:
    """What its input lines said last, too: they may rest so for days, and until it knows them the
    station is not ready. What has happened is not told twice."""
    outbox = Outbox(frames_endpoint(tmp_path), "side", 0)

    def tells(*kinds: EventKind, heard_as: list[EventKind]) -> None:
        with FrameReceiver(frames_endpoint(tmp_path), ["side"]) as line:
            outbox._retry = 0.0
            for kind in kinds:
                outbox.event(CameraEvent("side", kind, host_ns=len(heard_as)))
            outbox._retry = 0.0
            outbox.flush()
            assert [heard(line).kind for _ in heard_as] == heard_as
            assert line.receive() is None

    here, lines, frozen = EventKind.CONNECTED, EventKind.SIGNALS, EventKind.FROZEN
    told = [EventKind.LOST, here, lines, frozen, lines]
    tells(*told, heard_as=told)
    tells(frozen, heard_as=[here, lines, frozen])
    tells(EventKind.REFUSED, heard_as=[EventKind.REFUSED])
    tells(frozen, heard_as=[EventKind.REFUSED, frozen])
    outbox.close()


def test_who_has_waited_longest_is_heard_first(tmp_path: Path) -> None:
    """After a line had been busy elsewhere, what the last one said was heard before the eye's older
    pictures, by which its own are counted where there is no PLC: each was an error until a rest."""
    cameras = {name: Outbox(frames_endpoint(tmp_path), name, 0) for name in ("side", "code")}
    with FrameReceiver(frames_endpoint(tmp_path), [*cameras]) as line:
        for order in (["side", "code"], ["code", "side"]):
            for name in order:
                cameras[name].event(CameraEvent(name, EventKind.LOST))
            assert [heard(line).view for _ in order] == order
            assert line.receive() is None
    for outbox in cameras.values():
        outbox.close()


def test_a_line_that_does_not_read_delays_nobody(tmp_path: Path) -> None:
    outbox = Outbox(frames_endpoint(tmp_path), "side", 0)
    with FrameReceiver(frames_endpoint(tmp_path), ["side"]):
        for _ in range(20_000):
            outbox.frame(PLACE)
            if outbox.undelivered:
                break
        assert outbox.undelivered == 1
    outbox.close()


def test_an_event_too_long_for_a_message_is_told_without_its_detail(tmp_path: Path) -> None:
    noise = random.Random(1).randbytes(400_000).hex()
    outbox = Outbox(frames_endpoint(tmp_path), "side", 0)
    with FrameReceiver(frames_endpoint(tmp_path), ["side"]) as receiver:
        outbox.event(CameraEvent("side", EventKind.CONNECTED, "here", {"node_map": noise}))
        event = heard(receiver)
        assert (event.message, event.detail) == ("here", {})
    outbox.close()
