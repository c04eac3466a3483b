"""Which frame shows which part. No I/O, no clock of its own.

Enters: trigger times by part number (the PLC's: it is the authority, I1) and frames with their
camera's edge count. Leaves: parts whose views are all there, and what could not be matched.
Imports part and ``line/alignment.py``; the line imports it.

Each camera's count is tied to the part numbers by its ``Alignment``. What a check refutes is in
doubt: an error, never a pass.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from inspector.line.alignment import DRIFT, EARLY_NS, NEVER, Alignment, Triggers
from inspector.part import Frame, Part

KEPT, MOST = 64, 4096
"""Triggers that are remembered beside those of which a frame may still come, and in all."""


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
    spent: Mapping[Any, int] | None = None
    """What its batch's limits had let through before it, by severity; None where nothing may be."""
    begun_ns: int = 0
    """When its first frame or its trigger came, for parts that never get the other."""
    look_ns: int = 0
    """Until then there is nothing to conclude while it is neither judged nor in doubt."""

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
        timed: Collection[str] | None = None,
        asked: Collection[str] = (),
    ) -> None:
        """``windows_ns``: each camera's longest time from trigger to frame, the one that counts the
        parts where nobody else does is the first; ``new_part(number)``
        makes a part when it is first heard of, ``views_of(number)`` says what it needs. Without
        ``by_time`` there is no authority but the cameras' own counts, from their first frames.
        ``timed``: the views whose frames must fit their parts' triggers; all, if not given.
        ``asked``: those that expose when this machine asks them."""
        self._by_time = by_time
        self._timed = frozenset(windows_ns if timed is None else timed)
        self._new_part = new_part
        self._views_of = views_of
        self.alignments = {
            view: Alignment(
                pitch_ns, ns,
                # without it, a camera that nobody asks may see the parts before the eye
                EARLY_NS if by_time or view in asked else -NEVER,
                DRIFT if by_time else 0.0, view in asked,
            )
            for view, ns in windows_ns.items()
        }  # fmt: skip
        # As many parts as can go by while a frame may still come, be it that this machine was busy.
        self._kept = min(MOST, KEPT + max(windows_ns.values(), default=0) // max(1, pitch_ns))
        self._held = {view: deque[Frame](maxlen=self._kept) for view in windows_ns}
        self._placed = dict.fromkeys(windows_ns, 0)
        """The part that each camera's last picture is of; 0 where all must be looked at again."""
        self._triggers = Triggers(self._kept)
        self.parts: OrderedDict[int, Candidate] = OrderedDict()
        """By number, the oldest first; the line removes what it has decided."""
        self.newest = self._counted = 0
        """Highest number heard of, by trigger or by frame; and by trigger alone."""
        self.orphans = 0
        """Frames that no part wanted."""
        self._eye = next(iter(windows_ns), "")
        self._heard_ns = dict.fromkeys(windows_ns, -NEVER)
        """Since when each camera is heard; of one that is not there, far ahead."""
        self._missing = False
        """The eye's last picture came to nothing, so it has not been counted."""
        self._unknown: set[str] = set()
        """Views of which it is said that nobody knows which part their pictures show."""
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

    def camera_reset(self, view: str, now_ns: int, there: bool = True) -> None:
        """The camera of ``view`` was opened anew, or is not ``there`` any more."""
        self._heard_ns[view] = now_ns if there else -NEVER
        self.alignments[view].reset()
        self._distrust(view, "the camera was opened anew before its picture was checked")
        self._count_anew(view, self._heard_ns[view])

    def _count_anew(self, view: str, from_ns: int, after_ns: int = NEVER) -> None:
        """If ``view`` is the eye, what others are counted by begins anew, ``from_ns`` on; who was
        counted before ``after_ns`` stays so."""
        self._heard_ns[view] = max(self._heard_ns[view], from_ns)
        for other in self._timed if view == self._eye and not self._by_time else ():
            alignment = self.alignments[other]
            if not alignment.fitted and alignment.counted_ns >= after_ns:
                alignment.doubt()
                self._distrust(other, "the camera that counts the parts begins anew")

    def lost(self, numbers: range, now_ns: int) -> None:
        """Triggers of ``numbers`` were never told; frames of theirs cannot be confirmed."""
        self._triggers.whole_from_ns = now_ns
        for number in numbers:
            candidate = self.parts.pop(number, None)
            self.orphans += len(candidate.part.frames) if candidate else 0
        self._counted = max(self._counted, numbers[-1])
        self.newest = max(self.newest, self._counted)

    def trigger(
        self, number: int, trigger_ns: int, deadline_ns: int, own_ns: int | None = None
    ) -> Candidate:
        """The authority has counted part ``number``, at ``own_ns`` by its own clock, if it has
        one."""
        self._triggers.add(number, trigger_ns, trigger_ns if own_ns is None else own_ns)
        self._missing = False
        self._counted = max(self._counted, number)
        candidate = self._candidate(number, trigger_ns)
        candidate.part.trigger_ns, candidate.part.deadline_ns = trigger_ns, deadline_ns
        candidate.triggered = True
        return candidate

    def told(self, told_ns: int, own_ns: int | None = None) -> None:
        """All triggers up to ``told_ns`` have been given, ``own_ns`` by the authority's clock.
        Aligns, places and checks frames."""
        self._triggers.told_ns = told_ns
        self._triggers.told_own_ns = told_ns if own_ns is None else own_ns
        for view in self.alignments:
            self._place_held(view)
        self._check(self.parts.items())

    def frame(self, frame: Frame) -> None:
        """A camera delivered ``frame``; it is placed at once if its camera is aligned."""
        view, alignment = frame.view, self.alignments[frame.view]
        exposed_ns = frame.exposed_ns or frame.host_ns
        if not alignment.shot(_edge(frame), _device_ns(frame), exposed_ns):
            self._distrust(view, "the camera counts anew")
        if alignment.skipped_ns is not None:
            self._count_anew(view, exposed_ns, alignment.skipped_ns)
        if not self._by_time and not self._counts(frame, exposed_ns):
            self.orphans += 1
            return
        self._held[view].append(frame)
        aligned = alignment.offset is not None
        self._place_held(view)
        if not aligned:
            self._check(self.parts.items())
        elif (candidate := self.parts.get(number := self.number(frame))) is not None:
            self._check(((number, candidate),))

    def _counts(self, frame: Frame, exposed_ns: int) -> bool:
        """Whether it is known by count which part ``frame`` shows. Aligns its camera."""
        view, alignment, timed = frame.view, self.alignments[frame.view], frame.view in self._timed
        heard_ns = max(self._heard_ns[self._eye], self._heard_ns[view])
        whole = not self._missing
        number = alignment.after_rest(self._triggers, heard_ns, whole) if timed else None
        if alignment.offset is not None:
            if number in (None, self.number(frame)):
                return True
            alignment.forget(number, self._triggers)
            self._doubt(view, self.number(frame))
            return False
        if not timed or alignment.fitted:
            lacking = (n for n, c in self.parts.items() if view not in c.part.frames)
            number = next(lacking, self.newest + 1)
        if number is None:
            self._say_unknown(view, alignment.rest_ns // 1_000_000)
            return False
        self._unknown.discard(view)
        alignment.count(number, _edge(frame), exposed_ns, self._triggers)
        return True

    def _say_unknown(self, view: str, rest_ms: int) -> None:
        """Once, and not of each of its pictures."""
        if view not in self._unknown:
            self._unknown.add(view)
            self.doubts.append(
                f"{view}: which parts it shows is not known until no part has come for {rest_ms} ms"
            )

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

    def spoil(self, view: str, edge: int | None, why: str, now_ns: int) -> None:
        """The camera says that its picture at ``edge`` came to nothing: its part will be an error
        at once instead of at its time-out."""
        self.alignments[view].spoiled(now_ns)
        self._missing = self._missing or view == self._eye
        offset = self.alignments[view].offset
        if offset is None:  # the next one is the first that is counted
            self._count_anew(view, now_ns)
        if edge is None or offset is None:
            return
        if edge + offset <= self.newest and edge + offset not in self.parts:
            return
        candidate = self._candidate(edge + offset, now_ns)
        if view not in candidate.part.frames:
            candidate.doubt = candidate.doubt or f"{view}: {why}"

    def _time(self, frame: Frame) -> int:
        """What is compared with the trigger: the camera's clock with the PLC's, or two exposures,
        which are told by one clock."""
        return _device_ns(frame) if self._by_time else frame.exposed_ns

    def _is_timed(self, frame: Frame) -> bool:
        """Whether a trigger can refute it; of one that does not tell when it was exposed, only
        the PLC's."""
        return frame.view in self._timed and (self._by_time or frame.exposed_ns > 0)

    def _distrust(self, view: str, why: str) -> None:
        """Frames of ``view`` that are not confirmed yet may be anyone's."""
        self._drop_held(view)
        for candidate in self.parts.values():
            if view in candidate.unchecked:
                candidate.doubt = candidate.doubt or f"{view}: {why}"

    def _drop_held(self, view: str) -> None:
        self._placed[view] = 0
        self.orphans += len(self._held[view])
        self._held[view].clear()

    def _place_held(self, view: str) -> None:
        held, alignment = self._held[view], self.alignments[view]
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
            number = _edge(frame) + alignment.offset
            if number not in self.parts and number <= self.newest:
                self.orphans += 1  # its part was decided without it, or never was, …
                device_ns = self._time(frame)
                if self._is_timed(frame) and alignment.refutes(number, device_ns, self._triggers):
                    self._doubt(view, number)  # … or it shows another one's
                    return
                continue
            candidate = self._candidate(number, frame.host_ns)
            candidate.part.frames[view] = frame
            if self._is_timed(frame):
                candidate.unchecked[view] = self._time(frame)
            # A camera's pictures come in their order: whoever was overtaken gets none any more.
            placed, self._placed[view] = self._placed[view], number
            for earlier in reversed(self.parts):
                if earlier <= placed:
                    break
                if earlier >= number:
                    continue
                waiting = self.parts[earlier]
                if view not in waiting.part.frames and view in self._views_of(earlier):
                    waiting.doubt = waiting.doubt or f"{view}: no picture came, the next one did"

    def _candidate(self, number: int, begun_ns: int) -> Candidate:
        candidate = self.parts.get(number)
        if candidate is None:
            candidate = Candidate(self._new_part(number), begun_ns=begun_ns)
            self.parts[number] = candidate
            if number < self.newest:
                self.parts = OrderedDict(sorted(self.parts.items()))
                self._placed = dict.fromkeys(self._placed, 0)
            self.newest = max(self.newest, number)
        return candidate

    def _check(self, parts: Iterable[tuple[int, Candidate]]) -> None:
        """Compare their frames' times with their triggers, as soon as both are known."""
        for number, candidate in parts:
            if not candidate.unchecked or candidate.doubt:
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
