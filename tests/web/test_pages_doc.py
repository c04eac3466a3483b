"""``docs/pages.md`` is right: its page is built, its station file is read."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from inspector.bus import run_dir
from inspector.config import load_station
from inspector.identity import Action

DOC = (Path(__file__).parents[2] / "docs" / "pages.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", DOC, re.DOTALL)


def test_every_flow_names_tests_that_there_are() -> None:
    named = re.findall(r"`(test_\w+\.py)::(test_\w+)`", DOC)
    assert len(named) > 40
    for file, test in named:
        assert f"\ndef {test}(" in (Path(__file__).parent / file).read_text(), f"{file}::{test}"


@pytest.fixture
def station(tmp_path: Path) -> Any:
    [web] = blocks("yaml")
    file = tmp_path / "station.yaml"
    file.write_text(
        "station: S1\ndata: data\nrecipes: [r.yaml]\ncameras: [{name: side, serial: V1}]\n"
        f"batch: {{id: B1}}\n{web}"
    )
    return load_station(file)


def test_the_station_file_is_read_and_its_paths_are_found(station: Any, tmp_path: Path) -> None:
    web = station.web
    assert web.certificate == tmp_path / "tls" / "station.pem"
    assert web.oidc.client_secret == tmp_path / "tls" / "oidc-secret"
    assert web.oidc.roles["plant-qa"] == ("qa",)


def test_the_page_is_built_guarded_and_in_the_navigation(station: Any) -> None:
    import nicegui

    from inspector.web.desk import Desk
    from inspector.web.frame import NAVIGATION
    from inspector.web.sessions import Sessions

    [code] = blocks("python")
    names: dict[str, Any] = {}
    exec(compile(code, "docs/pages.md", "exec"), names)
    desk = Desk(station, run_dir(station.data), lambda: False)
    try:
        names["build"](desk, Sessions(station.data, desk.users, station.web))
        entry = next(entry for entry in NAVIGATION if entry.path == "/desk/people")
        assert entry.action is Action.READ_AUDIT
        [route] = [r for r in nicegui.app.routes if getattr(r, "path", "") == "/people"]
        assert route.endpoint.__wrapped__.needs is Action.READ_AUDIT
    finally:
        NAVIGATION[:] = [entry for entry in NAVIGATION if entry.path != "/desk/people"]
        nicegui.app.remove_route("/people")
        desk.close()
