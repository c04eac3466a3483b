"""The line's end of its cameras: frames and events, from one socket.

Enters: descriptors from a Unix socket, pixels from shared memory. Leaves: ``Frame``s and
``CameraEvent``s.
The line imports this and ``messages``; it imports config and part.

A Mono8 or BGR8 picture is a view of the ring, any other is converted (*developed*) into a buffer
that was allocated before, as much of it as is asked for. Both live until ``slots`` more pictures of
that camera have come: ask ``still_valid`` after using a frame's pixels, and treat the part as not
inspected if it says no.
"""

from __future__ import annotations

import contextlib
import select
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import numpy as np

from inspector.cameras.formats import FORMATS, PixelFormat
from inspector.cameras.messages import (
    MESSAGE_MAX,
    CameraEvent,
    Descriptor,
    EventKind,
    ring_path,
    unpack,
)
from inspector.cameras.pixels import as_image, convert, empty
from inspector.cameras.ring import Place, RingReader
from inspector.part import Area, Frame, Pixels


class FrameReceiver:
    """Listens at ``endpoint`` and hears every camera of the station.

    >>> receiver = FrameReceiver("/run/station/frames", ["side", "code"])
    >>> poller.register(receiver, select.POLLIN)
    >>> while (message := receiver.receive()) is not None: ...
    """

    def __init__(self, endpoint: str, cameras: Sequence[str], *, develop: bool = True) -> None:
        """``cameras``: the names of the station's cameras in the order of its file. Without
        ``develop`` a picture that must be converted waits until somebody asks for what he needs
        of it: demosaicing all of 1280x1024 costs 0.6 ms, the tools look at a third of it."""
        self._endpoint = endpoint
        self._develop = develop
        self._cameras = [_Camera(name) for name in cameras]
        self._by_view = {camera.view: camera for camera in self._cameras}
        Path(endpoint).unlink(missing_ok=True)
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_NONBLOCK)
        self._listener.bind(endpoint)
        self._listener.listen(64)
        self._epoll = select.epoll()
        self._epoll.register(self._listener, select.EPOLLIN)
        self._peers: dict[int, socket.socket] = {}
        self._peer_of: dict[str, socket.socket] = {}
        self._ready: list[int] = []
        self._message = memoryview(bytearray(MESSAGE_MAX))

    def fileno(self) -> int:
        """Readable when ``receive`` may have something."""
        return self._epoll.fileno()

    def receive(self) -> Frame | CameraEvent | None:
        """The next message, None when there is none now. Never waits.

        A picture that was overwritten before it was read comes as an ``overrun`` event.
        """
        while True:
            if not self._ready:
                self._ready = [fd for fd, _ in self._epoll.poll(0)]
                if not self._ready:
                    return None
            peer = self._peers.get(self._ready.pop())
            if peer is None:
                self._accept()
                continue
            try:
                size = peer.recv_into(self._message)
            except BlockingIOError:
                continue
            except OSError:
                size = 0
            if not size:
                self._hang_up(peer)
                continue
            content = unpack(self._message[:size])
            if isinstance(content, Descriptor):
                return self._frame(content)
            if isinstance(content, str):
                self._peer_of[content] = peer
                continue
            camera = self._by_view.get(content.view)
            if camera is not None and content.kind is EventKind.CONNECTED:
                camera.attach(self._endpoint)
            return content

    def still_valid(self, frame: Frame) -> bool:
        """Whether the frame's pixels are still those of its picture."""
        return self._by_view[frame.view].holds(frame)

    def lasts(self, frame: Frame, pictures: int) -> bool:
        """Whether the frame's pixels are there, and will be while so many more of its camera
        come; of the newest, as many as there can be."""
        return self._by_view[frame.view].lasts(frame, pictures)

    def develop(self, frame: Frame, area: Area | None = None) -> Pixels:
        """The frame's pixels with ``area`` of them there, or all; only where ``develop`` was said
        to wait. What was too late, ``still_valid`` tells. Any thread may ask, one a frame."""
        self._by_view[frame.view].develop(frame, area)
        return frame.pixels

    def descriptor(self, frame: Frame) -> Descriptor | None:
        """Where another process of this station finds the frame's raw pixels, while they last."""
        return self._by_view[frame.view].descriptor(frame)

    def trigger(self, view: str) -> bool:
        """Ask a camera on ``trigger: software`` for a picture; False when it is not there."""
        with contextlib.suppress(OSError, KeyError):
            return self._peer_of[view].send(b"trigger") > 0
        return False

    def close(self) -> None:
        """Stop listening; frames that are out stay readable."""
        self._epoll.close()
        self._listener.close()
        for peer in self._peers.values():
            peer.close()
        for camera in self._cameras:
            camera.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):  # it has gone again
            peer, _ = self._listener.accept()
            peer.setblocking(False)
            self._peers[peer.fileno()] = peer
            self._epoll.register(peer, select.EPOLLIN)

    def _hang_up(self, peer: socket.socket) -> None:
        del self._peers[peer.fileno()]
        self._peer_of = {view: p for view, p in self._peer_of.items() if p is not peer}
        self._epoll.unregister(peer)
        peer.close()

    def __enter__(self) -> FrameReceiver:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self.close()

    def _frame(self, d: Descriptor) -> Frame | CameraEvent:
        camera = self._cameras[d.camera]
        pixels = camera.pixels(d, self._endpoint)
        if pixels is None:
            return CameraEvent(
                camera.view,
                EventKind.OVERRUN,
                "the picture was overwritten before it was read",
                {"frame_id": d.frame_id, "edge": None if d.edge < 0 else d.edge},
            )
        edge = None if d.edge < 0 else d.edge
        frame = Frame(camera.view, pixels, d.frame_id, edge, d.device_ns, d.host_ns, d.exposed_ns)
        if self._develop:
            camera.develop(frame, None)
        return frame


