"""Which part number a camera's edge count means: found by time, then checked picture by picture.

Enters: one camera's shots, the triggers' times by part number. Leaves: the *offset* between the
two counts, and whether one exposure fits one trigger. Imports ``line/tracking.py`` (the clock map);
``line/plcmatching.py`` imports it.

A camera counts trigger edges from when it was opened, the PLC counts parts from when it started.
The difference, the offset, is one constant per camera. It is found by host time: a frame is
exposed after its trigger, by less than half the way to the next one; of a camera that does not
tell when that was, it must have come by then. Then every single part is checked between the two
devices' own clocks, which no load on this machine can disturb: trigger and exposure must lie apart
by what they always lie apart. After a pause in which these may have drifted, host time decides
once more.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

from inspector.line.tracking import ClockMap

EARLY_NS = 5_000_000
"""A frame may seem to come this much before its trigger: the PLC's clock counts in ms and its
block is as old as one PLC cycle (4 ms in the virtual one)."""
PROOFS = 4
"""Frames in a row that must fit one offset and no other where time leaves a choice."""
RECENT = 32
"""Frames from which those are taken: where parts follow each other by 4 ms, the triggers of the
newest ten are not told yet."""
NEVER = -(1 << 62)
DRIFT = 100e-6
"""Of two clocks against each other: each is a quartz of 50 ppm."""


@dataclass(frozen=True, slots=True)
class _Shot:
    edge: int
    device_ns: int
    way_ns: int = 0
    """From the camera's clock to ours, with the way here."""


class Triggers:
    """Trigger times by part number, the newest of them."""

    def __init__(self, kept: int) -> None:
        self.ns: OrderedDict[int, int] = OrderedDict()
        self.own_ns: dict[int, int] = {}
        """The same by the authority's own clock: what lies between two is as it was."""
        self._kept = kept
        self.told_ns = self.told_own_ns = NEVER
        """Every trigger up to here is known, …"""
        self.whole_from_ns = NEVER
        """… and from here on none is missing."""

    def add(self, number: int, ns: int, own_ns: int) -> None:
        self.ns[number], self.own_ns[number] = ns, own_ns
        if len(self.ns) > self._kept:
            oldest, oldest_ns = self.ns.popitem(last=False)
            del self.own_ns[oldest]
            self.whole_from_ns = max(self.whole_from_ns, oldest_ns + 1)

    def room(self, number: int, pitch_ns: int) -> int:
        """Half the time from a trigger to its nearest neighbour; a neighbour that is not known
        is taken to be ``pitch_ns`` away."""
        ns, here = self.own_ns, self.own_ns[number]
        gaps = [abs(ns[n] - here) if n in ns else pitch_ns for n in (number - 1, number + 1)]
        return min(gaps) // 2


