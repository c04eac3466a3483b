"""Which frame shows which part: the parts on their way, whoever counts them. No I/O, no clock.

Enters: what the authority has counted (I1), frames with their camera's count. Leaves: parts whose
views are all there, and what could not be matched. Imports part and ``line/alignment.py``; a PLC's
numbers are matched by ``plcmatching.py``, those of a camera by ``eyematching.py``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import OrderedDict, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from inspector.line.alignment import Triggers
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


class Matching(ABC):
    """Parts between their trigger and their verdict. Not for several threads."""

    def __init__(
        self,
        windows_ns: Mapping[str, int],
        pitch_ns: int,
        new_part: Callable[[int], Part],
        views_of: Callable[[int], Sequence[str]],
    ) -> None:
        """``windows_ns``: each camera's longest time from trigger to frame; ``pitch_ns``: the least
        from part to part; ``new_part(number)`` makes a part when it is first heard of,
        ``views_of(number)`` says what it needs."""
        self._new_part = new_part
        self._views_of = views_of
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
        self.doubts: list[str] = []
        """What became doubtful since the line last looked; it empties the list."""

    def open(self, counter: int, now_ns: int) -> None:
        """A new run of the authority, which has counted up to ``counter``."""
        self.orphans += sum(len(c.part.frames) for c in self.parts.values() if not c.triggered)
        self.parts.clear()
        self._triggers = Triggers(self._kept)
        if counter:
            self._triggers.whole_from_ns = now_ns
        for view in self._held:
            self._drop_held(view)
        self.newest = self._counted = counter

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
        self._counted = max(self._counted, number)
        candidate = self._candidate(number, trigger_ns)
        candidate.part.trigger_ns, candidate.part.deadline_ns = trigger_ns, deadline_ns
        candidate.triggered = True
        return candidate

    def told(self, told_ns: int, own_ns: int | None = None) -> None:
        """All triggers up to ``told_ns`` have been given, ``own_ns`` by the authority's clock.
        Places and checks frames."""
        self._triggers.told_ns = told_ns
        self._triggers.told_own_ns = told_ns if own_ns is None else own_ns

    @abstractmethod
    def camera_reset(self, view: str, now_ns: int, there: bool = True) -> None:
        """The camera of ``view`` was opened anew, or is not ``there`` any more."""

    @abstractmethod
    def frame(self, frame: Frame) -> None:
        """A camera delivered ``frame``; it is placed at once if it is known whose it is."""

    @abstractmethod
    def number(self, frame: Frame) -> int:
        """The part that ``frame`` is taken to show by its camera's count; 0 where that does not
        tell."""

    @abstractmethod
    def spoil(self, view: str, edge: int | None, why: str, now_ns: int) -> None:
        """The camera says that its picture at ``edge`` came to nothing."""

    def complete(self) -> Candidate | None:
        """The oldest part whose views are all there and which no judge has got yet."""
        for number, candidate in self.parts.items():
            if not candidate.given and not candidate.doubt:
                frames = candidate.part.frames
                if frames and all(view in frames for view in self._views_of(number)):
                    return candidate
        return None

    def _put(self, number: int, frame: Frame) -> Candidate:
        """``frame`` is part ``number``'s."""
        view, candidate = frame.view, self._candidate(number, frame.host_ns)
        candidate.part.frames[view] = frame
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
        return candidate

    def _drop_held(self, view: str) -> None:
        self._placed[view] = 0
        self.orphans += len(self._held[view])
        self._held[view].clear()

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


def edge_of(frame: Frame) -> int:
    """Cameras without an edge counter miss triggers that they ignored: the check finds out."""
    return frame.frame_id if frame.edge is None else frame.edge
