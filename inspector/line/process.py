"""The line process: one loop, from trigger to gate.

Enters: a station file and its run directory. Leaves: verdicts and gate decisions, until a signal.
Started by the supervisor as ``python -m inspector.line.process STATION RUN``. It serves no page,
sends nothing away and reads no report; it survives the death of every other process.
"""

from __future__ import annotations

import gc
import select
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import cv2
import structlog
import zmq

from inspector import logs
from inspector.approval import load_approved
from inspector.beat import Beat, Ending
from inspector.bus import CommandServer, run_dir
from inspector.cameras.messages import frames_endpoint
from inspector.cameras.receiver import FrameReceiver
from inspector.config import Station, load_station
from inspector.display import HEARTBEAT_S, AlarmCode, Display, Topic
from inspector.line import driver, judging, setting
from inspector.line.champions import Champions, restore, waiting
from inspector.line.changeover import Job, Recipe, job
from inspector.line.commands import Commands, refused
from inspector.line.gate import Gate
from inspector.line.line import Line
from inspector.line.lives import Desk
from inspector.line.modes import Modes
from inspector.line.output import NoGate, timed, write_level
from inspector.line.plcgate import PlcGate
from inspector.line.releasing import awaiting
from inspector.line.report import status
from inspector.line.restart import produced
from inspector.line.watch import look_around, show
from inspector.part import Batch
from inspector.recipe import load
from inspector.release.offer import Offers
from inspector.store import ImageArchive, LineLedger, StoreError, signing_key
from inspector.tools.onnx import Shelf

log = structlog.get_logger()

WAIT_MS = 10
"""The loop comes round at least this often while parts are under way, for their deadlines …"""
IDLE_MS = 50
"""… and this often while none is."""
OWING_MS = 1
"""While an answer to a command waits for the disk: the MES counts its milliseconds."""
SWITCH_S = 2e-4
"""How long a thread may keep the others waiting for the lock: the default of 5 ms is a quarter of
a part's time at 50 parts/s."""
TIDY_S = 10.0
"""How often garbage is collected, by hand and between parts, or twice as late where there is never
a moment between them: the collector itself is off."""


def main(path: Path, run: Path | None = None) -> None:
    """Run the line of station file ``path`` until SIGTERM or SIGINT.

    Raises ``ConfigError``, ``ModelError``, ``StoreError`` or ``BusError`` before it is ready.
    """
    station = load_station(path)
    run = run or run_dir(station.data)
    ending = Ending()
    sys.setswitchinterval(SWITCH_S)
    # OpenCV's own threads spin beside ours: 0.6 ms of CPU a part at 640x480, and no time gained.
    cv2.setNumThreads(1)
    beat = Beat(run / "line.beat")
    base = load_recipes(station)
    recipes, chains, unfit = restore(station, base)
    line = open_line(station, run, recipes)
    pending, unready = waiting(station, recipes)
    for why in (*unfit, *unready):
        line.alarms.happened(AlarmCode.MODEL, why)
    champions = Champions(line, recipes, base, chains, pending)
    server = CommandServer(run, on_refused=lambda refusal: refused(line, refusal))
    commands = Commands(line, server, recipes, champions)
    calls = int(server.socket.get(zmq.FD))
    poller = select.poll()
    judged = line.judges.fileno()
    for source in (line.receiver, line.gate, judged, calls):
        poller.register(source, select.POLLIN)
    for thread in threading.enumerate():
        if thread is not threading.main_thread() and thread.native_id is not None:
            logs.call_thread(thread.name, thread.native_id)
    log.info("line is up", station=station.station, recipes=sorted(recipes))
    gc.collect()
    gc.freeze()
    gc.disable()
    more = False
    beat_due = tidy_due = 0.0
    try:
        while not ending.is_set():
            busy = line.matching.parts or line.verdicts.waiting
            wait_ms = 0 if more else OWING_MS if commands.owing else WAIT_MS if busy else IDLE_MS
            gate_ms = (line.gate.due_ns() - time.monotonic_ns()) / 1e6
            called = [source for source, _ in poller.poll(max(0.0, min(wait_ms, gate_ms)))]
            line.take_frames()
            line.take_gate()
            if calls in called or commands.owing or more:
                commands.take()
                # Its descriptor tells of news only: what was left must be asked for.
                more = bool(int(server.socket.get(zmq.EVENTS)) & zmq.POLLIN)
            if judged in called:
                judging.take(line)
            judging.give(line)
            line.decide()
            if show(line):
                beat.beat()
            now = time.monotonic()
            if now >= beat_due:
                beat_due = now + HEARTBEAT_S
                look_around(line)
                if line.display.heard(Topic.STATUS):
                    line.display.beat(status(line, time.monotonic_ns()))
            line.hand_over()
            if now >= tidy_due + TIDY_S * bool(line.judges.under_way):
                tidy_due = now + TIDY_S
                gc.collect(1)
    finally:
        gc.enable()
        commands.close()
        champions.close()
        line.close()
        server.close()


