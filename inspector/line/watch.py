"""What need not be looked at for every part: is the station ready, and is all well around it?

Enters: the line. Leaves: its bits at the gate, alarms that come and go, records that are due.
Imports the line's own modules, display, registers and store; ``process.py`` calls it.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

import structlog

from inspector.display import AlarmCode
from inspector.line import setting, timekeeper
from inspector.line.gate import HUNG_NS, REMEMBERED
from inspector.line.inputs import FINE
from inspector.line.matching import Candidate
from inspector.line.modes import INDEX
from inspector.line.output import OutputGate
from inspector.line.restart import BACKFILL
from inspector.part import Mode, Outcome, Part
from inspector.registers import GateReason, Signal, StationBit
from inspector.store import free_bytes

if TYPE_CHECKING:
    from inspector.line.line import Line

log = structlog.get_logger()

SILENT_NS = 12_000_000_000
"""A camera process tells its statistics every 5 s; one that says nothing for so long is gone."""
LOOK_NS = 1_000_000_000
"""How often the disk is asked for its free space, and the counts are compared."""
SETTLED = 200
"""So many parts get the ``error`` that is owed to them in one round of ``look_around``, 1,000 in a
second: 3 ms of the loop each time, and 100,000 parts are settled in two minutes."""
COMMIT_NS = 200_000_000
"""Records that no part's verdict carries along wait for the disk no longer than this."""
BITS = (StationBit.READY, StationBit.BYPASS, StationBit.STOP, StationBit.ALARM)
STOPS = (
    AlarmCode.REJECTS_IN_A_ROW,
    AlarmCode.BIN_FULL,
    AlarmCode.AIR_LOW,
    AlarmCode.NOT_CONFIRMED,
    AlarmCode.LIGHT,
    AlarmCode.CHALLENGE_FAILED,
)


LOSSES = frozenset({
    AlarmCode.PART_VANISHED, AlarmCode.JAM, AlarmCode.ESTOP, AlarmCode.ENCODER,
    AlarmCode.TRACKING_LOST, AlarmCode.PLC_LOST,
})  # fmt: skip
"""What says already that parts between eye and gate are not accounted for."""


def ready(line: Line) -> bool:
    """Judging, and able to record: only then may the gate let anything through."""
    mode = line.mode
    if line.paused or not line.verdicts.store_ok or mode is Mode.CLEANING:
        return False
    if line.inputs.unknown or line.fell:
        return False
    if line.station.gated and not (line.linked and line.run is not None):
        return False
    return mode is Mode.BYPASS or line.connected.heard_ns.keys() >= set(line.plan.newest.views)


def show(line: Line) -> bool:
    """Tell the gate how the station is, and that its loop comes round and its judges judge.
    False once they do not: who does not beat is killed and started again."""
    if line.inputs.fresh or line.stopped is not bool(line.stop.why):
        heed(line)
    mode, now_ns = line.mode, time.monotonic_ns()
    outputs = line.outputs.bits(now_ns)
    # Not by what the newest job awaits: parts of the one before it go by uninspected until then.
    bypass = line.modes.now.mode is Mode.BYPASS
    state = (ready(line), bypass, bool(line.stop.why), line.alarmed, mode, outputs)
    if state != line.shown:
        line.shown = state
        bits = outputs
        for is_set, bit in zip(state, BITS, strict=False):
            bits |= bit if is_set else StationBit(0)
        line.gate.show(bits, INDEX[mode])
    since_ns = line.judges.since_ns(now_ns)
    line.gate.alive(since_ns)
    return now_ns - since_ns < HUNG_NS


def heed(line: Line) -> None:
    """A camera's input lines have changed, or the line is stopped, or may run again. A PLC's next
    word is weighed with them; without one, a belt that stands takes every part's place away: a gate
    that is timed by its speed would open for the wrong one."""
    line.inputs.fresh, line.stopped = False, bool(line.stop.why)
    if line.station.plc is not None:
        return
    now = line.inputs.worse(FINE)
    line.stop.signals(now)
    was, line.halted = line.halted, line.inputs.halted()
    if line.stop.why and isinstance(line.gate, OutputGate) and line.gate.stops_belt:
        line.halted = line.halted or "the station stops the conveyor"
    line.alarms.holds(AlarmCode.ESTOP, not now & Signal.ESTOP_CLEAR)
    line.alarms.holds(AlarmCode.JAM, bool(now & Signal.JAM))
    if line.inputs.stood() or line.halted or was:
        line.eye.stood_ns = time.monotonic_ns()
        line.gate.refuse(line.run or 0, under_way(line), GateReason.TRACKING)


def under_way(line: Line) -> Sequence[int]:
    """The parts that may stand between eye and gate, by what is known now."""
    newest, status = line.matching.newest, line.zone.status
    if status is not None:
        return range(max(status.gate_part, newest - REMEMBERED) + 1, newest + 1)
    if isinstance(line.gate, OutputGate):  # a trigger line that chatters counts more than parts
        return [*line.gate.under_way(), *range(line.eye.newest + 1, newest + 1)]
    return range(max(1, newest - line.station.travel.most_parts), newest + 1)


