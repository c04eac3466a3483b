"""People and machines give commands to a running line (I2, I3, I9), and a page that dies beside it
is no matter."""

from __future__ import annotations

import json
import os
import signal
import time
import urllib.request
from collections.abc import Callable
from typing import Any

import pytest
import zmq

from inspector.bus import endpoint, run_dir
from inspector.identity import Action, Principal, Role
from inspector.part import GateAction, Mode, Outcome
from inspector.recipe import digest_of, read
from inspector.registers import STATION_BLOCK, StationBit
from inspector.store.query import History
from inspector.trial import Plan, Trial, running, wait_for

ERIKA = Principal("erika", frozenset({Role.ENGINEER}))
OTTO = Principal("otto", frozenset({Role.OPERATOR}))
MES = Principal("mes", frozenset({Role.MACHINE}))
RUN = 30
"""Parts of one product, then as many of the other."""
CHANGES = 2
"""There and back."""
AHEAD = 20
"""Parts before its barrier that a change-over is asked for: a second, on a busy machine."""


@pytest.fixture(scope="module")
def mixed(coded_parts: Callable[[str], Any]) -> Any:
    """Thirty parts of one product, thirty of the other, some of them bad; over and over."""
    return coded_parts("GGGBG" * 6 + "JJJBJ" * 6)


@pytest.fixture(scope="module")
def told(
    mixed: Any,
    plan: Callable[..., Plan],
    watch: Callable[[Trial], Any],
    audit: Callable[[Trial], Any],
    ask: Callable[..., bytes],
) -> Any:
    facts: dict[str, Any] = {}
    recipes = (mixed.recipe, mixed.juice)
    with running(plan(mixed, recipes=recipes, page=0)) as trial:
        seen = watch(trial)
        seen.passes()
        facts["answers"], owed = _change_over(trial, seen)
        facts["wrong"] = owed, _run_wrong_product(trial, seen, owed)
        facts["page"] = _kill_page(trial, seen)
        facts["pause"] = _pause(trial, seen)
        facts["reject"] = _reject(trial, seen)
        facts["refused"] = _try_what_is_forbidden(trial)
        facts["bypass"] = _bypass(trial, seen, ask)
        seen.go_on(5)
        facts["killed"] = _kill_paused_line(trial, seen)
        seen.finish()
        return audit(trial), facts


