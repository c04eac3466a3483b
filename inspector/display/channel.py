"""From the line to its screens: each part's picture, overlay and verdict in one message.

The line calls ``Display``; screens read with ``DisplayReader``. One message is
``HEADER + JSON + JPEG + JPEG …``, one part, so that CONFLATE may drop it only as a whole. A message
starts with its topic: a pass, a reject, or the status. Nothing is encoded for which nobody listens.
"""

from __future__ import annotations

import json
import struct
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import zmq

from inspector.bus import endpoint
from inspector.display.reduced import MAX_SIDE, reduced
from inspector.display.status import Counts, Status
from inspector.part import Finding, Outcome, Pictures, Pixels, Verdict

HEADER = struct.Struct("<2sBBIQq")
"""Topic; layout version; number of pictures; bytes of JSON; part number; monotonic ns."""
PARTS = "V"
"""What the topics of every part start with."""
VERSION = 1
HEARTBEAT_S = 0.2
"""How often the line calls ``beat``. Screens go blank when the last one is 800 ms old."""


class Topic(StrEnum):
    """The first two bytes of a message."""

    PASS = "VP"
    REJECT = "VR"
    """Everything that is not a pass."""
    HISTORY = "VH"
    """A reject from before a page was opened; the web process makes these, the line never."""
    STATUS = "ST"
    DESK = "DK"
    """What the desk has to say: calls for help, the order, quality; the web process makes these."""


@dataclass(frozen=True, slots=True)
class Message:
    """A message taken apart."""

    topic: Topic
    part: int
    """The part's number in its stream; 0 for a status."""
    sent_ns: int
    """When the line sent it, on this machine's monotonic clock."""
    body: Mapping[str, Any]
    pictures: tuple[bytes, ...]
    """JPEGs, in the order of ``body["views"]``."""


class Display:
    """The line's side. Every call is cheap when nobody listens, and none ever blocks."""

    def __init__(
        self,
        run: Path,
        *,
        pass_interval_ms: float = 80.0,
        reject_interval_ms: float = 20.0,
        max_side: int = MAX_SIDE,
        jpeg_quality: int = 80,
        clock: Callable[[], int] = time.monotonic_ns,
        context: zmq.Context[Any] | None = None,
    ) -> None:
        """Publish in ``run``.

        No more than one pass and one reject per interval is encoded: nobody sees more, and a VGA
        JPEG costs 1 ms of the line's core. Larger pictures are reduced to ``max_side`` pixels.
        """
        self._clock = clock
        self._interval_ns = {
            Topic.PASS: int(pass_interval_ms * 1e6),
            Topic.REJECT: int(reject_interval_ms * 1e6),
        }
        self._last_ns = {Topic.PASS: -(1 << 62), Topic.REJECT: -(1 << 62)}
        self._max_side = max_side
        self._quality = jpeg_quality
        self._topics: set[bytes] = set()
        self._socket: zmq.Socket[bytes] = (context or zmq.Context.instance()).socket(zmq.XPUB)
        self._socket.setsockopt(zmq.LINGER, 0)
        # A screen that hangs must not pile up pictures here; XPUB drops what is over.
        self._socket.setsockopt(zmq.SNDHWM, 4)
        self._socket.bind(endpoint(run, "display"))

    def wants(self, outcome: Outcome) -> bool:
        """Whether ``show`` would encode a part of this outcome now."""
        topic = _topic(outcome)
        if not self.heard(topic):
            return False
        return self._clock() - self._last_ns[topic] >= self._interval_ns[topic]

    def show(self, verdict: Verdict, frames: Pictures, counts: Counts, product: str = "") -> bool:
        """Publish ``verdict`` with its pictures by view; whether anybody wanted it.

        The pixels are read before it returns and not kept (I6).
        """
        if not self.wants(verdict.outcome):
            return False
        topic = _topic(verdict.outcome)
        now = self._clock()
        self._last_ns[topic] = now
        pictures = {view: self._encode(pixels) for view, pixels in frames.items()}
        views = [
            {"name": view, "width": shape[1], "height": shape[0], "bytes": len(pictures[view])}
            for view, shape in ((view, pixels.shape) for view, pixels in frames.items())
        ]
        body = _shown(verdict) | {
            "views": views,
            "counts": _fields(counts),
            "product": product,
        }
        self._send(pack(topic, verdict.sequence, now, body, pictures.values()))
        return True

    def beat(self, status: Status) -> bool:
        """Publish the heartbeat; call it every ``HEARTBEAT_S``. Whether anybody listens."""
        if not self.heard(Topic.STATUS):
            return False
        # `dataclasses.asdict` copies every figure by itself: three times what all of this costs.
        body = _fields(status) | {
            "counts": _fields(status.counts),
            "health": [_fields(one) for one in status.health],
            "alarms": [_fields(one) for one in status.alarms],
        }
        self._send(pack(Topic.STATUS, 0, self._clock(), body))
        return True

    def close(self) -> None:
        """Stop publishing. Another ``Display`` may open here once the context has ended."""
        self._socket.close()

    def _encode(self, pixels: Pixels) -> bytes:
        import cv2  # Here, because readers need none, and it costs each process its memory.

        small = reduced(pixels, self._max_side)
        return cv2.imencode(".jpg", small, (cv2.IMWRITE_JPEG_QUALITY, self._quality))[1].tobytes()

    def heard(self, topic: Topic) -> bool:
        """Whether anybody subscribes to ``topic``; XPUB hears of the first and of the last."""
        while int(self._socket.get(zmq.EVENTS)) & zmq.POLLIN:
            note = self._socket.recv(zmq.NOBLOCK)
            if note[:1] == b"\x01":
                self._topics.add(note[1:])
            elif note[:1] == b"\x00":
                self._topics.discard(note[1:])
        return any(topic.encode().startswith(prefix) for prefix in self._topics)

    def _send(self, message: bytes) -> None:
        try:
            self._socket.send(message, zmq.NOBLOCK)
        except zmq.Again:
            return


