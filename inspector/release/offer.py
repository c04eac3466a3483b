"""What the line offers to whoever judges beside it: each verdict, and where its pictures lie.

Enters: verdicts and their frames' descriptors, from the line. Leaves: one message per part, to a
process of its own that copies the pixels out of the ring while they last and asks the ring's
generation afterwards. The line waits for nobody and pays 5 µs a part when nobody listens. Imports
cameras, bus and part; the line and ``shadow`` import this.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import zmq

from inspector.bus import endpoint
from inspector.cameras.formats import FORMATS
from inspector.cameras.messages import Descriptor, frames_endpoint, ring_path
from inspector.cameras.pixels import convert, empty
from inspector.cameras.ring import Place, RingReader
from inspector.part import Pixels, Severity, Verdict

SOCKET = "offers"


class Offers:
    """The line's end."""

    def __init__(self, run: Path, context: zmq.Context[Any] | None = None) -> None:
        self._listeners = 0
        self._socket: zmq.Socket[bytes] = (context or zmq.Context.instance()).socket(zmq.XPUB)
        self._socket.setsockopt(zmq.LINGER, 0)
        self._socket.setsockopt(zmq.SNDHWM, 4)
        self._socket.bind(endpoint(run, SOCKET))

    def wanted(self) -> bool:
        """Whether anybody listens."""
        while int(self._socket.get(zmq.EVENTS)) & zmq.POLLIN:
            self._listeners += 1 if self._socket.recv(zmq.NOBLOCK)[:1] == b"\x01" else -1
        return self._listeners > 0

    def put(
        self,
        verdict: Verdict,
        views: Mapping[str, Descriptor],
        texts: Mapping[str, str],
        product: str,
        spent: Mapping[Severity, int] | None = None,
    ) -> None:
        """Offer a part. Never waits. ``spent``: what its batch's limits had let through before it,
        which is the measure that it was judged by; None where they let nothing through."""
        body = {
            "part": str(verdict.part_id),
            "stream": verdict.stream,
            "sequence": verdict.sequence,
            "outcome": verdict.outcome,
            "mode": verdict.mode,
            "batch": verdict.batch,
            "product": product,
            "spent": None if spent is None else {str(s): n for s, n in spent.items()},
            "texts": dict(texts),
            "recipe": verdict.recipe,
            "digest": verdict.recipe_digest,
            "reasons": verdict.reasons[:4],
            "labels": sorted({f.label for f in verdict.findings if not f.ok}),
            "utc_ns": verdict.times.utc_ns,
            "synced": verdict.times.clock_synced,
            "views": {view: list(place) for view, place in views.items()},
        }
        try:
            text = json.dumps(body, ensure_ascii=False).encode("utf-8", "replace")
            self._socket.send(text, zmq.NOBLOCK)
        except zmq.Again:
            return

    def close(self) -> None:
        """Stop offering."""
        self._socket.close()


@dataclass(frozen=True, slots=True)
class Offer:
    """One part, as the line judged it."""

    body: Mapping[str, Any]
    places: Mapping[str, Descriptor]

    @property
    def recipe(self) -> str:
        """The recipe's name."""
        return str(self.body["recipe"]).partition("@")[0]


class OfferReader:
    """The other end: the newest part, and its pictures while the ring still has them."""

    def __init__(self, run: Path, context: zmq.Context[Any] | None = None) -> None:
        self._frames = frames_endpoint(run)
        self._rings: dict[str, RingReader] = {}
        self.socket: zmq.Socket[bytes] = (context or zmq.Context.instance()).socket(zmq.SUB)
        self.socket.setsockopt(zmq.LINGER, 0)
        self.socket.setsockopt(zmq.CONFLATE, 1)  # whoever is slow takes the newest, not the next
        self.socket.setsockopt(zmq.RECONNECT_IVL, 50)
        self.socket.setsockopt(zmq.SUBSCRIBE, b"")
        self.socket.connect(endpoint(run, SOCKET))

    def receive(self, timeout_ms: int) -> Offer | None:
        """The newest offer within the time, or None."""
        if not self.socket.poll(timeout_ms):
            return None
        body = json.loads(self.socket.recv())
        places = {view: Descriptor(*place) for view, place in body.pop("views").items()}
        return Offer(body, places)

    def pictures(self, offer: Offer) -> dict[str, Pixels] | None:
        """Copies of the part's pictures, grey or BGR; None when one was overwritten meanwhile."""
        found = {}
        for view, d in offer.places.items():
            pixels = self._picture(view, d)
            if pixels is None:
                return None
            found[view] = pixels
        return found or None

    def close(self) -> None:
        """Stop listening."""
        self.socket.close()
        for ring in self._rings.values():
            ring.close()

    def _picture(self, view: str, d: Descriptor) -> Pixels | None:
        ring = self._rings.get(view)
        if ring is None or ring.id != d.ring:
            if ring is not None:
                ring.close()
                del self._rings[view]
            try:
                ring = self._rings[view] = RingReader(ring_path(self._frames, view))
            except (OSError, ValueError):
                return None
            if ring.id != d.ring:
                return None
        form, place = FORMATS.get(d.pixel_format), Place(d.slot, d.generation)
        raw = ring.view(place, d.size)
        if form is None or raw is None:
            return None
        mine = np.array(raw)
        if not ring.holds(place):
            return None
        return convert(mine, form, d.width, d.height, empty(form, d.width, d.height))
