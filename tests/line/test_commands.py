"""Commands that cross each other on their way to the line, and a line that was stopped. (I2, I9)"""

from __future__ import annotations

import copy
import itertools
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from plc_blocks import plc_status
from ruamel.yaml import YAML

from inspector import processes
from inspector.bus import Command, CommandServer
from inspector.config import StopRules, load_station
from inspector.display import AlarmCode
from inspector.identity import Action, Principal, Role
from inspector.line import champions
from inspector.line.alarms import Stop
from inspector.line.champions import Champions
from inspector.line.commands import Commands
from inspector.line.gate import Told
from inspector.line.line import Line
from inspector.line.process import load_recipes, open_line
from inspector.line.runs import open_stream
from inspector.line.setting import STOP
from inspector.line.watch import look_around, show, under_way
from inspector.part import Batch, Frame, Mode, Outcome
from inspector.registers import Action as Tell
from inspector.registers import GateReason, Trigger
from inspector.release.installed import BASE
from inspector.store import DeskLedger, History

OTTO = Principal("otto", frozenset({Role.OPERATOR}))
ENGINEER = Principal("erika", frozenset({Role.ENGINEER}))
QUALITY = Principal("quality", frozenset({Role.MACHINE}))
FAR_NS = 3_600_000_000_000
STEP = {"name": "patch", "kind": "illumination", "view": "side", "roi": [0, 0, 64, 48],
        "params": {"low": 60, "high": 200}}  # fmt: skip


class Desk:
    """A line with a gate on an output, and its commands, taken by hand."""

    def __init__(self, folder: Path) -> None:
        for name in ("pictures", "run"):
            (folder / name).mkdir(exist_ok=True)
        (folder / "gate").write_text("")
        written: dict[str, Any] = {
            "station": "T-01", "data": "data", "recipes": ["grey.yaml", "dark.yaml"], "judges": 1,
            "cameras": [{"name": "side", "source": "folder", "folder": "pictures"}],
            "output": {"path": "gate"}, "store": {"reserve_mb": 0, "stop_mb": 0},
            "batch": {"id": "B-1"}, "clock": "trusted",
        }  # fmt: skip
        files = {f"{name}.yaml": {"name": name, "views": ["side"], "tools": [STEP]}
                 for name in ("grey", "dark")}  # fmt: skip
        for name, content in (("station.yaml", written), *files.items()):
            with (folder / name).open("w") as file:
                YAML(typ="safe").dump(content, file)
        station = load_station(folder / "station.yaml")
        self.recipes = recipes = load_recipes(station)
        self.line: Line = open_line(station, folder / "run", recipes)
        self.server = CommandServer(folder / "run")
        self.champions = Champions(self.line, recipes, dict(recipes), {})
        self.commands = Commands(self.line, self.server, recipes, self.champions)
        self.line.ledger.commit()
        self._ids = itertools.count()

    def hear(
        self, action: Action, who: Principal = OTTO, *, within_ns: int = FAR_NS, **args: Any
    ) -> None:
        """A command that the bus has let through."""
        expiry_ns = time.monotonic_ns() + within_ns
        number = f"{next(self._ids)}"
        self.commands._consider(Command(number, action, args, who, expiry_ns, b"nobody"))

    def answered(self) -> list[dict[str, Any]]:
        """What came of each command, the oldest first, once all are on record."""
        until = time.monotonic() + 20
        while self.commands.owing:
            assert time.monotonic() < until, "it was not answered in time"
            self.commands.take()
            time.sleep(0.002)
        self.line.ledger.commit()
        with History(self.line.ledger.data_dir) as history:
            return [event.body["result"] for event in reversed(history.events("command"))]

    def close(self) -> None:
        self.commands.close()
        self.champions.close()
        self.line.close()
        self.server.close()


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    desk = Desk(tmp_path)
    yield desk
    desk.close()


def test_a_change_over_is_obeyed_after_the_batch_that_was_started_before_it(desk: Desk) -> None:
    """The desk is asked about the batch, and about the change-over nobody: it waits its turn."""
    desk.hear(Action.START_BATCH, QUALITY, id="B-2", recipe="grey")
    desk.hear(Action.CHANGE_OVER, ENGINEER, recipe="dark")
    started, changed = desk.answered()
    assert (started["batch"], changed["batch"]) == ("B-2", "B-2")
    now = desk.line.plan.newest
    assert (now.recipe.name, now.batch.id) == ("dark", "B-2"), "the newest command holds"


