"""``kill -9`` with parts between trigger and gate, while the line goes on (I1, I2, I5)."""

from __future__ import annotations

import mmap
import os
import random
import signal
import struct
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import pytest

from inspector.line.restart import AWAY
from inspector.part import GateAction, Outcome
from inspector.trial import Plan, Trial, running

TRAVEL_NS = 1_000_000_000
_ENTRY = struct.Struct("=QQQ")


def pulses(wire: Path) -> dict[int, int]:
    """When each of the newest camera pulses went out, monotonic ns, by part number."""
    with wire.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as page:
        entries = (_ENTRY.unpack_from(page, 64 + 64 * slot) for slot in range(64))
        return {number: t_ns for number, _, t_ns in entries if number}


def next_pulse(wire: Path) -> None:
    """Wait for the next part to be exposed, to half a millisecond."""
    with wire.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as page:
        head, until = page[16:24], time.monotonic() + 20.0
        while page[16:24] == head and time.monotonic() < until:
            time.sleep(0.0005)


class Reaper:
    """Kills the line at random instants and remembers what was under way."""

    def __init__(self, trial: Trial, watch: Any, seed: int) -> None:
        self.trial, self.watch = trial, watch
        self.dice = random.Random(seed)
        self.kills: list[tuple[str, int, dict[int, int]]] = []
        """Victim, instant, and the pulses before it by part number."""

    def kill(self, victim: str = "line") -> None:
        """After a part's exposure: within the time that a part is judged, or before the next."""
        trial = self.trial
        wanted = trial.now()["permits"] + 4
        self.watch.until(lambda: trial.now()["permits"] >= wanted, "nothing is permitted")
        pid = trial.pids()[victim]
        within_s = 0.008 if len(self.kills) % 3 else 1 / trial.plan.rate
        next_pulse(trial.world_run / "wire")
        time.sleep(self.dice.random() * within_s)
        os.kill(pid, signal.SIGKILL)
        now_ns = time.monotonic_ns()
        known = pulses(trial.world_run / "wire")
        self.kills.append((victim, now_ns, {n: t for n, t in known.items() if t <= now_ns}))
        if victim == "station":
            assert trial.station is not None
            trial.station.wait()

    def phases(self, auditor: Any) -> Counter[str]:
        """How far each part had come that was between trigger and gate when the line was killed."""
        found = auditor.by_number()
        whole = [p.verdict.times for p in found.values() if p.verdict.times.frame_ns]
        frame_ns = median(t.frame_ns - t.trigger_ns for t in whole)
        verdict_ns = median(t.verdict_ns - t.trigger_ns for t in whole)
        count: Counter[str] = Counter()
        for victim, killed_ns, triggers in self.kills:
            if victim.startswith("camera"):
                continue
            # Parts of the time before the line was back from the last kill are not under way.
            back = max(n for n in triggers if found[n].verdict.reasons != (AWAY,))
            for number, t_ns in triggers.items():
                age_ns = killed_ns - t_ns
                lost = found[number].verdict.reasons == (AWAY,)
                if age_ns < TRAVEL_NS and not (lost and number < back):
                    count[_phase(found[number], age_ns, frame_ns, verdict_ns)] += 1
        return count


def _phase(part: Any, age_ns: int, frame_ns: float, verdict_ns: float) -> str:
    if part.verdict.reasons == (AWAY,):
        if age_ns < frame_ns:
            return "before frame"
        return "judging" if age_ns < verdict_ns else "before commit"
    told = any(g.action is GateAction.PERMIT and g.acknowledged_ns for g in part.gates)
    if told or part.verdict.outcome is not Outcome.PASS:
        return "after permit or reject"
    return "before permit"


@pytest.fixture(scope="module")
def killed(
    coded: Any,
    plan: Callable[..., Plan],
    watch: Callable[[Trial], Any],
    audit: Callable[[Trial], Any],
) -> Any:
    """The line twice, a camera, then the whole station are killed with parts under way."""
    with running(plan(coded)) as trial:
        seen = watch(trial)
        reaper = Reaper(trial, seen, seed=5)
        reaper.kill()
        reaper.kill()
        reaper.kill("cameras-side")
        reaper.kill("station")
        dark = trial.now()
        seen.go_on(36)  # the whole zone is carried out with nobody there
        blind = trial.now()
        trial.start_station()
        seen.passes()
        seen.finish()
        return audit(trial), reaper, dark, blind


def test_a_killed_line_leaves_no_part_without_its_verdict(killed: Any, coded: Any) -> None:
    auditor, reaper, _, _ = killed
    auditor.check(coded, late_revokes=len(reaper.kills))
    away = [n for n, v in auditor.verdicts().items() if v.reasons == (AWAY,)]
    assert away, "nothing was under way"
    print(reaper.phases(auditor))


def test_what_a_killed_line_did_not_judge_was_rejected(killed: Any) -> None:
    auditor, _, _, _ = killed
    assert auditor.world["unjudged_passed"] == auditor.world["escapes"] == 0


def test_a_dead_station_with_its_zone_full_lets_nothing_through(killed: Any) -> None:
    auditor, _, dark, blind = killed
    # What the gate had decided when the power went is on its way through the flap already.
    leeway = 0.25 * auditor.trial.plan.rate + 2
    assert blind["gate_passed"] - dark["gate_passed"] <= leeway
    assert blind["gate_rejects"] - dark["gate_rejects"] >= 20


def test_a_killed_camera_costs_errors_and_the_line_goes_on(killed: Any) -> None:
    auditor, reaper, _, _ = killed
    first = max(reaper.kills[2][2])
    found = auditor.verdicts()
    lost = [found[n] for n in range(first, first + 3)]
    assert all(v.outcome is not Outcome.PASS for v in lost[1:]), lost


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_thirty_kills_between_trigger_and_gate(
    coded: Any,
    plan: Callable[..., Plan],
    watch: Callable[[Trial], Any],
    audit: Callable[[Trial], Any],
    capsys: pytest.CaptureFixture[str],
) -> None:
    with running(plan(coded)) as trial:
        reaper = Reaper(trial, watch(trial), seed=30)
        for turn in range(33):
            reaper.kill("station" if turn % 3 == 2 else "line")
            if turn % 3 == 2:
                trial.start_station()
        watch(trial).passes()
        watch(trial).finish()
    auditor = audit(trial)
    auditor.check(coded, late_revokes=len(reaper.kills))
    phases = reaper.phases(auditor)
    with capsys.disabled():
        print(f"\n{len(reaper.kills)} kills; parts between trigger and gate: {dict(phases)}")
    unfinished = phases["before frame"] + phases["judging"] + phases["before commit"]
    assert unfinished and phases["before permit"] and phases["after permit or reject"], phases
