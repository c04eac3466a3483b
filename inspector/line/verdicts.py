"""The end of a part: its one verdict, what the gate is told of it, and whether it heard.

Enters: a part with its outcome. Leaves: the verdict in the ledger, the decision at the gate, the
pictures in the archive and on the display. Imports the line's own modules, store, display,
cameras, registers and part; ``line.py`` calls it.

The order is the safety (I2): a reject is told first and recorded then; a pass is recorded first,
on the disk, and permitted then.
"""

from __future__ import annotations

import functools
import time
from collections import OrderedDict, deque
from collections.abc import Iterable, Mapping
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property

import structlog

from inspector import __version__
from inspector.cameras.receiver import FrameReceiver
from inspector.display import AlarmCode, Display, Topic
from inspector.line.alarms import Alarms, Stop
from inspector.line.changeover import Job
from inspector.line.clock import UtcClock
from inspector.line.counters import Counters
from inspector.line.gate import NEVER_NS, REMEMBERED, Gate, Told
from inspector.line.matching import Candidate
from inspector.line.modes import PERMITS
from inspector.line.owed import Owed
from inspector.line.restart import RUN
from inspector.part import (
    Frame,
    GateAction,
    GateDecision,
    Mode,
    Outcome,
    PartId,
    Pixels,
    Times,
    Verdict,
)
from inspector.registers import Action, GateReason
from inspector.release.offer import Offers
from inspector.store import ImageArchive, LineLedger, RecordError, StoreError, StoreFull

log = structlog.get_logger()

SOFTWARE = f"inspector {__version__}"
COUNTS = 4
"""Decisions about parts of so many counts of the PLC may still be told."""
LIGHT_FAULT = "light_fault"
"""Label of the finding that the illumination tool makes."""
GATE_ACTION = {
    Action.PERMIT: GateAction.PERMIT,
    Action.REJECT: GateAction.REJECT,
    Action.REVOKE: GateAction.REVOKE,
}


@dataclass(frozen=True, slots=True)
class _Unrecorded:
    """A passed part whose record is not on the disk yet."""

    run: int
    number: int
    deadline_ns: int


@dataclass(frozen=True, slots=True)
class _Permit:
    """What the gate is told of a passed part once it is recorded."""

    part_id: PartId
    why: GateReason
    verdict_ns: int
    deadline_ns: int


def stream_of(run: int) -> str:
    """The name of the stream that a run of the PLC's part counter is."""
    return f"{RUN}{run:08x}"


class _Developed:
    """A part's pictures, developed whole once somebody looks: those that are there and outlast a
    look, as who copies one asks nobody afterwards whether its camera wrote over it meanwhile."""

    def __init__(self, frames: Mapping[str, Frame], receiver: FrameReceiver) -> None:
        self._frames, self._receiver = frames, receiver

    @cached_property
    def _views(self) -> dict[str, Pixels]:
        receiver, frames = self._receiver, self._frames.items()
        whole = {view: receiver.pixels(f) for view, f in frames if receiver.lasts(f, 1)}
        return {view: pixels for view, pixels in whole.items() if pixels is not None}

    def __len__(self) -> int:
        return len(self._frames)

    def items(self) -> Iterable[tuple[str, Pixels]]:
        return self._views.items()


