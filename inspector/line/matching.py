"""Which frame shows which part. No I/O, no clock of its own.

Enters: trigger times by part number (the PLC's: it is the authority, I1) and frames with their
camera's edge count. Leaves: parts whose views are all there, and what could not be matched.
Imports part and ``line/tracking.py`` (the clock map); the line imports it.

A camera counts trigger edges from when it was opened, the PLC counts parts from when it started.
The difference, the *offset*, is one constant per camera. It is found by host time: a frame is
exposed after its trigger, by less than half the way to the next one; of a camera that does not
tell when that was, it must have come by then. Then every single part is checked between the two
devices' own clocks, which no load on this machine can disturb: trigger and exposure must lie apart
by what they always lie apart. What fails is in doubt: an error, never a pass.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from inspector.line.tracking import ClockMap
from inspector.part import Frame, Part

EARLY_NS = 5_000_000
"""A frame may seem to come this much before its trigger: the PLC's clock counts in ms and its
block is as old as one PLC cycle (4 ms in the virtual one)."""
PROOFS = 4
"""Frames in a row that must fit one offset and no other where time leaves a choice."""
RECENT = 32
"""Frames from which those are taken: where parts follow each other by 4 ms, the triggers of the
newest ten are not told yet."""
KEPT, MOST = 64, 4096
"""Triggers that are remembered beside those of which a frame may still come, and in all."""
NEVER = -(1 << 62)


@dataclass(frozen=True, slots=True)
class _Shot:
    edge: int
    device_ns: int


class Triggers:
    """Trigger times by part number, the newest of them."""

    def __init__(self, kept: int) -> None:
        self.ns: OrderedDict[int, int] = OrderedDict()
        self._kept = kept
        self.told_ns = NEVER
        """Every trigger up to here is known, …"""
        self.whole_from_ns = NEVER
        """… and from here on none is missing."""

    def add(self, number: int, ns: int) -> None:
        self.ns[number] = ns
        if len(self.ns) > self._kept:
            _, oldest_ns = self.ns.popitem(last=False)
            self.whole_from_ns = max(self.whole_from_ns, oldest_ns + 1)

    def room(self, number: int, pitch_ns: int) -> int:
        """Half the time from a trigger to its nearest neighbour; a neighbour that is not known
        is taken to be ``pitch_ns`` away."""
        here = self.ns[number]
        gaps = [
            abs(self.ns[n] - here) if n in self.ns else pitch_ns for n in (number - 1, number + 1)
        ]
        return min(gaps) // 2


class Alignment:
    """One camera's edges against the part numbers. Not for several threads."""

    def __init__(self, pitch_ns: int, window_ns: int) -> None:
        """``pitch_ns``: least time between two parts. ``window_ns``: no frame is later than this
        after its trigger."""
        self._pitch_ns = pitch_ns
        self._window_ns = window_ns
        self.reset()

    def reset(self) -> None:
        """The camera was opened anew: it counts, and perhaps times, from the beginning."""
        self._host = ClockMap()
        self._edge = self._device_ns = -1
        self._shots: deque[_Shot] = deque(maxlen=RECENT)
        self._all = 0
        self.doubt()

    def doubt(self) -> None:
        """The offset does not hold: find it again."""
        self.offset: int | None = None
        self._lag_ns = 0
        self._shots.clear()

    def shot(self, edge: int, device_ns: int, host_ns: int) -> bool:
        """A frame came that was exposed at ``host_ns`` or, where the camera does not tell, came
        then. False if its counters began anew, so what was known of it is void."""
        steady = edge > self._edge and device_ns > self._device_ns
        if not steady:
            self.reset()
        self._edge, self._device_ns = edge, device_ns
        self._host.read(device_ns, host_ns)
        self._shots.append(_Shot(edge, device_ns))
        self._all += 1
        return steady

    def find(self, triggers: Triggers) -> None:
        """Look for the offset."""
        told_ns = triggers.told_ns - EARLY_NS
        shots = [s for s in self._shots if self._here(s) <= told_ns][-PROOFS:]
        if not shots:
            return
        choices = [self._choices(shot, triggers) for shot in shots]
        # The very first part of a run has one trigger in all, and no other evidence is needed.
        # Later one frame is not enough: a machine that stalled for a whole pitch while it came
        # would make the next part's trigger look like its own.
        first = self._all == 1 and len(triggers.ns) == 1 and triggers.whole_from_ns == NEVER
        for proofs in (1, 2) if first else (2,):
            newest = choices[-proofs:]
            same = len(newest) == proofs and all(c == newest[0] and len(c) == 1 for c in newest)
            if same and self._whole(shots[-proofs], triggers):
                self._take(newest[-1].pop(), shots[-1], triggers)
                return
        if len(shots) == PROOFS:
            near = [
                offset
                for offset in choices[-1]
                if all(self._near(shot, offset, triggers) for shot in shots)
            ]
            if len(near) == 1:
                self._take(near[0], shots[-1], triggers)

    def confirms(self, number: int, device_ns: int, triggers: Triggers) -> bool | None:
        """Whether an exposure at ``device_ns`` fits the trigger of ``number``; None: not yet
        known, because the next trigger may have come nearer to it and not have been told."""
        trigger_ns = triggers.ns.get(number)
        if trigger_ns is None or self._host.here(device_ns) - trigger_ns < -EARLY_NS:
            return False
        late_ns = device_ns + self._lag_ns - trigger_ns
        before, after = triggers.ns.get(number - 1), triggers.ns.get(number + 1)
        if late_ns < 0:
            gap_ns = self._pitch_ns if before is None else trigger_ns - before
            fits = -late_ns < gap_ns // 2
        elif after is not None:
            fits = late_ns < (after - trigger_ns) // 2
        elif late_ns >= self._pitch_ns // 2 and triggers.told_ns < trigger_ns + late_ns:
            return None
        else:
            fits = late_ns < self._window_ns
        if fits:
            # The clocks drift, and the first frame may have been a late one: go with the early
            # ones quickly, with the late ones slowly, so that no single frame leads us astray.
            self._lag_ns -= late_ns // (2 if late_ns < 0 else 16)
        return fits

    def refutes(self, number: int, device_ns: int, triggers: Triggers) -> bool:
        """Whether an exposure at ``device_ns`` cannot be that of ``number``, whose trigger may be
        forgotten by now, or was never told."""
        at_ns, ns = device_ns + self._lag_ns, triggers.ns
        if number in ns:
            return abs(at_ns - ns[number]) >= triggers.room(number, self._pitch_ns)
        half_ns = self._pitch_ns // 2
        before = max((n for n in ns if n < number), default=None)
        after = min((n for n in ns if n > number), default=None)
        return (before is not None and at_ns < ns[before] + half_ns) or (
            after is not None and at_ns > ns[after] - half_ns
        )

    def unclaimed(self, device_ns: int, triggers: Triggers) -> bool:
        """Whether an exposure at ``device_ns`` has no trigger though all of its time are told. Not
        before its time-out: a machine that is late makes the PLC's clock seem so."""
        return device_ns + self._lag_ns + self._window_ns < triggers.told_ns

    def _here(self, shot: _Shot) -> int:
        return self._host.here(shot.device_ns)

    def _choices(self, shot: _Shot, triggers: Triggers) -> set[int]:
        here = self._here(shot)
        return {
            number - shot.edge
            for number, ns in triggers.ns.items()
            if -EARLY_NS <= here - ns <= self._window_ns
        }

    def _whole(self, shot: _Shot, triggers: Triggers) -> bool:
        return self._here(shot) - self._window_ns > triggers.whole_from_ns

    def _near(self, shot: _Shot, offset: int, triggers: Triggers) -> bool:
        number = shot.edge + offset
        if number not in triggers.ns:
            return False
        room = triggers.room(number, self._pitch_ns)
        return -min(EARLY_NS, room) <= self._here(shot) - triggers.ns[number] < room

    def _take(self, offset: int, shot: _Shot, triggers: Triggers) -> None:
        self.offset = offset
        self._lag_ns = triggers.ns[shot.edge + offset] - shot.device_ns