def look_around(line: Line) -> None:
    """Alarms, the end of a by-pass, records that are due. Call it some times a second."""
    now_ns, alarms = time.monotonic_ns(), line.alarms
    line.verdicts.look_round()
    if ended := line.modes.expire(now_ns):
        line.ledger.add_event("mode", "line", mode=str(line.modes.now.mode), ended=str(ended.mode))
    bypass = line.modes.now.mode is Mode.BYPASS
    awaits = line.plan.newest
    alarms.holds(AlarmCode.UNSIGNED, bool(awaits.awaits), " ".join(awaits.needs), stops=False)
    alarms.holds(AlarmCode.BYPASS, bypass, line.modes.now.reason, stops=False)
    for view, heard_ns in list(line.connected.heard_ns.items()):
        silent = now_ns - heard_ns > SILENT_NS
        alarms.holds(AlarmCode.CAMERA_LOST, silent, f"{view}: says nothing", key=view)
        if silent:
            del line.connected.heard_ns[view]
    for doubt in line.matching.doubts:
        alarms.happened(AlarmCode.COUNT_MISMATCH, doubt)
    line.matching.doubts.clear()
    setting.keep_stop(line.ledger, line.stop)
    for code in STOPS:
        alarms.holds(code, code in line.stop.why, line.stop.why.get(code, ""))
    if now_ns - line.looked_ns > LOOK_NS:
        line.looked_ns = now_ns
        _look_at_store(line)
        _look_at_clock(line)
        _reconcile(line, now_ns)
        line.plan.forget_before(min(line.matching.parts, default=line.matching.newest))
    _settle(line)
    for image in line.archive.written():
        line.ledger.add_image(image)
    for alarm in alarms.fresh:
        log.warning("alarm", code=str(alarm.code), detail=alarm.detail, stops=alarm.stops)
        line.ledger.add_event("alarm", "line", code=str(alarm.code), detail=alarm.detail)
    alarms.fresh.clear()
    line.alarmed = bool(alarms.standing())
    if line.ledger.waiting and now_ns - line.verdicts.committed_ns > COMMIT_NS:
        line.verdicts.committed_ns = now_ns
        line.ledger.commit_soon()


def _look_at_store(line: Line) -> None:
    store = line.station.store
    free_mb = free_bytes(line.ledger.data_dir) >> 20
    trouble = line.ledger.trouble
    full = free_mb < store.stop_mb or line.ledger.full
    low = free_mb < store.reserve_mb and not full
    line.alarms.holds(AlarmCode.DISK_LOW, low, f"{free_mb} MB left", stops=False)
    line.alarms.holds(AlarmCode.DISK_FULL, full, trouble or f"{free_mb} MB left")
    line.alarms.holds(AlarmCode.UNRECORDED, bool(trouble) and not full, trouble)
    line.verdicts.store_ok = not full and not trouble


def _look_at_clock(line: Line) -> None:
    if (told := line.timekeeper.look()) is not None:
        line.ledger.add_event(timekeeper.KIND, "line", **told)
        if jumped_us := told["jumped_us"]:
            line.alarms.happened(AlarmCode.CLOCK, timekeeper.words_of(jumped_us), key="jump")
    lost = line.timekeeper.lost
    line.alarms.holds(AlarmCode.CLOCK, lost, "nobody disciplines UTC any more", stops=False)


def _settle(line: Line) -> None:
    """Once the disk takes records, an ``error`` for each part that lacks its verdict, some at a
    time. The gate has been told of them long since, or they have passed it."""
    verdicts = line.verdicts
    if verdicts.store_ok and line.ledger.waiting <= BACKFILL:
        for span in verdicts.owed.take(SETTLED):
            for number in span.numbers:
                part = Part(span.stream, number, 0, 0, span.mode, span.planned.batch.id)
                verdicts.conclude(
                    None, Candidate(part, triggered=True), span.planned, Outcome.ERROR,
                    (span.why,), GateReason.ERROR,
                )  # fmt: skip
    detail = f"{verdicts.owed.parts} parts have no verdict" if verdicts.owed else ""
    line.alarms.holds(AlarmCode.COUNT_MISMATCH, bool(detail), detail, key="owed", stops=False)


def _reconcile(line: Line, now_ns: int) -> None:
    """Counts that should be equal (I1)."""
    status = line.zone.status
    if status is None:
        return
    limit_ns = 2 * max(c.frame_timeout_ms for c in line.station.cameras) * 1_000_000 + LOOK_NS
    parts = line.matching.parts.values()
    owed = sum(c.triggered and now_ns - c.part.trigger_ns > limit_ns for c in parts)
    wrong = line.reconciler.differences(status, owed, now_ns)
    lost = not line.zone.trusted or any(a.code in LOSSES for a in line.alarms.standing())
    if unconfirmed := line.periods.unconfirmed(lost):
        wrong.append(unconfirmed)
    line.alarms.holds(AlarmCode.COUNT_MISMATCH, bool(wrong), "; ".join(wrong), stops=False)
    for difference in line.periods.at_gate.found:
        line.alarms.happened(AlarmCode.COUNT_MISMATCH, difference, key="gate")
    line.periods.at_gate.found.clear()
