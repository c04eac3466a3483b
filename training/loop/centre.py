"""The centre of the story: a hub of its own, what reaches it, and the release it sends back."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any

from inspector.config import load_station
from inspector.recipe import load
from inspector.release.trust import trust
from inspector.sync.enrol import enrol
from inspector.trial import Trial, wait_for
from inspector.virtual.filmset import FilmSet
from training.loop.line import Watch
from training.loop.story import DEFECT, ROOT, LoopFailed, Story
from training.loop.teaching import MODELS, RECIPE


@contextmanager
def running_hub(home: Path) -> Iterator[str]:
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


def introduce(story: Story, trial: Trial, hub: str) -> None:
    """The station enrols with the centre, and is told whose signatures count."""
    token = subprocess.run(
        [sys.executable, "-m", "training.cli", "hub", "token", "--home", str(story.folder / "hub")],
        check=True, capture_output=True, text=True,
    ).stdout.strip()  # fmt: skip
    enrol(load_station(trial.station_file), hub, token, None)
    for role, name in (("builder", "ben"), ("approver", "anna")):
        trust(trial.data, story.folder / "keys" / f"{name}.pub", role, name, ROOT)


def gather(story: Story, watch: Watch, reviewed: dict[str, int]) -> tuple[Any, Any, Any]:
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


def make_release(
    story: Story, models: Path, recipe: Path, held: FilmSet, keys: dict[str, Any],
    report: dict[str, Any],
) -> str:  # fmt: skip
    """The release's title, once it is on the canary's channel."""
    from training.examples import of_film
    from training.release import approve, make, put

    path = story.folder / "bottle-line-2.release"
    examples = list(of_film(held.folder, date.today(), 40))
    champion = load(RECIPE, MODELS)
    release = make(
        recipe, models, examples, path, version="2", number=2, builder="ben", key=keys["ben"],
        card={"why": f"finds {DEFECT}", "evaluation": report}, replaces=champion.digest,
    )  # fmt: skip
    approve(path, "anna", keys["anna"])
    put(path, "canary", story.folder / "channels")
    return release.manifest.title
