"""A GenICam camera through harvesters: chosen, set, and drained.

Enters: a camera of the station file, a GenTL producer. Leaves: ``Shot``s and ``Bad``s. Imports
config; ``process.py`` uses it.

harvesters opens the device and owns buffers and node map. Frames are taken straight from the
binding's new-buffer event below harvesters' ``fetch``, because that polls with a time-out of 1 ms
and requeues incomplete buffers silently (harvesters 1.4.3, ``ImageAcquirer._fetch``). The GenTL
binding keeps Python's lock while it waits, so each camera has a process of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict
from typing import Any, Self

import numpy as np
from genicam import gentl

from inspector.cameras import encoder, features
from inspector.cameras.clock import UNKNOWN, CameraClock
from inspector.cameras.devices import enumerate_devices, open_device, select
from inspector.cameras.features import GENTL_ERRORS
from inspector.cameras.formats import FORMATS
from inspector.cameras.frameids import FrameIds
from inspector.cameras.inputs import Inputs
from inspector.cameras.ring import BUFFERS
from inspector.cameras.shot import Bad, CameraLost, CameraRefused, Counters, Identity, Shot
from inspector.config import Camera

_CHUNKS = ("FrameID", "Timestamp", "CounterValue", "ExposureTime")


class GenicamCamera:
    """One camera, open and acquiring. ``close`` it, whatever happened."""

    def __init__(self, config: Camera) -> None:
        """Open, set and start. ``CameraRefused``, ``CameraLost`` or ``ProducerError`` if not."""
        self._config = config
        self._counters = Counters()
        self._buffer: Any = None
        self._frame_ids = FrameIds()
        self._last_frame_id = -1
        self._last_edge = -1, -1
        self._chunk_size = -1
        self._chunks_end = "size_filled"
        self._tells_size = False
        self._views: dict[int, Any] = {}
        self._harvester = enumerate_devices([str(config.producer)])
        self._acquirer: Any = None
        try:
            info = select(self._harvester, config)
            self._acquirer = open_device(self._harvester, info)
            self._start(info)
        except features.FeatureError as error:
            self.close()
            raise CameraRefused(f"{config.name}: {error}") from error
        except GENTL_ERRORS as error:
            self.close()
            raise CameraLost(f"cannot be opened: {features.first_line(error)}") from error
        except BaseException:
            self.close()
            raise

    def _start(self, info: Mapping[str, Any]) -> None:
        config, acquirer = self._config, self._acquirer
        nodes = self._nodes = acquirer.remote_device.node_map
        loaded = _user_set(config.features)
        settings = features.apply(nodes, loaded)
        wanted = _with_defaults(_defaults(nodes, config), config.features)
        settings += features.apply(nodes, {k: v for k, v in wanted.items() if k not in loaded})
        if config.trigger == "encoder":
            encoder.check(nodes)
        self._width, self._height = int(nodes.Width.value), int(nodes.Height.value)
        self._trigger = nodes.get_node("TriggerSoftware") if config.trigger == "software" else None
        self._inputs = Inputs(nodes, config.signals) if config.signals else None
        acquirer.num_buffers = max(config.buffers or BUFFERS, acquirer.min_num_buffers)
        acquirer.start()
        self._clock = CameraClock(nodes, acquirer.device.module)
        self._stream = acquirer.data_streams[0].module
        self._packets = features.lost_packets((acquirer.data_streams[0].node_map, nodes))
        (self._event,) = acquirer._new_buffer_event_monitor_dict.values()
        self._edge_node = self._chunk_of_edges(nodes)
        self._chunk_adapter = acquirer._chunk_adapter
        self._has_chunk_list = info["transport"] not in ("U3V", "GEV")
        self._form = FORMATS.get(_pixel_format(nodes))
        if self._form is None:
            raise CameraRefused(
                f"{config.name}: PixelFormat {nodes.PixelFormat.value} is not supported; "
                f"take one of {', '.join(f.name for f in FORMATS.values())}"
            )
        self.slot_bytes = self._form.size(self._width, self._height)
        rows = features.rows(nodes)
        set_so = tuple(asdict(s) for s in settings)
        self.identity = Identity(dict(info), set_so, features.snapshot(rows), tuple(rows))

    def _chunk_of_edges(self, nodes: Any) -> Any:
        """The node that tells each picture's count of edges; None where there is none."""
        counts = self._config.trigger in ("hardware", "encoder")
        if not counts or not nodes.has_node("ChunkCounterValue"):
            return None
        active = features.has(nodes, "ChunkModeActive") and nodes.ChunkModeActive.value
        return nodes.get_node("ChunkCounterValue") if active else None

    def grab(self, timeout_ms: int) -> Shot | Bad | None:
        """The next picture, an unusable one, or None after ``timeout_ms``."""
        event = self._event
        try:
            event.update_event_data(timeout_ms)
            buffer = self._buffer = event.buffer
            frame_id = self._frame_ids.count(buffer.frame_id)
            if not buffer.is_complete():
                return self._bad("incomplete", "only part of the picture came", frame_id, -1)
            device_ns, edge = self._clock.ns(buffer), self._edge(buffer)
            try:
                width, height = buffer.width, buffer.height
                self._tells_size = True
            except UNKNOWN:
                if not self._is_whole(buffer):
                    return self._bad("incomplete", "only part of the picture came", frame_id, edge)
                width, height = self._width, self._height
            if (width, height) != (self._width, self._height):
                message = f"{width}×{height} came instead of {self._width}×{self._height}"
                return self._bad("wrong_size", message, frame_id, edge)
            data = self._pixels(buffer)
        except gentl.TimeoutException:
            return None
        except GENTL_ERRORS as error:
            raise CameraLost(features.first_line(error)) from error
        self._count(frame_id, edge)
        assert self._form is not None
        self._counters.frames += 1
        exposed_ns = self._clock.here(device_ns)
        return Shot(data, width, height, self._form.code, frame_id, edge, device_ns, exposed_ns)

    def _edge(self, buffer: Any) -> int:
        """The camera's count of trigger edges at this picture, from its chunk; -1 without one,
        which the first picture settles: counts that are missing later are a camera's failure.

        The chunks' layout is found once per length; after that only the buffer's address changes
        (measured: 12 instead of 47 µs).
        """
        node = self._edge_node
        if node is None:
            return -1
        if self._chunk_size < 0 and not self._has_chunk_list:
            self._chunks_end = _chunks_end(buffer)
        size = getattr(buffer, self._chunks_end)
        try:
            if size == self._chunk_size:
                self._chunk_adapter.update_buffer(buffer.raw_buffer)
            elif self._has_chunk_list:
                self._chunk_adapter.attach_buffer(buffer.raw_buffer, buffer.chunk_data_info_list)
            else:
                self._chunk_adapter.attach_buffer(buffer.raw_buffer, size)
            edge: int = node.value
        except GENTL_ERRORS:
            if self._chunk_size >= 0:
                raise
            self._edge_node = None
            return -1
        self._chunk_size = size
        return edge

    def _is_whole(self, buffer: Any) -> bool:
        """Whether a picture that came without its size is what was set: producers that cannot
        read it off a camera's chunks tell none, and others when something is amiss."""
        return not self._tells_size and _optional(buffer, "size_filled") >= self.slot_bytes

    def _pixels(self, buffer: Any) -> Any:
        """The picture's bytes: a view of the buffer, or a copy where its lines are padded."""
        view = self._views.get(buffer.context)
        if view is not None:
            return view
        raw = np.frombuffer(buffer.raw_buffer, np.uint8)
        at, padding = _optional(buffer, "image_offset"), _optional(buffer, "padding_x")
        if not padding:
            view = self._views[buffer.context] = raw[at : at + self.slot_bytes]
            return view
        line = self.slot_bytes // self._height
        lines = raw[at : at + (line + padding) * self._height].reshape(self._height, -1)
        return np.ascontiguousarray(lines[:, :line]).reshape(-1)

    def _count(self, frame_id: int, edge: int) -> None:
        """Gaps in the camera's counters: pictures that never came, edges that exposed nothing."""
        if self._last_frame_id >= 0 and frame_id > self._last_frame_id + 1:
            self._counters.lost_frames += frame_id - self._last_frame_id - 1
        self._last_frame_id = frame_id
        if edge < 0:
            return
        last_edge, last_id = self._last_edge
        if last_edge >= 0:
            self._counters.missed_triggers += max(0, edge - last_edge - (frame_id - last_id))
        self._last_edge = edge, frame_id

    def _bad(self, kind: str, message: str, frame_id: int, edge: int) -> Bad:
        if kind == "incomplete":
            self._counters.incomplete += 1
        else:
            self._counters.wrong_size += 1
        self._count(frame_id, edge)
        self.give_back()
        return Bad(kind, message, frame_id, edge)

    def give_back(self) -> None:
        """Queue the last picture's buffer again; its bytes are the camera's from now on."""
        buffer, self._buffer = self._buffer, None
        if buffer is None:
            return
        try:
            self._stream.queue_buffer(buffer)
        except GENTL_ERRORS as error:
            raise CameraLost(features.first_line(error)) from error

    def trigger(self) -> None:
        """Expose one picture; only where ``trigger: software`` is set."""
        if self._trigger is None:
            raise CameraRefused(f"{self._config.name}: not on software trigger")
        try:
            self._trigger.execute()
        except GENTL_ERRORS as error:
            raise CameraLost(features.first_line(error)) from error

    @property
    def counters(self) -> Counters:
        """Since the camera was opened."""
        return self._counters

    def statistics(self) -> dict[str, Any]:
        """Counters and temperature. Reads the camera itself, so a silent disconnect shows here."""
        answer: dict[str, Any] = {}
        try:
            self._nodes.Width.get_value(False, True)  # past GenApi's cache: is anybody there?
        except GENTL_ERRORS as error:
            raise CameraLost(f"does not answer: {features.first_line(error)}") from error
        with suppress(*GENTL_ERRORS):  # who is there need not tell it
            if (temperature := features.read(self._nodes, "DeviceTemperature")) is not None:
                answer["temperature_c"] = temperature
        self._clock.look()
        with suppress(*GENTL_ERRORS):
            self._counters.underruns = int(self._stream.num_underrun)
        with suppress(*GENTL_ERRORS):
            if self._packets is not None:
                self._counters.lost_packets = int(self._packets.get_value(False, True))
        return answer | asdict(self._counters)

    def signals(self) -> dict[str, bool]:
        """What the camera's input lines say; empty where none is wired."""
        if self._inputs is None:
            return {}
        try:
            return self._inputs.read()
        except GENTL_ERRORS as error:
            raise CameraLost(f"does not tell its lines: {features.first_line(error)}") from error

    def close(self) -> None:
        """Stop, destroy the acquirer and unload the producer, whatever state they are in."""
        self._buffer = None
        acquirer, self._acquirer = self._acquirer, None
        for _ in range(2 if acquirer is not None else 0):
            # the first call gives up half-way when the camera is gone: AcquisitionStop fails
            with suppress(Exception):
                acquirer.destroy()
        self._event = self._stream = self._nodes = self._trigger = None
        self._chunk_adapter = self._edge_node = self._packets = None
        self._views.clear()
        with suppress(Exception):
            self._harvester.reset()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def _user_set(wanted: Mapping[str, features.Value]) -> dict[str, features.Value]:
    """Of ``wanted`` what stands up to ``UserSetLoad``, which undoes all that was set before it."""
    names = list(wanted)
    upto = names.index("UserSetLoad") + 1 if "UserSetLoad" in wanted else 0
    return {name: wanted[name] for name in names[:upto]}


