"""Factory acceptance test: each thing that can come off is taken off a running station (I2, I5).

Light, trigger, encoder, air, confirmation, camera, PLC, time server: expected against observed. The
list here is the one in ``docs/fat.md``, whose table ``scripts/fat`` writes from a run of this file.
The short form takes two things off; the whole list is slow.
"""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from inspector.bus import run_dir
from inspector.display import DisplayReader, Topic
from inspector.identity import Action, Principal, Role
from inspector.store.query import History
from inspector.trial import Plan, Trial, running, wait_for

OTTO = Principal("otto", frozenset({Role.OPERATOR}))
ROOT = Path(__file__).parent.parent.parent
PAGE = ROOT / "docs" / "fat.md"
QUIET_S = 1.2
"""So long nothing may pass, once the line is safe."""
RATE = 20.0


@dataclass(frozen=True, slots=True)
class Disconnect:
    """One line of the list."""

    name: str
    act: str
    """What befalls the virtual line; ``clock`` is the kernel's, not the line's."""
    alarm: str
    """The alarm that must come; empty: none, a warning on the screen."""
    stops: bool
    """Whether the conveyor must stop; else parts go by and are rejected."""
    expected: str


LIST = (
    Disconnect("light", "light_fault", "light", True,
               "The station stops the conveyor. Nothing passes until a person has acknowledged."),
    Disconnect("trigger", "eye_blind", "count_mismatch", False,
               "Parts that no trigger announced are rejected at the gate; infeed and triggers"
               " differ, which is an alarm."),
    Disconnect("encoder", "encoder_lost", "encoder", False,
               "Nobody knows where parts are: all between eye and gate are rejected until the"
               " belt's place is known again."),
    Disconnect("air", "air_low", "air_low", True,
               "The station stops the conveyor: without air the gate cannot reject."),
    Disconnect("confirmation", "confirm_blind", "not_confirmed", True,
               "The first reject that is not seen behind the gate stops the conveyor."),
    Disconnect("camera", "disconnect", "camera_lost", False,
               "Each part is an error and is rejected; the camera comes back by itself."),
    Disconnect("PLC", "cut", "plc_lost", False,
               "The PLC misses the heartbeat and rejects everything; the link comes back by"
               " itself."),
    Disconnect("time server", "clock", "", False,
               "Inspection goes on; every record says that UTC is not disciplined, and the screen"
               " warns."),
)  # fmt: skip
SHORT = ("air", "PLC")


@pytest.fixture(scope="module")
def station(
    coded_parts: Callable[[str], Any], plan: Callable[..., Plan],
    tmp_path_factory: pytest.TempPathFactory,
) -> Callable[[], Any]:  # fmt: skip
    """A running line with good and bad parts, all its stop rules on, its clock disciplined until
    somebody takes the server away."""
    folder = tmp_path_factory.mktemp("clock")
    library, lost = folder / "clock.so", folder / "server-lost"
    source = Path(__file__).parent / "clock_without_server.c"
    subprocess.run(["cc", "-shared", "-fPIC", "-o", library, source], check=True)
    rules = {"stop.confirmation_failed": True, "stop.light_fault": True, "clock": "system",
             "quality": None, "web": None}  # fmt: skip

    @contextmanager
    def start() -> Iterator[tuple[Trial, Path]]:
        before = {k: os.environ.get(k) for k in ("LD_PRELOAD", "INSPECTOR_TEST_CLOCK")}
        os.environ |= {"LD_PRELOAD": str(library), "INSPECTOR_TEST_CLOCK": str(lost)}
        try:
            with running(plan(coded_parts("GGGB" * 15), rate=RATE, station=rules)) as trial:
                yield trial, lost
        finally:
            for name, value in before.items():
                os.environ.pop(name, None) if value is None else os.environ.update({name: value})

    return start


def take_off(trial: Trial, seen: Any, one: Disconnect, lost: Path) -> dict[str, Any]:
    """Take ``one`` off, watch, put it back; what was observed."""
    seen.passes()
    alarms = len(_alarms(trial))
    began, before = time.monotonic(), trial.now()
    if one.act == "clock":
        return _lose_the_clock(trial, seen, lost)
    act: dict[str, Any] = {"on": True}
    if one.act == "cut":
        act = {"ms": 2500}
    elif one.act == "disconnect":
        act = {"ms": 2500, "cameras": 1}
    trial.act(one.act, **act)
    if one.stops:
        seen.until(lambda: trial.now()["speed_mm_s"] == 0.0, "the conveyor does not stop")
    seen.until(lambda: _new(trial, alarms, one.alarm), f"no alarm {one.alarm}")
    safe_s = time.monotonic() - began
    passed = _quiet(trial)
    after = trial.now()
    if one.act not in ("cut", "disconnect"):
        trial.act(one.act, on=False)
    if one.act == "confirm_blind":
        trial.act("reset")
    mended = time.monotonic()
    if one.stops:
        # Whoever mends it acknowledges when it is mended; the PLC's word may take a moment.
        seen.until(lambda: _acknowledged(trial), "the line does not start again")
    seen.passes()
    return {
        "name": one.name,
        "alarm": one.alarm,
        "safe_s": round(safe_s, 2),
        "stopped": one.stops,
        "passed_meanwhile": passed,
        "rejected": after["gate_rejects"] - before["gate_rejects"],
        "back_s": round(time.monotonic() - mended, 2),
    }


