"""First article, line clearance and challenge tests on a running station (S10, I2, I5, I9).

Until the change-over is signed with a PIN the line moves and everything goes to the reject side, a
killed line included; a seeded defect that is not rejected stops the line and puts everything since
the last good challenge on hold.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from shutil import which
from typing import Any

import pytest

from inspector.bus import run_dir
from inspector.config import Challenge, load_station
from inspector.identity import Action, IdentityError, Principal, Role, Users
from inspector.part import Disposition, Mode
from inspector.quality.errors import QualityError
from inspector.quality.process import state
from inspector.quality.signing import CHECKS, ask_challenge, awaited, sign_article, sign_clearance
from inspector.store.holds import Holds
from inspector.store.query import History
from inspector.store.signatures import Signatures
from inspector.trial import Plan, Trial, running

ADMIN = Principal("setup", frozenset({Role.ADMIN}))
OTTO = Principal("otto", frozenset({Role.OPERATOR}))
SEEDED = [{"name": "wrong code", "label": ""}]
QUALITY = {
    "line_clearance": True,
    "first_article": {"golden_parts": 3, "seeded": SEEDED},
    "challenge": {"seeded": SEEDED, "every_parts": 500},
}


@pytest.fixture(scope="module")
def day(
    coded_parts: Callable[[str], Any],
    plan: Callable[..., Plan],
    watch: Callable[[Trial], Any],
    audit: Callable[[Trial], Any],
) -> Any:
    facts: dict[str, Any] = {}
    coded = coded_parts("GGGB" * 15)
    station = {"quality": QUALITY, "web": None}
    with running(plan(coded, parts=4, station=station, world={"start": "hand"})) as trial:
        seen = watch(trial)
        run = run_dir(trial.data)
        users = Users(trial.data)
        users.add_user("quinn", [Role.QA], pin="4711", principal=ADMIN)

        def feed(count: int, leave: bool = True) -> None:
            before = trial.now()["triggers"]
            trial.act("feed", count=count)
            seen.until(lambda: trial.now()["triggers"] >= before + count, "no parts")
            if leave:
                seen.until(lambda: trial.now()["state"] == "done", "they do not leave")

        def article() -> dict[str, Any]:
            return state(run).get("first_article") or {}

        seen.until(lambda: article().get("steps"), "the first article does not start")
        facts["start"] = article()
        trial.act("start")
        seen.until(lambda: trial.now()["state"] == "done", "they do not leave")
        seen.until(lambda: article().get("passed"), f"the list is not done: {article()}")
        facts["list"] = article()
        facts["passed before"] = trial.now()["gate_passed"]

        line = trial.pids()["line"]
        before = awaited(run)
        os.kill(line, signal.SIGKILL)
        seen.until(lambda: trial.pids().get("line", line) != line, "no new line")
        feed(4)
        seen.until(lambda: _awaits(run) == before.id, "it has forgotten what it awaits")
        facts["passed after the kill"] = trial.now()["gate_passed"]

        refusals = {}
        for name, call in {
            "wrong pin": lambda: sign_article(trial.data, run, "quinn", "0815"),
            "unchecked": lambda: sign_clearance(trial.data, run, "quinn", "4711", CHECKS[:2]),
        }.items():
            try:
                call()
            except (IdentityError, QualityError) as error:
                refusals[name] = str(error)
        facts["refusals"] = refusals
        facts["signed"] = sign_article(trial.data, run, "quinn", "4711")
        feed(4)
        facts["passed without clearance"] = trial.now()["gate_passed"]
        clear = ("clear-line", str(trial.station_file), "--as", "quinn", "--pin", "--checked")
        facts["clearance"] = _cli(*clear, "--json", INSPECTOR_PIN="4711")
        feed(4)
        facts["passed signed"] = trial.now()["gate_passed"]
        facts["released"] = awaited(run)

        challenge = load_station(trial.station_file).quality
        assert challenge is not None and isinstance(challenge.challenge, Challenge)
        for name, ahead in (("good", 3), ("bad", 2)):
            feed(ahead, leave=False)
            facts[f"{name} asked"] = ask_challenge(run, challenge.challenge, OTTO)
            feed(1, leave=name == "good")  # a failed one stops the belt at once

            def concluded(count: int = 1 + (name == "bad")) -> bool:
                with History(trial.data) as history:
                    return len(history.desk("challenge")) >= count

            seen.until(concluded, f"the {name} challenge has no result")
        with Holds(trial.data) as holds:
            seen.until(holds.standing, "nothing is on hold")
            facts["held"] = holds.standing()

        def stopped() -> bool:
            with History(trial.data) as history:
                events = history.events("alarm")
            return any(e.body["code"] == "challenge_failed" for e in events)

        seen.until(stopped, "the line is not stopped")
        facts["newest"] = trial.now()["triggers"]
        trial.tell(Action.ACKNOWLEDGE_ALARM, OTTO)
        trial.tell(Action.RESUME, OTTO)
        answer = trial.tell(Action.START_BATCH, OTTO, id="B-2")
        facts["next batch"] = answer, awaited(run)
        feed(4)
        facts["challenges"] = _cli("challenge", "show", str(trial.station_file), "--json")
        facts["list as shown"] = _cli("first-article", "show", str(trial.station_file), "--json")
        sheet = trial.data / "sheets" / f"first-article-{before.id}.pdf"
        seen.until(lambda: facts["signed"].sha256[:16] in _words(sheet), "the sheet is not signed")
        seen.finish()
        return audit(trial), facts


def _cli(*words: str, **env: str) -> Any:
    done = subprocess.run(
        [sys.executable, "-m", "inspector", *words], env=os.environ | env, capture_output=True,
        text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr + done.stdout
    return json.loads(done.stdout)


def _words(pdf: Path) -> str:
    if which("pdftotext") is None:
        pytest.skip("pdftotext is not installed (poppler-utils)")
    if not pdf.exists():
        return ""
    return subprocess.run(["pdftotext", pdf, "-"], capture_output=True, text=True).stdout


def _awaits(run: Path) -> str:
    try:
        return awaited(run).id
    except QualityError:  # the line is not back yet
        return "-"


def test_it_starts_by_itself_and_is_guided(day: Any) -> None:
    _, facts = day
    names = [step["name"] for step in facts["start"]["steps"]]
    assert names == ["golden", "seeded: wrong code", "print", "measures", "focus", "light"]
    states = {step["name"]: step["state"] for step in facts["list"]["steps"]}
    assert states == {
        "golden": "ok", "seeded: wrong code": "ok", "print": "ok", "measures": "none",
        "focus": "ok", "light": "ok",
    }  # fmt: skip


def test_everything_is_rejected_until_all_is_signed(day: Any) -> None:
    auditor, facts = day
    assert facts["passed before"] == facts["passed after the kill"] == 0
    assert facts["passed without clearance"] == 0
    assert facts["passed signed"] == 3 and facts["released"].id == ""
    assert "PIN" in facts["refusals"]["wrong pin"]
    assert "not checked" in facts["refusals"]["unchecked"]
    setup = [p.verdict for p in auditor.parts if p.verdict.mode is Mode.SETUP]
    assert len(setup) >= 12


def test_the_signature_is_under_the_sheet(day: Any) -> None:
    auditor, facts = day
    with History(auditor.trial.data) as history:
        sheet = next(r.body for r in history.desk("first_article") if r.body["passed"])
    assert sheet["station_s"] <= 30 and len(sheet["parts"]) == 4
    assert set(sheet["looks"]) == {"side", "code"}
    with Signatures(auditor.trial.data) as signatures:
        (given,) = signatures.of("first_article", sheet["id"])
    assert given == facts["signed"] and given.name == "quinn"
    assert given.batch == sheet["batch"]


def test_the_commands_say_and_do_the_same(day: Any) -> None:
    _, facts = day
    assert facts["clearance"]["kind"] == "line_clearance" and facts["clearance"]["name"] == "quinn"
    assert [c["result"] for c in facts["challenges"]["last"]] == ["failed", "good"]
    assert facts["list as shown"]["batch"] == "B-2"


def test_a_seeded_defect_that_is_rejected_is_a_good_challenge(day: Any) -> None:
    auditor, facts = day
    with History(auditor.trial.data) as history:
        bad, good = history.desk("challenge")
    assert good.body["result"] == "good" and good.body["asked_by"] == "otto"
    assert bad.body["result"] == "failed" and "not rejected" in bad.body["why"]
    number = facts["good asked"]["from"]
    verdict = auditor.by_number()[number].verdict
    assert verdict.mode is Mode.CHALLENGE, "a challenge part is no production"
    with History(auditor.trial.data) as history:
        counts = history.counts(verdict.batch)
    production = [p for p in auditor.parts if p.verdict.mode is Mode.AUTO
                  and p.verdict.batch == verdict.batch]  # fmt: skip
    assert sum(counts.values()) == len(production)


def test_a_failed_challenge_holds_everything_since_the_last_good_one(day: Any) -> None:
    auditor, facts = day
    held = {n for s in facts["held"] for n in range(s.run.first, s.run.last + 1)}
    good, bad = facts["good asked"]["from"], facts["bad asked"]["from"]
    since = {n for n in auditor.by_number() if good < n <= bad}
    assert since <= held and good not in held
    assert all(s.disposition is Disposition.HOLD for s in facts["held"])


def test_a_new_batch_is_to_be_signed_anew(day: Any) -> None:
    auditor, facts = day
    answer, wanted = facts["next batch"]
    assert answer.ok and answer.body["needs"] == ["line_clearance", "first_article"]
    assert wanted.id == answer.body["awaits"]
    last = auditor.parts[-1].verdict
    assert last.batch == "B-2" and last.mode is Mode.SETUP
    auditor.check()
