"""The line at work: what it does with each frame, each word of the gate, each part.

Enters: frames and camera events, the gate's events, jobs and modes from commands. Leaves: verdicts
in the ledger, decisions at the gate, pictures in the archive and on the display. ``process.py``
turns the loop; ``commands.py`` obeys people; ``report.py`` tells how it goes. Imports the line's
own modules, cameras, store, display, registers, config and part.
"""

from __future__ import annotations

import functools
import time
from collections import OrderedDict, deque
from concurrent.futures import Future
from uuid import uuid4

import structlog

from inspector import __version__
from inspector.cameras.messages import CameraEvent, EventKind
from inspector.cameras.receiver import FrameReceiver
from inspector.config import Station
from inspector.display import AlarmCode, Display
from inspector.line.alarms import Alarms, Stop
from inspector.line.changeover import Job, Plan
from inspector.line.clock import UtcClock
from inspector.line.counters import Counters, Reconciler
from inspector.line.gate import Gate, Link, Seen, Told
from inspector.line.matching import Candidate, Matching
from inspector.line.modes import INDEX, PERMITS, Modes
from inspector.line.tracking import Update, Zone
from inspector.part import (
    Frame,
    GateAction,
    GateDecision,
    Mode,
    Outcome,
    Part,
    PartId,
    Times,
    Verdict,
)
from inspector.registers import Action, GateReason, PlcStatus, StationBit
from inspector.store import ImageArchive, LineLedger, StoreError, free_bytes

log = structlog.get_logger()

