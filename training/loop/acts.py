"""The story from beginning to end: what happens on the line, at QA and at the centre, in order."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path
from typing import Any

from rich.table import Table

from inspector.identity import Action, Principal, Role
from inspector.release.stage import Stage, standings
from inspector.store import verify
from inspector.trial import Trial, running
from inspector.virtual.filmset import FilmSet
from training.loop.centre import gather, introduce, make_release, running_hub
from training.loop.line import Watch, draw, judged, plan_of, stage_of, wait_for_records
from training.loop.people import give_keys, review
from training.loop.plot import plot
from training.loop.story import DEFECT, LoopFailed, Size, Story
from training.loop.teaching import evaluate, short, teach

ERIKA = Principal("erika", frozenset({Role.ENGINEER}))


def run(folder: Path, size: Size, seed: int = 1) -> dict[str, Any]:
    """Runs the story and returns its figures. Raises ``LoopFailed``."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    story = Story(folder, size, seed)
    story.say("drawing the parts")
    films, held = draw(story)
    keys = give_keys(folder)
    with running_hub(folder / "hub") as hub, running(plan_of(story, films, hub)) as trial:
        return _on_the_line(story, trial, films, held, keys, hub)


def _on_the_line(
    story: Story, trial: Trial, films: FilmSet, held: FilmSet, keys: dict[str, Any], hub: str
) -> dict[str, Any]:
    size, folder = story.size, story.folder
    watch = Watch(story, trial)
    watch.until(lambda: trial.now()["gate_passed"] > 0, "the line does not pass anything", 300)
    introduce(story, trial, hub)
    line = trial.pids()["line"]
    story.say("the champion is frozen; the line runs")
    watch.reach(size.before)
    story.say(f"the new defect begins ({DEFECT})", watch.parts())
    start = watch.counts()
    watch.reach(size.before + size.shown)
    watch.settle()
    before = watch.since(start)
    story.say("QA looks at parts and reviews them through the API", watch.parts())
    reviewed = review(story, trial, films)
    story.say("records, samples and reviews reach the centre", watch.parts())
    snapshot, replay, synced = gather(story, watch, reviewed)
    story.say("the model is taught on, while the line runs", watch.parts())
    trial.act("feed", count=size.meanwhile)
    models, recipe, took_s = teach(story, watch, snapshot, replay)
    story.say("the new recipe is judged on films that nobody learned from", watch.parts())
    report = evaluate(story, models, recipe, held)
    watch.settle()
    story.say("a release is made, approved by another person, and put on the canary's channel")
    release = make_release(story, models, recipe, held, keys, report)
    watch.until(
        lambda: stage_of(trial, release) is not None, "the station does not install it", 180
    )
    story.say("the station has proven it and judges in shadow", watch.parts())
    trial.act("feed", count=size.shadowed * 3)
    watch.until(lambda: judged(trial, release) >= size.shadowed, "nothing is judged", 300)
    watch.settle()
    tally = next(s.tally for s in standings(trial.data) if s.release.title == release)
    story.say("canary: the release takes over between two parts", watch.parts())
    answer = trial.tell(Action.INSTALL_RELEASE, ERIKA, release=release, at="part", why="label_torn")
    if not answer.ok:
        raise LoopFailed(f"the line refuses the release: {answer.error}")
    trial.act("feed", count=size.after)
    start = watch.counts()
    watch.settle()
    after = watch.since(start)
    if stage_of(trial, release) is not Stage.CHAMPION:
        raise LoopFailed("the release did not stay champion")
    story.say("champion: it stays", watch.parts())
    world = trial.now()
    same_line = trial.pids().get("line") == line
    wait_for_records(trial, world["triggers"])
    trial.stop_station()
    ledger = trial.ledger()
    trial.stop()
    audit = verify(trial.data)
    figures = {
        "defect": DEFECT,
        "before": before,
        "after": after,
        "improvement": ratio(before, after),
        "reviews": reviewed,
        "dataset": {"ref": snapshot.ref, "digest": snapshot.digest, **synced},
        "training_s": round(took_s, 1),
        "evaluation": short(report),
        "release": {"release": release, "shadow": dict(tally), "at": answer.body},
        "line": {
            "triggers": world["triggers"], "verdicts": ledger["verdicts"],
            "errors": ledger["errors"], "unjudged_passed": world["unjudged_passed"],
            "restarted": not same_line, "ledger_ok": audit.ok,
        },
        "seconds": round(time.monotonic() - story.began, 1),
        "marks": [[round(at), parts, what] for at, parts, what in story.marks],
    }  # fmt: skip
    (folder / "loop.json").write_text(json.dumps(figures, indent=1, ensure_ascii=False))
    (folder / "loop.svg").write_text(plot(story.series, story.marks))
    return figures


def ratio(before: dict[str, Any], after: dict[str, Any]) -> float:
    """How many times fewer torn parts escape; an escape is assumed where none was seen."""
    rate = max(after["torn_escaped"], 1) / max(after["torn"], 1)
    return round(float(before["escape_rate"]) / rate, 1)


def table(figures: dict[str, Any]) -> Table:
    """The result, for a person."""
    shown = Table(title=f"The loop: {figures['defect']}, counted by the world at its gate")
    for name in ("", "old champion", "new champion"):
        shown.add_column(name, justify="right")
    old, new = figures["before"], figures["after"]
    shown.add_row("parts", str(old["parts"]), str(new["parts"]))
    shown.add_row("with the new defect", str(old["torn"]), str(new["torn"]))
    shown.add_row("of these let through", str(old["torn_escaped"]), str(new["torn_escaped"]))
    shown.add_row("escape rate", f"{old['escape_rate']:.1%}", f"{new['escape_rate']:.1%}")
    shown.add_row(
        "false rejects", f"{old['false_reject_rate']:.1%}", f"{new['false_reject_rate']:.1%}"
    )
    return shown