def test_the_desk_is_asked_about_the_batch_that_runs_when_a_commands_turn_has_come(
    desk: Desk,
) -> None:
    """Not about the one that ran when the command came: that is over by then."""
    with DeskLedger.open(desk.line.ledger.data_dir) as ledger:
        held = {"disposition": "hold", "batch": "B-1", "reason": "r", "state": "on_hold"}
        ledger.add("disposition", held, "qa")
    desk.hear(Action.PAUSE)
    desk.hear(Action.START_BATCH, id="B-2")
    desk.hear(Action.RESUME)
    desk.hear(Action.END_BATCH)
    _, started, resumed, ended = desk.answered()
    assert (started["batch"], resumed, ended["batch"]) == ("B-2", {"paused": False}, "B-2")


def test_the_desk_is_asked_about_a_batch_once_what_was_done_before_is_on_the_disk(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A batch that had just been ended was refused as running, and went on in the next second."""
    slow: list[Future[int]] = []

    def commit_soon(by_ns: int) -> Future[int]:
        slow.append(Future())
        return slow[-1]

    monkeypatch.setattr(desk.line.ledger, "commit_soon", commit_soon)
    desk.hear(Action.END_BATCH, QUALITY)
    while not slow:
        desk.commands.take()
    desk.hear(Action.START_BATCH, QUALITY, id="B-1", recipe="grey")
    desk.hear(Action.RESUME, QUALITY)
    desk.commands.take()
    monkeypatch.undo()
    desk.line.ledger.commit()
    for written in slow:
        written.set_result(0)
    ended, started, resumed = desk.answered()
    assert (ended["batch"], started.get("batch"), resumed) == ("B-1", "B-1", {"paused": False})


def test_who_has_given_up_before_his_turn_came_is_not_obeyed(desk: Desk) -> None:
    desk.hear(Action.START_BATCH, id="B-2")
    desk.hear(Action.CHANGE_OVER, ENGINEER, recipe="dark", within_ns=-1)
    _, changed = desk.answered()
    assert "too late" in changed["refused"]
    assert desk.line.plan.newest.recipe.name == "grey"


def test_a_pause_and_a_reject_wait_for_nobodys_turn(desk: Desk) -> None:
    desk.hear(Action.START_BATCH, id="B-2")
    desk.hear(Action.PAUSE)
    desk.hear(Action.REJECT, part=7)
    assert desk.line.paused
    first, second, last = desk.answered()
    assert first == {"paused": True} and second["first"] == 7 and last["batch"] == "B-2"


def test_a_release_that_is_still_being_loaded_when_its_recipe_is_rolled_back_stays_out(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Older than the roll-back, it would win over it; the roll-back itself waits for no loading."""
    loaded, own = threading.Event(), desk.recipes["grey"]
    loaded.set()

    def made_ready(station: object, name: str) -> champions._Ready:
        assert loaded.wait(30)
        return champions._Ready(name, f"release {name}", copy.copy(own))

    monkeypatch.setattr(champions, "_make_ready", made_ready)
    desk.hear(Action.INSTALL_RELEASE, ENGINEER, release="first", at="part")
    desk.answered()
    loaded.clear()
    desk.hear(Action.INSTALL_RELEASE, ENGINEER, release="second", at="part")
    desk.hear(Action.INSTALL_RELEASE, ENGINEER, do="rollback", recipe="grey")
    assert desk.recipes["grey"] is own
    loaded.set()
    *_, back, second = desk.answered()
    assert back["digest"] == BASE
    assert "rolled back after that" in second["refused"]
    assert desk.recipes["grey"] is own


def test_the_way_back_ends_at_the_station_files_recipe_however_many_releases_there_were(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = desk.recipes["grey"]
    monkeypatch.setattr(
        champions, "_make_ready",
        lambda station, name: champions._Ready(name, f"release {name}", copy.copy(own)),
    )  # fmt: skip
    for number in range(champions.CHAIN_MAX + 2):
        desk.hear(Action.INSTALL_RELEASE, ENGINEER, release=f"r{number}", at="part")
        desk.answered()
    back: list[Any] = []
    while "refused" not in (answer := _rolled_back(desk)):
        back.append(answer["digest"])
    assert back == ["r5", "r4", "r3", BASE] and desk.recipes["grey"] is own
    assert "runs the recipe of the station file" in answer["refused"]


def test_a_release_that_is_put_in_at_once_is_not_replaced_by_one_that_was_asked_for_before(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pages said that nothing waited, and a line that had started again agreed: the older order
    came into service with the next batch."""
    own = desk.recipes["grey"]
    made = {name: copy.copy(own) for name in ("older", "newer")}
    monkeypatch.setattr(
        champions, "_make_ready", lambda _, name: champions._Ready(name, name, made[name])
    )
    for name, at in (("older", "batch"), ("newer", "part")):
        desk.hear(Action.INSTALL_RELEASE, ENGINEER, release=name, at=at)
        desk.answered()
    desk.hear(Action.START_BATCH, QUALITY, id="B-2", recipe="grey")
    desk.answered()
    assert desk.line.plan.newest.recipe is made["newer"]


def _rolled_back(desk: Desk) -> dict[str, Any]:
    desk.hear(Action.INSTALL_RELEASE, ENGINEER, do="rollback", recipe="grey")
    return desk.answered()[-1]


def test_a_batch_that_goes_on_after_its_end_is_judged_as_it_was_and_says_so(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No batch mixes two models: the release goes on waiting, and is not recorded as in service."""
    own = desk.recipes["grey"]
    new = copy.copy(own)
    monkeypatch.setattr(
        champions, "_make_ready", lambda *_: champions._Ready("first", "release first", new)
    )
    desk.hear(Action.INSTALL_RELEASE, ENGINEER, release="first", at="batch")
    desk.answered()
    desk.hear(Action.END_BATCH, QUALITY)
    desk.answered()
    desk.hear(Action.START_BATCH, QUALITY, id="B-1", recipe="grey")
    assert desk.answered()[-1]["batch"] == "B-1"
    assert desk.line.plan.newest.recipe is own is desk.recipes["grey"]
    with History(desk.line.ledger.data_dir) as history:
        assert not history.events("release")
    desk.hear(Action.START_BATCH, QUALITY, id="B-2", recipe="grey")
    desk.answered()
    assert desk.line.plan.newest.recipe is new is desk.recipes["grey"]


@pytest.mark.parametrize("stop", ["pause", "announce"])
def test_who_asked_to_resume_before_the_line_was_stopped_has_not_meant_to(
    desk: Desk, stop: str
) -> None:
    """Whether a batch may go on is asked at the desk, which takes a while; a stop is obeyed at
    once. So a stop overtakes, and must not be undone by what was asked before it."""
    desk.hear(Action.PAUSE)
    desk.hear(Action.RESUME)
    if stop == "pause":
        desk.hear(Action.PAUSE)
    else:
        desk.hear(Action.ANNOUNCE, QUALITY, code="challenge_failed", on=True, stop=True)
    answers = desk.answered()
    assert "the line was stopped after that" in answers[-1]["refused"]
    assert desk.line.paused
    desk.hear(Action.RESUME)
    assert desk.answered()[-1] == {"paused": False}
    assert not desk.line.paused


def test_a_line_that_is_stopped_for_what_it_lets_through_takes_back_what_is_under_way(
    desk: Desk,
) -> None:
    """Both what stood before the gate then and what came while the belt came to rest."""
    line, far_ns = desk.line, time.monotonic_ns() + FAR_NS

    def permit(number: int) -> None:
        line.matching.newest = number
        line.gate.decide(0, number, Tell.PERMIT, GateReason.NONE, far_ns)

    def revoked() -> list[int]:
        told = [event for event in line.gate.take() if isinstance(event, Told)]
        return [event.part for event in told if event.action is Tell.REVOKE]

    permit(3)
    permit(4)
    desk.hear(Action.ANNOUNCE, QUALITY, code="challenge_failed", on=True, stop=True, detail="cap")
    assert desk.answered()[-1] == {
        "code": "challenge_failed", "stopped": True, "stream": line.stream, "upto": 4,
    }  # fmt: skip
    assert revoked() == [3, 4]
    permit(5)
    desk.hear(Action.ACKNOWLEDGE_ALARM)
    desk.hear(Action.RESUME)
    desk.answered()
    assert revoked() == [5]
    permit(6)
    desk.hear(Action.PAUSE)
    desk.hear(Action.RESUME)
    desk.answered()
    assert revoked() == [], "a pause says nothing against the parts under way"


@pytest.mark.parametrize(
    ("action", "args", "why"),
    [
        (Action.REJECT, {"part": 10**20}, "it cannot be recorded: 1000"),
        (Action.REJECT, {"part": 1, "reason": [10**20]}, "it cannot be recorded: 1000"),
        (Action.ACKNOWLEDGE_ALARM, {"code": ["drift"]}, "there is no alarm ['drift']"),
        (Action.RELEASE_LINE, {"id": "a1", "signatures": [1 << 63]}, "not signed: "),
        (Action.START_BATCH, {"id": "\ud800"}, "cannot be read"),
    ],
)
def test_a_command_that_makes_no_sense_is_refused_and_harms_nobody(
    desk: Desk, action: Action, args: dict[str, Any], why: str
) -> None:
    """Whoever may give commands must not end the line with one, nor hold up those that follow."""
    desk.line.plan.change(replace(desk.line.plan.newest, awaits="a1", needs=("article",)), 1)
    desk.hear(action, ENGINEER, **args)
    desk.hear(Action.START_BATCH, id="B-2")
    refused, obeyed = desk.answered()
    assert why in refused["refused"]
    assert obeyed["batch"] == "B-2"


@pytest.mark.parametrize("action", [Action.REJECT, Action.TEST_PULSE])
def test_a_plc_that_has_not_been_heard_is_no_station_without_a_gate(
    desk: Desk, action: Action
) -> None:
    """The MES would take the parts for ungated, and not for parts whose place is unknown."""
    desk.line.run = None
    desk.hear(action, ENGINEER, part=2)
    (answer,) = desk.answered()
    assert answer == {"refused": "the PLC has not been heard yet; its gate rejects until then"}


def test_without_a_plc_too_a_part_that_has_left_is_not_said_to_be_rejected(desk: Desk) -> None:
    """Who believed that it was would look for it in the bin, and not put it on hold."""
    line, now_ns = desk.line, time.monotonic_ns()
    far_ns = round(line.station.travel.gate_mm / line.station.travel.speed_mm_s * 1e9)
    for number, trigger_ns in ((1, now_ns - 2 * far_ns), (2, now_ns - far_ns), (3, now_ns + 1)):
        line.eye.see(number, Frame("side", number, None, 0, trigger_ns))
    desk.hear(Action.REJECT, part=2)
    desk.hear(Action.REJECT, first=1, last=4)
    alone, several = desk.answered()
    assert alone == {"refused": "part 2 has passed the gate; dispose of it instead"}
    assert (several["first"], several["last"], several["too_late"]) == (3, 4, 2)


def test_a_test_pulse_waits_for_the_parts_before_a_gate_without_a_plc_too(desk: Desk) -> None:
    """It would reject whichever of them stands in its window."""
    line, now_ns = desk.line, time.monotonic_ns()
    for number, trigger_ns in ((1, now_ns - FAR_NS), (2, now_ns)):
        line.eye.see(number, Frame("side", number, None, 0, trigger_ns))
        desk.hear(Action.TEST_PULSE, ENGINEER)
    assert desk.answered() == [
        {"pulse": True}, {"refused": "parts stand before the gate; let them pass first"},
    ]  # fmt: skip


def test_a_time_that_is_no_number_bypasses_nothing(desk: Desk) -> None:
    """`true` counts as 1 where numbers are: uninspected parts went by for a minute."""
    for action, more in ((Action.BYPASS, {}), (Action.SET_MODE, {"mode": "bypass"})):
        desk.hear(action, ENGINEER, reason="strobe broken", minutes=True, **more)
    assert desk.answered() == [{"refused": "`minutes` is a number"}] * 2
    assert desk.line.modes.now.mode is Mode.AUTO


def test_a_reject_that_was_obeyed_holds_until_its_part_comes(desk: Desk) -> None:
    """A gate remembers some thousand numbers: who asks for more is refused, and not forgotten."""
    for first in range(1, 6000, 1000):
        desk.hear(Action.REJECT, first=first, last=first + 999)
    asked = desk.answered()
    assert [answer.get("last") for answer in asked] == [1000, *[None] * 5]
    assert asked[1] == {"refused": "part 2000 is more than 1000 parts ahead; ask again later"}
    desk.line.gate.decide(0, 1, Tell.PERMIT, GateReason.NONE, time.monotonic_ns() + FAR_NS)
    told = [event for event in desk.line.gate.take() if isinstance(event, Told)]
    assert [(event.part, event.action) for event in told] == [(1, Tell.REJECT)]


def test_parts_of_a_new_run_are_rejected_though_the_gate_still_tells_a_number_of_the_one_before(
    desk: Desk,
) -> None:
    """(I2) A PLC that keeps the number until the first part of the new run has come to its gate."""
    line = desk.line
    for counter in (0, 5):
        triggers = tuple(Trigger(n, 0, 1) for n in range(1, counter + 1))
        status = plc_status(part_counter=counter, gate_part=5000, triggers=triggers, plc_ms=2)
        line.zone.update(status, 1)
    line.matching.newest = 5
    desk.hear(Action.REJECT, part=4)
    (answer,) = desk.answered()
    assert (answer.get("first"), answer.get("too_late")) == (4, 0), answer
    assert under_way(line) == range(1, 6)


def test_a_by_pass_lights_its_beacon_though_the_next_job_awaits_its_signatures(desk: Desk) -> None:
    """Until the next job's first part comes, parts go by uninspected."""
    line = desk.line
    line.modes.set(Mode.BYPASS, "erika", "strobe broken", 60_000_000_000, at_ns=0)
    line.plan.change(replace(line.plan.newest, awaits="a1", needs=("line_clearance",)), 100)
    assert line.plan.mode(99, line.modes.now.mode) is Mode.BYPASS
    assert line.mode is Mode.SETUP
    show(line)
    assert line.shown is not None and line.shown[1]


def test_a_line_stays_stopped_for_what_nobody_has_acknowledged(desk: Desk) -> None:
    stop = desk.line.stop
    for _ in range(10):
        stop.judged(Outcome.REJECT, light_fault=False)
    stop.why[AlarmCode.NOT_CONFIRMED] = ""
    desk.hear(Action.ACKNOWLEDGE_ALARM, code="drift")
    desk.answered()
    assert set(stop.why) == {AlarmCode.REJECTS_IN_A_ROW, AlarmCode.NOT_CONFIRMED}
    desk.hear(Action.ACKNOWLEDGE_ALARM, code="not_confirmed")
    desk.answered()
    assert set(stop.why) == {AlarmCode.REJECTS_IN_A_ROW}
    desk.hear(Action.ACKNOWLEDGE_ALARM)
    desk.answered()
    assert not stop.why


def test_a_line_that_starts_again_is_stopped_still_until_somebody_has_looked(
    tmp_path: Path,
) -> None:
    """(I5) Power that goes and comes again must not set the conveyor in motion."""
    before = Desk(tmp_path)
    before.line.stop.why[AlarmCode.NOT_CONFIRMED] = "a reject was not seen behind the gate"
    look_around(before.line)
    before.close()

    after = Desk(tmp_path)
    assert after.line.stop.why == {AlarmCode.NOT_CONFIRMED: "a reject was not seen behind the gate"}
    after.hear(Action.ACKNOWLEDGE_ALARM)
    after.answered()
    look_around(after.line)
    after.close()
    with History(tmp_path / "data") as history:
        assert [event.body["why"] for event in history.events(STOP)][:1] == [{}]


def test_who_has_looked_at_the_rejects_begins_to_count_anew() -> None:
    stop = Stop(StopRules(rejects_in_a_row=3))
    for n in range(5):
        stop.judged(Outcome.REJECT, light_fault=False)
        assert bool(stop.why) is (n in (2, 3)), n
        if n == 3:
            stop.reset(AlarmCode.REJECTS_IN_A_ROW)


def test_a_line_that_starts_again_knows_what_holds_from_which_part_on(tmp_path: Path) -> None:
    """(I5) In the stream of that part; in another one there is no such part."""
    before = Desk(tmp_path)
    before.line.stream = "plc-1"
    before.hear(Action.CHANGE_OVER, recipe="grey", batch={"id": "B-2"}, **{"from": 10})
    before.hear(Action.PAUSE)
    before.answered()
    before.close()

    after = Desk(tmp_path)
    line = after.line
    assert line.paused and line.plan.newest.batch.id == "B-2"
    assert line.plan.at(9).batch.id == "B-2", "its stream has another name"
    line.plan.resume("plc-1", 10, [(0, replace(line.plan.newest, batch=Batch("B-1")))])
    open_stream(line, "plc-1", 3)
    assert [line.plan.at(n).batch.id for n in (9, 10)] == ["B-1", "B-2"]
    after.close()


def test_what_was_told_last_is_on_the_disk_before_anything_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """(I5) Who ends the line kills it after 5 s: pictures on a slow disk took ten, and the last
    records were lost behind them."""
    site = Desk(tmp_path)
    line, archive = site.line, site.line.archive
    line.gate.decide(0, 7, Tell.REJECT, GateReason.DEFECT, time.monotonic_ns() + FAR_NS)
    waited: list[float] = []
    close = archive.close

    def pictures(timeout_s: float = 10.0) -> list[Any]:
        waited.append(timeout_s)
        until = time.monotonic() + 3.0
        with History(tmp_path / "data") as history:
            while not history.events("gate"):
                assert time.monotonic() < until, "it would have been lost"
                time.sleep(0.002)
        return close(timeout_s)

    monkeypatch.setattr(archive, "close", pictures)
    site.close()
    assert waited and waited[0] < processes.STOP_S / 2