def load_recipes(station: Station) -> dict[str, Recipe]:
    """Every recipe of the station, loaded and warm, by name; the first one runs."""
    shelf = Shelf(station.models, station.threads, station.providers, station.judges)
    recipes: dict[str, Recipe] = {}
    for path in station.recipes:
        if station.require_approval:
            recipe = load_approved(
                path, signing_key(station.data).public_key(), station.data, shelf
            )
        else:
            recipe = load(path, shelf)
        recipe.warm_up()
        recipes[recipe.name] = recipe
    return recipes


def open_line(station: Station, run: Path, recipes: dict[str, Recipe]) -> Line:
    """The line with everything it holds open."""
    names = [camera.name for camera in station.cameras]
    store = station.store
    ledger = LineLedger.open(station.data, station=station.station)
    was = setting.last(station)

    def resumed(kept: setting.Kept) -> Job:
        made = job(recipes[kept.recipe], kept.batch, names)
        return replace(made, awaits=kept.awaits, needs=kept.needs)

    if was is not None and was.job.recipe in recipes:
        planned = resumed(was.job)
    else:
        was, first, lot = None, next(iter(recipes.values())), station.batch
        planned = job(first, Batch(lot.id, lot.product, first.name, lot.texts), names)
        planned = awaiting(station.quality, planned, None)
    article = station.quality.first_article if station.quality is not None else None
    archive = ImageArchive(
        station.data,
        pass_image_every=store.pass_image_every,
        image_queue=store.image_queue,
        reserve_mb=store.reserve_mb,
        jpeg_quality=store.jpeg_quality,
        tried_every=min(3, article.golden_parts) if article is not None else 3,
    )
    receiver = FrameReceiver(frames_endpoint(run), names)
    line = Line(
        station, planned, receiver, open_gate(station), ledger, archive, Display(run), Offers(run)
    )
    line.counters.batches |= produced(ledger, planned.batch.id)
    line.stop.why = setting.stopped(station)
    line.stop.kept = frozenset(line.stop.why)
    if was is not None:
        line.modes, line.paused = Modes(was.mode), was.paused
        if was.earlier and all(kept.recipe in recipes for _, kept in was.earlier):
            earlier = [(first, resumed(kept)) for first, kept in was.earlier]
            line.plan.resume(was.stream, was.first, earlier)
    unfit = _unfit(line, resumed=was is not None)
    ledger.add_event(
        "line_started", "line", recipes=[f"{r.name}@{r.revision} {r.digest}" for r in
        recipes.values()], mode=str(line.modes.now.mode), resumed=was is not None,
        zone=station.calendar.timezone,
    )  # fmt: skip
    if was is None:
        if not unfit:
            ledger.add_batch(planned.batch, "begin", "line")
        setting.keep(ledger, station, line.plan, line.stream, line.modes, line.paused, "line")
    return line


def _unfit(line: Line, resumed: bool) -> str:
    """Whether the batch that the line has come up with must not be produced, and why: it is then
    paused until another one begins. A batch that had ended has ended still."""
    batch = line.plan.newest.batch.id
    try:
        with Desk(line.ledger.data_dir) as desk:
            line.plan.ended = resumed and desk.ended(batch)
            why = "" if resumed else desk.unfit(batch)
    except StoreError as error:  # the line survives the desk; whoever resumes it will be told
        log.error("the desk cannot be read", why=str(error))
        return ""
    if why:
        line.paused = True
        line.alarms.happened(AlarmCode.OTHER, why)
    return why


def open_gate(station: Station) -> Gate:
    """The gate that the station file means."""
    if station.plc is not None:
        return PlcGate(station.plc)
    output = station.output
    if output is None:
        return NoGate()
    if output.driver is not None:
        return driver.load(output.driver)(station)
    assert output.path is not None
    conveyor, beacon = (
        write_level(path) if path is not None else None for path in (output.conveyor, output.beacon)
    )
    return timed(station, write_level(output.path), conveyor, beacon)


if __name__ == "__main__":
    logs.run("line", lambda: main(Path(sys.argv[1]), Path(sys.argv[2])))
