"""Which frame shows which part where no PLC counts them but the first camera, the *eye* (I2).

Enters: the eye's frames and what they have counted (``eye.py``), the frames of the other cameras.
Leaves: what ``matching.py`` says. Imports that, ``alignment.py`` and part; the line imports it.

A camera that exposes with the belt as the eye does, or is asked for each part, shows a part always
so much after or before the eye: its *lag*. So a picture is that of the part whose trigger lies
where the lag puts it, whatever either camera has counted, missed or lost; one that lies beside
every trigger by half the way of the closest parts is nobody's. At an even pitch many lags fit all
pictures, so it is learned when only one can: from the first picture after the belt has rested. A
camera that is asked needs no rest: it shows the part that it was asked for.

Where a camera does not tell when it exposed, its count of pictures has to do, from such a rest on;
and from its first picture on where nothing ties its exposures to the eye's.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from inspector.line.alignment import EARLY_NS, NEVER, PROOFS
from inspector.line.matching import Matching, edge_of
from inspector.part import Frame, Part

SURE = 4 * PROOFS
"""As many frames as count. With a wrong lag one in three fits by chance where parts come as they
like: five in a row that do not are enough to give it up."""


@dataclass(slots=True)
class _Camera:
    """What is known of one camera."""

    view: str
    window_ns: int
    """No picture is farther than this from its part's trigger."""
    timed: bool
    """Its exposures follow the eye's, …"""
    asked: bool
    """… as it is asked for each part."""
    edge: int | None = None
    """Its count at its newest frame, …"""
    seen_ns: int = NEVER
    """… and when that was exposed."""
    blind_ns: int = -NEVER
    """Until when parts may have gone by of which it tells nothing; far ahead: it is not there."""
    first: Frame | None = None
    """Its first frame after a rest, until it is known whether the eye's first is of that part."""
    lag_ns: int | None = None
    """From a part's trigger to its exposure …"""
    fits: int = 0
    """… and how many frames have fitted that, less `PROOFS` for each that has not."""
    offset: int | None = None
    """From its count to the part's number, where it goes by that."""
    unknown: bool = False
    """It has been said that nobody knows which parts it shows."""

    @property
    def rest_ns(self) -> int:
        """Parts that are so far apart cannot be taken for one another by their frames' times."""
        return 2 * self.window_ns

    def forget(self) -> None:
        """How it follows the eye is not known any more."""
        self.lag_ns = self.offset = self.first = None
        self.fits = 0


