"""The line at work: what it does with each frame, each word of the gate, each part.

Enters: frames and camera events, the gate's events, jobs and modes from commands. Leaves: verdicts
in the ledger, decisions at the gate, pictures in the archive and on the display. ``process.py``
turns the loop; ``judging.py`` has the parts judged; ``commands.py`` obeys people; ``report.py``
tells how it goes. Imports the line's own modules, cameras, store, display, registers, config and
part.
"""

from __future__ import annotations

import time
from dataclasses import replace
from uuid import uuid4

import structlog

from inspector.cameras.receiver import FrameReceiver
from inspector.config import Station
from inspector.display import AlarmCode, Display
from inspector.line import refeed, runs
from inspector.line.alarms import TRACKING, Alarms, Stop
from inspector.line.changeover import Job, Plan
from inspector.line.clock import UtcClock
from inspector.line.connected import Connected
from inspector.line.counters import Counters, Reconciler
from inspector.line.eye import Eye
from inspector.line.eyematching import EyeMatching
from inspector.line.gate import Gate, Link, Seen, Told
from inspector.line.inputs import Inputs
from inspector.line.judges import LATE, Judges
from inspector.line.matching import Candidate, Matching
from inspector.line.modes import PERMITS, Modes
from inspector.line.output import OutputGate
from inspector.line.outputs import Outputs
from inspector.line.periods import Periods
from inspector.line.plcmatching import PlcMatching
from inspector.line.timekeeper import KIND as TIMES
from inspector.line.timekeeper import Timekeeper
from inspector.line.tolerated import Tolerated
from inspector.line.tracking import Zone
from inspector.line.verdicts import Verdicts
from inspector.part import Frame, Mode, Outcome, Part
from inspector.registers import GateReason, PlcStatus, StationBit
from inspector.release.offer import Offers
from inspector.store import ImageArchive, LineLedger, StoreError

log = structlog.get_logger()

UNCLAIMED_NS = 2_000_000_000
"""A frame whose part the authority has not counted after this long belongs to none."""
LOOK_NS = 20_000_000
"""A part that waits is looked at this often: its deadline moves with the belt."""


