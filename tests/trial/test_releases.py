"""A release on a running line: fetched, proven, in shadow, champion, taken back by hand and by
itself, while every part gets its one verdict from one recipe (I1, I3, I7; S9)."""

from __future__ import annotations

import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from release.centre import Centre

from inspector import logs
from inspector.bus import run_dir
from inspector.identity import Action, Principal, Role
from inspector.release import install
from inspector.release.offered import State
from inspector.release.offered import told as told_of
from inspector.release.stage import Stage, standings
from inspector.store.query import History
from inspector.trial import Plan, Trial, running
from training.release import put

pytestmark = pytest.mark.slow

ERIKA = Principal("erika", frozenset({Role.ENGINEER}))
OTTO = Principal("otto", frozenset({Role.OPERATOR}))


@pytest.fixture(scope="module")
def told(
    coded: Any,
    plan: Callable[..., Plan],
    watch: Callable[[Trial], Any],
    audit: Callable[[Trial], Any],
    tmp_path_factory: pytest.TempPathFactory,
) -> Any:
    centre = Centre(tmp_path_factory.mktemp("centre"))
    channel = tmp_path_factory.mktemp("channel")
    facts: dict[str, Any] = {}
    releases = {
        "source": str(channel), "channel": "canary", "poll_s": 0.3, "shadow_share": 1.0,
        "probation_parts": 400,
    }  # fmt: skip
    with running(plan(coded, station={"releases": releases})) as trial:
        centre.known_at(trial.data)
        seen = watch(trial)
        seen.passes()
        put(centre.made(2), "canary", channel)
        seen.until(lambda: stage_of(trial, "coded/2") is Stage.SHADOW, "no shadow")
        facts["refused"] = trial.tell(Action.INSTALL_RELEASE, OTTO, release="coded/2")
        facts["absent"] = trial.tell(Action.INSTALL_RELEASE, ERIKA, release="coded/9")
        facts["champion"] = order(trial, release="coded/2", at="part", why="better")
        seen.go_on(20)
        facts["stage"] = stage_of(trial, "coded/2")
        facts["back"] = order(trial, do="rollback", why="not better")
        seen.go_on(10)
        order(trial, release="coded/2", at="batch")
        facts["waiting"] = stage_of(trial, "coded/2")
        started = trial.tell(Action.START_BATCH, ERIKA, id="B-2", product="coded")
        assert started.ok, started
        facts["batch"] = started.body["from"]
        seen.go_on(10)
        # Good parts are defects to it: whoever signed it was wrong, and the line finds out.
        bad = centre.made(3, pattern=r"B\d{5}")
        install(bad, trial.data, "erika")
        facts["bad"] = order(trial, release="coded/3", at="part")
        seen.until(lambda: stage_of(trial, "coded/3") is Stage.UNDONE, "it stays")
        seen.passes()
        facts["killed"] = trial.pids()["line"]
        import os
        import signal

        os.kill(facts["killed"], signal.SIGKILL)
        seen.until(lambda: trial.pids().get("line") not in (None, facts["killed"]), "no line")
        seen.passes(10)
        facts["stages"] = {s.release.title: s.stage for s in standings(trial.data)}
        facts["offered"] = told_of(trial.data)
        facts["logs"] = {path.stem for path in logs.folder(run_dir(trial.data)).glob("*.jsonl")}
        seen.finish()
        return audit(trial), facts


def stage_of(trial: Trial, release: str) -> Stage | None:
    return next((s.stage for s in standings(trial.data) if s.release.title == release), None)


def order(trial: Trial, **arguments: Any) -> dict[str, Any]:
    began = time.monotonic()
    answer = trial.tell(Action.INSTALL_RELEASE, ERIKA, **arguments)
    assert answer.ok, answer
    return {"took_s": time.monotonic() - began, **answer.body}


def test_every_part_is_judged_once_and_by_one_recipe(told: Any, coded: Any) -> None:
    auditor, _ = told
    bad = [p for p in auditor.parts if p.verdict.recipe == "coded@3"]
    others = [p for p in auditor.parts if p.verdict.recipe != "coded@3"]
    assert bad and others
    auditor.every_trigger_has_one_verdict()
    auditor.every_verdict_names_what_made_it()
    auditor.only_recorded_passes_were_permitted()
    assert auditor.world["unjudged_passed"] == auditor.world["revoked_passed"] == 0


def test_a_release_takes_over_between_two_parts_and_never_a_batch_by_halves(told: Any) -> None:
    auditor, facts = told
    verdicts = auditor.verdicts()
    for change in (facts["champion"], facts["back"], facts["bad"]):
        first = change["from"]
        assert verdicts[first - 1].recipe_digest != verdicts[first].recipe_digest
        assert verdicts[first].batch == change["batch"] != verdicts[first - 1].batch
    assert verdicts[facts["batch"]].recipe == "coded@2"
    assert verdicts[facts["batch"] - 1].recipe == "coded@1"
    of_batch: dict[str, set[str]] = {}
    for verdict in verdicts.values():
        of_batch.setdefault(verdict.batch, set()).add(verdict.recipe_digest)
    assert all(len(digests) == 1 for digests in of_batch.values()), of_batch
    switches = [b for a, b in pairwise(sorted(verdicts)) if
                verdicts[a].recipe_digest != verdicts[b].recipe_digest]  # fmt: skip
    assert len(switches) == 5


def test_the_way_back_takes_less_than_five_seconds(told: Any) -> None:
    _, facts = told
    assert facts["back"]["took_s"] < 5


def test_what_the_channel_had_is_told(told: Any) -> None:
    _, facts = told
    (offer,) = facts["offered"].offers
    assert facts["offered"].channel == "canary"
    assert (offer.release, offer.state) == ("coded/2", State.HERE)


def test_every_process_has_kept_what_it_said(told: Any) -> None:
    _, facts = told
    assert facts["logs"] >= {"station", "line", "releases"}


def test_who_may_not_is_refused_and_what_is_not_there_is_said(told: Any) -> None:
    _, facts = told
    assert not facts["refused"].ok and "may not" in facts["refused"].error
    assert not facts["absent"].ok and "is not installed here" in facts["absent"].error


def test_a_release_that_judges_otherwise_goes_back_by_itself(told: Any) -> None:
    auditor, facts = told
    with History(auditor.trial.data) as history:
        changes = [e for e in history.events("release", 100) if e.principal == "releases"]
        desk = history.desk("shadow", 1000)
    assert [e.body["back"] for e in changes] == [True]
    assert "judged otherwise than before" in changes[0].body["why"]
    assert facts["stages"] == {"coded/2": Stage.CHAMPION, "coded/3": Stage.UNDONE}
    assert desk and {r.body["champion"] for r in desk} >= {
        auditor.verdicts()[facts["bad"]["from"]].recipe_digest
    }
    image = desk[0].body["images"][0]
    assert (auditor.trial.data / image["path"]).is_file()


def test_a_challenge_is_due_after_each_change_and_all_are_recorded(told: Any) -> None:
    auditor, facts = told
    with History(auditor.trial.data) as history:
        due, changes = history.events("challenge_due", 100), history.events("release", 100)
    assert len(due) == len(changes) == 5
    assert {e.principal for e in changes} == {"erika", "releases"}
    assert facts["stage"] is Stage.CHAMPION and facts["waiting"] is Stage.WAITING


def test_a_killed_line_comes_back_with_its_champion(told: Any) -> None:
    auditor, _ = told
    last = auditor.parts[-1].verdict
    assert last.recipe == "coded@2"
    assert Path(auditor.trial.data / "releases").is_dir()
