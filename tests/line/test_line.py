"""The line between camera and judges, turned by hand: what it does when it is behind. (I6)"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import structlog
from plc_blocks import plc_status
from ruamel.yaml import YAML

from inspector.cameras.messages import (
    CameraEvent,
    Descriptor,
    EventKind,
    frames_endpoint,
    ring_path,
)
from inspector.cameras.outbox import Outbox
from inspector.cameras.ring import RingWriter
from inspector.config import load_station
from inspector.display import AlarmCode
from inspector.line import judging, runs
from inspector.line.gate import Told
from inspector.line.line import LOOK_NS, Line
from inspector.line.matching import Candidate
from inspector.line.owed import FULL, Owed
from inspector.line.process import open_line
from inspector.line.restart import AWAY
from inspector.line.tracking import Update
from inspector.line.verdicts import stream_of
from inspector.line.watch import look_around
from inspector.part import Batch, Finding, Mode, Outcome, Pictures, Pixels, Severity, Verdict
from inspector.recipe import Judgement
from inspector.registers import Action, GateReason
from inspector.release.offer import Offer, OfferReader
from inspector.store import History, verify
from inspector.store.bench import sample_verdict
from inspector.store.schema import LINE_FILE

SLOTS = 4
MONO8 = 0x01080001


class Held:
    """A recipe that passes what it sees, once it may, and remembers which pictures it saw."""

    name, revision, digest = "held", 1, "0" * 64
    model_digests: tuple[str, ...] = ()
    views, areas = ("side",), (None,)
    limits: Mapping[Severity, int] = {}

    def __init__(self) -> None:
        self.may = threading.Event()
        self.begun = threading.Semaphore(0)
        self.saw: list[int] = []

    def judge(
        self,
        frames: Mapping[str, Pixels],
        batch: Batch,
        today: date,
        clock_synced: bool = True,
        tolerated: Mapping[Severity, int] | None = None,
    ) -> Judgement:
        self.begun.release()
        self.saw.append(int(frames["side"][0, 0]) if frames else 0)
        assert self.may.wait(30)
        return Judgement(Outcome.PASS, (), (), None, 1.0)


class Camera:
    """A camera's process as the line knows it; its n-th picture is all of grey value n."""

    def __init__(self, run: Path) -> None:
        endpoint = frames_endpoint(run)
        self.ring = RingWriter(ring_path(endpoint, "side"), SLOTS, 64)
        self.outbox = Outbox(endpoint, "side", 0)
        self.connect(exposure=800.0)
        self.count = 0

    def connect(self, exposure: float) -> None:
        setting = {"name": "ExposureTime", "asked": exposure, "value": exposure}
        detail = {
            "device": {"serial_number": "V001"}, "set": [setting],
            "node_map": {"ExposureTime": exposure, "DeviceTemperature": 41.5},
        }  # fmt: skip
        self.outbox.event(CameraEvent("side", EventKind.CONNECTED, "", detail))

    def shoot(self) -> None:
        self.count += 1
        place, now_ns = self.ring.write(np.full(64, self.count, np.uint8)), time.monotonic_ns()
        self.outbox.frame(
            Descriptor(
                self.ring.id, 0, place.slot, place.generation, self.count, self.count,
                now_ns, now_ns, now_ns, 8, 8, MONO8, 64,
            )
        )  # fmt: skip

    def close(self) -> None:
        self.outbox.close()
        self.ring.remove()


@pytest.fixture
def recipe() -> Held:
    return Held()


@pytest.fixture
def line(tmp_path: Path, recipe: Held) -> Iterator[Line]:
    (tmp_path / "pictures").mkdir()
    (tmp_path / "run").mkdir()
    file = tmp_path / "station.yaml"
    written: dict[str, Any] = {
        "station": "T-01", "data": "data", "recipes": ["held.yaml"], "judges": 1,
        "cameras": [{"name": "side", "source": "folder", "folder": "pictures"}],
        "travel": {"gate_mm": 500, "speed_mm_s": 500, "mm_per_count": 0.1},
        "store": {"reserve_mb": 0, "stop_mb": 0}, "batch": {"id": "B-1"}, "clock": "trusted",
    }  # fmt: skip
    YAML().dump(written, file)
    line = open_line(load_station(file), tmp_path / "run", {"held": recipe})
    yield line
    recipe.may.set()
    line.close()