class Verdicts:
    """Makes verdicts, and follows their gate decisions. The loop's thread calls it; permits are
    given from the ledger's, as soon as the record is on the disk."""

    def __init__(
        self,
        station: str,
        gate: Gate,
        ledger: LineLedger,
        archive: ImageArchive,
        display: Display,
        receiver: FrameReceiver,
        alarms: Alarms,
        stop: Stop,
        counters: Counters,
        clock: UtcClock,
        offers: Offers | None = None,
    ) -> None:
        self._station = station
        self._gate, self._ledger, self._archive = gate, ledger, archive
        self._display, self._receiver, self._offers = display, receiver, offers
        self._alarms, self._stop, self._counters = alarms, stop, counters
        self.clock = clock
        self.store_ok = True
        """Whether records reach the disk."""
        self.watched = self.offering = False
        """Whether anybody looks at the display, or judges beside us; see ``look_round``."""
        self.committed_ns = 0
        """When the last commit was asked for."""
        self._counts: deque[tuple[int, int, str]] = deque(maxlen=COUNTS)
        """Run, beginning (monotonic ns) and stream of the counts whose decisions may be told."""
        self.owed = Owed()
        """Parts whose verdict is not on record."""
        self._unrecorded = False
        """Verdicts were added that no commit was asked for yet, …"""
        self._permits: list[_Permit] = []
        """… and of these parts, once it is done."""
        self._uncommitted: dict[PartId, _Unrecorded] = {}
        self._failed: deque[tuple[PartId, str]] = deque()
        self._decided: OrderedDict[tuple[str, int], tuple[PartId, int]] = OrderedDict()

    @property
    def waiting(self) -> int:
        """Passed parts whose record is not on the disk yet."""
        return len(self._uncommitted)

    def conclude(
        self,
        run: int | None,
        candidate: Candidate,
        planned: Job,
        outcome: Outcome,
        reasons: tuple[str, ...],
        why: GateReason,
    ) -> None:
        """The part's one verdict. ``run`` is the PLC's, None where there is no gate; ``why`` goes
        to the gate with a decision that is not a plain permit."""
        part = candidate.part
        number, deadline_ns = part.sequence, part.deadline_ns
        goes = outcome in (Outcome.PASS, Outcome.NOT_INSPECTED) and part.mode in PERMITS
        if run is not None:
            self._decided[part.stream, number] = (part.id, part.trigger_ns)
            if len(self._decided) > REMEMBERED:
                self._decided.popitem(last=False)
        if run is not None and not goes:
            self._gate.decide(run, number, Action.REJECT, why, deadline_ns)
        verdict = self._verdict(candidate, planned, outcome, reasons)
        try:
            self._ledger.add_verdict(verdict)
        except StoreError as error:
            if not self.owed:  # the first says it for those that follow
                log.error("verdict not recorded", stream=part.stream, part=number, why=str(error))
            self._broken(str(error))
            if run is not None and goes:
                self._gate.decide(run, number, Action.REJECT, GateReason.STORE, deadline_ns)
            if isinstance(error, StoreFull) or (part.trigger_ns and isinstance(error, RecordError)):
                self.owed.refused(part, planned, error)
        else:
            self._counters.judged(outcome, part.mode, part.batch)
            self.committed_ns = verdict.times.verdict_ns
            if run is not None and goes:
                # By id, not by number: the PLC may count anew while the disk still writes.
                self._uncommitted[part.id] = _Unrecorded(run, number, deadline_ns)
                self._permits.append(_Permit(part.id, why, verdict.times.verdict_ns, deadline_ns))
            self._unrecorded = True
        # What went by while nobody watched is no reason for a stop, nor what is no product.
        if part.trigger_ns and part.mode is not Mode.CLEANING:
            dark = any(not f.ok and f.label == LIGHT_FAULT for f in verdict.findings)
            seeded = part.mode in (Mode.CHALLENGE, Mode.SETUP)
            self._stop.judged(outcome, dark, seeded)
        self._show(candidate, verdict, planned)

    def record(self) -> None:
        """Have the disk asked for what was concluded since the last call."""
        if not self._unrecorded:
            return
        self._unrecorded = False
        permits, self._permits = self._permits, []
        by_ns = min([permit.deadline_ns for permit in permits], default=NEVER_NS)
        commit = self._ledger.commit_soon(by_ns)
        if permits:
            commit.add_done_callback(functools.partial(self._durable, permits))

    def remember(self, stream: str, number: int, part_id: PartId) -> None:
        """A part that got its verdict before this process started, and may be decided anew."""
        self._decided[stream, number] = (part_id, 0)

    def count(self, run: int, stream: str) -> None:
        """What is decided from now on in ``run`` is about parts of ``stream``."""
        self._counts.append((run, time.monotonic_ns(), stream))

    def _stream(self, told: Told) -> str:
        """Of the part that was decided: a run may have come to more than one stream."""
        for run, since_ns, stream in reversed(self._counts):
            if run == told.run and since_ns <= told.decided_ns:
                return stream
        return stream_of(told.run)

    def told(self, told: Told) -> None:
        """The gate acknowledged a decision, or never did."""
        counters, stream = self._counters, self._stream(told)
        counters.gate[GATE_ACTION[told.action]] += 1
        if not told.acknowledged_ns:
            counters.unacknowledged += 1
            self._alarms.happened(AlarmCode.NO_ACKNOWLEDGEMENT, f"part {told.part}")
        else:
            counters.stages["gate"].add(told.acknowledged_ns - told.decided_ns)
            if told.acknowledged_ns > told.deadline_ns:
                counters.late += 1
                self._alarms.happened(AlarmCode.TOO_LATE, f"part {told.part}")
        known = self._decided.get((stream, told.part))
        if known is None:
            # A part of the time before this process, or a test pulse: no part of ours.
            self._ledger.add_event(
                "gate",
                "line",
                stream=stream,
                part=told.part,
                action=told.action.name.lower(),
                reason=told.reason.name.lower(),
                acknowledged=bool(told.acknowledged_ns),
            )
            return
        part_id, trigger_ns = known
        if trigger_ns and told.acknowledged_ns and told.action is not Action.REVOKE:
            total_ns = told.acknowledged_ns - trigger_ns
            counters.stages["total"].add(total_ns)
            counters.recent_ms.append(total_ns / 1e6)
        decision = GateDecision(
            part_id,
            stream,
            told.part,
            GATE_ACTION[told.action],
            told.reason.name.lower(),
            told.decided_ns,
            told.acknowledged_ns,
        )
        with suppress(StoreFull):  # the verdicts before it say what is wrong
            self._ledger.add_gate(decision)

    def watch(self, now_ns: int) -> None:
        """A pass whose record is not durable by its deadline is rejected: the disk is too slow."""
        while self._failed:
            part_id, why = self._failed.popleft()
            self._broken(why)
            self._reject_unrecorded(part_id)
        if self._uncommitted:
            for part_id, waiting in list(self._uncommitted.items()):
                if now_ns > waiting.deadline_ns:
                    detail = f"part {waiting.number} was not recorded in time"
                    self._alarms.happened(AlarmCode.DISK_SLOW, detail)
                    self._reject_unrecorded(part_id)

    def look_round(self) -> None:
        """Ask who is there; not for every part, for it costs as much as a small tool."""
        self.watched = self._display.heard(Topic.PASS) or self._display.heard(Topic.REJECT)
        self.offering = self._offers is not None and self._offers.wanted()

    def forget_run(self) -> None:
        """Numbers begin anew: what waits for the disk is permitted to nobody."""
        self._uncommitted.clear()

    def _durable(self, permits: list[_Permit], done: Future[int]) -> None:
        """In the ledger's thread: the records are on the disk, so the parts may pass."""
        if (error := done.exception()) is not None:
            self._failed.extend((permit.part_id, str(error)) for permit in permits)
            return
        for permit in permits:
            part = self._uncommitted.pop(permit.part_id, None)
            if part is not None:
                self._gate.decide(
                    part.run, part.number, Action.PERMIT, permit.why, part.deadline_ns
                )
                spent_ns = time.monotonic_ns() - permit.verdict_ns
                self._counters.stages["commit"].add(spent_ns)

    def _reject_unrecorded(self, part_id: PartId) -> None:
        part = self._uncommitted.pop(part_id, None)
        if part is not None:
            reason = GateReason.STORE
            self._gate.decide(part.run, part.number, Action.REJECT, reason, part.deadline_ns)

    def _broken(self, why: str) -> None:
        self.store_ok = False
        code = AlarmCode.DISK_FULL if self._ledger.full else AlarmCode.UNRECORDED
        self._alarms.holds(code, True, why)

    def _verdict(
        self, candidate: Candidate, planned: Job, outcome: Outcome, reasons: tuple[str, ...]
    ) -> Verdict:
        part, judgement, recipe = candidate.part, candidate.judgement, planned.recipe
        now_ns = time.monotonic_ns()
        frame_ns = max((f.host_ns for f in part.frames.values()), default=0)
        if frame_ns and part.trigger_ns:
            self._counters.stages["frame"].add(max(0, frame_ns - part.trigger_ns))
        times = Times(
            part.trigger_ns,
            frame_ns,
            now_ns,
            time.time_ns(),
            self.clock.boot_id,
            self.clock.synced(now_ns),
        )
        looked = judgement is not None and part.mode is not Mode.BYPASS
        return Verdict(
            part.id,
            self._station,
            part.stream,
            part.sequence,
            outcome,
            part.mode,
            part.batch,
            times,
            planned.title,
            recipe.digest,
            recipe.model_digests,
            SOFTWARE,
            reasons,
            planned.found(judgement.findings) if looked else (),
            judgement.serial if looked else None,
        )

    def _offer(self, candidate: Candidate, verdict: Verdict, planned: Job) -> None:
        assert self._offers is not None
        places = {
            view: place
            for view, frame in candidate.part.frames.items()
            if (place := self._receiver.descriptor(frame)) is not None
        }
        batch = planned.batch
        self._offers.put(verdict, places, batch.texts, batch.product, candidate.spent)

    def _show(self, candidate: Candidate, verdict: Verdict, planned: Job) -> None:
        came = candidate.part.frames
        if not came:
            return
        frames = {view: came[view] for view in planned.views if view in came}
        pixels = _Developed(frames, self._receiver)
        self._archive.offer(verdict, pixels)
        if self._offers is not None and self.offering:
            self._offer(candidate, verdict, planned)
        if self.watched and self._display.wants(verdict.outcome):
            counts = self._counters.batch(verdict.batch)
            self._display.show(verdict, pixels, counts, planned.batch.product)