BACKFILL = 1000
"""Parts that went by while the station was away and get an ``error`` record each; where there were
more, one event names the whole range."""
UNCLAIMED_NS = 2_000_000_000
"""A frame whose part the authority has not counted after this long belongs to none."""
SILENT_NS = 12_000_000_000
"""A camera process tells its statistics every 5 s; one that says nothing for so long is gone."""
REMEMBERED = 4096
SPOILED = {
    EventKind.INCOMPLETE: AlarmCode.CAMERA_FRAMES,
    EventKind.WRONG_SIZE: AlarmCode.CAMERA_FRAMES,
    EventKind.OVERRUN: AlarmCode.CAMERA_FRAMES,
    EventKind.LOST_FRAMES: AlarmCode.CAMERA_FRAMES,
    EventKind.MISSED_TRIGGERS: AlarmCode.CAMERA_FRAMES,
    EventKind.FROZEN: AlarmCode.CAMERA_FROZEN,
}
TRACKING = {
    "vanished": AlarmCode.PART_VANISHED,
    "appeared": AlarmCode.PART_VANISHED,
    "jam": AlarmCode.JAM,
    "estop": AlarmCode.ESTOP,
    "encoder": AlarmCode.ENCODER,
    "standstill": AlarmCode.ENCODER,
    "triggers_lost": AlarmCode.COUNT_MISMATCH,
    "counter": AlarmCode.COUNT_MISMATCH,
}
GATE_ACTION = {
    Action.PERMIT: GateAction.PERMIT,
    Action.REJECT: GateAction.REJECT,
    Action.REVOKE: GateAction.REVOKE,
}
WHY = {Outcome.REJECT: GateReason.DEFECT, Outcome.ERROR: GateReason.ERROR}


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
    ) -> None:
        self.station = station
        self.receiver, self.gate, self.ledger = receiver, gate, ledger
        self.archive, self.display = archive, display
        self.plan = Plan(job)
        self.modes = Modes(station.mode)
        self.clock = UtcClock(station.clock == "trusted")
        self.alarms = Alarms()
        self.stop = Stop(station.stop)
        self.counters = Counters()
        self.reconciler = Reconciler()
        self.zone = Zone(station.travel)
        travel = station.travel
        self._timeout_ns = {c.name: c.frame_timeout_ms * 1_000_000 for c in station.cameras}
        self.matching = Matching(
            self._timeout_ns,
            round(travel.pitch_min_mm / travel.speed_mm_s * 1e9),
            self._new_part,
            lambda number: self.plan.at(number).views,
            by_time=station.plc is not None,
        )
        self.paused = False
        self.stream = ""
        self.run: int | None = None
        """The PLC's run; None without a PLC, and before its first word."""
        self.linked = False
        self.store_ok = True
        self.alarmed = False
        self.last_part_ns = 0
        self.heard_ns: dict[str, int] = {}
        """When each camera that is connected was last heard."""
        self.uncommitted: dict[int, int] = {}
        """Passed parts whose record is not durable yet: number → deadline."""
        self.decided: OrderedDict[tuple[str, int], PartId] = OrderedDict()
        self._trigger_ns: dict[int, int] = {}
        self._failed: deque[tuple[int, str]] = deque()
        self._free_counter = 0
        self._judge_ns = 0
        self._committed_ns = 0
        self._looked_ns = 0
        if station.plc is None:
            self._open_stream(f"frames-{uuid4().hex[:8]}", 0)
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
                self.heard_ns[message.view] = message.host_ns
                self.matching.frame(message)
                if self.station.plc is None:
                    self._count(message)
            else:
                self._camera_event(message)

    def _camera_event(self, event: CameraEvent) -> None:
        now_ns, view = time.monotonic_ns(), event.view
        if event.kind is EventKind.STATISTICS:
            self.heard_ns[view] = now_ns
            return
        self.ledger.add_event("camera", "line", view=view, what=str(event.kind), why=event.message)
        if event.kind is EventKind.CONNECTED:
            self.heard_ns[view] = now_ns
            self.matching.camera_reset(view)
            self._holds(AlarmCode.CAMERA_LOST, False, key=view)
        elif event.kind in (EventKind.LOST, EventKind.REFUSED):
            self.heard_ns.pop(view, None)
            self.matching.camera_reset(view)
            self._holds(AlarmCode.CAMERA_LOST, True, f"{view}: {event.message}", key=view)
        else:
            edge = event.detail.get("edge")
            if isinstance(edge, int) and edge >= 0:
                self.matching.spoil(view, edge, event.message, now_ns)
            self._happened(SPOILED[event.kind], f"{view}: {event.message}")

    def _count(self, frame: Frame) -> None:
        """Without a PLC the first camera's edges are the authority; each is a part."""
        if frame.view != self.station.cameras[0].name:
            return
        for number in range(self._free_counter + 1, self.matching.number(frame) + 1):
            far_ns = frame.host_ns + 60_000_000_000
            self.matching.trigger(number, frame.host_ns, far_ns)
            self.counters.triggered(frame.host_ns)
            self._free_counter = number
        self.last_part_ns = frame.host_ns

    # The gate.

    def take_gate(self) -> None:
        """All that the gate has said."""
        for event in self.gate.take():
            if isinstance(event, Seen):
                self._plc(event.status, event.at_ns)
            elif isinstance(event, Told):
                self._told(event)
            elif isinstance(event, Link):
                self.linked = event.up
                self._holds(AlarmCode.PLC_LOST, not event.up, event.why)
                self.ledger.add_event("gate_link", "line", up=event.up, why=event.why)

    def _plc(self, status: PlcStatus, at_ns: int) -> None:
        update = self.zone.update(status, at_ns)
        if update.new_run:
            self._new_run(status, update)
        elif update.refused:
            self.gate.refuse(status.run, update.refused, GateReason.TRACKING)
        for alarm in update.alarms:
            self._happened(TRACKING.get(alarm.kind, AlarmCode.TRACKING_LOST), alarm.detail)
        if update.lost:
            self.matching.lost(update.lost, at_ns)
            self._backfill(update.lost, "the PLC had forgotten its trigger before it was read")
        for seen in update.seen:
            self.matching.trigger(seen.number, seen.trigger_ns, seen.deadline_ns)
            self.counters.triggered(seen.trigger_ns)
            self.last_part_ns = seen.trigger_ns
        self.matching.told(self.zone.clock.here(status.plc_ms))
        self.stop.signals(status.signals)

    def _new_run(self, status: PlcStatus, update: Update) -> None:
        """The part counter began anew, or this is the first word of the PLC."""
        for number, candidate in list(self.matching.parts.items()):
            if candidate.triggered:
                self._conclude(number, candidate, Outcome.ERROR, ("the PLC counts anew",))
        self.run = status.run
        self._open_stream(f"plc-{status.run:08x}", status.part_counter)
        self.reconciler.begin(status)
        known = self.ledger.last_sequence(self.stream)
        if known is None:
            first = max(1, status.part_counter - BACKFILL + 1)
            missing = list(range(first, status.part_counter + 1))
            unobserved = status.part_counter
        else:
            missing = self.ledger.missing(self.stream, status.part_counter, BACKFILL)
            unobserved = max(len(missing), status.part_counter - known)
        self.ledger.add_event(
            "stream_opened", "line", stream=self.stream, authority="plc",
            counter=status.part_counter, recorded_up_to=known or 0, unobserved=unobserved,
        )  # fmt: skip
        if unobserved:
            self._happened(AlarmCode.COUNT_MISMATCH, f"{unobserved} parts went by unobserved")
        self._backfill(missing, "it went by while the station was away")
        # What passed its inspection before stands somewhere now; nobody watched it.
        far_ns = time.monotonic_ns() + 1_000_000_000
        absent = set(missing)
        for number in update.refused:
            if number not in absent:
                self.gate.decide(status.run, number, Action.REVOKE, GateReason.TRACKING, far_ns)
        self.gate.refuse(status.run, update.refused, GateReason.TRACKING)

    def _open_stream(self, stream: str, counter: int) -> None:
        self.stream = stream
        self.matching.open(counter, time.monotonic_ns())
        self.plan.renumber()
        self.uncommitted.clear()
        self._trigger_ns.clear()

    def _backfill(self, numbers: range | list[int], why: str) -> None:
        """An ``error`` for each of ``numbers``, whose parts nobody looked at."""
        now_ns = time.monotonic_ns()
        for number in numbers[-BACKFILL:]:
            part = self._new_part(number)
            part.deadline_ns = now_ns + 1_000_000_000
            self._conclude(number, Candidate(part, triggered=True), Outcome.ERROR, (why,))
        if len(numbers) > BACKFILL:
            span = {"first": numbers[0], "last": numbers[-1] - BACKFILL}
            self.ledger.add_event("unobserved", "line", stream=self.stream, **span)

    def _told(self, told: Told) -> None:
        stream = f"plc-{told.run:08x}"
        part_id = self.decided.get((stream, told.part))
        self.counters.gate[GATE_ACTION[told.action]] += 1
        reason = told.reason.name.lower()
        if not told.acknowledged_ns:
            self.counters.unacknowledged += 1
            self._happened(AlarmCode.NO_ACKNOWLEDGEMENT, f"part {told.part}")
        elif told.acknowledged_ns > told.deadline_ns:
            self.counters.late += 1
            self._happened(AlarmCode.TOO_LATE, f"part {told.part}")
        if told.acknowledged_ns:
            self.counters.stages["gate"].add(told.acknowledged_ns - told.decided_ns)
        if part_id is None:
            self.ledger.add_event(
                "gate", "line", stream=stream, part=told.part, action=told.action.name.lower(),
                reason=reason, acknowledged=bool(told.acknowledged_ns),
            )  # fmt: skip
            return
        trigger_ns = self._trigger_ns.pop(told.part, 0)
        if trigger_ns and told.acknowledged_ns:
            total = told.acknowledged_ns - trigger_ns
            self.counters.stages["total"].add(total)
            self.counters.recent_ms.append(total / 1e6)
        self.ledger.add_gate(
            GateDecision(
                part_id, stream, told.part, GATE_ACTION[told.action], reason, told.decided_ns,
                told.acknowledged_ns,
            )
        )  # fmt: skip

    # Parts.

    def _new_part(self, number: int) -> Part:
        batch = self.plan.at(number).batch.id
        return Part(self.stream, number, 0, 0, self.modes.now.mode, batch)

    def judge_next(self) -> bool:
        """Judge the oldest part whose pictures are all there; whether there was one."""
        candidate = self.matching.complete()
        if candidate is None:
            return False
        part, began_ns = candidate.part, time.monotonic_ns()
        if part.mode is Mode.BYPASS:
            return False
        if not candidate.triggered:
            # The trigger is not in the last block; the answer will be there before the verdict.
            self.gate.hurry()
        elif began_ns + self._judge_ns > part.deadline_ns:
            candidate.doubt = "too late to be judged"
            return True
        planned = self.plan.at(part.sequence)
        pixels = {view: part.frames[view].pixels for view in planned.views}
        utc_ns = time.time_ns()
        synced = self.clock.synced(began_ns)
        try:
            candidate.judgement = planned.recipe.judge(
                pixels, planned.batch, self.clock.today(utc_ns), synced
            )
        except Exception as error:  # a recipe that breaks must not take the line with it
            log.exception("recipe failed", recipe=planned.title)
            candidate.doubt = f"the recipe failed: {type(error).__name__}: {error}"
            self._happened(AlarmCode.RECIPE, candidate.doubt)
        if not all(self.receiver.still_valid(frame) for frame in part.frames.values()):
            candidate.doubt = "a picture was overwritten while it was judged"
        if not candidate.certain:
            self.gate.hurry()
        candidate.judged_ns = time.monotonic_ns()
        spent = candidate.judged_ns - began_ns
        self._judge_ns += (spent - self._judge_ns) // 8
        self.counters.stages["judge"].add(spent)
        newest = max(frame.host_ns for frame in part.frames.values())
        self.counters.stages["wait"].add(max(0, began_ns - newest))
        return True

    def decide(self) -> None:
        """Conclude every part that can be concluded now."""
        now_ns = time.monotonic_ns()
        for number, candidate in list(self.matching.parts.items()):
            part = candidate.part
            if not candidate.triggered:
                if now_ns - candidate.begun_ns > UNCLAIMED_NS:
                    del self.matching.parts[number]
                    self.matching.orphans += len(part.frames)
                    self._happened(AlarmCode.COUNT_MISMATCH, "a frame without a trigger")
            elif part.mode is Mode.BYPASS:
                self._conclude(number, candidate, Outcome.NOT_INSPECTED, ("by-pass",))
            elif candidate.doubt:
                self._conclude(number, candidate, Outcome.ERROR, (candidate.doubt,))
            elif candidate.judgement is not None and candidate.certain:
                late_ms = (now_ns - self._deadline(part)) / 1e6
                outcome, reasons = candidate.judgement.outcome, candidate.judgement.reasons
                if late_ms > 0 and outcome is Outcome.PASS:
                    outcome, reasons = Outcome.ERROR, (f"late by {late_ms:.0f} ms",)
                self._conclude(number, candidate, outcome, reasons)
            elif reason := self._overdue(candidate, now_ns):
                self._conclude(number, candidate, Outcome.ERROR, (reason,))
        self._watch_commits(now_ns)

    def _overdue(self, candidate: Candidate, now_ns: int) -> str:
        part = candidate.part
        for view in self.plan.at(part.sequence).views:
            limit_ns = self._timeout_ns[view]
            if view not in part.frames and now_ns - part.trigger_ns > limit_ns:
                self._happened(AlarmCode.CAMERA_FRAMES, f"{view}: no frame")
                return f"{view}: no frame within {limit_ns // 1_000_000} ms"
        if now_ns > self._deadline(part):
            missing = [v for v in self.plan.at(part.sequence).views if v not in part.frames]
            return f"late: no frame of {missing[0]}" if missing else "late: not judged in time"
        return ""

    def _deadline(self, part: Part) -> int:
        """As the belt moves now; it may have slowed since the trigger."""
        tracked = self.zone.deadline_ns(part.sequence) if self.run is not None else None
        if tracked is not None:
            part.deadline_ns = tracked
        return part.deadline_ns

    def _conclude(
        self, number: int, candidate: Candidate, outcome: Outcome, reasons: tuple[str, ...]
    ) -> None:
        """The part's one verdict. A reject goes to the gate at once, a pass when it is durable."""
        self.matching.parts.pop(number, None)
        part, planned = candidate.part, self.plan.at(number)
        run, deadline_ns = self.run, part.deadline_ns
        goes = outcome in (Outcome.PASS, Outcome.NOT_INSPECTED) and part.mode in PERMITS
        self.decided[self.stream, number] = part.id
        if part.trigger_ns:
            self._trigger_ns[number] = part.trigger_ns
        while len(self.decided) > REMEMBERED:
            self.decided.popitem(last=False)
        if not goes and run is not None:
            why = WHY.get(outcome, GateReason.COMMAND)
            if outcome is Outcome.ERROR and reasons[0].startswith("late"):
                why = GateReason.LATE
            self.gate.decide(run, number, Action.REJECT, why, deadline_ns)
        verdict = self._verdict(candidate, planned, outcome, reasons)
        try:
            self.ledger.add_verdict(verdict)
        except StoreError as error:
            log.error("verdict not recorded", stream=self.stream, part=number, why=str(error))
            self._store_failed(str(error))
            if goes and run is not None:
                self.gate.decide(run, number, Action.REJECT, GateReason.STORE, deadline_ns)
        else:
            self._committed_ns = verdict.times.verdict_ns
            if goes and run is not None:
                self.uncommitted[number] = deadline_ns
                why = GateReason.BYPASS if part.mode is Mode.BYPASS else GateReason.NONE
                permit = functools.partial(
                    self._durable, run, number, why, deadline_ns, verdict.times.verdict_ns
                )
                self.ledger.commit_soon().add_done_callback(permit)
            else:
                self.ledger.commit_soon()
        self.counters.judged(outcome, part.mode, part.batch)
        light = any(f.label == "light_fault" and not f.ok for f in verdict.findings)
        self.stop.judged(outcome, light)
        pixels = {v: f.pixels for v, f in part.frames.items() if self.receiver.still_valid(f)}
        if pixels:
            self.archive.offer(verdict, pixels)
        if self.display.wants(outcome):
            counts = self.counters.batch(part.batch)
            self.display.show(verdict, pixels, counts, planned.batch.product)

    def _durable(
        self, run: int, number: int, why: GateReason, deadline_ns: int, verdict_ns: int,
        done: Future[int],
    ) -> None:  # fmt: skip
        """In the ledger's thread: the record is on the disk, so the part may pass."""
        if (error := done.exception()) is not None:
            self._failed.append((number, str(error)))
        elif self.uncommitted.pop(number, None) is not None:
            self.gate.decide(run, number, Action.PERMIT, why, deadline_ns)
            self.counters.stages["commit"].add(time.monotonic_ns() - verdict_ns)

    def _watch_commits(self, now_ns: int) -> None:
        """A pass whose record is not durable by its deadline is rejected: the disk is too slow."""
        while self._failed:
            number, why = self._failed.popleft()
            self._store_failed(why)
            self._not_durable(number)
        for number, deadline_ns in list(self.uncommitted.items()):
            if now_ns > deadline_ns:
                self._happened(AlarmCode.DISK_SLOW, f"part {number} was not recorded in time")
                self._not_durable(number)

    def _not_durable(self, number: int) -> None:
        deadline_ns = self.uncommitted.pop(number, None)
        if deadline_ns is not None and self.run is not None:
            self.gate.decide(self.run, number, Action.REJECT, GateReason.STORE, deadline_ns)

    def _verdict(
        self, candidate: Candidate, planned: Job, outcome: Outcome, reasons: tuple[str, ...]
    ) -> Verdict:
        part, judgement = candidate.part, candidate.judgement
        now_ns, utc_ns = time.monotonic_ns(), time.time_ns()
        frame_ns = max((f.host_ns for f in part.frames.values()), default=0)
        if frame_ns and part.trigger_ns:
            self.counters.stages["frame"].add(max(0, frame_ns - part.trigger_ns))
        recipe = planned.recipe
        return Verdict(
            part.id, self.station.station, part.stream, part.sequence, outcome,
            part.mode, part.batch,
            Times(
                part.trigger_ns, frame_ns, now_ns, utc_ns, self.clock.boot_id,
                self.clock.synced(now_ns),
            ),
            planned.title, recipe.digest, recipe.model_digests, SOFTWARE, reasons,
            judgement.findings if judgement is not None else (),
            judgement.serial if judgement is not None else None,
        )  # fmt: skip

    # The station as a whole.

    @property
    def ready(self) -> bool:
        """Judging, and able to record: only then may the gate let anything through."""
        mode = self.modes.now.mode
        watching = mode is Mode.BYPASS or all(v in self.heard_ns for v in self.plan.newest.views)
        told = self.station.plc is None or (self.linked and self.run is not None)
        return told and watching and self.store_ok and not self.paused and mode is not Mode.CLEANING

    def show(self) -> None:
        """Tell the gate how the station is, and that its loop comes round."""
        bits = StationBit.READY if self.ready else StationBit(0)
        if self.modes.now.mode is Mode.BYPASS:
            bits |= StationBit.BYPASS
        if self.stop.why:
            bits |= StationBit.STOP
        if self.alarmed:
            bits |= StationBit.ALARM
        self.gate.show(bits, INDEX[self.modes.now.mode])
        self.gate.alive()

    def look_around(self) -> None:
        """What need not be looked at for every part. Call it some times a second."""
        now_ns = time.monotonic_ns()
        if ended := self.modes.expire(now_ns):
            self.ledger.add_event(
                "mode", "line", mode=str(self.modes.now.mode), ended=str(ended.mode)
            )
        self._holds(AlarmCode.BYPASS, self.modes.now.mode is Mode.BYPASS, self.modes.now.reason)
        for view, heard_ns in list(self.heard_ns.items()):
            if now_ns - heard_ns > SILENT_NS:
                del self.heard_ns[view]
                self._holds(AlarmCode.CAMERA_LOST, True, f"{view}: says nothing", key=view)
        for view in self.heard_ns:
            self._holds(AlarmCode.CAMERA_LOST, False, key=view)
        for doubt in self.matching.doubts:
            self._happened(AlarmCode.COUNT_MISMATCH, doubt)
        self.matching.doubts.clear()
        for code in (AlarmCode.REJECTS_IN_A_ROW, AlarmCode.BIN_FULL, AlarmCode.AIR_LOW,
                     AlarmCode.NOT_CONFIRMED, AlarmCode.LIGHT):  # fmt: skip
            self._holds(code, code in self.stop.why, self.stop.why.get(code, ""))
        if now_ns - self._looked_ns > 1_000_000_000:
            self._looked_ns = now_ns
            self._look_at_store()
            self._reconcile(now_ns)
            self.plan.forget_before(min(self.matching.parts, default=self.matching.newest))
        for image in self.archive.written():
            self.ledger.add_image(image)
        for alarm in self.alarms.fresh:
            log.warning("alarm", code=str(alarm.code), detail=alarm.detail, stops=alarm.stops)
            self.ledger.add_event("alarm", "line", code=str(alarm.code), detail=alarm.detail)
        self.alarms.fresh.clear()
        self.alarmed = bool(self.alarms.standing(now_ns))
        if self.ledger.waiting and now_ns - self._committed_ns > 200_000_000:
            self._committed_ns = now_ns
            self.ledger.commit_soon()

    def _look_at_store(self) -> None:
        store = self.station.store
        free_mb = free_bytes(self.ledger.data_dir) >> 20
        full, trouble = free_mb < store.stop_mb, self.ledger.trouble
        low = free_mb < store.reserve_mb
        self._holds(AlarmCode.DISK_LOW, low and not full, f"{free_mb} MB left", stops=False)
        self._holds(AlarmCode.DISK_FULL, full or bool(trouble), trouble or f"{free_mb} MB left")
        self.store_ok = not full and not trouble

    def _reconcile(self, now_ns: int) -> None:
        status = self.zone.status
        if status is None:
            return
        limit_ns = 2 * max(self._timeout_ns.values()) + 1_000_000_000
        parts = self.matching.parts.values()
        owed = sum(c.triggered and now_ns - c.part.trigger_ns > limit_ns for c in parts)
        wrong = self.reconciler.differences(status, owed, now_ns)
        self._holds(AlarmCode.COUNT_MISMATCH, bool(wrong), "; ".join(wrong), stops=False)

    def _store_failed(self, why: str) -> None:
        self.store_ok = False
        self._holds(AlarmCode.DISK_FULL, True, why)

    def _happened(self, code: AlarmCode, detail: str) -> None:
        self.alarms.happened(code, detail, time.monotonic_ns(), time.time_ns())

    def _holds(
        self, code: AlarmCode, wrong: bool, detail: str = "", *, stops: bool = True, key: str = ""
    ) -> None:
        self.alarms.holds(code, wrong, detail, stops=stops, key=key, utc_ns=time.time_ns())

    def close(self) -> None:
        """Drop *ready*, then make durable what there is. What is undecided stays so: the next
        start finds it missing."""
        self.gate.close()
        for event in self.gate.take():
            if isinstance(event, Told):
                self._told(event)
        for image in self.archive.close():
            self.ledger.add_image(image)
        self.ledger.close()
        self.display.close()
        self.receiver.close()


SOFTWARE = f"inspector {__version__}"
