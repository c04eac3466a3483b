"""The line's end of its cameras: frames and events, from one socket.

Enters: descriptors from a Unix socket, pixels from shared memory. Leaves: ``Frame``s and
``CameraEvent``s.
The line imports this and ``messages``; it imports config and part.

A Mono8 or BGR8 picture is a view of the ring, and lives until ``slots`` more pictures of that
camera have come: ask ``still_valid`` after using it, and treat the part as not inspected if it says
no. Any other is converted, as much of it as is asked for, into a buffer of the thread that asks: it
stays in that thread's caches, where one for each slot of the ring never was.
"""

from __future__ import annotations

import contextlib
import select
import socket
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from inspector.cameras.formats import FORMATS, PixelFormat
from inspector.cameras.messages import (
    MESSAGE_MAX,
    CameraEvent,
    Descriptor,
    EventKind,
    ring_path,
    unpack,
)
from inspector.cameras.pixels import as_image, convert, empty, shape_of
from inspector.cameras.ring import Place, RingReader
from inspector.part import Area, Frame, Pixels


class FrameReceiver:
    """Listens at ``endpoint`` and hears every camera of the station.

    >>> receiver = FrameReceiver("/run/station/frames", ["side", "code"])
    >>> poller.register(receiver, select.POLLIN)
    >>> while (message := receiver.receive()) is not None: ...
    """

    def __init__(self, endpoint: str, cameras: Sequence[str]) -> None:
        """``cameras``: the names of the station's cameras in the order of its file."""
        self._endpoint = endpoint
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
        """The next message, None when there is none now; of several cameras', that of the one which
        has waited longest. Never waits.

        A picture that was overwritten before it was read comes as an ``overrun`` event, a camera
        process that has ended as a ``lost`` one: a killed one cannot tell.
        """
        while True:
            if not self._ready:
                self._ready = [fd for fd, _ in self._epoll.poll(0)]
                if not self._ready:
                    return None
            peer = self._peers.get(self._ready.pop(0))  # who has waited longest
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
                if gone := self._hang_up(peer):
                    return CameraEvent(gone, EventKind.LOST, "its process has ended")
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

    def pixels(self, frame: Frame, area: Area | None = None) -> Pixels | None:
        """The frame's picture, ``(h, w)`` grey or ``(h, w, 3)`` BGR, uint8, with ``area`` of it
        there, or all; None once it is overwritten. Good until the calling thread asks for another
        one of this camera, if ``still_valid`` says so afterwards. Any thread may ask.

        Demosaicing all of 1280x1024 costs 0.6 ms, and the tools look at a third of it."""
        return self._by_view[frame.view].pixels(frame, area)

    def still_valid(self, frame: Frame) -> bool:
        """Whether the pixels that were handed out are those of the frame's picture."""
        return self._by_view[frame.view].holds(frame)

    def lasts(self, frame: Frame, pictures: int) -> bool:
        """Whether the frame's pixels are there, and will be while so many more of its camera
        come; of the newest, as many as there can be."""
        return self._by_view[frame.view].lasts(frame, pictures)

    def descriptor(self, frame: Frame) -> Descriptor | None:
        """Where another process of this station finds the frame's raw pixels, while they last."""
        return self._by_view[frame.view].descriptor(frame)

    def trigger(self, *views: str) -> None:
        """Ask cameras on ``trigger: software`` for a picture each; who is not there gives none."""
        for view in views:
            with contextlib.suppress(OSError, KeyError):
                self._peer_of[view].send(b"trigger")

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

    def _hang_up(self, peer: socket.socket) -> str:
        """The camera whose connection it was, unless that has another by now."""
        del self._peers[peer.fileno()]
        gone = next((view for view, its in self._peer_of.items() if its is peer), "")
        self._peer_of.pop(gone, None)
        self._epoll.unregister(peer)
        peer.close()
        return gone

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
        edge = None if d.edge < 0 else d.edge
        if not camera.came(d, self._endpoint):
            return CameraEvent(
                camera.view,
                EventKind.OVERRUN,
                "the picture was overwritten before it was read",
                {"frame_id": d.frame_id, "edge": edge},
            )
        return Frame(camera.view, d.frame_id, edge, d.device_ns, d.host_ns, d.exposed_ns)