@pytest.fixture
def camera(line: Line, tmp_path: Path) -> Iterator[Camera]:
    camera = Camera(tmp_path / "run")
    yield camera
    camera.close()


def turn(line: Line, until: Callable[[], object], limit_s: float = 30.0) -> None:
    """The loop's rounds, until something is so."""
    end = time.monotonic() + limit_s
    while not until():
        assert time.monotonic() < end, "it did not happen in time"
        line.take_frames()
        judging.take(line)
        judging.give(line)
        line.decide()
        line.hand_over()


def test_a_line_that_is_behind_judges_what_it_still_can(
    line: Line, recipe: Held, camera: Camera, tmp_path: Path
) -> None:
    """Ten parts while one is judged, and the ring keeps four pictures: what waited too long is an
    error and costs no judge his time; the newest, which will last, are judged."""
    camera.shoot()
    turn(line, lambda: recipe.begun.acquire(blocking=False))
    while camera.count < 10:
        camera.shoot()
        turn(line, lambda: line.counters.frames["side"] == camera.count)
    recipe.may.set()
    turn(line, lambda: line.counters.verdicts == 10)
    line.ledger.commit()

    with History(tmp_path / "data") as history:
        verdicts = {p.verdict.sequence: p.verdict for p in history.last(100)}
    passed = [n for n, verdict in sorted(verdicts.items()) if verdict.outcome is Outcome.PASS]
    assert recipe.saw[-len(passed) :] == passed, "each by its own picture"
    assert passed[-1] == 10 and len(passed) >= SLOTS - 1
    # the one under way, and the one that waited for its judge
    assert len(recipe.saw) <= len(passed) + 2
    for number in set(verdicts) - set(passed):
        assert verdicts[number].outcome is Outcome.ERROR
        assert "overwritten" in verdicts[number].reasons[0]