class EyeMatching(Matching):
    """Parts between their trigger and their verdict, counted by a camera."""

    def __init__(
        self,
        windows_ns: Mapping[str, int],
        pitch_ns: int,
        new_part: Callable[[int], Part],
        views_of: Callable[[int], Sequence[str]],
        timed: Collection[str],
        asked: Collection[str] = (),
    ) -> None:
        """As ``Matching``; the first of ``windows_ns`` is the eye. ``timed``: the others whose
        exposures follow its; ``asked``: those that expose when this machine asks them."""
        super().__init__(windows_ns, pitch_ns, new_part, views_of)
        self._pitch_ns = pitch_ns
        self._cameras = {
            view: _Camera(view, window_ns, view in timed, view in asked)
            for view, window_ns in windows_ns.items()
        }
        self._eye = next(iter(self._cameras.values()))

    def camera_reset(self, view: str, now_ns: int, there: bool = True) -> None:
        camera = self._cameras[view]
        camera.blind_ns = now_ns if there else -NEVER
        camera.edge = None
        for tied in self._cameras.values() if camera is self._eye else (camera,):
            tied.fits = 0  # what was learned is still so, unless `camera` hangs elsewhere now
            tied.first = tied.offset = None
            self._drop_held(tied.view)

    def spoil(self, view: str, edge: int | None, why: str, now_ns: int) -> None:
        camera = self._cameras[view]
        camera.blind_ns = max(camera.blind_ns, now_ns)

    def told(self, told_ns: int, own_ns: int | None = None) -> None:
        super().told(told_ns, own_ns)
        for camera in self._cameras.values():
            self._place_held(camera)

    def number(self, frame: Frame) -> int:
        offset = self._cameras[frame.view].offset
        return 0 if offset is None else edge_of(frame) + offset

    def frame(self, frame: Frame) -> None:
        camera, at_ns, edge = self._cameras[frame.view], _at_ns(frame), edge_of(frame)
        if camera.edge is not None and edge != camera.edge + 1:
            camera.blind_ns = max(camera.blind_ns, at_ns)  # what came between came to nothing
            if edge <= camera.edge:
                camera.offset = None  # it counts anew
        if camera.timed:
            if frame.exposed_ns:
                camera.offset = None  # what time refutes would not show in it
            unseen_ns = max(camera.seen_ns, camera.blind_ns, self._eye.blind_ns)
            if camera.asked or at_ns >= unseen_ns + camera.rest_ns:
                camera.first = frame
        elif camera.offset is None:
            camera.offset = self._uncounted(camera) - edge
        camera.edge, camera.seen_ns = edge, max(camera.seen_ns, at_ns)
        held = self._held[camera.view]
        while held and (len(held) == held.maxlen or at_ns > _at_ns(held[0]) + camera.rest_ns):
            self._is_nobodys(camera, held.popleft())
        held.append(frame)
        self._place_held(camera)

    def _uncounted(self, camera: _Camera) -> int:
        """The part that a camera shows first of which only the count is known."""
        lacking = (n for n, c in self.parts.items() if camera.view not in c.part.frames)
        return self.newest + 1 if camera is self._eye else next(lacking, self.newest + 1)

    def _place_held(self, camera: _Camera) -> None:
        self._learn(camera)
        held = self._held[camera.view]
        while held and (number := self._shown(camera, held[0])) is not None:
            frame, candidate = held.popleft(), self.parts.get(number)
            if not number:
                self._is_nobodys(camera, frame)
            elif candidate is None or camera.view in candidate.part.frames:
                self.orphans += 1
            else:
                self._put(number, frame)

    def _learn(self, camera: _Camera) -> None:
        """How the camera follows the eye, once its first frame after a rest tells."""
        frame = camera.first
        if frame is None or (number := self._first_shown(camera, _at_ns(frame))) is None:
            return
        camera.first = None
        if not number:
            return
        camera.unknown = False
        lag_ns, offset = _at_ns(frame) - self._triggers.ns[number], number - edge_of(frame)
        if not frame.exposed_ns:
            wrong, camera.offset = camera.offset not in (None, offset), offset
        elif camera.lag_ns is None:
            wrong, camera.lag_ns = False, lag_ns
        else:
            later_ns, half_ns = lag_ns - camera.lag_ns, self._pitch_ns // 2
            wrong = abs(later_ns) >= half_ns and not camera.asked
            if camera.asked and later_ns <= -half_ns:  # then those before it were asked for late
                camera.lag_ns = lag_ns
        if wrong:  # it was learned from a rest that misled, or this one does
            doubt = f"{camera.view}: the frame of part {number} does not fit its trigger"
            self.doubts.append(doubt)
            camera.forget()
            self._drop_held(camera.view)

    def _first_shown(self, camera: _Camera, at_ns: int) -> int | None:
        """The part that an exposure at ``at_ns``, the first after a rest, shows: that of the eye's
        first after a rest. 0: that cannot be told; None: not yet."""
        triggers = self._triggers.ns
        if camera.asked:
            ago = ((number, at_ns - ns) for number, ns in triggers.items())
            return next((number for number, ns in ago if 0 <= ns < self._pitch_ns), 0)
        before_ns = self._eye.blind_ns
        for number, ns in triggers.items():
            if abs(at_ns - ns) <= camera.window_ns:
                return number if ns >= before_ns + camera.rest_ns else 0
            before_ns = max(before_ns, ns)
        return 0 if self._triggers.told_ns > at_ns + camera.window_ns else None

    def _shown(self, camera: _Camera, frame: Frame) -> int | None:
        """The part that ``frame`` shows. 0: none does; None: it is not known yet."""
        if camera.timed and frame.exposed_ns:
            if camera.lag_ns is not None:
                return self._nearest(camera, frame.exposed_ns, camera.lag_ns)
        elif camera.offset is not None:
            number = edge_of(frame) + camera.offset
            return number if number <= self.newest else None
        return None if camera.first is not None else 0

    def _nearest(self, camera: _Camera, exposed_ns: int, lag_ns: int) -> int | None:
        """The part whose trigger is where the lag puts it; as `_shown`."""
        due_ns, half_ns = exposed_ns - lag_ns, self._pitch_ns // 2
        last_ns = exposed_ns + EARLY_NS if camera.asked else -NEVER
        near = [
            (due_ns - ns, number)
            for number, ns in reversed(self._triggers.ns.items())
            if abs(due_ns - ns) < half_ns and ns <= last_ns
        ]
        if near:
            late_ns, number = min(near, key=lambda entry: abs(entry[0]))
            # The first frame may have been a late one: go with the early ones quickly, with the
            # late ones slowly, so that no single frame leads us astray.
            camera.lag_ns = lag_ns + late_ns // (2 if late_ns < 0 else 16)
            camera.fits = min(SURE, camera.fits + 1)
            return number
        if camera.asked:
            return 0
        if self._triggers.told_ns < due_ns + half_ns:
            return None
        if self._eye.blind_ns < due_ns:  # else the eye has lost the part
            camera.fits -= PROOFS
            if camera.fits < 0:
                camera.forget()
        return 0

    def _is_nobodys(self, camera: _Camera, frame: Frame) -> None:
        self.orphans += 1
        if camera.lag_ns is not None or camera.offset is not None or camera.asked:
            self.doubts.append(f"{camera.view}: a frame without a trigger")
        elif not camera.unknown:  # said once, and not of each of its pictures
            camera.unknown = True
            rest_ms = camera.rest_ns // 1_000_000
            self.doubts.append(
                f"{camera.view}: which parts it shows is not known until no part has come for"
                f" {rest_ms} ms"
            )


def _at_ns(frame: Frame) -> int:
    """When it was exposed or, where its camera does not tell, came."""
    return frame.exposed_ns or frame.host_ns
