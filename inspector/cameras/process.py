"""One camera's process: open it, copy every picture into the ring, tell the line; never give up.

Enters: a station file, a camera's name, the line's endpoint. Leaves: descriptors and events
for the line, pixels in shared memory. Started by the supervisor as
``python -m inspector.cameras.process STATION RUN NAME``.
"""

from __future__ import annotations

import gc
import json
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import structlog

from inspector import logs
from inspector.beat import Beat, Ending
from inspector.cameras.messages import (
    CameraEvent,
    Descriptor,
    EventKind,
    frames_endpoint,
    ring_path,
)
from inspector.cameras.outbox import Outbox
from inspector.cameras.producers import ProducerError
from inspector.cameras.ring import RingWriter, slots_for
from inspector.cameras.shot import Bad, CameraLost, CameraRefused, Counters, Identity, Source
from inspector.config import Camera, Station, load_station

log = structlog.get_logger()

GRAB_MS = 100
"""A wait for a picture is this long at most: the binding keeps signals waiting meanwhile."""
EXPOSING_MS = 5
"""While a picture that the line asked for is to come: so long it does not hear that it asks for
another one."""
SIGNALS_MS = 20
"""A bin that is full, air that is gone: how old what the input lines say may be."""
ALIVE_S = 0.5
"""How often the camera is asked whether it is there: a silent disconnect is told within 1 s."""
STATISTICS_S = 5.0
BACK_OFF_S = (0.1, 0.2, 0.4, 0.8, 1.5)
"""Waits between attempts to open the camera; the last one repeats."""
ATTEMPTS = 40
"""After this many in vain, a minute or so, the process ends and its supervisor starts a fresh one:
a producer may be in a state that only its unloading mends."""


def main(station: Station | Path, name: str, endpoint: str, beat: Beat | None = None) -> None:
    """Run camera ``name`` until SIGTERM or SIGINT. Raises ``ConfigError`` and ``KeyError``."""
    if isinstance(station, Path):
        station = load_station(station)
    index = [camera.name for camera in station.cameras].index(name)
    ending = Ending()
    outbox = Outbox(endpoint, name, index)
    try:
        # harvesters takes SIGINT for itself whenever a camera is opened
        parts = station.travel.most_parts
        watch(station.cameras[index], outbox, ending.is_set, beat, ending.listen, parts)
    finally:
        outbox.close()


def watch(
    config: Camera,
    outbox: Outbox,
    ending: Callable[[], bool],
    beat: Beat | None = None,
    opened: Callable[[], None] = lambda: None,
    parts: int = 0,
) -> None:
    """Open the camera, drain it, and when it is lost do so again, until ``ending``. ``parts``: how
    many there can be between eye and gate.

    ``SystemExit`` after ``ATTEMPTS`` in vain.
    """
    failures = 0
    last = ""
    while not ending():
        alive_since = time.monotonic()
        try:
            with open_camera(config) as source:
                opened()
                with _ring(source, config, outbox, parts) as ring:
                    last = ""
                    drain(source, ring, config, outbox, ending, beat)
                return
        except CameraLost as error:
            event = CameraEvent(config.name, EventKind.LOST, str(error))
        except (CameraRefused, ProducerError, OSError) as error:
            event = CameraEvent(config.name, EventKind.REFUSED, str(error))
        if event.message != last:
            outbox.event(event)
            log.error("camera", camera=config.name, kind=event.kind, message=event.message)
            last = event.message
        failures = 0 if time.monotonic() - alive_since > 10.0 else failures + 1
        if failures >= ATTEMPTS:
            raise SystemExit(1)
        pause(BACK_OFF_S[min(failures, len(BACK_OFF_S) - 1)], outbox, ending, beat)


@contextmanager
def _ring(source: Source, config: Camera, outbox: Outbox, parts: int) -> Iterator[RingWriter]:
    """The camera's ring while it is open. ``CameraRefused`` where there is no room for it."""
    path = ring_path(outbox.endpoint, config.name)
    free_bytes = 0
    with suppress(OSError):  # the folder is not there: whoever opens the ring says so
        free_bytes = shutil.disk_usage(path.parent).free
    slots = config.buffers or slots_for(parts, source.slot_bytes, free_bytes)
    try:
        ring = RingWriter(path, slots, source.slot_bytes)
    except OSError as error:
        raise CameraRefused(
            f"{config.name}: no room for {slots} pictures of {source.slot_bytes} bytes in"
            f" {path.parent}: {error.strerror}; make room, or lower `buffers`"
        ) from error
    try:
        yield ring
    finally:
        ring.remove()


