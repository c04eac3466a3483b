"""What the channel offers is told to people, with what became of it here. (I7)"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from release.centre import ROOT, STATION, Centre
from typer.testing import CliRunner

from inspector.bus import run_dir
from inspector.cli import app
from inspector.config import load_station
from inspector.release import install, process
from inspector.release.bundle import ReleaseRefused
from inspector.release.channel import Pointer, newest
from inspector.release.offered import State, told
from inspector.release.process import Caretaker
from inspector.release.trust import trust
from inspector.store import StoreError
from training.release import approve, put


@pytest.fixture
def channel(tmp_path: Path) -> Path:
    folder = tmp_path / "channel"
    folder.mkdir()
    return folder


@pytest.fixture
def caretaker(
    centre: Centre, data: Path, channel: Path, tmp_path: Path
) -> Iterator[Callable[[], Caretaker]]:
    """Looks after the releases of a station that follows ``channel``."""
    file = tmp_path / "station.yaml"
    file.write_text(f"{STATION}releases: {{source: {channel}, channel: canary}}\n")
    made: list[Caretaker] = []

    def start() -> Caretaker:
        made.append(Caretaker(load_station(file), run_dir(data)))
        return made[-1]

    yield start
    for one in made:
        one.close()


def states(data: Path) -> Any:
    found = told(data)
    assert found is not None
    return {one.release: (one.state, bool(one.why)) for one in found.offers}


def test_an_offer_is_here_older_or_refused(
    centre: Centre, data: Path, channel: Path, caretaker: Callable[[], Caretaker]
) -> None:
    looks = caretaker()
    put(centre.made(2), "canary", channel)
    looks.fetch()
    assert states(data) == {"coded/2": (State.HERE, False)}

    install(centre.made(3), data, "erika")
    (channel / "canary.json").unlink()
    stranger = centre.unsigned(4)
    approve(stranger, "eve", centre.keys["eve"])
    put(stranger, "canary", channel)
    looks.fetch()
    looks.fetch()
    assert states(data) == {"coded/4": (State.REFUSED, True)}, "and it stays refused, with why"


def test_an_older_offer_is_told_as_such(
    centre: Centre, data: Path, channel: Path, caretaker: Callable[[], Caretaker]
) -> None:
    install(centre.made(3), data, "erika")
    put(centre.made(2), "canary", channel)

    caretaker().fetch()

    assert states(data) == {"coded/2": (State.OLDER, False)}


def test_what_did_not_come_is_asked_for_again(
    centre: Centre, data: Path, channel: Path, caretaker: Callable[[], Caretaker]
) -> None:
    looks, file = caretaker(), put(centre.made(2), "canary", channel)
    away = file.rename(file.with_suffix(".away"))
    looks.fetch()
    assert states(data) == {"coded/2": (State.REFUSED, True)}
    away.rename(file)
    looks.fetch()
    assert states(data) == {"coded/2": (State.HERE, False)}
    assert file.is_file(), "the channel's own file stays"


@pytest.mark.parametrize("since", ["signed by somebody known", "the key was let in"])
def test_what_mends_a_refusal_is_asked_about(
    centre: Centre, data: Path, channel: Path, caretaker: Callable[[], Caretaker], since: str
) -> None:
    """A release that a stranger had approved stayed refused whoever approved it then."""
    file = centre.unsigned(4)
    approve(file, "eve", centre.keys["eve"])
    put(file, "canary", channel)
    looks = caretaker()
    looks.fetch()
    assert states(data) == {"coded/4": (State.REFUSED, True)}
    if since == "the key was let in":  # as the refusal says, by `inspector release trust`
        trust(data, centre.folder / "eve.pub", "approver", "eve", ROOT)
    else:
        approve(file, "anna", centre.keys["anna"])
        put(file, "canary", channel)
    looks.fetch()
    assert states(data) == {"coded/4": (State.HERE, False)}


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), StoreError("no space")])
def test_a_full_disk_is_told_and_tried_again(
    centre: Centre, data: Path, channel: Path, caretaker: Callable[[], Caretaker],
    error: Exception, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    put(centre.made(2), "canary", channel)
    looks = caretaker()
    with monkeypatch.context() as full:
        full.setattr(process, "install", lambda *_: (_ for _ in ()).throw(error))
        looks.fetch()
    assert states(data) == {"coded/2": (State.REFUSED, True)}
    looks.fetch()
    assert states(data) == {"coded/2": (State.HERE, False)}


def test_what_was_fetched_does_not_stay_beside_what_was_installed(
    centre: Centre, data: Path, channel: Path, caretaker: Callable[[], Caretaker],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    put(centre.made(2), "canary", channel)
    really = process.fetch

    def over_the_network(source: str, pointer: Pointer, home: Path, *rest: Any) -> Path:
        home.mkdir(exist_ok=True)
        content = really(source, pointer, home, *rest).read_bytes()
        (home / f".{pointer.digest}.release").write_bytes(content)
        return home / f".{pointer.digest}.release"

    monkeypatch.setattr(process, "fetch", over_the_network)
    caretaker().fetch()
    assert states(data) == {"coded/2": (State.HERE, False)}
    assert not list((data / "releases").glob(".*.release"))


def test_a_channel_that_cannot_be_asked_says_why(
    data: Path, channel: Path, caretaker: Callable[[], Caretaker], tmp_path: Path
) -> None:
    (channel / "canary.json").write_text("{")

    caretaker().fetch()

    found = told(data)
    assert found is not None and found.offers == () and "canary" in found.why
    file = str(tmp_path / "station.yaml")
    said = CliRunner().invoke(app, ["release", "offered", file, "--json"])
    assert json.loads(said.stdout)["channel"] == "canary"


def test_where_no_channel_was_asked_nothing_is_told(data: Path) -> None:
    assert told(data) is None


def test_a_channel_whose_address_is_none_is_refused_in_words() -> None:
    with pytest.raises(ReleaseRefused, match="cannot be fetched: Invalid port"):
        newest("https://centre.example:84a3/releases", "stable")
