"""The quality process comes round seldom, and often where somebody at the line waits (S1, S10)."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from quality_parts import part

from inspector.beat import Ending
from inspector.bus import CommandServer, run_dir
from inspector.config import Quality, load_station
from inspector.display import Counts, Display
from inspector.part import Batch, GateAction, GateDecision, Mode, Outcome
from inspector.quality import process
from inspector.quality.process import Watching, state
from inspector.store import DeskLedger, LineLedger
from inspector.store.cursor import newest_desk
from inspector.store.query import History

STATION = Path(__file__).parent.parent.parent / "station_configs" / "bottle-line.yaml"
PLAN = Quality.model_validate({
    "subgroup": 20, "challenge": {"seeded": [{"name": "s", "label": "scratch"}]},
})  # fmt: skip


@pytest.fixture(autouse=True)
def nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """No line is there to answer or to show a part: that need not be waited for."""
    monkeypatch.setattr(process, "TELL_S", 0.02)
    monkeypatch.setattr(process, "AWAITED_S", 0.0)


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[LineLedger]:
    with LineLedger.open(tmp_path, station="ST-01") as ledger:
        ledger.add_batch(Batch("B-1", "", "bottle", {}), "begin", "line")
        ledger.commit()
        yield ledger


@pytest.fixture
def watching(ledger: LineLedger, tmp_path: Path) -> Iterator[Watching]:
    station = load_station(STATION).model_copy(update={"data": tmp_path})
    watching = Watching(station, PLAN, run_dir(tmp_path))
    watching.turn(time.time_ns())
    yield watching
    watching.close()


def produce(ledger: LineLedger, first: int, last: int) -> None:
    for number in range(first, last + 1):
        ledger.add_verdict(part(number))
    ledger.commit()


def ask(ledger: LineLedger, number: int) -> None:
    result = {"from": number, "to": number, "stream": "plc-1"}
    ledger.add_event("command", "otto", command="challenge", result=result)
    ledger.commit()


class Rested(Ending):
    """Notes how long each rest was to be, and never is one."""

    def __init__(self) -> None:
        super().__init__()
        self.rests: list[float] = []

    def wait(self, seconds: float | None = None) -> bool:
        self.rests.append(seconds or 0.0)
        return False


def test_it_rests_for_a_round_while_nobody_waits(
    watching: Watching, ledger: LineLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "ROUND_S", 0.02)
    produce(ledger, 1, 30)
    watching.turn(time.time_ns())
    ending = Rested()
    watching.rest(ending)
    assert ending.rests and all(rest <= 0.02 for rest in ending.rests)


def test_a_challenge_is_heard_of_before_the_round_is_over(
    watching: Watching, ledger: LineLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "ROUND_S", 1e6)
    produce(ledger, 1, 5)
    watching.turn(time.time_ns())
    ask(ledger, 6)
    ending = Rested()
    watching.rest(ending)
    assert ending.rests == [process.PEEK_S], "the next look finds it"
    watching.turn(time.time_ns())
    ending.rests.clear()
    watching.rest(ending)
    assert ending.rests == [process.LOOK_S], "and from then on it looks ten times a second"


def test_a_seeded_part_that_passes_is_owed_to_the_line_in_the_same_round(
    watching: Watching, ledger: LineLedger, tmp_path: Path
) -> None:
    produce(ledger, 1, 5)
    ask(ledger, 6)
    passed = part(6, mode=Mode.CHALLENGE, outcome=Outcome.PASS)
    ledger.add_verdict(passed)
    ledger.add_gate(GateDecision(passed.part_id, "plc-1", 6, GateAction.PERMIT, "", 1, 2))
    produce(ledger, 7, 9)
    watching.turn(time.time_ns())
    with History(tmp_path) as history:
        (_, failed), *_ = newest_desk(history, "challenge")
        (_, held), *_ = newest_desk(history, "disposition")
    assert failed.body["result"] == "failed"
    assert held.body["runs"] == [["plc-1", 1, 5], ["plc-1", 6, 6]]
    assert [args["stop"] for _, args in watching._owed] == [True]
    ending = Rested()
    watching.rest(ending)
    assert ending.rests == [process.LOOK_S], "the line is told as soon as it answers"


def fail(ledger: LineLedger, number: int) -> None:
    """The seeded part ``number`` passes."""
    ask(ledger, number)
    passed = part(number, mode=Mode.CHALLENGE, outcome=Outcome.PASS)
    ledger.add_verdict(passed)
    ledger.add_gate(GateDecision(passed.part_id, "plc-1", number, GateAction.PERMIT, "", 1, 2))
    ledger.commit()


def anew(tmp_path: Path) -> Watching:
    """The process, started again."""
    station = load_station(STATION).model_copy(update={"data": tmp_path})
    watching = Watching(station, PLAN, run_dir(tmp_path))
    watching.turn(time.time_ns())
    return watching


def test_a_failed_challenge_is_never_on_record_without_what_it_holds(
    watching: Watching, ledger: LineLedger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Dies(DeskLedger):
        """Of a process that ends behind its first record."""

        def add(self, kind: str, body: dict[str, Any], principal: str) -> int:
            super().add(kind, body, principal)
            raise SystemExit

    produce(ledger, 1, 5)
    fail(ledger, 6)
    with monkeypatch.context() as patched, contextlib.suppress(SystemExit):
        patched.setattr(process, "DeskLedger", Dies)
        watching.turn(time.time_ns())
    again = anew(tmp_path)
    with History(tmp_path) as history:
        failed, held = newest_desk(history, "challenge"), newest_desk(history, "disposition")
    assert len(failed) == len(held) == 1
    again.close()


def test_a_challenge_whose_parts_never_came_is_recorded_once_however_often_it_is_read(
    watching: Watching, ledger: LineLedger, tmp_path: Path
) -> None:
    produce(ledger, 1, 5)
    ask(ledger, 6)
    watching.turn(time.time_ns())
    watching.turn(time.time_ns() + 100 * 10**9)
    produce(ledger, 7, 9)
    again = anew(tmp_path)
    again.turn(time.time_ns() + 200 * 10**9)
    again.close()
    with History(tmp_path) as history:
        (_, only), *more = newest_desk(history, "challenge")
    assert only.body["result"] == "inconclusive" and not more


def test_a_window_outlives_a_clock_that_is_set_forward(
    watching: Watching, ledger: LineLedger, tmp_path: Path
) -> None:
    ask(ledger, 6)
    now = time.time_ns()
    watching.turn(now)
    watching.turn(now + 3600 * 10**9, 3600 * 10**9)
    with History(tmp_path) as history:
        assert not newest_desk(history, "challenge")


def test_a_line_that_was_not_told_of_a_failed_challenge_is_told_after_a_restart(
    watching: Watching, ledger: LineLedger, tmp_path: Path
) -> None:
    produce(ledger, 1, 5)
    fail(ledger, 6)
    watching.turn(time.time_ns())
    again = anew(tmp_path)
    assert [args["stop"] for _, args in again._owed] == [True]
    result = {"code": "challenge_failed", "stopped": True, "stream": "plc-1", "upto": 8}
    ledger.add_event("command", "quality", command="announce", result=result)
    ledger.commit()
    again.turn(time.time_ns())
    again.close()
    with History(tmp_path) as history:
        (_, held), *_ = newest_desk(history, "disposition")
    assert held.body["runs"] == [["plc-1", 7, 8]], "what went by until then is held too"
    third = anew(tmp_path)
    assert not third._owed, "it has stopped"
    third.close()


def test_a_stop_that_the_line_refuses_is_asked_for_again(
    watching: Watching, ledger: LineLedger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [1e6]
    monkeypatch.setattr(process, "time", SimpleNamespace(monotonic=lambda: clock[0]))
    monkeypatch.setattr(process, "TELL_S", 30.0)
    server, asked = CommandServer(run_dir(tmp_path)), list[bool]()
    ending = threading.Event()

    def refuse_the_first() -> None:
        while not ending.wait(0.002):
            while (command := server.receive()) is not None:
                asked.append(bool(command.args["stop"]))
                server.answer(command, len(asked) > 1, "done, but not recorded: disk full")

    line = threading.Thread(target=refuse_the_first)
    line.start()
    try:
        produce(ledger, 1, 5)
        fail(ledger, 6)
        watching.turn(1_764_000_000_000_000_000)
        watching.turn(1_764_000_000_000_000_000)
        assert asked == [True] and watching._owed, "not a hundred times a second"
        clock[0] += process.RETRY_S
        watching.turn(1_764_000_000_000_000_000)
        assert asked == [True, True] and not watching._owed
    finally:
        ending.set()
        line.join()
        server.close()


DUE = {"code": "challenge_due", "detail": "5 parts are made", "on": True, "stop": False}


def test_a_line_that_is_started_anew_is_told_what_stands(watching: Watching) -> None:
    watching._announce("challenge_due", "5 parts are made")
    assert [args for _, args in watching._owed] == [DUE]
    watching._remind([])
    assert len(watching._owed) == 1, "it is still to be told"
    watching._owed.clear()
    watching._remind([{"code": "challenge_due"}, {"code": "bin_full"}])
    assert not watching._owed, "the line shows it"
    watching._remind([{"code": "bin_full"}])
    assert [args for _, args in watching._owed] == [DUE]


def test_a_condition_that_is_over_is_taken_back_though_another_process_showed_it(
    watching: Watching,
) -> None:
    watching._announce("drift", "", on=False)
    assert not watching._owed, "it was never told of one"
    watching._remind([{"code": "drift"}])
    assert [args["on"] for _, args in watching._owed] == [False]
    watching._announce("drift", "score of lot/text: -9.1 σ")
    watching._announce("drift", "", on=False)
    assert [args["on"] for _, args in watching._owed] == [False], "the newest word is enough"


def test_the_state_is_written_when_it_is_another(
    watching: Watching, ledger: LineLedger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [1e6]
    monkeypatch.setattr(process, "time", SimpleNamespace(monotonic=lambda: clock[0]))
    run, file = run_dir(tmp_path), run_dir(tmp_path) / "quality.json"

    def turn(after_s: float) -> Mapping[str, Any]:
        clock[0] += after_s
        watching.turn(1_764_000_000_000_000_000)
        return state(run)

    produce(ledger, 1, 45)
    assert turn(process.CHARTS_S)["spc"]["subgroups"] == 2
    written = file.stat().st_mtime_ns, file.stat().st_ino
    produce(ledger, 46, 50)
    assert turn(1.0)["spc"]["parts"] == 45, "parts alone are no reason"
    ask(ledger, 51)
    seen = turn(1.0)
    assert seen["challenge"]["window"] == [51, 51], "somebody waits for this"
    assert seen["challenge"]["parts_since"] == 50
    assert turn(process.CHARTS_S)["spc"]["parts"] == 50
    assert (file.stat().st_mtime_ns, file.stat().st_ino) != written
    written = file.stat().st_mtime_ns, file.stat().st_ino
    turn(process.CHARTS_S)
    assert (file.stat().st_mtime_ns, file.stat().st_ino) == written, "nothing has changed"
    assert json.loads(file.read_text())["drift"]


def test_what_good_parts_are_like_is_kept_over_a_restart(
    watching: Watching, ledger: LineLedger, tmp_path: Path
) -> None:
    produce(ledger, 1, 60)
    watching.turn(time.time_ns())
    watching.close()
    ledger.add_batch(Batch("B-2", "", "bottle", {}), "begin", "line")
    produce(ledger, 61, 80)
    again = anew(tmp_path)
    assert again._follower is not None and again._follower.drift is not None
    assert len(again._follower.drift.features["score of lot/text"].means) == 3
    again.close()


class Screen:
    """A line that shows every part to whoever listens, on a thread of its own."""

    def __init__(self, run: Path) -> None:
        self._display = Display(run, pass_interval_ms=0.0)
        self.shown = 0
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        number = 0
        while not self._ending.wait(0.002):
            number += 1
            pictures = {"side": np.full((40, 60), 90, np.uint8)}
            self.shown += self._display.show(part(number), pictures, Counts())
        self._display.close()

    def listened_to(self) -> bool:
        before = self.shown
        time.sleep(0.05)
        return self.shown > before

    def close(self) -> None:
        self._ending.set()
        self._thread.join()


@pytest.fixture
def screen(ledger: LineLedger, tmp_path: Path) -> Iterator[Screen]:
    screen = Screen(run_dir(tmp_path))
    yield screen
    screen.close()


def test_it_listens_for_one_picture_and_no_longer(
    screen: Screen, ledger: LineLedger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "AWAITED_S", 30.0)
    monkeypatch.setattr(process, "PICTURE_S", 1e6)
    station = load_station(STATION).model_copy(update={"data": tmp_path})
    watching = Watching(station, PLAN, run_dir(tmp_path))
    try:
        watching.turn(time.time_ns())
        assert watching._pictures is None, "one round brought it"
        until = time.monotonic() + 30
        while screen.listened_to():
            assert time.monotonic() < until, "the line still encodes pictures for nobody"
    finally:
        watching.close()


def test_where_no_part_comes_it_goes_on_listening(
    watching: Watching, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "AWAITED_S", 0.01)
    watching.turn(time.time_ns())
    screen = Screen(run_dir(tmp_path))
    try:
        until = time.monotonic() + 30
        while not screen.shown:
            assert time.monotonic() < until
            watching.turn(time.time_ns())
    finally:
        screen.close()