def _with_defaults(
    defaults: Mapping[str, features.Value], own: Mapping[str, features.Value]
) -> dict[str, features.Value]:
    """``own`` features after those ``defaults`` that they do not name; but a selector of theirs
    stands where ours would, so that what follows is set of what it selects."""
    kept = {k: v for k, v in defaults.items() if k not in own or k.endswith("Selector")}
    return kept | dict(own)


def _defaults(nodes: Any, config: Camera) -> dict[str, Any]:
    """What every camera of ours is set to before the station file's own features."""
    wanted: dict[str, Any] = {}
    if features.has(nodes, "AcquisitionMode", writable=True):
        wanted["AcquisitionMode"] = "Continuous"
    if features.has(nodes, "TriggerMode", writable=True):
        if features.has(nodes, "TriggerSelector", writable=True):
            there = nodes.TriggerSelector.symbolics
            exposure = "FrameStart" not in there and "ExposureStart" in there  # as IDS names it
            wanted["TriggerSelector"] = "ExposureStart" if exposure else "FrameStart"
        wanted["TriggerMode"] = "Off" if config.trigger == "free" else "On"
        if config.trigger == "software":
            wanted["TriggerSource"] = "Software"
        elif config.trigger == "hardware" and nodes.has_node("TriggerSource"):  # else it has one
            lines = [s for s in nodes.TriggerSource.symbolics if s.startswith("Line")]
            wanted["TriggerSource"] = lines[0] if lines else "Line0"
        elif config.trigger == "encoder":
            wanted |= encoder.defaults(nodes, config)
    elif config.trigger != "free":
        raise CameraRefused(f"{config.name}: this camera has no trigger; use `trigger: free`")
    if features.has(nodes, "ChunkModeActive", writable=True):
        wanted["ChunkModeActive"] = True
        with suppress(*GENTL_ERRORS):
            nodes.ChunkModeActive.value = True  # until then many a camera lets none be chosen
            _enable_chunks(nodes)
    return wanted


def _enable_chunks(nodes: Any) -> None:
    """Chunks are enabled one by one where the camera has a selector for them (SFNC)."""
    if not features.has(nodes, "ChunkSelector", writable=True):
        return
    there = nodes.ChunkSelector.symbolics
    for name in (name for name in _CHUNKS if name in there):
        with suppress(*GENTL_ERRORS):  # one that it will not have keeps none of the others away
            nodes.ChunkSelector.value = name
            if features.has(nodes, "ChunkEnable", writable=True):
                nodes.ChunkEnable.value = True


def _pixel_format(nodes: Any) -> int:
    return int(nodes.PixelFormat.get_int_value())


def _chunks_end(buffer: Any) -> str:
    """Where a buffer tells how far its chunks go, which GenApi reads from their end: what is
    filled may go on behind them (FLIR's Grasshopper; harvesters, issue 276)."""
    ends = "delivered_chunk_payload_size"
    return ends if _optional(buffer, ends) else "size_filled"


def _optional(buffer: Any, name: str) -> int:
    try:
        return int(getattr(buffer, name))
    except gentl.GenericException:
        return 0