def test_no_picture_is_kept_that_its_camera_writes_over_next(
    line: Line, recipe: Held, camera: Camera, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While it was copied it became another part's, and stood as evidence of this one."""
    kept: list[int] = []

    def copied(verdict: Verdict, pictures: Pictures) -> bool:
        views = dict(pictures.items())
        camera.shoot()
        kept.extend(int(pixels[0, 0]) for pixels in views.values())
        return True

    monkeypatch.setattr(line.archive, "offer", copied)
    while camera.count < SLOTS:
        camera.shoot()
        turn(line, lambda: line.counters.frames["side"] == camera.count)
    for number in (1, 3):
        line.matching.parts[number].doubt = "its time is over"
    line.decide()
    assert kept == [3]


def test_one_long_judgement_does_not_shut_out_all_that_come_after_it(
    line: Line, recipe: Held, camera: Camera, tmp_path: Path
) -> None:
    """A busy spell makes a judgement seem longer than parts last. What is let go for it is an
    error; if nothing but a judgement could mend the belief, none would ever be judged again."""
    recipe.may.set()
    line.eye._travel_ns = 1_000_000_000
    line.judges.takes_ns = 3_000_000_000  # as one that took 24 s leaves it
    while camera.count < 20:
        camera.shoot()
        turn(line, lambda: line.counters.verdicts == camera.count)
    line.ledger.commit()
    with History(tmp_path / "data") as history:
        verdicts = {p.verdict.sequence: p.verdict for p in history.last(100)}
    assert verdicts[1].reasons == ("late: no time to judge it",)
    assert verdicts[20].outcome is Outcome.PASS


def test_parts_that_wait_for_their_judge_cost_the_rounds_next_to_nothing(
    line: Line, camera: Camera, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A line that is behind has hundreds of them; to look at each in each round made it slower
    the more it was behind."""
    looked: list[int] = []
    overdue = line._overdue

    def counted(candidate: Candidate, now_ns: int) -> str:
        looked.append(candidate.part.sequence)
        return overdue(candidate, now_ns)

    monkeypatch.setattr(line, "_overdue", counted)
    for _ in range(SLOTS - 1):
        camera.shoot()
    turn(line, lambda: len(line.matching.parts) == SLOTS - 1)
    looked.clear()
    rounds, began_ns = iter(range(500)), time.monotonic_ns()
    turn(line, lambda: next(rounds, None) is None)
    looks = (time.monotonic_ns() - began_ns) // LOOK_NS + 2
    assert all(looked.count(number) <= looks for number in line.matching.parts)
    assert looks < 250, "too slow to tell"


def test_a_picture_of_nobodys_from_a_by_pass_holds_up_none_that_comes_after_it(
    line: Line, recipe: Held, camera: Camera
) -> None:
    """No trigger ever claims it, which takes two seconds to find out; parts do not last so long."""
    recipe.may.set()
    camera.shoot()
    camera.shoot()
    line.take_frames()
    stray = line.matching.parts[1]
    stray.part.mode, stray.triggered = Mode.BYPASS, False
    turn(line, lambda: line.counters.verdicts == 1)
    assert recipe.saw == [2] and line.matching.parts == {1: stray}


def test_a_line_that_is_behind_has_its_archive_make_way(
    line: Line, recipe: Held, camera: Camera, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    monkeypatch.setattr(line.archive, "make_way", lambda: asked.append(1))
    camera.shoot()
    turn(line, lambda: recipe.begun.acquire(blocking=False))
    assert not asked
    while camera.count < 2 * SLOTS:
        camera.shoot()
        turn(line, lambda: line.counters.frames["side"] == camera.count)
    recipe.may.set()
    turn(line, lambda: line.counters.verdicts == 2 * SLOTS)
    assert asked


def test_who_judges_beside_the_line_is_told_what_the_batch_has_let_through_so_far(
    line: Line, recipe: Held, camera: Camera, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By other limits the same recipe judges otherwise, and a good release would be taken back."""
    monkeypatch.setattr(recipe, "limits", {Severity.MINOR: 3}, raising=False)
    line.tolerated._counts["B-1"] = Counter({Severity.MINOR: 2})
    reader = OfferReader(tmp_path / "run")
    recipe.may.set()

    def offered() -> Offer | None:
        line.verdicts.look_round()
        return reader.receive(0)

    while not line.verdicts.offering:
        line.verdicts.look_round()
    camera.shoot()
    found: list[Offer] = []
    turn(line, lambda: (offer := offered()) is not None and not found.append(offer))
    reader.close()
    assert found[0].body["spent"] == {"minor": 2}


def test_how_a_camera_was_set_is_stored_with_the_run(
    line: Line, camera: Camera, tmp_path: Path
) -> None:
    """Device and settings each time it comes, its node map when they are others. (S1)"""
    camera.connect(exposure=800.0)
    camera.connect(exposure=400.0)
    camera.shoot()
    turn(line, lambda: line.counters.frames["side"] == 1)
    line.ledger.commit()

    with History(tmp_path / "data") as history:
        came = [e.body for e in history.events("camera") if e.body["what"] == "connected"]
    assert len(came) == 3
    assert all(body["device"] == {"serial_number": "V001"} for body in came)
    assert sorted(body["set"][0]["value"] for body in came) == [400.0, 800.0, 800.0]
    maps = [body["node_map"]["ExposureTime"] for body in came if "node_map" in body]
    assert sorted(maps) == [400.0, 800.0]


def test_a_line_whose_disk_takes_nothing_goes_on_and_settles_what_it_owes(
    line: Line, recipe: Held, camera: Camera, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No more verdicts may wait: the parts are rejected, decisions and events end nobody, and once
    the disk takes records again each part has its one verdict (I1, I5)."""
    recipe.may.set()
    line.ledger.commit()
    monkeypatch.setattr(line.ledger, "_max_waiting", 10)
    with closing(sqlite3.connect(tmp_path / "data" / LINE_FILE, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")  # nothing becomes durable
        while camera.count < 30:
            camera.shoot()
            turn(line, lambda: line.counters.frames["side"] == camera.count)
        turn(line, lambda: not line.matching.parts)
        assert line.verdicts.owed and line.counters.verdicts < 30
        assert not line.verdicts.store_ok
        now_ns = time.monotonic_ns()
        line.verdicts.told(Told(0, 30, Action.REJECT, GateReason.STORE, now_ns, now_ns, now_ns))
        line.looked_ns = 0
        look_around(line)
        assert line.verdicts.owed, "as long as the disk takes none, none is settled"
        said = {alarm.code for alarm in line.alarms.standing()}
        assert AlarmCode.UNRECORDED in said, "somebody holds the file's lock"
        assert AlarmCode.DISK_FULL not in said, "who is sent to make room would find enough"
        other.execute("ROLLBACK")
    monkeypatch.undo()  # as on a station, where far more may wait than is settled at once

    def settled() -> bool:
        line.looked_ns = 0
        look_around(line)
        return not line.verdicts.owed and not line.ledger.waiting

    turn(line, settled)
    assert line.counters.verdicts == 30
    with History(tmp_path / "data") as history:
        verdicts = [p.verdict for p in history.last(100)]
    assert sorted(v.sequence for v in verdicts) == list(range(1, 31))
    owed = [v for v in verdicts if v.reasons == (FULL,)]
    assert owed and all(v.outcome is Outcome.ERROR for v in owed)
    assert verify(tmp_path / "data").ok


def test_each_part_that_is_not_on_record_gets_its_error_however_many_there_are(
    line: Line, tmp_path: Path
) -> None:
    """A line that ends while its disk is full loses what waited, by the ten thousand (I1)."""
    stream = stream_of(0xBEEF)
    line.ledger.add_event("stream_opened", "line", stream=stream, authority="plc", counter=0)
    for number in (1, 2, 4, 900):
        line.ledger.add_verdict(sample_verdict(number, stream=stream))
    line.ledger.commit()
    runs.begin(line, plc_status(part_counter=1800), Update(new_run=True), time.monotonic_ns())
    assert not {1799, 1800} & set(_numbers(line.verdicts.owed)), "the newest are not waited for"

    said: set[str] = set()

    def settled() -> bool:
        look_around(line)
        said.update(alarm.detail for alarm in line.alarms.standing())
        return not line.verdicts.owed and not line.ledger.waiting

    before, rounds = line.counters.verdicts, 0
    while not settled():
        line.hand_over()
        line.ledger.commit(5.0)  # rests, and leaves the interpreter to the ledger's thread
        assert line.counters.verdicts - before <= 200, "the line has parts of its own"
        before, rounds = line.counters.verdicts, rounds + 1
    assert rounds >= 4
    assert {"1796 parts are not on record", "596 parts have no verdict"} <= said
    assert "parts have no verdict" not in str(line.alarms.standing()), "it is over"
    with History(tmp_path / "data") as history:
        recorded = {p.verdict.sequence: p.verdict for p in history.last(2500)}
    assert sorted(recorded) == list(range(1, 1801))
    late = [v for number, v in recorded.items() if number not in (1, 2, 4, 900)]
    assert {(v.outcome, v.reasons) for v in late} == {(Outcome.ERROR, (AWAY,))}


def _numbers(owed: Owed) -> Iterator[int]:
    return (number for span in owed._spans for number in span.numbers)


def test_what_a_run_of_the_plc_was_still_owed_is_settled_in_the_next(
    line: Line, tmp_path: Path
) -> None:
    """Station and PLC were switched off before all was."""
    stream = stream_of(0xF00D)
    line.ledger.add_event("stream_opened", "line", stream=stream, authority="plc", counter=0)
    for number in (1, 8):
        line.ledger.add_verdict(sample_verdict(number, stream=stream))
    line.ledger.commit()
    for run in (0xBEEF, 0xBEE5):
        runs.begin(line, plc_status(run=run), Update(new_run=True), time.monotonic_ns())
        assert [span.numbers for span in line.verdicts.owed._spans] == [range(2, 8)], "once"
    line.looked_ns = 0
    look_around(line)
    line.ledger.commit()
    with History(tmp_path / "data") as history:
        assert {p.verdict.sequence for p in history.last(50)} == set(range(1, 9))


def test_a_counter_that_jumped_owes_no_more_than_can_have_gone_by(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runs, "MOST", 5000)
    stream = stream_of(0xBEEF)
    line.ledger.add_verdict(sample_verdict(10, stream=stream))
    line.ledger.add_event("stream_opened", "line", stream=stream, authority="plc", counter=0)
    line.ledger.commit()
    jumped = plc_status(part_counter=4_000_000_000)
    runs.begin(line, jumped, Update(new_run=True), time.monotonic_ns())
    assert line.verdicts.owed.parts == 5000
    line.ledger.commit()
    with History(line.ledger.data_dir) as history:
        (event,) = history.events("unobserved", 10)
    rest = 4_000_000_000 - 5000 - 1000
    assert event.body == {"stream": stream, "first": 1, "last": rest, "parts": rest - 1}


def test_a_refused_verdict_is_settled_in_the_stream_and_batch_of_its_part(
    line: Line, recipe: Held, camera: Camera, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though the disk was full for so long that another batch and another count have begun."""
    recipe.may.set()
    before = line.stream
    with monkeypatch.context() as full:
        full.setattr(line.ledger, "_max_waiting", 0)
        camera.shoot()
        turn(line, lambda: line.verdicts.owed)
    job = line.plan.newest
    line.plan.change(replace(job, batch=replace(job.batch, id="B-2")), 2)
    runs.begin(line, plc_status(), Update(new_run=True), time.monotonic_ns())
    line.looked_ns = 0
    line.ledger.commit()
    look_around(line)
    line.ledger.commit()
    assert line.stream != before and not line.verdicts.owed
    with History(line.ledger.data_dir) as history:
        (part,) = history.last(10)
    verdict = part.verdict
    assert (verdict.stream, verdict.sequence, verdict.batch) == (before, 1, "B-1")
    assert verdict.reasons == (FULL,)


def test_a_verdict_that_cannot_be_encoded_is_an_error_on_record(
    line: Line, recipe: Held, camera: Camera, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such as one of more findings than a record holds: it owes its part a verdict (I1)."""
    found = tuple(
        Finding("look", "detect", "x" * 4000, view="side", text=str(n)) for n in range(400)
    )
    monkeypatch.setattr(
        recipe, "judge", lambda *_: Judgement(Outcome.PASS, (), found, "x" * (1 << 20), 1.0)
    )
    camera.shoot()
    turn(line, lambda: line.verdicts.owed)
    line.looked_ns = 0
    line.ledger.commit()
    look_around(line)
    line.ledger.commit()
    assert not line.verdicts.owed
    with History(tmp_path / "data") as history:
        (part,) = history.last(10)
    assert part.verdict.outcome is Outcome.ERROR
    assert "its verdict was refused: a record of" in part.verdict.reasons[0]


def test_a_recipe_that_fails_each_part_is_an_error_each_and_one_line_of_the_log(
    line: Line, recipe: Held, camera: Camera, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At fifty parts a second the log would fill a disk."""

    def fails(*_: object) -> Judgement:
        raise RuntimeError("no such tensor")

    monkeypatch.setattr(recipe, "judge", fails)
    with structlog.testing.capture_logs() as said:
        for number in range(1, 6):
            camera.shoot()
            turn(line, lambda number=number: line.counters.verdicts == number)
    assert [row["event"] for row in said] == ["recipe failed"]
    assert line.counters.outcomes[Outcome.ERROR, Mode.AUTO] == 5
