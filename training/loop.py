"""The story of the loop, on a running virtual line: a defect nobody has seen, and its end.

Enters: a folder and a size. Leaves: figures that the world process counted at its gate, as a table,
JSON and a plot. Everything goes the way of a plant: the station's own processes, the centre over
HTTP, reviews through the MES's API, a release signed by two. The only thing that is played is QA: a
person who looks at parts, and is wrong about one in twenty. ``scripts/loop`` runs this.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from rich.console import Console
from rich.table import Table
from ruamel.yaml import YAML

from inspector.bus import run_dir
from inspector.config import load_station
from inspector.identity import Action, Principal, Role, Users
from inspector.recipe import load
from inspector.release.stage import Stage, standings
from inspector.release.trust import trust
from inspector.store import History, verify
from inspector.sync.enrol import enrol
from inspector.trial import CONFIGS, Plan, Trial, running, wait_for
from inspector.virtual.film import FilmSet, render_set
from training.loop_plot import plot

DEFECT = "label_torn"
ROI = (192, 0, 448, 480)
ROOT = Principal("root", frozenset({Role.ADMIN}))
ERIKA = Principal("erika", frozenset({Role.ENGINEER}))
WRONG = 0.05
RATE = 5.0
MODELS = CONFIGS.parent / "models"
RECIPE = CONFIGS / "recipes" / "bottle-line.yaml"
console = Console(stderr=True)


class LoopFailed(Exception):
    """The story did not end as it should; ``str()`` says where."""


@dataclass(frozen=True, slots=True)
class Size:
    """How long the story is."""

    before: int = 60
    """Parts before the defect first comes …"""
    shown: int = 360
    """… with it, under the old model, …"""
    after: int = 320
    """… and under the new one."""
    good_reviews: int = 60
    """Other parts that QA looks at."""
    replay: int = 320
    """Pictures that the champion was trained on."""
    held_out: int = 260
    """Parts of other films that measure."""
    epochs: int = 4
    repeat: int = 3
    """How often an epoch shows what came from the line."""
    meanwhile: int = 100
    """Parts that come while the model is taught on."""
    shadowed: int = 40
    """Parts in shadow before it takes over."""
    novelty_rate: float = 0.35


SHORT = Size(
    before=20, shown=110, after=110, good_reviews=20, replay=120, held_out=90, epochs=4, repeat=4,
    meanwhile=20, shadowed=20, novelty_rate=0.5,
)  # fmt: skip


@dataclass(slots=True)
class Story:
    """What has happened so far."""

    folder: Path
    size: Size
    seed: int
    marks: list[tuple[float, int, str]] = field(default_factory=list)
    """Seconds since the start, parts by then, and what began."""
    series: list[tuple[int, int, int]] = field(default_factory=list)
    """Parts, torn ones among them, torn ones let through; by the world."""
    began: float = field(default_factory=time.monotonic)

    def say(self, what: str, parts: int = 0) -> None:
        """Tell a person, and the plot, what begins now."""
        self.marks.append((time.monotonic() - self.began, parts, what))
        console.print(f"[{time.monotonic() - self.began:6.0f} s] {what}", highlight=False)


def run(folder: Path, size: Size, seed: int = 1) -> dict[str, Any]:
    """Runs the story and returns its figures. Raises ``LoopFailed``."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    story = Story(folder, size, seed)
    story.say("drawing the parts")
    films, held = _films(story)
    people = _people(folder)
    with _hub(folder / "hub") as hub, running(_plan(story, films, hub)) as trial:
        return _on_the_line(story, trial, films, held, people, hub)