def _change_over(trial: Trial, seen: Any) -> tuple[list[float], int]:
    """From the first part of each run of a product on; how long each answer took, in s, and the
    part from which a change-over is owed."""
    took = []
    first = (trial.now()["triggers"] // RUN + 1) * RUN + 1
    if first - trial.now()["triggers"] < AHEAD:
        first += RUN
    for _ in range(CHANGES):
        seen.reach(first - AHEAD)
        name = "coded-juice" if (first - 1) // RUN % 2 else "coded"
        began = time.monotonic()
        answer = trial.tell(Action.CHANGE_OVER, ERIKA, recipe=name, batch=f"B-{first}", **{
            "from": first})  # fmt: skip
        took.append(time.monotonic() - began)
        assert answer.ok, answer
        first += RUN
    return took, first


def _run_wrong_product(trial: Trial, seen: Any, owed: int) -> int:
    """One product under the other's recipe for some parts; the last one's number."""
    seen.reach(owed + 8)
    back = trial.tell(Action.START_BATCH, OTTO, id="B-back", recipe="coded")
    assert back.ok, back
    return int(back.body["from"]) - 1


def _kill_page(trial: Trial, seen: Any) -> dict[str, Any]:
    seen.until(trial.page, "no page")
    before = trial.pids()
    os.kill(before["web"], signal.SIGKILL)
    seen.until(lambda: trial.pids().get("web", before["web"]) != before["web"], "no new page")

    def served() -> bool:
        try:
            with urllib.request.urlopen(trial.page(), timeout=2.0) as page:
                return bool(page.status == 200)
        except OSError:
            return False

    seen.until(served, "the page does not come back")
    return {"before": before, "after": trial.pids()}


def _pause(trial: Trial, seen: Any) -> int:
    """How many pass a paused line."""
    assert trial.tell(Action.PAUSE, MES, reason="hold").ok
    seen.go_on(8)
    before = trial.now()["gate_passed"]
    seen.go_on(20)
    passed = int(trial.now()["gate_passed"]) - before
    assert not trial.tell(Action.RESUME, MES).ok, "a machine may not start a line"
    assert trial.tell(Action.RESUME, OTTO).ok
    return passed


def _reject(trial: Trial, seen: Any) -> dict[str, Any]:
    """Take back the permit of a part on its way, and try it for one that has left."""
    _good_part_comes(trial, seen)
    number = trial.now()["triggers"]
    seen.until(lambda: trial.now()["triggers"] >= number + 4, "no parts")
    late = trial.tell(Action.REJECT, MES, part=max(1, number - 60), reason="late")
    return {
        "part": number,
        "answer": trial.tell(Action.REJECT, MES, part=number, reason="sample"),
        "late": late,
    }


def _good_part_comes(trial: Trial, seen: Any) -> None:
    """Until a run of the first product has begun, whose recipe is on."""
    seen.until(lambda: 3 < trial.now()["triggers"] % (2 * RUN) < RUN - 10, "no good parts")


def _try_what_is_forbidden(trial: Trial) -> dict[str, Any]:
    run = run_dir(trial.data)
    answers = {
        "no reason": trial.tell(Action.BYPASS, ERIKA, minutes=1),
        "no limit": trial.tell(Action.BYPASS, ERIKA, reason="camera away"),
        "a week": trial.tell(Action.BYPASS, ERIKA, reason="camera away", minutes=10_080),
        "no role": trial.tell(Action.BYPASS, OTTO, reason="camera away", minutes=1),
        "by the back door": trial.tell(
            Action.SET_MODE, OTTO, mode="bypass", reason="camera away", minutes=1
        ),
        "no such recipe": trial.tell(Action.CHANGE_OVER, ERIKA, recipe="lemonade"),
        "by": trial.tell(Action.CHANGE_OVER, ERIKA, recipe="coded", **{"from": 1}),
        "machine sets mode": trial.tell(Action.SET_MODE, MES, mode="cleaning"),
    }
    context = zmq.Context()
    with context.socket(zmq.DEALER) as forger:
        forger.connect(endpoint(run, "command"))
        body = json.dumps({
            "id": "x" * 32, "command": "bypass", "args": {"reason": "r", "minutes": 60},
            "principal": "erika", "roles": ["engineer"],
            "expiry": time.monotonic_ns() + 10**10,
        }).encode()  # fmt: skip
        forger.send(b"\0" * 32 + body)
        assert forger.poll(10_000)
        answers["forged"] = forger.recv()
    context.destroy(linger=0)
    return answers


def _bypass(trial: Trial, seen: Any, ask: Callable[..., bytes]) -> dict[str, Any]:
    answer = trial.tell(Action.BYPASS, ERIKA, reason="camera 2 is being mended", minutes=0.03)

    def beacon() -> bool:
        raw = ask(trial.port, 3, STATION_BLOCK, 4)[2:]
        return bool(StationBit(int.from_bytes(raw[4:6], "big")) & StationBit.BYPASS)

    lit = wait_for(beacon, 10.0)
    seen.until(lambda: trial.now()["bypassed"] >= 3, "nobody passes by")
    seen.until(lambda: not beacon(), "the by-pass does not end")
    return {"answer": answer, "lit": lit}


def _kill_paused_line(trial: Trial, seen: Any) -> dict[str, Any]:
    """A change-over, a mode and a pause, and then the line dies."""
    recipe = trial.tell(Action.CHANGE_OVER, ERIKA, recipe="coded-juice", batch="B-kept")
    assert recipe.ok, recipe
    assert trial.tell(Action.SET_MODE, ERIKA, mode="challenge").ok
    assert trial.tell(Action.PAUSE, ERIKA).ok
    line = trial.pids()["line"]
    os.kill(line, signal.SIGKILL)
    known = len(_verdicts(trial))
    seen.until(lambda: trial.pids().get("line", line) != line, "the line does not come back")
    seen.until(lambda: len(_verdicts(trial)) > known + 40, "the line judges nothing")
    before = trial.now()["gate_passed"]
    seen.go_on(10)
    passed = trial.now()["gate_passed"] - before
    verdict = _verdicts(trial)[0].verdict
    assert trial.tell(Action.RESUME, OTTO).ok
    seen.passes()
    return {"passed": passed, "verdict": verdict}


def _verdicts(trial: Trial) -> Any:
    with History(trial.data) as history:
        return history.last(10_000)


def test_a_killed_line_goes_on_as_it_was_set(told: Any) -> None:
    _, facts = told
    verdict = facts["killed"]["verdict"]
    assert facts["killed"]["passed"] == 0, "the restart has ended the pause"
    assert verdict.recipe.startswith("coded-juice@"), verdict
    assert (verdict.batch, verdict.mode) == ("B-kept", Mode.CHALLENGE), verdict


def test_no_part_is_judged_by_a_mixture(told: Any, mixed: Any) -> None:
    auditor, facts = told
    digests = {digest_of(read(path)): path.stem for path in (mixed.recipe, mixed.juice)}
    first, last = facts["wrong"]
    found = auditor.by_number()
    strangers = []
    for number in range(1, last + 1):
        v, kind = found[number].verdict, mixed.kinds[(number - 1) % len(mixed.kinds)]
        name = digests[v.recipe_digest]
        assert v.recipe.startswith(f"{name}@"), v
        if v.outcome is Outcome.ERROR:
            continue
        own = kind == ("G" if name == "coded" else "J")
        assert (v.outcome is Outcome.PASS) == own, v
        if kind != "B" and not own:
            strangers.append(number)
    assert not [n for n in strangers if first - CHANGES * RUN <= n < first], strangers
    wrong = [n for n in strangers if n >= first]
    assert len(wrong) >= 5, "the wrong product was not tried"


def test_a_change_over_takes_less_than_200_ms(told: Any) -> None:
    _, facts = told
    assert min(facts["answers"]) < 0.2, facts["answers"]


def test_each_part_belongs_to_the_batch_of_its_change_over(told: Any) -> None:
    auditor, facts = told
    found = auditor.by_number()
    began = sorted(
        int(v.batch[2:]) for v in {p.verdict.batch: p.verdict for p in found.values()}.values()
        if v.batch[2:].isdigit()
    )  # fmt: skip
    assert len(began) == CHANGES
    for first in began:
        assert found[first - 1].verdict.batch != found[first].verdict.batch == f"B-{first}"
    _, last = facts["wrong"]
    assert found[last + 1].verdict.batch == "B-back"
    with History(auditor.trial.data) as history:
        changes = history.batch_changes(1000)
    assert {c.id for c in changes} >= {f"B-{first}" for first in began}
    assert all(c.principal for c in changes)


def test_a_page_that_is_killed_comes_back_and_the_line_never_notices(told: Any) -> None:
    _, facts = told
    before, after = facts["page"]["before"], facts["page"]["after"]
    assert {k: v for k, v in after.items() if k != "web"} == {
        k: v for k, v in before.items() if k != "web"
    }


def test_nothing_passes_a_paused_line(told: Any) -> None:
    _, facts = told
    assert facts["pause"] == 0


def test_a_part_on_its_way_is_taken_back(told: Any) -> None:
    auditor, facts = told
    asked = facts["reject"]
    assert asked["answer"].ok, asked["answer"]
    part = auditor.by_number()[asked["part"]]
    assert part.gates[-1].action in (GateAction.REVOKE, GateAction.REJECT), part
    assert auditor.world["revoked_passed"] == 0
    assert not asked["late"].ok
    assert "passed the gate" in asked["late"].error


def test_what_nobody_may_do_is_refused_and_recorded(told: Any) -> None:
    auditor, facts = told
    answers = dict(facts["refused"])
    assert answers.pop("forged") == b"\0forged"
    assert not [name for name, answer in answers.items() if answer.ok]
    with History(auditor.trial.data) as history:
        refused = history.events("command_refused", 1000)
        commands = history.events("command", 1000)
    kinds = {(e.principal, e.body["what"]) for e in refused}
    assert {("unknown", "forged"), ("otto", "forbidden"), ("mes", "forbidden")} <= kinds, kinds
    said = [str(e.body["result"].get("refused", "")) for e in commands]
    for reason in ("needs a reason", "time limit", "lemonade", "gone by"):
        assert any(reason in text for text in said), said


def test_every_command_names_its_principal_and_what_came_of_it(told: Any) -> None:
    auditor, _ = told
    with History(auditor.trial.data) as history:
        commands = history.events("command", 1000)
    assert {e.principal for e in commands} >= {"erika", "otto", "mes"}
    for event in commands:
        assert event.body["roles"] and event.body["id"] and "result" in event.body, event


def test_by_passed_parts_are_not_inspected_and_the_beacon_is_lit(told: Any) -> None:
    auditor, facts = told
    assert facts["bypass"]["answer"].ok and facts["bypass"]["lit"]
    by = [p for p in auditor.parts if p.verdict.mode is Mode.BYPASS]
    assert by
    for part in by:
        assert part.verdict.outcome in (Outcome.NOT_INSPECTED, Outcome.ERROR), part
        assert not part.verdict.findings
    after = next(p.verdict for p in auditor.parts if p.position > by[-1].position)
    assert after.mode is Mode.AUTO, "the by-pass did not end by itself"
    production = [p for p in auditor.parts if p.verdict.mode is Mode.AUTO]
    assert auditor.trial.ledger()["verdicts"] == len(production)


def test_only_what_was_by_passed_escaped(told: Any, mixed: Any) -> None:
    auditor, _ = told
    bad = [
        n for n, v in auditor.verdicts().items()
        if v.mode is Mode.BYPASS and mixed.kinds[(n - 1) % len(mixed.kinds)] == "B"
    ]  # fmt: skip
    assert auditor.world["escapes"] <= len(bad)
    auditor.check()
    auditor.every_part_was_judged_by_its_own_pictures(mixed, in_order=True)