def _lose_the_clock(trial: Trial, seen: Any, lost: Path) -> dict[str, Any]:
    began = time.monotonic()
    lost.touch()
    seen.until(lambda: _clock(trial) == "warning", "nobody warns of the clock")
    safe_s = time.monotonic() - began
    before = trial.now()["gate_passed"]
    seen.passes(10)
    with History(trial.data) as history:
        undisciplined = [not p.verdict.times.clock_synced for p in history.last(5)]
    assert all(undisciplined), "records do not say that the clock is not disciplined"
    lost.unlink()
    seen.until(lambda: _clock(trial) == "ok", "the clock's warning stays")
    return {
        "name": "time server", "alarm": "", "safe_s": round(safe_s, 2), "stopped": False,
        "passed_meanwhile": trial.now()["gate_passed"] - before, "rejected": 0, "back_s": 0.0,
    }  # fmt: skip


def _quiet(trial: Trial) -> int:
    """How many parts come to the good side while it must be still."""
    # what was already in the flap when the alarm came has left by now
    wait_for(lambda: False, 0.1)
    before = trial.now()["gate_passed"]
    until = time.monotonic() + QUIET_S
    while time.monotonic() < until:
        time.sleep(0.05)
    return int(trial.now()["gate_passed"]) - int(before)


def _acknowledged(trial: Trial) -> bool:
    trial.tell(Action.ACKNOWLEDGE_ALARM, OTTO)
    return wait_for(lambda: trial.now()["speed_mm_s"] > 0, 1.0)


def _alarms(trial: Trial) -> list[str]:
    with History(trial.data) as history:
        return [str(event.body["code"]) for event in history.events("alarm", 10_000)]


def _new(trial: Trial, known: int, code: str) -> bool:
    found = _alarms(trial)
    return code in found[: len(found) - known]


def _clock(trial: Trial) -> str:
    reader = DisplayReader(run_dir(trial.data), Topic.STATUS)
    try:
        message = reader.receive(2.0)
    finally:
        reader.close()
    health = message.body["health"] if message else ()
    return next((str(h["state"]) for h in health if h["name"] == "clock"), "")


def execute(
    station: Callable[[], Any], watch: Callable[[Trial], Any], audit: Callable[[Trial], Any],
    names: tuple[str, ...],
) -> list[dict[str, Any]]:  # fmt: skip
    with station() as (trial, lost):
        seen = watch(trial)
        observed = [take_off(trial, seen, one, lost) for one in LIST if one.name in names]
        seen.finish()
        auditor = audit(trial)
        auditor.check(late_revokes=len(observed))
        assert auditor.world["escapes"] == 0, auditor.world
    return observed


@pytest.fixture(scope="module")
def short(
    station: Callable[[], Any], watch: Callable[[Trial], Any], audit: Callable[[Trial], Any]
) -> list[dict[str, Any]]:
    """What was observed of the short form."""
    return execute(station, watch, audit, SHORT)


@pytest.mark.parametrize("name", SHORT)
def test_what_comes_off_makes_the_line_safe_and_it_comes_back(
    short: list[dict[str, Any]], name: str
) -> None:
    (found,) = [one for one in short if one["name"] == name]
    assert found["passed_meanwhile"] == 0, found
    assert found["safe_s"] < 5.0, found


@pytest.mark.slow
def test_the_whole_list(
    station: Callable[[], Any], watch: Callable[[Trial], Any], audit: Callable[[Trial], Any]
) -> None:
    observed = execute(station, watch, audit, tuple(one.name for one in LIST))
    for found in observed:
        if found["name"] == "time server":
            assert found["passed_meanwhile"] >= 10, found
        else:
            assert found["passed_meanwhile"] == 0, found
    if out := os.environ.get("INSPECTOR_FAT_OUT"):
        Path(out).write_text(json.dumps(observed))


def test_the_page_has_the_list_that_is_executed() -> None:
    page = PAGE.read_text()
    for one in LIST:
        assert f"| {one.name} | {one.expected} |" in page, f"run scripts/fat: {one.name}"