class Line:
    """Everything between a trigger and its gate decision. One thread, the loop's, calls it."""

    def __init__(
        self,
        station: Station,
        job: Job,
        receiver: FrameReceiver,
        gate: Gate,
        ledger: LineLedger,
        archive: ImageArchive,
        display: Display,
        offers: Offers | None = None,
    ) -> None:
        self.station = station
        self.receiver, self.gate, self.ledger = receiver, gate, ledger
        self.archive, self.display, self.offers = archive, display, offers
        self.plan = Plan(job)
        self.modes = Modes(station.mode)
        self.clock = UtcClock(station.clock == "trusted")
        self.timekeeper = Timekeeper(self.clock)
        self.ledger.add_event(TIMES, "line", **(self.timekeeper.look() or {}))
        self.alarms = Alarms()
        self.stop = Stop(station.stop)
        self.counters = Counters()
        self.reconciler = Reconciler()
        self.periods = Periods(ledger.add_event)
        self.outputs = Outputs()
        self.serials = refeed.Serials(ledger.data_dir)
        self.inputs = Inputs(station.cameras)
        self.halted = ""
        """Why no part's place is known; only without a PLC."""
        self.stopped = False
        """What the line is stopped for has been heeded."""
        self.zone = Zone(station.travel)
        travel = station.travel
        self.eye = Eye(station.cameras[0], travel, gated=station.output is not None)
        self._timeout_ns = {c.name: c.frame_timeout_ms * 1_000_000 for c in station.cameras}
        self._asked = [c.name for c in station.cameras if c.trigger == "software"]
        pitch_ns = round(travel.pitch_min_mm / travel.speed_mm_s * 1e9)
        parts = self._timeout_ns, pitch_ns, self.new_part, lambda number: self.plan.at(number).views
        self.matching: Matching = (
            PlcMatching(*parts, self._asked)
            if station.plc is not None
            else EyeMatching(*parts, self.eye.timed(station.cameras), self._asked)
        )
        self.connected = Connected(ledger, self.inputs, self.matching, self.alarms, self.counters)
        self.tolerated = Tolerated(ledger, self.matching.parts)
        self.verdicts = Verdicts(
            station.station, gate, ledger, archive, display, receiver, self.alarms, self.stop,
            self.counters, self.clock, offers,
        )  # fmt: skip
        self.judges = Judges(station.judges)
        self.paused = False
        self.stream = ""
        self.run: int | None = None
        """The PLC's run; None without a PLC, and before its first word."""
        self.fell: tuple[int, int] | None = None
        """From where to where its part counter fell back within that run: no part may pass."""
        self.linked = self.alarmed = False
        self.shown: tuple[bool, bool, bool, bool, Mode, StationBit] | None = None
        self.last_part_ns = self.looked_ns = 0
        self.hurries = False
        """A part waits for its trigger to be told."""
        if station.plc is None:
            runs.open_stream(self, f"frames-{uuid4().hex[:8]}", 0)
            if station.output is not None:
                self.run = 0
                self.verdicts.count(0, self.stream)
            self.ledger.add_event(
                "stream_opened", "line", stream=self.stream, authority="frames",
                unobserved="from the record before this one until now",
            )  # fmt: skip

    # Cameras.

    def take_frames(self) -> None:
        """All that the cameras have sent."""
        while (message := self.receiver.receive()) is not None:
            if isinstance(message, Frame):
                self.counters.frames[message.view] += 1
                self.connected.heard_ns[message.view] = message.host_ns
                self.matching.frame(message)
                if self.station.plc is None and message.view == self.eye.view:
                    self._count(message)
            else:
                self.connected.told(message)
                self.eye.told(message)

    def _count(self, frame: Frame) -> None:
        """Without a PLC the first camera's edges are the authority; each is a part."""
        counted = self.eye.see(self.matching.number(frame), frame)
        for number in counted.numbers:
            self.matching.trigger(number, counted.trigger_ns, counted.deadline_ns)
            self.counters.triggered(counted.trigger_ns)
            self.receiver.trigger(*self._asked)
        if isinstance(self.gate, OutputGate):
            self.gate.expect(counted.numbers, counted.deadline_ns)
        self.matching.told(counted.trigger_ns)
        if counted.why:
            self.alarms.happened(AlarmCode.TRACKING_LOST, counted.why, key="pitch")
        if refused := counted.numbers if self.halted else counted.refused:
            self.gate.refuse(self.run or 0, refused, GateReason.TRACKING)
        self.last_part_ns = frame.host_ns

    # The gate.

    def take_gate(self) -> None:
        """All that the gate has said."""
        for event in self.gate.take():
            if isinstance(event, Seen):
                self._plc(event.status, event.at_ns, event.ready)
            elif isinstance(event, Told):
                self.verdicts.told(event)
                self.periods.told(event, self.run)
            elif isinstance(event, Link):
                self.linked = event.up
                code = AlarmCode.PLC_LOST if self.station.plc is not None else AlarmCode.OTHER
                self.alarms.holds(code, not event.up, event.why, key="gate")
                self.ledger.add_event("gate_link", "line", up=event.up, why=event.why)

    def _plc(self, status: PlcStatus, at_ns: int, said_ready: bool) -> None:
        if self.inputs.wired:
            status = replace(status, signals=self.inputs.worse(status.signals))
            self.zone.blind = self.inputs.blind
        update = self.zone.update(status, at_ns)
        status = self.zone.status or status
        if update.new_run:
            runs.begin(self, status, update, at_ns)
            self.shown = None
        elif update.refused:
            self.gate.refuse(status.run, update.refused, GateReason.TRACKING)
        for alarm in update.alarms:
            code = TRACKING.get(alarm.kind, AlarmCode.TRACKING_LOST)
            self.alarms.happened(code, alarm.detail, key=alarm.kind)
        if update.lost:
            self.matching.lost(update.lost, at_ns)
            runs.backfill(self, [update.lost], runs.FORGOTTEN)
        for seen in update.seen:
            candidate = self.matching.trigger(
                seen.number, seen.trigger_ns, seen.deadline_ns, seen.own_ns
            )
            if candidate.part.mode is not Mode.BYPASS:
                candidate.look_ns = min(seen.deadline_ns, seen.trigger_ns + LOOK_NS)
            self.counters.triggered(seen.trigger_ns)
            self.last_part_ns = seen.trigger_ns
            self.receiver.trigger(*self._asked)
        clock = self.zone.clock
        self.matching.told(clock.here(status.plc_ms), clock.own(status.plc_ms))
        self.stop.signals(status.signals)
        self.periods.status(status, len(self.zone), at_ns, said_ready)

    # Parts.

    @property
    def mode(self) -> Mode:
        """What the line is doing. A job that awaits a signature is being set up, whatever else."""
        return Mode.SETUP if self.plan.newest.awaits else self.modes.now.mode

    def new_part(self, number: int) -> Part:
        """A part that is heard of for the first time."""
        mode = self.plan.mode(number, self.modes.now.mode)
        return Part(self.stream, number, 0, 0, mode, self.plan.at(number).batch.id)

    def decide(self) -> None:
        """Conclude every part that can be concluded now."""
        now_ns = time.monotonic_ns()
        self.verdicts.watch(now_ns)
        if not self.matching.parts:
            return
        for number, candidate in list(self.matching.parts.items()):
            # A line that is behind has many that wait, and must not be slowed by them.
            waits = candidate.judgement is None and not candidate.doubt and not self.fell
            if waits and now_ns < candidate.look_ns:
                continue
            part = candidate.part
            if not candidate.triggered:
                if now_ns - candidate.begun_ns > UNCLAIMED_NS:
                    del self.matching.parts[number]
                    self.matching.orphans += len(part.frames)
                    self.alarms.happened(AlarmCode.COUNT_MISMATCH, "a frame without a trigger")
            elif self.fell:
                self.conclude(candidate, Outcome.ERROR, (runs.FELL,))
            elif part.mode is Mode.BYPASS:
                self.conclude(candidate, Outcome.NOT_INSPECTED, ("by-pass",))
            elif candidate.doubt:
                self.conclude(candidate, Outcome.ERROR, (candidate.doubt,))
            elif candidate.judgement is not None and candidate.certain:
                late_ms = (now_ns - self._deadline(part)) / 1e6
                outcome, reasons = refeed.judged(self, candidate)
                if late_ms > 0 and outcome is Outcome.PASS:
                    outcome, reasons = Outcome.ERROR, (f"{LATE} by {late_ms:.0f} ms",)
                self.conclude(candidate, outcome, reasons)
            elif reason := self._overdue(candidate, now_ns):
                self.conclude(candidate, Outcome.ERROR, (reason,))

    def hand_over(self) -> None:
        """Wake who goes on with what this round has brought: judges, ledger, PLC. Call it last,
        before waiting: they need the interpreter's lock, or the processor that this one runs on."""
        self.judges.wake()
        self.verdicts.record()
        if self.hurries:
            self.hurries = False
            self.gate.hurry()

    def _overdue(self, candidate: Candidate, now_ns: int) -> str:
        """Why the part can wait no longer; empty while it can, and then it says until when."""
        part = candidate.part
        due_ns = self._deadline(part)
        missing = [v for v in self.plan.at(part.sequence).views if v not in part.frames]
        for view in missing:
            limit_ns = self._timeout_ns[view]
            if now_ns - part.trigger_ns > limit_ns:
                self.alarms.happened(AlarmCode.CAMERA_FRAMES, f"{view}: no frame")
                return f"{view}: no frame within {limit_ns // 1_000_000} ms"
            due_ns = min(due_ns, part.trigger_ns + limit_ns)
        if now_ns > part.deadline_ns:
            return (
                f"{LATE}: {missing[0]} has no frame" if missing else f"{LATE}: not judged in time"
            )
        candidate.look_ns = min(due_ns, now_ns + LOOK_NS)
        return ""

    def _deadline(self, part: Part) -> int:
        """As the belt moves now; it may have slowed since the trigger."""
        tracked = self.zone.deadline_ns(part.sequence)
        if tracked is not None:
            part.deadline_ns = tracked
        return part.deadline_ns

    def conclude(self, candidate: Candidate, outcome: Outcome, reasons: tuple[str, ...]) -> None:
        """The part's verdict, and why the gate hears what it hears."""
        part = candidate.part
        self.matching.parts.pop(part.sequence, None)
        if outcome is Outcome.REJECT:
            why = GateReason.DEFECT
        elif outcome is Outcome.ERROR:
            why = GateReason.LATE if reasons[0].startswith(LATE) else GateReason.ERROR
        elif part.mode is Mode.BYPASS:
            why = GateReason.BYPASS
        else:
            why = GateReason.NONE if part.mode in PERMITS else GateReason.COMMAND
        planned = self.plan.at(part.sequence)
        self.tolerated.concluded(candidate, outcome)
        self.verdicts.conclude(self.run, candidate, planned, outcome, reasons, why)

    def close(self) -> None:
        """Drop *ready*, make durable what there is; the next start finds missing what is not."""
        self.gate.close()
        for event in self.gate.take():
            if isinstance(event, Told):
                self.verdicts.told(event)
        self.ledger.commit_soon()  # what follows may hang for longer than this process is given
        self.judges.close()
        self.serials.close()
        for image in self.archive.close(timeout_s=2.0):
            self.ledger.add_image(image)
        try:
            self.ledger.close()
        except StoreError as error:
            log.error("the last records did not reach the disk", why=str(error))
        self.display.close()
        if self.offers is not None:
            self.offers.close()
        self.receiver.close()
