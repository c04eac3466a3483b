"""Two running stations and their centre: a release goes to the canary's station alone, is taken
back there by itself when it judges otherwise, and only one that has held goes to the other (S9,
S16, S20)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from centre_and_stations import Served, serving
from release.centre import Centre
from sqlalchemy import select

from inspector.config import load_station
from inspector.identity import Action, Principal, Role
from inspector.release.stage import Stage, standings
from inspector.store.query import History
from inspector.sync.enrol import enrol
from inspector.trial import Plan, Trial, running
from training.hub import tables
from training.hub.channels import put
from training.hub.hub import open_hub

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
ERIKA = Principal("erika", frozenset({Role.ENGINEER}))


@dataclass
class Line:
    """One of the two stations."""

    trial: Trial
    watch: Any

    def stage(self, release: str) -> Stage | None:
        """Where the release stands here."""
        found = standings(self.trial.data)
        return next((s.stage for s in found if s.release.title == release), None)

    def becomes(self, release: str, *stages: Stage) -> None:
        """Waits until the release stands so here."""
        self.watch.until(lambda: self.stage(release) in stages, f"{release} is not {stages}", 180)

    def activate(self, release: str) -> None:
        """An engineer puts it into service between two parts."""
        answer = self.trial.tell(Action.INSTALL_RELEASE, ERIKA, release=release, at="part", why="?")
        assert answer.ok, answer


@pytest.fixture
def stations(
    coded: Any, plan: Callable[..., Plan], watch: Callable[[Trial], Any], tmp_path: Path
) -> Iterator[tuple[Served, Centre, Line, Line]]:
    """A centre, and a station on each of its channels."""
    people = Centre(tmp_path / "people")
    hub = open_hub(tmp_path / "hub")
    with ExitStack() as stack:
        served = stack.enter_context(serving(hub))
        lines = []
        for name, channel in (("ST-A", "canary"), ("ST-B", "stable")):
            station = {
                "station": name,
                "cameras": [
                    {"name": view, "producer": "virtual", "serial": f"{name[-1]}00{at}",
                     "trigger": "hardware", "frame_timeout_ms": 200}
                    for at, view in enumerate(("side", "code"), 1)
                ],
                "sync": {"hub": served.url, "every_s": 0.5, "retry_s": 1},
                "releases": {
                    "source": "centre", "channel": channel, "poll_s": 0.5, "shadow_share": 1.0,
                    "probation_parts": 300,
                },
            }  # fmt: skip
            trial = stack.enter_context(running(plan(coded, rate=6.0, station=station)))
            people.known_at(trial.data)
            line = Line(trial, watch(trial))
            line.watch.until(lambda t=trial: t.now()["gate_passed"], "nothing passes", 240)
            enrol(load_station(trial.station_file), served.url, served.token(), None)
            lines.append(line)
        yield served, people, lines[0], lines[1]
    hub.close()


def recipes_of(trial: Trial) -> list[str]:
    """The recipe of each verdict, in their order."""
    with History(trial.data, bound_s=30.0) as history:
        return [part.verdict.recipe for part in history.last(100_000)[::-1]]


def recipes_at(served: Served, name: str) -> set[str]:
    """The recipes by which a station has judged, as far as the centre knows."""
    context, station = tables.Context, tables.Station
    with served.hub.engine.begin() as connection:
        return set(
            connection.execute(
                select(context.recipe)
                .join(station, station.id == context.station_id)
                .where(station.name == name)
            ).scalars()
        )


def test_a_release_reaches_the_others_only_after_the_canary_has_held(
    stations: tuple[Served, Centre, Line, Line],
) -> None:
    served, people, canary, other = stations
    line_pids = [station.trial.pids()["line"] for station in (canary, other)]

    # Whoever signed this one was wrong: good parts are defects to it.
    put(served.hub, people.made(3, pattern=r"B\d{5}"), "canary", "ben")
    canary.becomes("coded/3", Stage.SHADOW)
    canary.activate("coded/3")
    canary.becomes("coded/3", Stage.UNDONE)  # by itself
    canary.watch.passes()
    assert other.stage("coded/3") is None
    with History(canary.trial.data) as history:
        (back,) = [e for e in history.events("release", 100) if e.body.get("back")]
    assert back.principal == "releases" and "judged otherwise" in str(back.body["why"])

    # This one holds, so it goes to all.
    good = people.made(4)
    put(served.hub, good, "canary", "ben")
    canary.becomes("coded/4", Stage.SHADOW)
    canary.activate("coded/4")
    canary.watch.go_on(25)
    assert canary.stage("coded/4") is Stage.CHAMPION and other.stage("coded/4") is None
    put(served.hub, good, "stable", "ben")
    other.becomes("coded/4", Stage.SHADOW)
    other.activate("coded/4")
    other.watch.go_on(10)
    assert other.stage("coded/4") is Stage.CHAMPION and other.stage("coded/3") is None

    told = {"ST-A": {"coded@1", "coded@3", "coded@4"}, "ST-B": {"coded@1", "coded@4"}}
    canary.watch.until(
        lambda: {name: recipes_at(served, name) for name in told} == told, "the centre is not told"
    )
    assert line_pids == [station.trial.pids()["line"] for station in (canary, other)]
    for station in (canary, other):
        station.watch.finish()
        world = station.trial.report()
        assert world["unjudged_passed"] == 0 and station.trial.ledger()["verdicts"] > 0
    assert set(recipes_of(canary.trial)) == told["ST-A"]
    assert set(recipes_of(other.trial)) == told["ST-B"]