def drain(
    source: Source,
    ring: RingWriter,
    config: Camera,
    outbox: Outbox,
    ending: Callable[[], bool],
    beat: Beat | None = None,
) -> None:
    """The hot loop: one picture after the other, from the camera to the line."""
    software = config.trigger == "software"
    while software and outbox.asked_to_trigger(0):
        pass  # while it was away: those parts have gone by, and from now on it is there
    _tell_connected(config.name, source.identity, ring, outbox)
    # no two exposures of a sensor are equal; a folder may well hold an image twice
    watch_for_freeze = config.source == "genicam" and config.trigger != "free"
    idle_ms = SIGNALS_MS if config.signals else GRAB_MS
    wait_ms = 1 if software else idle_ms
    exposing = until_ns = 0  # pictures that were asked for and are to come, and until when
    signals: Mapping[str, bool] = {}
    signals_ns = 0
    told = Counters()
    ask_ns = told_ns = time.monotonic_ns()
    gc.collect()
    gc.freeze()
    gc.disable()  # nothing below makes a cycle; a collection would cost a frame 10 ms
    try:
        while not ending():
            if beat is not None:
                beat.beat()
            if software and outbox.asked_to_trigger(0 if exposing else idle_ms):
                source.trigger()
                exposing += 1
                until_ns = time.monotonic_ns() + config.frame_timeout_ms * 1_000_000
            shot = source.grab(EXPOSING_MS if exposing else wait_ms)
            now_ns = time.monotonic_ns()
            if exposing:
                exposing = 0 if now_ns > until_ns else exposing - (shot is not None)
            if shot is None:
                outbox.flush()
                # The binding keeps Python's lock, and a signal that the kernel gave to a foreign
                # thread is heard only when somebody takes the lock (CPython, bpo-40010).
                time.sleep(0)
            elif isinstance(shot, Bad):
                outbox.event(_told(config.name, shot))
            elif watch_for_freeze and ring.repeats(shot.data):
                source.give_back()
                source.counters.frozen += 1
                bad = Bad("frozen", "the picture before it came again", shot.frame_id, shot.edge)
                outbox.event(_told(config.name, bad))
            else:
                slot, generation = ring.write(shot.data)
                source.give_back()
                descriptor = Descriptor(
                    ring.id, outbox.camera, slot, generation, shot.frame_id, shot.edge,
                    shot.device_ns, shot.exposed_ns, now_ns, shot.width, shot.height,
                    shot.pixel_format, shot.data.size,
                )  # fmt: skip
                outbox.frame(descriptor)
            _tell_gaps(config.name, source.counters, told, outbox)
            if config.signals and now_ns - signals_ns >= SIGNALS_MS * 1_000_000:
                signals_ns, before, signals = now_ns, signals, source.signals()
                if signals != before:
                    outbox.event(CameraEvent(config.name, EventKind.SIGNALS, "", signals))
            if now_ns - ask_ns >= ALIVE_S * 1e9:
                ask_ns = now_ns
                statistics = source.statistics()
                if now_ns - told_ns >= STATISTICS_S * 1e9:
                    told_ns = now_ns
                    counted = dict(statistics) | {"undelivered": outbox.undelivered}
                    outbox.event(CameraEvent(config.name, EventKind.STATISTICS, "", counted))
    finally:
        gc.enable()
        gc.unfreeze()


def open_camera(config: Camera) -> Source:
    """The camera that ``config`` means, open and acquiring."""
    if config.source == "folder":
        from inspector.cameras.folder import FolderCamera

        return FolderCamera(config)
    from inspector.cameras.genicam import GenicamCamera

    return GenicamCamera(config)


def pause(
    seconds: float, outbox: Outbox, ending: Callable[[], bool], beat: Beat | None = None
) -> None:
    """Wait, alive."""
    until = time.monotonic() + seconds
    while not ending() and time.monotonic() < until:
        if beat is not None:
            beat.beat()
        outbox.flush()
        time.sleep(0.02)


def _tell_connected(view: str, identity: Identity, ring: RingWriter, outbox: Outbox) -> None:
    detail = {
        "device": dict(identity.device),
        "set": [dict(s) for s in identity.settings],
        "node_map": dict(identity.node_map),
    }
    how = f"{ring.slots} slots of {ring.slot_bytes} bytes"
    outbox.event(CameraEvent(view, EventKind.CONNECTED, how, detail))
    _tell_features(Path(outbox.endpoint).parent, view, identity.features)


def _tell_features(run: Path, view: str, features: Sequence[Mapping[str, Any]]) -> None:
    """For pages: a camera that is open here is in use for everybody else."""
    draft = run / f".camera-{view}.features"
    try:
        draft.write_text(json.dumps(features, ensure_ascii=False), encoding="utf-8")
        draft.replace(run / f"camera-{view}.features.json")
    except OSError as error:
        log.warning("features", camera=view, message=str(error))


def _told(view: str, bad: Bad) -> CameraEvent:
    detail = {"frame_id": bad.frame_id, "edge": None if bad.edge < 0 else bad.edge}
    return CameraEvent(view, EventKind(bad.kind), bad.message, detail)


def _tell_gaps(view: str, now: Counters, told: Counters, outbox: Outbox) -> None:
    if count := now.lost_frames - told.lost_frames:
        told.lost_frames = now.lost_frames
        message = f"{count} pictures were exposed and never came"
        outbox.event(CameraEvent(view, EventKind.LOST_FRAMES, message, {"count": count}))
    if count := now.missed_triggers - told.missed_triggers:
        told.missed_triggers = now.missed_triggers
        message = f"{count} triggers exposed nothing"
        outbox.event(CameraEvent(view, EventKind.MISSED_TRIGGERS, message, {"count": count}))


if __name__ == "__main__":
    file, run, name = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
    beat = Beat(run / f"camera-{name}.beat")
    logs.run(f"camera-{name}", lambda: main(file, name, frames_endpoint(run), beat))