@dataclass(slots=True)
class _Kept:
    """A picture that the line was told of."""

    descriptor: Descriptor
    place: Place
    turn: int
    """It was the camera's so many-th."""
    converted: bool = False
    """Its pixels were handed out, in a buffer that no camera writes into."""


class _Camera:
    """One camera's ring, and the buffers that its pictures are converted into."""

    def __init__(self, view: str) -> None:
        self.view = view
        self._ring: RingReader | None = None
        self._turns = 0
        self._kept: dict[tuple[int, int], _Kept] = {}
        self._buffers: dict[int, Pixels] = {}
        """By thread."""

    def came(self, d: Descriptor, endpoint: str) -> bool:
        """Whether the picture is there."""
        ring = self._reader(d.ring, endpoint)
        place = Place(d.slot, d.generation)
        if ring is None or d.pixel_format not in FORMATS or ring.view(place, d.size) is None:
            return False
        self._turns += 1
        self._kept[d.frame_id, d.host_ns] = _Kept(d, place, self._turns)
        while len(self._kept) > 2 * ring.slots:
            del self._kept[next(iter(self._kept))]
        return True

    def pixels(self, frame: Frame, area: Area | None) -> Pixels | None:
        """The picture, converted if need be: ``area`` of it, or all. None: it is gone."""
        kept, ring = self._kept.get((frame.frame_id, frame.host_ns)), self._ring
        if kept is None or ring is None or ring.id != kept.descriptor.ring:
            return None
        d = kept.descriptor
        raw = ring.view(kept.place, d.size)
        if raw is None:
            return None
        form = FORMATS[d.pixel_format]
        if form.ready:
            return as_image(raw, form, d.width, d.height)
        out = convert(raw, form, d.width, d.height, self._buffer(form, d), area)
        kept.converted = ring.holds(kept.place)
        return out if kept.converted else None

    def attach(self, endpoint: str) -> None:
        """Open the ring now, so that its last pictures can be read after the camera is gone."""
        self.close()
        self._kept.clear()
        with contextlib.suppress(OSError, ValueError):
            self._ring = RingReader(ring_path(endpoint, self.view))

    def descriptor(self, frame: Frame) -> Descriptor | None:
        kept = self._kept.get((frame.frame_id, frame.host_ns))
        return None if kept is None else kept.descriptor

    def lasts(self, frame: Frame, pictures: int) -> bool:
        kept, ring = self._kept.get((frame.frame_id, frame.host_ns)), self._ring
        if kept is None or ring is None or not ring.holds(kept.place):
            return False
        slots = int(ring.slots)
        return self._turns - kept.turn + min(pictures, slots - 1) < slots

    def holds(self, frame: Frame) -> bool:
        kept, ring = self._kept.get((frame.frame_id, frame.host_ns)), self._ring
        if kept is None:
            return False
        return kept.converted or (ring is not None and ring.holds(kept.place))

    def close(self) -> None:
        self._ring = None  # whoever develops from it now keeps it until he has done

    def _reader(self, identity: int, endpoint: str) -> RingReader | None:
        if self._ring is None or self._ring.id != identity:
            self.attach(endpoint)
            if self._ring is None or self._ring.id != identity:
                return None  # a descriptor of a camera process that has ended since
        return self._ring

    def _buffer(self, form: PixelFormat, d: Descriptor) -> Pixels:
        thread = threading.get_ident()
        buffer = self._buffers.get(thread)
        if buffer is None or buffer.shape != shape_of(form, d.width, d.height):
            buffer = self._buffers[thread] = empty(form, d.width, d.height)
        return buffer