@dataclass(slots=True)
class Candidate:
    """A part on its way through the line: its frames, its trigger, its judgement."""

    part: Part
    unchecked: dict[str, int] = field(default_factory=dict)
    """Exposure on the camera's clock, by view, of frames not yet compared with the trigger."""
    triggered: bool = False
    """The authority has counted it."""
    doubt: str = ""
    """Why its frames may not be its own; empty when all is well."""
    given: bool = False
    """It is with a judge, or has been."""
    judgement: Any = None
    """What the recipe said, or None."""
    begun_ns: int = 0
    """When its first frame or its trigger came, for parts that never get the other."""

    @property
    def certain(self) -> bool:
        """Counted by the authority, and every frame it has is its own."""
        return self.triggered and not self.unchecked and not self.doubt


class Matching:
    """Parts between their trigger and their verdict. Not for several threads."""

    def __init__(
        self,
        windows_ns: Mapping[str, int],
        pitch_ns: int,
        new_part: Callable[[int], Part],
        views_of: Callable[[int], Sequence[str]],
        by_time: bool = True,
    ) -> None:
        """``windows_ns``: each camera's longest time from trigger to frame; ``new_part(number)``
        makes a part when it is first heard of, ``views_of(number)`` says what it needs. Without
        ``by_time`` there is no authority but the cameras' own counts, from their first frames."""
        self._by_time = by_time
        self._new_part = new_part
        self._views_of = views_of
        self.alignments = {view: Alignment(pitch_ns, ns) for view, ns in windows_ns.items()}
        # As many parts as can go by while a frame may still come, be it that this machine was busy.
        self._kept = min(MOST, KEPT + max(windows_ns.values(), default=0) // max(1, pitch_ns))
        self._held = {view: deque[Frame](maxlen=self._kept) for view in windows_ns}
        self._triggers = Triggers(self._kept)
        self.parts: OrderedDict[int, Candidate] = OrderedDict()
        """By number, the oldest first; the line removes what it has decided."""
        self.newest = self._counted = 0
        """Highest number heard of, by trigger or by frame; and by trigger alone."""
        self.orphans = 0
        """Frames that no part wanted."""
        self.doubts: list[str] = []
        """What became doubtful since the line last looked; it empties the list."""

    def open(self, counter: int, now_ns: int) -> None:
        """A new run of the authority, which has counted up to ``counter``."""
        self.orphans += sum(len(c.part.frames) for c in self.parts.values() if not c.triggered)
        self.parts.clear()
        self._triggers = Triggers(self._kept)
        if counter:
            self._triggers.whole_from_ns = now_ns
        for view, alignment in self.alignments.items():
            alignment.doubt()
            self._drop_held(view)
        self.newest = self._counted = counter

    def camera_reset(self, view: str) -> None:
        """The camera of ``view`` was opened anew."""
        self.alignments[view].reset()
        self._distrust(view, "the camera was opened anew before its picture was checked")

    def lost(self, numbers: range, now_ns: int) -> None:
        """Triggers of ``numbers`` were never told; frames of theirs cannot be confirmed."""
        self._triggers.whole_from_ns = now_ns
        for number in numbers:
            candidate = self.parts.pop(number, None)
            self.orphans += len(candidate.part.frames) if candidate else 0
        self._counted = max(self._counted, numbers[-1])
        self.newest = max(self.newest, self._counted)

    def trigger(self, number: int, trigger_ns: int, deadline_ns: int) -> Candidate:
        """The authority has counted part ``number``."""
        self._triggers.add(number, trigger_ns)
        self._counted = max(self._counted, number)
        candidate = self._candidate(number, trigger_ns)
        candidate.part.trigger_ns, candidate.part.deadline_ns = trigger_ns, deadline_ns
        candidate.triggered = True
        return candidate

    def told(self, told_ns: int) -> None:
        """All triggers up to ``told_ns`` have been given. Aligns, places and checks frames."""
        self._triggers.told_ns = told_ns
        for view in self.alignments:
            self._place_held(view)
        self._check()

    def frame(self, frame: Frame) -> None:
        """A camera delivered ``frame``; it is placed at once if its camera is aligned."""
        view = frame.view
        exposed_ns = frame.exposed_ns or frame.host_ns
        if not self.alignments[view].shot(_edge(frame), _device_ns(frame), exposed_ns):
            self._distrust(view, "the camera counts anew")
        if not self._by_time and self.alignments[view].offset is None:
            lacking = (n for n, c in self.parts.items() if view not in c.part.frames)
            self.alignments[view].offset = next(lacking, self.newest + 1) - _edge(frame)
        self._held[view].append(frame)
        self._place_held(view)
        self._check()

    def number(self, frame: Frame) -> int:
        """The part that ``frame`` is taken to show; 0 while its camera is not aligned."""
        offset = self.alignments[frame.view].offset
        return 0 if offset is None else _edge(frame) + offset

    def complete(self) -> Candidate | None:
        """The oldest part whose views are all there and which no judge has got yet."""
        for number, candidate in self.parts.items():
            if not candidate.given and not candidate.doubt:
                frames = candidate.part.frames
                if frames and all(view in frames for view in self._views_of(number)):
                    return candidate
        return None

    def spoil(self, view: str, edge: int, why: str, now_ns: int) -> None:
        """The camera says that its picture at ``edge`` came to nothing: its part will be an error
        at once instead of at its time-out."""
        offset = self.alignments[view].offset
        if offset is None or (edge + offset <= self.newest and edge + offset not in self.parts):
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

    def _drop_held(self, view: str) -> None:
        self.orphans += len(self._held[view])
        self._held[view].clear()

    def _place_held(self, view: str) -> None:
        held, alignment = self._held[view], self.alignments[view]
        if held and alignment.offset is None:
            alignment.find(self._triggers)
        if alignment.offset is None:
            return
        while held:
            frame = held.popleft()
            number = _edge(frame) + alignment.offset
            if number not in self.parts and number <= self.newest:
                self.orphans += 1  # its part was decided without it, or never was, …
                device_ns = _device_ns(frame)
                if self._by_time and alignment.refutes(number, device_ns, self._triggers):
                    self._doubt(view, number)  # … or it shows another one's
                    return
                continue
            candidate = self._candidate(number, frame.host_ns)
            candidate.part.frames[view] = frame
            if self._by_time:
                candidate.unchecked[view] = _device_ns(frame)
            # A camera's pictures come in their order: whoever was overtaken gets none any more.
            for earlier, waiting in self.parts.items():
                if earlier >= number:
                    break
                if view not in waiting.part.frames and view in self._views_of(earlier):
                    waiting.doubt = waiting.doubt or f"{view}: no picture came, the next one did"

    def _candidate(self, number: int, begun_ns: int) -> Candidate:
        candidate = self.parts.get(number)
        if candidate is None:
            candidate = Candidate(self._new_part(number), begun_ns=begun_ns)
            self.parts[number] = candidate
            if number < self.newest:
                self.parts = OrderedDict(sorted(self.parts.items()))
            self.newest = max(self.newest, number)
        return candidate

    def _check(self) -> None:
        """Compare every frame's time with its part's trigger, as soon as both are known."""
        for number, candidate in self.parts.items():
            if candidate.doubt:
                continue
            if not candidate.triggered:
                for view, device_ns in candidate.unchecked.items():
                    if self.alignments[view].unclaimed(device_ns, self._triggers):
                        self._doubt(view, number)
                        return
                continue
            for view, device_ns in list(candidate.unchecked.items()):
                fits = self.alignments[view].confirms(number, device_ns, self._triggers)
                if fits is False:
                    self._doubt(view, number)
                    return
                if fits:
                    del candidate.unchecked[view]

    def _doubt(self, view: str, number: int) -> None:
        self.doubts.append(f"{view}: the frame of part {number} does not fit its trigger")
        self.alignments[view].doubt()
        self._distrust(view, "camera and part counter do not agree")
        # What only a camera has counted, and wrongly, is no part; the next frames need its number.
        for uncounted in [n for n, c in self.parts.items() if c.doubt and not c.triggered]:
            self.orphans += len(self.parts.pop(uncounted).part.frames)
        self.newest = max(self._counted, max(self.parts, default=0))


def _edge(frame: Frame) -> int:
    """Cameras without an edge counter miss triggers that they ignored: the check finds out."""
    return frame.frame_id if frame.edge is None else frame.edge


def _device_ns(frame: Frame) -> int:
    return frame.device_ns or frame.host_ns
