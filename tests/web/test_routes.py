"""Every route of the web room against the one role table: nobody does what MAY does not say."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.routing import Mount, Route, WebSocketRoute
from web.conftest import STATION

from inspector.bus import run_dir
from inspector.config import load_station
from inspector.identity import MAY, Action, Role
from inspector.web.access import Needs
from inspector.web.door import DESK, LIVE, OPEN

PEOPLE = [role for role in Role if role is not Role.SYSTEM]
GIVEN = {"id": "B1", "path": "x", "digest": "0" * 64, "part_id": "0" * 32, "view": "side"}


class Way:
    """One method of one route, and what it takes."""

    def __init__(self, method: str, path: str, actions: tuple[Action, ...]) -> None:
        self.method, self.path, self.actions = method, path, actions

    def __repr__(self) -> str:
        return f"{self.method} {self.path}"


def ways(routes: Any, prefix: str = "") -> Iterator[Way]:
    """All of them; of the desk's own scripts the door is the guard."""
    for route in routes:
        path = prefix + getattr(route, "path", "")
        if isinstance(route, Mount):
            if path.startswith(("/static", f"{DESK}/_nicegui")):
                continue
            yield from ways(getattr(route.app, "routes", ()), path)
        elif hasattr(route, "original_router"):
            yield from ways(route.original_router.routes, prefix)
        elif isinstance(route, WebSocketRoute):
            yield Way("WS", path, ())
        elif isinstance(route, Route) and not path.startswith(f"{DESK}/_nicegui"):
            actions = [d.call.action for d in _needs(route)]
            own = getattr(getattr(route, "endpoint", None), "__wrapped__", None)
            actions += [own.needs] if hasattr(own, "needs") else []
            for method in sorted((route.methods or set()) - {"HEAD"}):
                yield Way(method, path, tuple(actions))


def _needs(route: Any) -> list[Any]:
    dependant = getattr(route, "dependant", None)
    return [d for d in dependant.dependencies if isinstance(d.call, Needs)] if dependant else []


@pytest.fixture(scope="module")
def all_ways(web: Any, tmp_path_factory: pytest.TempPathFactory) -> list[Way]:
    """Of an application made as the web process makes it."""
    from inspector.web.app import guarded

    folder = tmp_path_factory.mktemp("routes")
    file = folder / "station.yaml"
    file.write_text(STATION % (0, "http://127.0.0.1:9"))
    station = load_station(file)
    app, _ = guarded(station, run_dir(Path(station.data)))
    return list(ways(app.routes))


def test_every_route_takes_an_action_or_is_meant_for_everybody(all_ways: list[Way]) -> None:
    assert len(all_ways) > 8
    for way in all_ways:
        favicon = way.path.endswith("favicon.ico")
        assert way.actions or way.path in OPEN | LIVE or favicon, f"{way} is open to anybody"


def test_every_role_gets_what_the_table_says_and_nothing_else(
    web: Any, all_ways: list[Way]
) -> None:
    clients = {role: web.client(role) for role in PEOPLE}
    nobody = web.client()
    for way in (way for way in all_ways if way.actions):
        path = way.path.replace(":path", "")
        for name, value in GIVEN.items():
            path = path.replace(f"{{{name}}}", value)
        path = path.replace("{", "").replace("}", "")
        status = nobody.request(way.method, path, json={} if way.method == "POST" else None)
        assert status.status_code == 401, f"{way}: nobody got {status.status_code}"
        for role, client in clients.items():
            answer = client.request(way.method, path, json={} if way.method == "POST" else None)
            allowed = all(role in MAY[action] for action in way.actions)
            forbidden = answer.status_code == 403
            assert forbidden != allowed, f"{way}: {role} got {answer.status_code} {answer.text:.80}"
    for client in (*clients.values(), nobody):
        client.close()
