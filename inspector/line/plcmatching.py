"""Which frame shows which part where a PLC counts them (I1).

Enters: trigger times by part number, frames with their camera's edge count. Leaves: what
``matching.py`` says. Imports that, ``line/alignment.py`` and part; the line imports it.

Each camera's count is tied to the part numbers by its ``Alignment``. What a check refutes is in
doubt: an error, never a pass.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

from inspector.line.alignment import Alignment
from inspector.line.matching import Candidate, Matching, edge_of
from inspector.part import Frame, Part


class PlcMatching(Matching):
    """Parts between their trigger and their verdict, counted by a PLC."""

    def __init__(
        self,
        windows_ns: Mapping[str, int],
        pitch_ns: int,
        new_part: Callable[[int], Part],
        views_of: Callable[[int], Sequence[str]],
        asked: Collection[str] = (),
    ) -> None:
        """As ``Matching``; ``asked``: the views of cameras that expose when this machine asks."""
        super().__init__(windows_ns, pitch_ns, new_part, views_of)
        self._alignments = {
            view: Alignment(pitch_ns, window_ns, view in asked)
            for view, window_ns in windows_ns.items()
        }

    def open(self, counter: int, now_ns: int) -> None:
        super().open(counter, now_ns)
        for alignment in self._alignments.values():
            alignment.doubt()

    def camera_reset(self, view: str, now_ns: int, there: bool = True) -> None:
        self._alignments[view].reset()
        self._distrust(view, "the camera was opened anew before its picture was checked")

    def told(self, told_ns: int, own_ns: int | None = None) -> None:
        super().told(told_ns, own_ns)
        for view in self._alignments:
            self._place_held(view)
        self._check(self.parts.items())

    def frame(self, frame: Frame) -> None:
        view, alignment = frame.view, self._alignments[frame.view]
        exposed_ns = frame.exposed_ns or frame.host_ns
        if not alignment.shot(edge_of(frame), _device_ns(frame), exposed_ns):
            self._distrust(view, "the camera counts anew")
        self._held[view].append(frame)
        aligned = alignment.offset is not None
        self._place_held(view)
        if not aligned:
            self._check(self.parts.items())
        elif (candidate := self.parts.get(number := self.number(frame))) is not None:
            self._check(((number, candidate),))

    def number(self, frame: Frame) -> int:
        offset = self._alignments[frame.view].offset
        return 0 if offset is None else edge_of(frame) + offset

    def spoil(self, view: str, edge: int | None, why: str, now_ns: int) -> None:
        """Its part will be an error at once instead of at its time-out."""
        offset = self._alignments[view].offset
        if edge is None or offset is None:
            return
        if edge + offset <= self.newest and edge + offset not in self.parts:
            return
        candidate = self._candidate(edge + offset, now_ns)
        if view not in candidate.part.frames:
            candidate.doubt = candidate.doubt or f"{view}: {why}"

    def _distrust(self, view: str, why: str) -> None:
        """Frames of ``view`` that are not confirmed yet may be anyone's."""
        self._drop_held(view)
        for candidate in self.parts.values():
            if view in candidate.unchecked:
                candidate.doubt = candidate.doubt or f"{view}: {why}"

    def _place_held(self, view: str) -> None:
        held, alignment = self._held[view], self._alignments[view]
        if alignment.unsure:
            was = alignment.offset
            alignment.find(self._triggers)
            if alignment.offset != was:
                self._doubt(view, self._counted)
        if held and alignment.offset is None:
            alignment.find(self._triggers)
        if alignment.offset is None:
            return
        while held:
            frame = held.popleft()
            number = edge_of(frame) + alignment.offset
            if number not in self.parts and number <= self.newest:
                self.orphans += 1  # its part was decided without it, or never was, …
                if alignment.refutes(number, _device_ns(frame), self._triggers):
                    self._doubt(view, number)  # … or it shows another one's
                    return
                continue
            self._put(number, frame).unchecked[view] = _device_ns(frame)

    def _check(self, parts: Iterable[tuple[int, Candidate]]) -> None:
        """Compare their frames' times with their triggers, as soon as both are known."""
        for number, candidate in parts:
            if not candidate.unchecked or candidate.doubt:
                continue
            if not candidate.triggered:
                for view, device_ns in candidate.unchecked.items():
                    if self._alignments[view].unclaimed(device_ns, self._triggers):
                        self._doubt(view, number)
                        return
                continue
            for view, device_ns in list(candidate.unchecked.items()):
                fits = self._alignments[view].confirms(number, device_ns, self._triggers)
                if fits is False:
                    self._doubt(view, number)
                    return
                if fits:
                    del candidate.unchecked[view]

    def _doubt(self, view: str, number: int) -> None:
        self.doubts.append(f"{view}: the frame of part {number} does not fit its trigger")
        self._alignments[view].doubt()
        self._distrust(view, "camera and part counter do not agree")
        # What only a camera has counted, and wrongly, is no part; the next frames need its number.
        for uncounted in [n for n, c in self.parts.items() if c.doubt and not c.triggered]:
            self.orphans += len(self.parts.pop(uncounted).part.frames)
        self.newest = max(self._counted, max(self.parts, default=0))


def _device_ns(frame: Frame) -> int:
    return frame.device_ns or frame.host_ns