@dataclass(slots=True)
class _Kept:
    """A picture that was handed out."""

    place: Place
    """In the ring, or in the pool of converted pictures."""
    descriptor: Descriptor
    turn: int
    """It was the camera's so many-th."""
    developed: Area = (0, 0, 0, 0)
    """How much of it is converted."""
    spoilt: bool = False
    """It was overwritten before, or while, it was converted."""


class _Camera:
    """One camera's ring, and the buffers that its pictures are converted into."""

    def __init__(self, view: str) -> None:
        self.view = view
        self._ring: RingReader | None = None
        self._format: tuple[int, int, int] | None = None
        self._pool: list[Pixels] = []
        self._turn = np.zeros(0, np.int64)
        self._turns = 0
        self._kept: dict[tuple[int, int], _Kept] = {}

    def pixels(self, d: Descriptor, endpoint: str) -> Pixels | None:
        """Where the picture is, or will be once it is developed; None when it is gone."""
        ring = self._reader(d.ring, endpoint)
        form = FORMATS.get(d.pixel_format)
        if ring is None or form is None:
            return None
        place = Place(d.slot, d.generation)
        raw = ring.view(place, d.size)
        if raw is None:
            return None
        self._turns += 1
        if form.ready:
            self._remember(_Kept(place, d, self._turns), ring.slots)
            return as_image(raw, form, d.width, d.height)
        self._prepare(form, d, ring.slots)
        slot = self._turns % len(self._pool)
        self._turn[slot] = self._turns
        self._remember(_Kept(Place(slot, self._turns), d, self._turns), ring.slots)
        return self._pool[slot]

    def develop(self, frame: Frame, area: Area | None) -> None:
        """Convert the picture, if need be: ``area`` of it, or all."""
        kept = self._kept.get((frame.frame_id, frame.host_ns))
        if kept is None or kept.spoilt or not self._pool:
            return
        d, ring = kept.descriptor, self._ring
        wanted = area or (0, 0, d.width, d.height)
        left, top, right, bottom = kept.developed
        if left <= wanted[0] and top <= wanted[1] and right >= wanted[2] and bottom >= wanted[3]:
            return
        place = Place(d.slot, d.generation)
        raw = None if ring is None or ring.id != d.ring else ring.view(place, d.size)
        if raw is not None:
            convert(raw, FORMATS[d.pixel_format], d.width, d.height, frame.pixels, area)
        kept.spoilt = raw is None or ring is None or not ring.holds(place)
        kept.developed = wanted

    def attach(self, endpoint: str) -> None:
        """Open the ring now, so that its last pictures can be read after the camera is gone."""
        self.close()
        self._kept.clear()
        self._pool, self._format = [], None
        with contextlib.suppress(OSError, ValueError):
            self._ring = RingReader(ring_path(endpoint, self.view))

    def descriptor(self, frame: Frame) -> Descriptor | None:
        kept = self._kept.get((frame.frame_id, frame.host_ns))
        return None if kept is None else kept.descriptor

    def lasts(self, frame: Frame, pictures: int) -> bool:
        kept, ring = self._kept.get((frame.frame_id, frame.host_ns)), self._ring
        if kept is None or ring is None or not self.holds(frame):
            return False
        slots = int(ring.slots)
        return self._turns - kept.turn + min(pictures, slots - 1) < slots

    def holds(self, frame: Frame) -> bool:
        kept = self._kept.get((frame.frame_id, frame.host_ns))
        if kept is None or kept.spoilt:
            return False
        if self._pool:
            return int(self._turn[kept.place.slot]) == kept.place.generation
        return self._ring is not None and self._ring.holds(kept.place)

    def close(self) -> None:
        self._ring = None  # whoever develops from it now keeps it until he has done

    def _reader(self, identity: int, endpoint: str) -> RingReader | None:
        if self._ring is None or self._ring.id != identity:
            self.attach(endpoint)
            if self._ring is None or self._ring.id != identity:
                return None  # a descriptor of a camera process that has ended since
        return self._ring

    def _prepare(self, form: PixelFormat, d: Descriptor, slots: int) -> None:
        shape = (form.code, d.width, d.height)
        if self._format != shape:
            self._format = shape
            self._pool = [empty(form, d.width, d.height) for _ in range(slots)]
            self._turn = np.zeros(slots, np.int64)

    def _remember(self, kept: _Kept, slots: int) -> None:
        d = kept.descriptor
        self._kept[d.frame_id, d.host_ns] = kept
        while len(self._kept) > 2 * slots:
            del self._kept[next(iter(self._kept))]
