"""Faults of all kinds at random instants, one upon the other, on a whole station of real processes:
nothing bad and nothing unjudged passes, each part has one verdict, and it comes back (I1, I2, I5).

Left out is what no station can tell: a frozen camera that repeats a picture which was lost on its
way, and a slip below the PLC's allowance by a whole pitch (docs/virtual-line.md).
"""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

from inspector.bus import NoAnswer
from inspector.identity import Action, Principal, Role
from inspector.trial import Plan, Trial, TrialError, running, wait_for

ERIKA = Principal("erika", frozenset({Role.ENGINEER}))
OTTO = Principal("otto", frozenset({Role.OPERATOR}))
STEPS = 40
SPEED_MM_S = 1250.0
PICTURES = ("drop", "incomplete", "delay", "disconnect", "wrong_size", "missed", "vanish")
SIGNALS = (
    "jam", "estop", "air_low", "bin_full", "light_fault", "confirm_blind", "encoder_lost", "cut",
    "eye_blind",
)  # fmt: skip


class Chaos:
    """What befalls one trial, by the dice; ``log`` says what it was."""

    def __init__(self, trial: Trial, seed: int) -> None:
        self.trial, self.dice = trial, random.Random(seed)
        self.log: list[object] = []

    def step(self) -> None:
        """One fault, and more often than not somebody who sees to the line."""
        what = self.dice.choices(
            (self.picture, self.belt, self.signal, self.link, self.hand, self.process, self.order),
            (7, 3, 3, 1, 2, 3, 2),
        )[0]
        try:
            what()
        except (TrialError, NoAnswer, ProcessLookupError) as error:
            self.log.append(error)
        time.sleep(self.dice.choice((0.05, 0.2, 0.6, 1.2)))
        if self.dice.random() < 0.5:
            self.see_to_it()

    def see_to_it(self) -> None:
        """A person acknowledges, resumes, starts the belt."""
        self.trial.act("reset")
        with suppress(NoAnswer):
            self.trial.tell(Action.ACKNOWLEDGE_ALARM, OTTO)
            self.trial.tell(Action.RESUME, OTTO)
        self.trial.act("start")

    def act(self, do: str, **arguments: Any) -> None:
        self.log.append((do, arguments))
        self.trial.act(do, **arguments)

    def picture(self) -> None:
        ms = self.dice.choice((20, 60, 150, 400, 1500, 2500))
        self.act(self.dice.choice(PICTURES), cameras=self.dice.choice((0, 1, 2)), ms=ms)

    def belt(self) -> None:
        do = self.dice.choice(("stop", "speed", "speed", "jog", "reverse"))
        if do == "speed":
            self.act(do, mm_s=self.dice.choice((400.0, 800.0, SPEED_MM_S)))
            return
        self.act("stop")
        if do != "stop":
            time.sleep(0.3)
            self.act(do, mm=self.dice.choice((5.0, 20.0, 60.0)))
        time.sleep(self.dice.uniform(0.1, 1.0))
        self.act("start")

    def signal(self) -> None:
        self.act(self.dice.choice(SIGNALS), ms=self.dice.choice((50, 300, 1200, 2500)))

    def link(self) -> None:
        self.act("slow", ms=self.dice.choice((5, 50, 300)))
        time.sleep(self.dice.uniform(0.2, 1.0))
        self.act("slow", ms=0)

    def hand(self) -> None:
        """What people and machines do to the parts themselves, and to what counts them."""
        far = self.dice.uniform(100.0, 1000.0)
        do, arguments = self.dice.choice((
            ("bounce", {"mm": 15.0}), ("touch", {}), ("remove", {"mm": far}),
            ("insert", {"mm": far, "film": 3}), ("encoder_jump", {"mm": 120.0}),
            ("encoder_jump", {"mm": -30.0}), ("restart_plc", {}),
        ))  # fmt: skip
        self.act(do, **arguments)

    def process(self) -> None:
        """One of the station's processes is killed, or stands still for a while."""
        pids = self.trial.pids()
        victim = self.dice.choice(sorted(pids.keys() - {"station"}))
        still_s = self.dice.choice((0.0, 0.05, 0.3, 1.0, 2.5))
        self.log.append((victim, still_s))
        os.kill(pids[victim], signal.SIGSTOP if still_s else signal.SIGKILL)
        time.sleep(still_s)
        if still_s:
            os.kill(pids[victim], signal.SIGCONT)

    def order(self) -> None:
        do = self.dice.choice(("pause", "batch", "mode"))
        self.log.append(do)
        if do == "batch":
            lot = f"B{self.dice.randrange(10**6)}"
            self.trial.tell(Action.START_BATCH, OTTO, id=lot, recipe="coded")
        elif do == "pause":
            self.trial.tell(Action.PAUSE, OTTO, reason="a look")
        else:
            self.trial.tell(Action.SET_MODE, ERIKA, mode="setup")

    def end(self) -> None:
        """Everything is put back as it was."""
        for do in SIGNALS:
            self.trial.act(do, on=False)
        self.trial.act("slow", ms=0)
        self.trial.act("speed", mm_s=SPEED_MM_S)

    def is_back(self) -> bool:
        """Whether parts pass again once a person has seen to the line."""
        self.see_to_it()
        with suppress(NoAnswer):
            self.trial.tell(Action.SET_MODE, ERIKA, mode="auto")
        before = self.trial.now()["gate_passed"]
        return wait_for(lambda: self.trial.now()["gate_passed"] > before + 3, 3.0)


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("seed", range(4))
def test_faults_upon_faults_let_nothing_bad_through(
    seed: int,
    coded: Any,
    plan: Callable[..., Plan],
    watch: Callable[[Trial], Any],
    audit: Callable[[Trial], Any],
) -> None:
    with running(plan(coded, seed=seed)) as trial:
        seen, chaos = watch(trial), Chaos(trial, seed)
        seen.passes()
        for _ in range(STEPS):
            chaos.step()
        chaos.end()
        seen.until(chaos.is_back, f"it does not come back from {chaos.log}")
        seen.finish()
        audit(trial).check(coded, in_order=False, late_revokes=STEPS)