def _on_the_line(
    story: Story, trial: Trial, films: FilmSet, held: FilmSet, people: dict[str, Any], hub: str
) -> dict[str, Any]:
    size, folder = story.size, story.folder
    watch = _Watch(story, trial)
    watch.until(lambda: trial.now()["gate_passed"] > 0, "the line does not pass anything", 300)
    _introduce(story, trial, hub)
    line = trial.pids()["line"]
    story.say("the champion is frozen; the line runs")
    watch.reach(size.before)
    story.say(f"the new defect begins ({DEFECT})", watch.parts())
    start = watch.counts()
    watch.reach(size.before + size.shown)
    watch.settle()
    before = watch.since(start)
    story.say("QA looks at parts and reviews them through the API", watch.parts())
    reviewed = _review(story, trial, films)
    story.say("records, samples and reviews reach the centre", watch.parts())
    snapshot, replay, synced = _centre(story, watch, reviewed)
    story.say("the model is taught on, while the line runs", watch.parts())
    trial.act("feed", count=size.meanwhile)
    models, recipe, took_s = _teach(story, watch, snapshot, replay)
    story.say("the new recipe is judged on films that nobody learned from", watch.parts())
    report = _evaluate(story, models, recipe, held)
    watch.settle()
    story.say("a release is made, approved by another person, and put on the canary's channel")
    release = _release(story, models, recipe, held, people, report)
    watch.until(lambda: _stage(trial, release) is not None, "the station does not install it", 180)
    story.say("the station has proven it and judges in shadow", watch.parts())
    trial.act("feed", count=size.shadowed * 3)
    watch.until(lambda: _judged(trial, release) >= size.shadowed, "nothing is judged", 300)
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
    if _stage(trial, release) is not Stage.CHAMPION:
        raise LoopFailed("the release did not stay champion")
    story.say("champion: it stays", watch.parts())
    world = trial.now()
    same_line = trial.pids().get("line") == line
    _wait_for_records(trial, world["triggers"])
    trial.stop_station()
    ledger = trial.ledger()
    trial.stop()
    audit = verify(trial.data)
    figures = {
        "defect": DEFECT,
        "before": before,
        "after": after,
        "improvement": _ratio(before, after),
        "reviews": reviewed,
        "dataset": {"ref": snapshot.ref, "digest": snapshot.digest, **synced},
        "training_s": round(took_s, 1),
        "evaluation": _short(report),
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


# The line and the world.


class _Watch:
    """Waits for what the world counts, and keeps the curve."""

    def __init__(self, story: Story, trial: Trial) -> None:
        self._story, self._trial = story, trial

    def counts(self) -> dict[str, int]:
        """Of the new defect and of all parts, by the world, as of now."""
        world = self._trial.now()
        torn = world["defective_by_label"].get(DEFECT, 0)
        through = world["escapes_by_label"].get(DEFECT, 0)
        point = (world["gate_passed"] + world["gate_rejects"], torn, through)
        if not self._story.series or self._story.series[-1] != point:
            self._story.series.append(point)
        return {
            "parts": point[0], "torn": torn, "torn_escaped": through,
            "defective": world["defective"], "escaped": world["escapes"],
            "false_rejects": world["false_rejects"], "triggers": world["triggers"],
        }  # fmt: skip

    def since(self, start: dict[str, int]) -> dict[str, Any]:
        """What has happened since ``start``."""
        now = self.counts()
        found: dict[str, Any] = {name: now[name] - start[name] for name in now}
        good = found["parts"] - found["defective"]
        found["escape_rate"] = round(found["torn_escaped"] / max(found["torn"], 1), 4)
        found["false_reject_rate"] = round(found["false_rejects"] / max(good, 1), 4)
        return found

    def parts(self) -> int:
        return self.counts()["parts"]

    def reach(self, parts: int) -> None:
        """Until so many parts have come to the gate."""
        self.until(lambda: self.parts() >= parts, f"part {parts} did not come", 60 + parts)

    def settle(self) -> None:
        """Until every part that was fed has left."""
        self.until(lambda: self._trial.now()["state"] == "done", "parts do not leave", 900)
        self.counts()

    def until(self, condition: Callable[[], object], what: str, seconds: float) -> None:
        def alive() -> bool:
            self.counts()
            time.sleep(0.2)
            return self._trial.station is not None and self._trial.station.poll() is None

        if not wait_for(condition, seconds, alive):
            raise LoopFailed(f"{what}; read {self._trial.plan.folder}/station.log")


def _films(story: Story) -> tuple[FilmSet, FilmSet]:
    size, workers = story.size, len(os.sched_getaffinity(0))
    whole = size.before + size.shown + size.meanwhile + size.shadowed * 3 + size.after + 20
    films = render_set(
        "bottle-line", 700 + story.seed, whole, story.folder / "films", 0.1, workers=workers,
        novelty=DEFECT, novelty_rate=size.novelty_rate, novelty_from=size.before,
    )  # fmt: skip
    held = render_set(
        "bottle-line", 900 + story.seed, size.held_out, story.folder / "held", 0.6,
        workers=workers, mixed=True, novelty=DEFECT, novelty_rate=0.6,
    )  # fmt: skip
    return films, held


def _plan(story: Story, films: FilmSet, hub: str) -> Plan:
    size = story.size
    return Plan(
        films, story.folder / "line", rate=RATE, parts=size.before + size.shown, travel_s=2.0,
        station={
            "clock": "trusted", "quality": None, "plant": {"port": 0},
            "stop.rejects_in_a_row": 0, "stop.confirmation_failed": False,
            "store.pass_image_every": 1, "store.reserve_mb": 0, "store.stop_mb": 0,
            "plc.timeout_ms": 1000,
            "sync": {"hub": hub, "every_s": 1.0, "samples": {"novelty": False}},
            "releases": {
                "source": str((story.folder / "channels").resolve()), "channel": "canary",
                "poll_s": 1.0, "shadow_share": 1.0, "planned_disagreement": True,
                "probation_parts": 5000,
            },
        },
    )  # fmt: skip


@contextmanager
def _hub(home: Path) -> Iterator[str]:
    """A centre of its own, as ``training hub`` starts it; its address."""
    home.mkdir(parents=True)
    env = os.environ | {"HUB_PASSWORD": "a long password"}
    command = [sys.executable, "-m", "training.cli", "hub"]
    subprocess.run(
        [*command, "init", "--home", str(home), "--admin", "root"], check=True, env=env,
        capture_output=True,
    )  # fmt: skip
    address = home / "address"
    with (home / "hub.log").open("wb") as log:
        process = subprocess.Popen(
            [*command, "serve", "--home", str(home), "--port", "0", "--address-file", str(address)],
            env=env, stdout=log, stderr=log,
        )  # fmt: skip
    try:
        if not wait_for(address.exists, 60.0, lambda: process.poll() is None):
            raise LoopFailed(f"the centre did not start; read {home}/hub.log")
        yield address.read_text().strip()
    finally:
        process.terminate()
        process.wait(20.0)


def _people(folder: Path) -> dict[str, Any]:
    """Who builds and who approves, with a key each."""
    from training.release import make_key, read_key

    keys = {}
    for name in ("ben", "anna"):
        make_key(folder / "keys" / f"{name}.key")
        keys[name] = read_key(folder / "keys" / f"{name}.key")
    return keys


def _introduce(story: Story, trial: Trial, hub: str) -> None:
    """The station enrols with the centre, and is told whose signatures count."""
    token = subprocess.run(
        [sys.executable, "-m", "training.cli", "hub", "token", "--home", str(story.folder / "hub")],
        check=True, capture_output=True, text=True,
    ).stdout.strip()  # fmt: skip
    enrol(load_station(trial.station_file), hub, token, None)
    for role, name in (("builder", "ben"), ("approver", "anna")):
        trust(trial.data, story.folder / "keys" / f"{name}.pub", role, name, ROOT)


# People.


def _review(story: Story, trial: Trial, films: FilmSet) -> dict[str, int]:
    """QA's hour: every torn part on record, and some others; one in twenty is told wrong."""
    users = Users(trial.data)
    for name in ("quinn", "erika"):
        role = Role.QA if name == "quinn" else Role.ENGINEER
        users.add_user(name, [role], password="a long password", principal=ROOT)
    key = users.add_key("quinn", principal=ROOT)
    url = (run_dir(trial.data) / "plant.url").read_text()
    rng = np.random.default_rng(story.seed)
    truth = films.truth()
    with History(trial.data, bound_s=30.0) as history:
        parts = history.last(100_000)[::-1]
    told = {"parts": 0, "torn": 0, "wrong": 0, "overrides": 0}
    others = 0
    with httpx.Client(base_url=url, headers={"Authorization": f"Bearer {key}"}, timeout=30) as api:
        for part in parts:
            verdict = part.verdict
            if verdict.sequence > films.count or verdict.outcome not in ("pass", "reject"):
                continue
            true = truth[verdict.sequence - 1]
            marks = [d for d in true["defects"] if d["view"] == "side"]
            torn = any(d["label"] == DEFECT for d in true["defects"])
            if not torn:
                others += 1
                if others > story.size.good_reviews:
                    continue
            if not part.images:
                continue
            bad = bool(true["defects"])
            wrong = bool(rng.random() < WRONG)
            labels = [
                {"label": d["label"], "severity": d["severity"], "box": d["box"]} for d in marks
            ]
            if wrong:
                bad = not bad
                labels = [_imagined(rng)] if bad else []
            outcome = "reject" if bad else "pass"
            right = outcome == verdict.outcome
            answer = api.post(
                "api/v1/reviews",
                json={
                    "part": str(verdict.part_id), "view": "side", "outcome": outcome,
                    "decision": ("relabel" if labels else "confirm") if right else "override",
                    "labels": labels, "reason": "seen on the picture", "sample": True,
                },
            )  # fmt: skip
            if answer.status_code != 201:
                raise LoopFailed(f"a review is refused: {answer.text[:300]}")
            told["parts"] += 1
            told["torn"] += torn
            told["wrong"] += wrong
            told["overrides"] += not right
    return told


def _imagined(rng: np.random.Generator) -> dict[str, Any]:
    """What somebody marks who is wrong."""
    x, y = rng.uniform(230, 380), rng.uniform(210, 360)
    box = [round(float(v), 1) for v in (x, y, x + 40, y + 30)]
    return {"label": DEFECT, "severity": "major", "box": box}


# The centre.


def _centre(story: Story, watch: _Watch, reviewed: dict[str, int]) -> tuple[Any, Any, Any]:
    """The snapshot of what has reached the centre, and the champion's own training set."""
    from training import bottle_line
    from training.dataset.build import Wanted, from_hub
    from training.dataset.snapshot import write

    home, hub = story.folder / "datasets", story.folder / "hub"
    database, blobs = f"sqlite:///{hub / 'hub.db'}", str(hub / "blobs")
    wanted = Wanted(views=("side",), val=0.15, test=0.05)
    found: list[Any] = []

    def here() -> bool:
        found[:] = from_hub(database, blobs, wanted)
        return len(found[0]) >= reviewed["parts"]

    began = time.monotonic()
    watch.until(here, "samples and reviews do not reach the centre", 600)
    drafts, made_from = found
    snapshot = write(home, "line", drafts, made_from=made_from, by="ben")
    replay = bottle_line.snapshot(home, story.size.replay)
    return snapshot, replay, {
        "pictures": len(snapshot.rows), "reached_in_s": round(time.monotonic() - began, 1),
    }  # fmt: skip


def _teach(story: Story, watch: _Watch, snapshot: Any, replay: Any) -> tuple[Path, Path, float]:
    """The fine-tuned models' folder, the recipe that runs them, and how long it took."""
    import torch

    from training.detect import fit_detector
    from training.export import export_detector
    from training.fit import Schedule
    from training.policy import POLICIES
    from training.teach import Lesson, classes_of, plan_of

    began = time.monotonic()
    os.nice(10)  # the line's own processes come first; they have started already
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    start = MODELS / "bottle-line" / "1"
    classes = (*classes_of([], start, "side"), DEFECT)
    lesson = Lesson(
        "bottle-line", (snapshot, replay), "side", classes, ROI, start, (), story.size.repeat
    )
    schedule = Schedule(
        epochs=story.size.epochs, rate=6e-4, warm_up=10, average=0.98, measure_every=100
    )
    plan = plan_of(lesson, POLICIES["bottle-line"], schedule)
    pictures, measured = plan.pictures(story.folder)
    run_folder = story.folder / "run"
    net = fit_detector(
        plan.shape, pictures, measured, plan.variation, run_folder, schedule, plan.batch, start
    )
    models = story.folder / "models"
    shutil.copytree(MODELS / "line-read", models / "line-read")
    export_detector(plan, net, pictures, measured, models, "2", "scripts/loop")
    recipe = story.folder / "recipe" / "bottle-line.yaml"
    recipe.parent.mkdir()
    yaml = YAML()
    content = yaml.load(RECIPE.read_text())
    content["revision"] = int(content.get("revision", 1)) + 1
    step = next(s for s in content["tools"] if s["name"] == "appearance")
    step["params"]["model"] = "bottle-line-int8/2"
    step["params"]["defects"][DEFECT] = "major"
    with recipe.open("w") as file:
        yaml.dump(content, file)
    load(recipe, models)
    watch.counts()
    return models, recipe, time.monotonic() - began


def _evaluate(story: Story, models: Path, recipe: Path, held: FilmSet) -> dict[str, Any]:
    """The new recipe against the champion on held-out parts; refused when it is not better."""
    from training.assess import assess
    from training.cases import of_films
    from training.report import write

    parts = list(of_films(held.folder, date.today()))
    report, html = assess(recipe, models, parts, champion=(RECIPE, MODELS))
    write(story.folder / "evaluation" / "report.html", html)
    (story.folder / "evaluation" / "report.json").write_text(json.dumps(report, indent=1))
    found = report["comparison"]["by_defect"]
    worse = [name for name, d in found.items() if d["surely_worse"]]
    worse += ["false rejects"] if _worse(report["comparison"]["false_rejects"]) else []
    if not found[DEFECT]["surely_better"]:
        raise LoopFailed(f"the intervals of {DEFECT} overlap: {found[DEFECT]}")
    if worse:
        raise LoopFailed(f"worse than the champion: {', '.join(worse)}")
    return report


def _worse(false_rejects: dict[str, Any]) -> bool:
    return bool(false_rejects["newly"] > false_rejects["no_longer"] and false_rejects["p"] < 0.05)


def _release(
    story: Story, models: Path, recipe: Path, held: FilmSet, people: dict[str, Any],
    report: dict[str, Any],
) -> str:  # fmt: skip
    """The release's title, once it is on the canary's channel."""
    from training.examples import of_film
    from training.release import approve, make, put

    path = story.folder / "bottle-line-2.release"
    examples = list(of_film(held.folder, date.today(), 40))
    champion = load(RECIPE, MODELS)
    release = make(
        recipe, models, examples, path, version="2", number=2, builder="ben", key=people["ben"],
        card={"why": f"finds {DEFECT}", "evaluation": report}, replaces=champion.digest,
    )  # fmt: skip
    approve(path, "anna", people["anna"])
    put(path, "canary", story.folder / "channels")
    return release.manifest.title


# Reading the outcome.


def _stage(trial: Trial, release: str) -> Stage | None:
    return next((s.stage for s in standings(trial.data) if s.release.title == release), None)


def _judged(trial: Trial, release: str) -> int:
    found = (s.tally.get("judged", 0) for s in standings(trial.data) if s.release.title == release)
    return int(next(found, 0))


def _wait_for_records(trial: Trial, triggers: int) -> None:
    wait_for(lambda: trial.ledger()["verdicts"] >= triggers, 60.0)


def _ratio(before: dict[str, Any], after: dict[str, Any]) -> float:
    """How many times fewer torn parts escape; an escape is assumed where none was seen."""
    rate = max(after["torn_escaped"], 1) / max(after["torn"], 1)
    return round(float(before["escape_rate"]) / rate, 1)


def _short(report: dict[str, Any]) -> dict[str, Any]:
    comparison = report["comparison"]
    return {
        "parts": comparison["parts"],
        "p": comparison["p"],
        "mended": len(comparison["mended"]),
        "spoilt": len(comparison["spoilt"]),
        "false_rejects": comparison["false_rejects"],
        "by_defect": comparison["by_defect"],
        "latency_ms": report["figures"]["latency_ms"],
    }


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


def main(argv: list[str] | None = None) -> int:
    """``python -m training.loop [--folder F] [--seed N] [--short] [--json]``."""
    import argparse

    parser = argparse.ArgumentParser(
        prog="scripts/loop", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("--folder", type=Path, default=Path("runs/loop"))
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--short", action="store_true", help="the tests' form")
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args(argv)
    try:
        figures = run(asked.folder, SHORT if asked.short else Size(), asked.seed)
    except LoopFailed as error:
        console.print(f"loop: {error}", style="red", markup=False)
        return 1
    if asked.json:
        print(json.dumps(figures, ensure_ascii=False))
    else:
        Console().print(table(figures))
        line = figures["line"]
        print(
            f"{figures['improvement']} times fewer escapes; {line['triggers']} parts, "
            f"{line['verdicts']} verdicts, {line['unjudged_passed']} passed unjudged; "
            f"{figures['seconds'] / 60:.1f} minutes; plot: {asked.folder / 'loop.svg'}"
        )
    good = figures["improvement"] >= 10 and figures["line"]["unjudged_passed"] == 0
    return 0 if good and figures["line"]["triggers"] == figures["line"]["verdicts"] else 1


if __name__ == "__main__":
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    sys.exit(main())
