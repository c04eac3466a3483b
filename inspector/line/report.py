"""How the line is, for screens and metrics.

Enters: the line. Leaves: a ``Status`` for the display. Imports display and the line's own modules;
``process.py`` calls it.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from inspector.display import Health, State, Status
from inspector.line.watch import ready
from inspector.registers import Signal
from inspector.tools import onnx

if TYPE_CHECKING:
    from inspector.line.line import Line


def status(line: Line, now_ns: int) -> Status:
    """The line as it is at ``now_ns`` (monotonic)."""
    station, counters = line.station, line.counters
    batch = line.plan.newest.batch
    per_s, takt_ms = counters.rate(now_ns)
    plc = line.zone.status
    running = bool(plc.signals & Signal.LINE_RUNNING) if plc else per_s > 0
    travel = station.travel
    return Status(
        station=station.station,
        line=station.line,
        ready=ready(line),
        running=running,
        paused=line.paused,
        mode=line.mode,
        awaits=line.plan.newest.awaits,
        needs=line.plan.newest.needs,
        batch=batch.id,
        product=batch.product,
        recipe=line.plan.newest.title,
        counts=counters.batch(batch.id),
        parts_per_s=round(per_s, 2),
        takt_ms=round(takt_ms, 2),
        latency_ms=counters.percentiles(now_ns),
        deadline_ms=round(travel.gate_mm / travel.speed_mm_s * 1e3 - travel.lead_ms, 1)
        if station.plc
        else 0.0,
        since_part_ms=(now_ns - line.last_part_ns) / 1e6 if line.last_part_ns else -1.0,
        health=_health(line),
        alarms=line.alarms.standing(),
        figures=_figures(line),
    )


def _health(line: Line) -> tuple[Health, ...]:
    cameras = [
        Health(c.name, "camera", State.OK if c.name in line.connected.heard_ns else State.FAULT)
        for c in line.station.cameras
    ]
    plc = State.ABSENT if line.station.plc is None else State.OK if line.linked else State.FAULT
    store = State.OK if line.verdicts.store_ok else State.FAULT
    synced = line.clock.known_synced
    clock = Health("clock", "clock", State.OK if synced else State.WARNING,
                   "" if synced else "UTC is not synchronised")  # fmt: skip
    return (
        *cameras,
        Health("plc", "plc", plc),
        Health("store", "store", store, line.ledger.trouble),
        clock,
    )


def _figures(line: Line) -> dict[str, float]:
    images = line.archive.counts
    return (
        line.counters.figures()
        | _gate_figures(line)
        | {
            "orphan_frames_total": line.matching.orphans,
            "parts_in_progress": len(line.matching.parts),
            "zone_parts": len(line.zone),
            "zone_trusted": float(line.zone.trusted),
            "ledger_waiting": line.ledger.waiting,
            "ledger_records_total": line.ledger.size,
            "ledger_wal_bytes": line.ledger.wal_bytes,
            "images_written_total": images.written,
            'images_dropped_total{reason="queue_full"}': images.overflowed,
            'images_dropped_total{reason="no_space"}': images.no_space,
            'images_dropped_total{reason="failed"}': images.failed,
            "images_waiting": images.waiting,
            "clock_synchronised": float(line.clock.known_synced),
            "clock_offset_seconds": line.clock.offset_us / 1e6,
            "clock_error_seconds": line.clock.error_us / 1e6,
            "model_cpu_seconds_total": onnx.spent.ns / 1e9,
        }
    )


def _gate_figures(line: Line) -> dict[str, float]:
    """What the PLC has counted and says; empty without one."""
    plc = line.zone.status
    if plc is None:
        return {}
    signals = int(line.inputs.worse(plc.signals))
    return {
        "gate_infeed_total": plc.infeed,
        "gate_triggers_total": plc.part_counter,
        "gate_rejects_commanded_total": plc.rejects_commanded,
        "gate_rejects_confirmed_total": plc.rejects_confirmed,
        **{f"gate_{name}": n for name, n in asdict(line.periods.at_gate.now).items()},
        **{
            f'plc_signal{{name="{str(signal.name).lower()}"}}': float(bool(signals & int(signal)))
            for signal in Signal
        },
    }