class DisplayReader:
    """The newest message of a topic, older ones dropped (CONFLATE)."""

    def __init__(
        self,
        run: Path,
        topic: str = PARTS,
        context: zmq.Context[Any] | None = None,
    ) -> None:
        """Listen to the line of ``run``, which need not run yet."""
        self.socket = subscriber(run, topic, context or zmq.Context.instance())

    def receive(self, timeout: float = 0.0) -> Message | None:
        """The newest message within ``timeout`` seconds, or None."""
        return unpack(self.socket.recv()) if self.socket.poll(int(timeout * 1000)) else None

    def close(self) -> None:
        """Stop listening."""
        self.socket.close()


def subscriber(run: Path, topic: str, context: zmq.Context[Any], conflate: bool = True) -> Any:
    """A SUB socket of ``context`` (asyncio's too) on the display of ``run``.

    One topic each: CONFLATE also drops all but the last *subscription* when it connects.
    """
    socket = context.socket(zmq.SUB)
    socket.setsockopt(zmq.LINGER, 0)
    socket.setsockopt(zmq.RECONNECT_IVL, 50)
    socket.setsockopt(*((zmq.CONFLATE, 1) if conflate else (zmq.RCVHWM, 32)))
    socket.setsockopt(zmq.SUBSCRIBE, topic.encode())
    socket.connect(endpoint(run, "display"))
    return socket


def _fields(noun: Any) -> dict[str, Any]:
    """The fields of a dataclass, as they are."""
    return {name: getattr(noun, name) for name in noun.__dataclass_fields__}


def pack(
    topic: Topic, part: int, sent_ns: int, body: Mapping[str, Any], pictures: Iterable[bytes] = ()
) -> bytes:
    """One message. NaN and infinity become null: JSON has none; a lone surrogate, of a damaged
    code, becomes a question mark."""
    blobs = tuple(pictures)
    try:
        text = json.dumps(body, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    except ValueError:
        text = json.dumps(_finite(body), ensure_ascii=False, separators=(",", ":"))
    raw = text.encode("utf-8", "replace")
    head = HEADER.pack(topic.encode(), VERSION, len(blobs), len(raw), part, sent_ns)
    return b"".join((head, raw, *blobs))


def unpack(message: bytes) -> Message:
    """Take ``message`` apart. Raises ``ValueError`` if it is not one."""
    try:
        topic, version, pictures, size, part, sent_ns = HEADER.unpack_from(message)
        if version != VERSION:
            raise ValueError(f"display message of version {version}, expected {VERSION}")
        start = HEADER.size + size
        body = json.loads(message[HEADER.size : start])
        blobs = []
        for view in body.get("views", ()):
            blobs.append(message[start : start + view["bytes"]])
            start += view["bytes"]
        if len(blobs) != pictures or start != len(message):
            raise ValueError("a display message's pictures do not fit its header")
        return Message(Topic(topic.decode()), part, sent_ns, body, tuple(blobs))
    except (struct.error, UnicodeDecodeError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"not a display message: {error}") from error


def _topic(outcome: Outcome) -> Topic:
    return Topic.PASS if outcome is Outcome.PASS else Topic.REJECT


def _shown(verdict: Verdict) -> dict[str, Any]:
    times = verdict.times
    return {
        "station": verdict.station,
        "stream": verdict.stream,
        "sequence": verdict.sequence,
        "part_id": str(verdict.part_id),
        "outcome": verdict.outcome,
        "mode": verdict.mode,
        "batch": verdict.batch,
        "recipe": verdict.recipe,
        "serial": verdict.serial,
        "reasons": verdict.reasons,
        "utc_ms": times.utc_ns // 1_000_000,
        "judged_ms": (times.verdict_ns - times.trigger_ns) / 1e6 if times.trigger_ns else None,
        "findings": [_finding(finding) for finding in verdict.findings],
    }


def _finding(finding: Finding) -> dict[str, Any]:
    shown = {name: getattr(finding, name) for name in ("tool", "kind", "label", "ok", "view")}
    shown["score"] = round(float(finding.score), 3)
    if finding.box is not None:
        shown["box"] = [round(float(side), 1) for side in finding.box]
    if not finding.ok:
        shown |= {"severity": finding.severity, "reason": finding.reason}
    if finding.text is not None:
        shown["text"] = finding.text
    if finding.value is not None:
        shown |= {"value": float(finding.value), "unit": finding.unit}
    return shown


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    if isinstance(value, float) and (value != value or abs(value) == float("inf")):
        return None
    return value
