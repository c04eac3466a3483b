"""What the caretaker of releases orders of the line, and how often (S16)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from obeying_line import Obeying
from release.centre import STATION, Centre

from inspector.bus import run_dir
from inspector.config import load_station
from inspector.release import install, process
from inspector.release.installed import BASE
from inspector.release.process import Caretaker
from inspector.release.stage import Change
from inspector.store import History, LineLedger
from inspector.store.bench import sample_verdict


@pytest.fixture
def line(data: Path) -> Iterator[Obeying]:
    line = Obeying(run_dir(data))
    yield line
    line.close()


@pytest.fixture
def caretaker(centre: Centre, data: Path, tmp_path: Path) -> Iterator[Caretaker]:
    file = tmp_path / "station.yaml"
    file.write_text(STATION)
    caretaker = Caretaker(load_station(file), run_dir(data))
    yield caretaker
    caretaker.close()


def test_a_roll_back_that_the_line_refused_is_ordered_again(
    line: Obeying, caretaker: Caretaker
) -> None:
    """A release that is too bad judges on while the line makes another one ready, and no longer."""
    line.refuses = "another release is being made ready; try again when it is answered"
    caretaker._order("rollback", "coded", 1, recipe="coded", why="too bad")
    caretaker._order("rollback", "coded", 1, recipe="coded", why="too bad")
    assert len(line.commands) == 1, "not at every look"
    line.refuses = ""
    key, when = next(iter(caretaker._ordered.items()))
    caretaker._ordered[key] = when - 60.0  # half a minute on
    for _ in range(2):
        caretaker._order("rollback", "coded", 1, recipe="coded", why="too bad")
    assert [command.args["do"] for command in line.commands] == ["rollback", "rollback"]


def test_a_release_that_the_line_refused_is_not_put_forward_again(
    line: Obeying, caretaker: Caretaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "RETRY_S", 0.0)
    line.refuses = "it does not hold"
    for _ in range(3):
        caretaker._order("activate", "coded", 1, release="x", at="batch", why="40 parts in shadow")
    assert len(line.commands) == 1


def test_a_probation_ends_though_the_line_was_started_anew_since(
    caretaker: Caretaker, data: Path
) -> None:
    """Each start counts in a stream of its own: else no newer release would have its turn again."""
    parts = caretaker.plan.probation_parts
    first = sample_verdict(1)
    change = Change("c", "d", "c/2", ("", "d"), False, "", 0, "before", 5, "f" * 64, "erika")
    with LineLedger.open(data, station="S1") as line:
        line.add_verdict(first)
        line.commit()
        assert caretaker._on_probation(change)
        for number in range(2, parts):
            line.add_verdict(sample_verdict(number))
        line.commit()
        assert caretaker._on_probation(change)
        line.add_verdict(sample_verdict(parts))
        line.commit()
        assert not caretaker._on_probation(change)
        with History(data) as history:
            position = history.last(parts)[-1].position
        later = replace(change, position=position)
        assert caretaker._on_probation(later), "one of them is of before it"


def test_a_recipe_is_known_by_its_name_and_not_by_its_files(centre: Centre, data: Path) -> None:
    """No release judged beside `Coded_Line.yaml`, and one that took over had no probation."""
    file, recipe = data.parent / "station.yaml", data.parent / "Coded_Line.yaml"
    file.write_text(STATION.replace("coded.yaml", recipe.name))
    recipe.write_text(centre.recipe(1).read_text())
    release = install(centre.made(2), data, "erika").installed
    LineLedger.open(data, station="S1").close()
    caretaker = Caretaker(load_station(file), run_dir(data))
    caretaker.look()
    caretaker.close()
    assert caretaker.shadows["coded"].digest == release.digest


@pytest.mark.parametrize("newer", [False, True])
def test_an_older_release_has_no_turn_though_the_champions_files_are_damaged(
    centre: Centre, caretaker: Caretaker, data: Path, newer: bool
) -> None:
    """It was taken for newer than a champion without a number, and could take over by itself."""
    older = install(centre.made(2), data, "erika").installed
    champion = install(centre.made(3), data, "erika").installed
    with LineLedger.open(data, station="S1") as line:
        chain = [BASE, champion.digest]
        line.add_event("release", "erika", recipe="coded", digest=champion.digest, chain=chain,
                       back=True, recipe_digest="f" * 64)  # fmt: skip
        line.commit()
    (champion.folder / "manifest.json").write_text("")
    following = install(centre.made(4), data, "erika").installed if newer else None
    caretaker.look()
    beside = caretaker.shadows.get("coded")
    assert (beside and beside.digest) == (following and following.digest), older.title
