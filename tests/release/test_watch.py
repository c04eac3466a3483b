"""A release goes back when it is surely too bad, and never by chance; what stands where."""

from __future__ import annotations

import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from release.centre import Centre

from inspector.release import ReleaseRefused, install
from inspector.release.channel import fetch, newest
from inspector.release.installed import BASE
from inspector.release.stage import Stage, changes, standings, undone_of
from inspector.release.watch import Probation, may_take_over, surely_above, why_back
from inspector.releaseplan import Releases
from inspector.store import History, LineLedger
from training.release import inspect, put

FINE = Probation(judged=500, errors=1, p99_ms=30.0, compared=500, disagreed=4)


@pytest.mark.parametrize(
    ("seen", "reason"),
    [
        (FINE, ""),
        (Probation(5, 5, 30.0, 0, 0), "5 of 5 parts could not be judged"),
        (Probation(4, 4, 30.0, 0, 0), ""),
        (Probation(500, 20, 30.0, 0, 0), "20 of 500 parts could not be judged"),
        (Probation(500, 0, 90.0, 0, 0), "p99 is 90 ms, the limit 60 ms"),
        (Probation(30, 0, 90.0, 0, 0), ""),
        (Probation(500, 0, 30.0, 200, 30), "30 of 200 parts are judged otherwise"),
        (Probation(500, 0, 30.0, 200, 6), ""),
        (Probation(500, 0, 30.0, 200, 0, challenge_failed=True), "challenge test"),
    ],
)
def test_a_release_goes_back_for_a_reason_or_stays(seen: Probation, reason: str) -> None:
    found = why_back(seen, Releases(latency_ms_max=60.0))
    assert reason in found and bool(reason) == bool(found)


def test_a_release_that_is_meant_to_judge_otherwise_may(tmp_path: Path) -> None:
    seen = Probation(500, 0, 30.0, 200, 60)
    assert not why_back(seen, Releases(planned_disagreement=True))


def test_taking_over_by_itself_needs_enough_parts_agreement_and_leave() -> None:
    auto = Releases(promote="auto", shadow_parts=100)
    assert may_take_over(100, 2, 0, auto)
    assert not may_take_over(99, 0, 0, auto)
    assert not may_take_over(100, 3, 0, auto)
    assert not may_take_over(100, 0, 1, auto)
    assert not may_take_over(1000, 0, 0, Releases(shadow_parts=100))


def test_surely_above_is_wilsons_lower_end() -> None:
    assert surely_above(10, 100, 0.05)  # 5.5 % to 17.4 %
    assert not surely_above(10, 100, 0.06)


def test_a_release_that_nobody_uses_yet_is_installed(centre: Centre, data: Path) -> None:
    install(centre.made(), data, "erika")
    LineLedger.open(data, station="T").close()
    assert [s.stage for s in standings(data)] == [Stage.INSTALLED]


def test_what_was_taken_back_is_undone_whatever_else_changed_meanwhile(
    centre: Centre, data: Path
) -> None:
    """Two roll-backs in a row, and another recipe's release between: none comes again by itself."""
    two = install(centre.made(2), data, "erika").installed.digest
    three = install(centre.made(3), data, "erika").installed.digest
    with LineLedger.open(data, station="T") as ledger:
        for recipe, digest, before, back in (
            ("coded", two, BASE, False),
            ("coded", three, two, False),
            ("other", "d" * 64, BASE, False),
            ("coded", two, three, True),
            ("coded", BASE, two, True),
        ):
            ledger.add_event("release", "erika", recipe=recipe, digest=digest, before=before,
                             chain=[BASE], back=back)  # fmt: skip

    assert [s.stage for s in standings(data)] == [Stage.UNDONE, Stage.UNDONE]
    with History(data) as history:
        assert {c.digest for c in undone_of(changes(history))} == {two, three}


def test_a_channel_in_a_folder_has_the_newest_of_each_recipe(
    centre: Centre, tmp_path: Path
) -> None:
    folder = tmp_path / "share"
    assert newest(str(folder), "stable") == []
    put(centre.made(2), "stable", folder)
    path = put(centre.made(3), "stable", folder)
    put(centre.made(4), "canary", folder)

    (pointer,) = newest(str(folder), "stable")
    assert (pointer.title, pointer.number) == ("coded/3", 3)
    assert fetch(str(folder), pointer, tmp_path) == path
    assert inspect(path).digest == pointer.digest


def test_a_channel_behind_a_url_gives_the_same(centre: Centre, data: Path, tmp_path: Path) -> None:
    folder = tmp_path / "share"
    put(centre.made(5), "stable", folder)

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        url = f"http://127.0.0.1:{server.server_port}"
        (pointer,) = newest(url, "stable")
        assert newest(url, "canary") == []
        done = install(fetch(url, pointer, tmp_path / "in"), data, "releases")
        assert done.installed.title == "coded/5"
        (folder / f"{pointer.digest}.release").unlink()
        with pytest.raises(ReleaseRefused, match=f"^release coded/5: {url} does not have it any"):
            fetch(url, pointer, tmp_path / "in")
    finally:
        server.shutdown()
        server.server_close()
    with pytest.raises(ReleaseRefused, match="cannot be fetched"):
        newest(url, "stable")
