"""Behind TLS the session's cookie never travels in the open, and a closed page asks who looks."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from inspector.bus import run_dir
from inspector.config import load_station
from inspector.identity import Principal, Role, Users

ADMIN = Principal("setup", frozenset({Role.ADMIN}))
STATION = """
station: S1
data: data
recipes: [r.yaml]
cameras: [{name: side, serial: V1}]
batch: {id: B1}
web: {port: 0, open: false, address: "https://st-01.plant.example"}
"""


@pytest.fixture
def app(tmp_path: Path) -> Iterator[Any]:
    """The application of a station that people reach by TLS, in this very process."""
    from inspector.web.app import create_app

    file = tmp_path / "station.yaml"
    file.write_text(STATION)
    station = load_station(file)
    Users(station.data).add_user("qin", [Role.QA], password="quiet river 12", principal=ADMIN)
    yield create_app(station, run_dir(station.data))


def asked(app: Any, method: str, path: str, **more: Any) -> httpx.Response:
    async def ask() -> httpx.Response:
        origin = "https://st-01.plant.example"
        transport = httpx.ASGITransport(app)
        headers = {"origin": origin}
        async with httpx.AsyncClient(
            transport=transport, base_url=origin, headers=headers
        ) as client:
            return await client.request(method, path, **more)

    # In a thread of its own: a browser's driver may have this thread's event loop.
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, ask()).result(20)


def test_the_cookie_is_secure_and_bound_to_its_host(app: Any) -> None:
    secret = {"user": "qin", "secret": "quiet river 12", "by": "password"}
    answer = asked(app, "POST", "/login", json=secret)
    assert answer.status_code == 200, answer.text
    cookie = answer.headers["set-cookie"]
    assert cookie.startswith("__Host-inspector=")
    assert "; Secure" in cookie
    assert "Domain" not in cookie


def test_a_closed_live_page_asks_who_looks(app: Any) -> None:
    answer = asked(app, "GET", "/", headers={"accept": "text/html"})
    assert (answer.status_code, answer.headers["location"]) == (303, "/login?next=%2F")
    secret = {"user": "qin", "secret": "quiet river 12", "by": "password"}
    cookie = asked(app, "POST", "/login", json=secret).headers["set-cookie"].partition(";")[0]
    assert "data-closed" in asked(app, "GET", "/", headers={"cookie": cookie}).text