class Alignment:
    """One camera's edges against the part numbers. Not for several threads."""

    def __init__(self, pitch_ns: int, window_ns: int, asked: bool = False) -> None:
        """``pitch_ns``: least time between two parts. ``window_ns``: no frame is later than this
        after its trigger. ``asked``: the camera exposes when this machine asks, and what is asked
        for half a pitch too late is not the part's."""
        self._pitch_ns = pitch_ns
        self._steady_ns = pitch_ns / 3 / DRIFT
        """So long the two clocks stay together well enough for the check."""
        self._window_ns = window_ns
        self._late_ns = pitch_ns // 2 if asked else window_ns
        self._lag_ns = self._fitted = 0
        """From an exposure to its trigger, by the two clocks; and how many frames have fitted."""
        self._fitted_ns = 0
        """When the last of them was exposed, by the camera's clock."""
        self.unsure = False
        """A frame came after a pause that may be more than one part's: `find` has to tell."""
        self.reset()

    def reset(self) -> None:
        """The camera was opened anew: it counts, and perhaps times, from the beginning."""
        self._host = ClockMap()
        self._timed_anew = True
        """No frame has fitted since."""
        self._edge = self._device_ns = -1
        self._shots: deque[_Shot] = deque(maxlen=RECENT)
        self._all = 0
        self.doubt()

    def doubt(self) -> None:
        """The offset does not hold: find it again."""
        self.offset: int | None = None
        self.unsure = False
        self._shots.clear()
        if self._fitted < PROOFS:
            self._fitted = 0

    def shot(self, edge: int, device_ns: int, host_ns: int) -> bool:
        """A frame came that was exposed at ``host_ns`` or, where the camera does not tell, came
        then. False if its counters began anew, so what was known of it is void."""
        steady = edge > self._edge and device_ns > self._device_ns
        if not steady:
            set_back = self._timed_anew or device_ns <= self._device_ns
            self.reset()
            self._timed_anew = set_back
        elif device_ns - self._device_ns > self._steady_ns:
            self._shots.clear()
        self._edge, self._device_ns = edge, device_ns
        self._host.read(device_ns, host_ns)
        self._shots.append(_Shot(edge, device_ns, host_ns - device_ns))
        self._all += 1
        return steady

    def find(self, triggers: Triggers) -> None:
        """Look for the offset; again, if it is there and `unsure`."""
        told_ns = triggers.told_ns - EARLY_NS
        shots = [s for s in self._shots if self._here(s) <= told_ns][-PROOFS:]
        if not shots:
            return
        choices = [self._choices(shot, triggers) for shot in shots]
        # The very first part of a run has one trigger in all, and no other evidence is needed.
        # Later one frame is not enough: a machine that stalled for a whole pitch while it came
        # would make the next part's trigger look like its own.
        first = self._all == 1 and len(triggers.ns) == 1 and triggers.whole_from_ns == NEVER
        if not (first or self._timely()):
            return
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
        if number not in triggers.ns:
            return False
        if self._host.here(device_ns) - triggers.ns[number] < -EARLY_NS:
            return False
        if not self._fitted:
            self._lag_ns = triggers.own_ns[number] - device_ns
        own_ns, told_ns = triggers.own_ns, triggers.told_own_ns
        trigger_ns = own_ns[number]
        if self._rested(device_ns):
            if not self._alone(number, device_ns, triggers):
                self.unsure = True
                return None
            self._lag_ns = trigger_ns - device_ns
        late_ns = device_ns + self._lag_ns - trigger_ns
        before, after = own_ns.get(number - 1), own_ns.get(number + 1)
        if late_ns < 0:
            gap_ns = self._pitch_ns if before is None else trigger_ns - before
            fits = -late_ns < gap_ns // 2
        elif after is not None:
            fits = late_ns < min(self._late_ns, (after - trigger_ns) // 2)
        elif late_ns >= self._pitch_ns // 2 and told_ns < trigger_ns + late_ns:
            return None
        else:
            fits = late_ns < self._late_ns
        if fits:
            # The clocks drift, and the first frame may have been a late one: go with the early
            # ones quickly, with the late ones slowly, so that no single frame leads us astray.
            self._lag_ns -= late_ns // (2 if late_ns < 0 else 16)
            self._fitted += 1
            self._fitted_ns = max(self._fitted_ns, device_ns)
            self.unsure = False
        return fits

    def _by_one_clock(
        self, device_ns: int, triggers: Triggers
    ) -> tuple[int, Mapping[int, int], int]:
        """The exposure, the triggers, and up to when these are told: by the authority's clock; by
        ours if the camera's has had the time to drift away from that."""
        if self._rested(device_ns):
            return self._host.here(device_ns), triggers.ns, triggers.told_ns
        return device_ns + self._lag_ns, triggers.own_ns, triggers.told_own_ns

    def _rested(self, device_ns: int) -> bool:
        return self._fitted > 0 and device_ns - self._fitted_ns > self._steady_ns

    def _alone(self, number: int, device_ns: int, triggers: Triggers) -> bool:
        """Whether no other part can have been exposed at ``device_ns``, by host time."""
        shot = _Shot(0, device_ns)
        return (
            self._here(shot) <= triggers.told_ns - EARLY_NS
            and self._choices(shot, triggers) == {number}
            and self._whole(shot, triggers)
        )

    def refutes(self, number: int, device_ns: int, triggers: Triggers) -> bool:
        """Whether an exposure at ``device_ns`` cannot be that of ``number``, whose trigger may be
        forgotten by now, or was never told."""
        at_ns, ns, _ = self._by_one_clock(device_ns, triggers)
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
        at_ns, _, told_ns = self._by_one_clock(device_ns, triggers)
        return at_ns + self._window_ns < told_ns

    def _timely(self) -> bool:
        """Whether two frames in a row came as soon as any. What a machine that stalled takes in
        all at once looks later the older it is, and the last of it as if it had come in time."""
        ways = [shot.way_ns for shot in self._shots]
        most_ns = min(ways) + self._pitch_ns // 2
        return any(one < most_ns and next_ < most_ns for one, next_ in pairwise(ways))

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
        number = shot.edge + offset
        own_ns = triggers.own_ns[number]
        room_ns = triggers.room(number, self._pitch_ns)
        if len(self._shots) < RECENT and self._contradicts(shot, own_ns, room_ns):
            return
        self.offset = offset
        self._lag_ns = own_ns - shot.device_ns
        self._fitted, self._fitted_ns = 1, shot.device_ns
        self.unsure = self._timed_anew = False

    def _contradicts(self, shot: _Shot, own_ns: int, room_ns: int) -> bool:
        """Whether the two clocks say otherwise: frames that this machine was late with look like
        later parts' by host time, and not by them. If that goes on, one of these was set."""
        known = self._fitted >= PROOFS and not self._timed_anew and not self._rested(shot.device_ns)
        return known and abs(shot.device_ns + self._lag_ns - own_ns) >= room_ns
