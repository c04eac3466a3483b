"""Signing in at a running station: PIN, password, the cookie, and what keeps others out (S16)."""

from __future__ import annotations

import asyncio
import ipaddress
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from fastapi import Request
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from inspector.config import Web as Rules
from inspector.identity import Principal, Role, Users
from inspector.store import History
from inspector.web import door
from inspector.web.login import TRIES, TRIES_S, Attempts, at_touchscreen
from inspector.web.login import _inside as inside
from inspector.web.process import _both_ways
from inspector.web.sessions import How, Sessions

PIN = {"user": "anna", "secret": "2580", "by": "pin"}
PASSWORD = {"user": "qin", "secret": "quiet river 12", "by": "password"}


def test_a_pin_signs_in_with_a_cookie_that_scripts_and_other_sites_do_not_get(web: Any) -> None:
    with web.client() as client:
        answer = client.post("/login", json=PIN)
        assert answer.status_code == 200, answer.text
        cookie = answer.headers["set-cookie"].lower()
        assert all(mark in cookie for mark in ("httponly", "samesite=lax", "path=/"))
        said = client.get("/session").json()
        assert (said["user"], said["how"], said["roles"]) == ("anna", "pin", ["operator"])
        assert "reject" in said["may"]
        assert "dispose" not in said["may"]
        assert 0 < said["left_s"] <= 180


def test_signing_in_and_out_and_a_wrong_secret_are_on_record(web: Any) -> None:
    with web.client() as client:
        assert client.post("/login", json=PASSWORD | {"secret": "wrong"}).status_code == 401
        assert client.post("/login", json=PASSWORD).status_code == 200
        client.headers["x-csrf-token"] = client.get("/session").json()["csrf"]
        assert client.post("/logout").status_code == 200
        assert client.get("/session").json()["user"] is None
    from inspector.store.audit import trail

    newest = [(deed.principal, deed.what) for deed in trail(web.data, limit=3).deeds]
    assert newest == [("qin", "sign_out"), ("qin", "sign_in"), ("unknown", "sign_in_refused")]


def test_another_sites_page_cannot_act_in_a_persons_name(web: Any) -> None:
    with web.client(Role.OPERATOR) as client:
        evil = {"origin": "http://evil.example"}
        assert client.post("/session/touch", headers=evil).status_code == 403
        assert client.post("/login", json=PIN, headers=evil).status_code == 403
        csrf = client.headers.pop("x-csrf-token")
        assert client.post("/session/touch").json()["code"] == "old_page"
        client.headers["x-csrf-token"] = csrf[::-1]
        assert client.post("/session/touch").json()["code"] == "old_page"
        del client.headers["origin"]
        client.headers["x-csrf-token"] = csrf
        assert client.post("/session/touch").json()["code"] == "other_site"


def test_an_origin_or_a_token_that_is_none_is_refused_as_any_other(web: Any) -> None:
    with web.client(Role.OPERATOR) as client:
        for origin in (b"http://[", b"http://\xe9", b"null", b""):
            answer = client.post("/session/touch", headers={"origin": origin})
            assert (answer.status_code, answer.json()["code"]) == (403, "other_site"), origin
        answer = client.post("/session/touch", headers={"x-csrf-token": "é".encode()})
        assert (answer.status_code, answer.json()["code"]) == (403, "old_page")


@pytest.mark.parametrize(
    "body",
    [
        r'{"user": "\ud800", "secret": "x", "by": "password"}',
        r'{"user": "qin", "secret": "\ud800", "by": "password"}',
        r'{"user": 1, "secret": "\ud800 my secret", "by": "password"}',
        '{"user": NaN, "secret": "my secret", "by": "password"}',
    ],
)
def test_what_is_no_text_is_refused_in_words_and_not_said_again(web: Any, body: str) -> None:
    with web.client() as client:
        client.headers["content-type"] = "application/json"
        answer = client.post("/login", content=body)
    assert (answer.status_code, answer.json()["code"]) == (422, "not_understood")
    assert "my secret" not in answer.text


def test_a_number_beyond_its_bounds_is_told_in_the_pages_language(web: Any) -> None:
    """The recipe editor showed `422` and nothing else."""
    given = {"base": "0" * 64, "changes": [], "last": 20_000}
    with web.client(Role.ENGINEER) as client:
        said = client.post("/recipes/bottle/retry", json=given).json()["error"]
        assert said == "last does not fit: Input should be less than or equal to 10000"
        client.cookies.set("language", "zh")
        said = client.post("/recipes/bottle/retry", json=given).json()["error"]
        assert said == "last 不合适：应不大于 10000"
        page = client.get("/desk/audit?all=perhaps", headers={"accept": "text/html"})
        assert (page.status_code, "无法理解此请求" in page.text) == (422, True)


def test_who_is_not_signed_in_is_led_to_the_sign_in_page_and_back(web: Any) -> None:
    with web.client() as client:
        answer = client.get("/desk/audit?who=anna", headers={"accept": "text/html"})
        assert answer.status_code == 303
        assert answer.headers["location"] == "/login?next=%2Fdesk%2Faudit%3Fwho%3Danna"
        assert client.get("/desk/audit").json()["code"] == "sign_in"
        assert client.get("/desk/_nicegui/x").status_code == 401


@pytest.mark.parametrize(
    ("asked", "followed"),
    [
        ("/desk/audit?who=a", "/desk/audit?who=a"),
        ("//evil.example", "/"),
        ("/\\evil.example", "/"),
        ("https://evil.example", "/"),
        ("javascript:alert(1)", "/"),
        ("//[", "/"),
        ("https://[", "/"),
        ("/a\r\nset-cookie: x", "/"),
    ],
)
def test_sign_in_leads_to_no_other_site(asked: str, followed: str) -> None:
    assert inside(asked) == followed


def test_a_desk_pages_socket_is_for_those_who_are_signed_in_and_for_our_own_pages(web: Any) -> None:
    path = "desk/_nicegui_ws/socket.io/?EIO=4&transport=websocket"
    address = web.url.replace("http", "ws", 1) + path
    origin = web.url.rstrip("/")
    with pytest.raises(InvalidStatus), connect(address, origin=origin):  # type: ignore[arg-type]
        pass
    token, _ = web.session(Role.QA)
    cookie = {"cookie": f"inspector={token}"}
    with (
        pytest.raises(InvalidStatus),
        connect(
            address,
            origin="http://evil.example",
            additional_headers=cookie,  # type: ignore[arg-type]
        ),
    ):
        pass
    with connect(address, origin=origin, additional_headers=cookie) as socket:  # type: ignore[arg-type]
        assert socket.recv(timeout=5)


@pytest.mark.parametrize("path", ["/desk/socket", "/ws/live"])
def test_a_pages_socket_ends_with_its_person_though_nothing_is_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    """It ended with the browser's next sign of life, which is four seconds off. The line's pictures
    are watched over too, where not everybody may look at them."""
    monkeypatch.setattr(door, "LOOK_S", 0.01)
    sessions = Sessions(tmp_path, Users(tmp_path), Rules())
    token = sessions.begin(Principal("mei", frozenset({Role.QA})), How.OIDC, "test")
    heard: list[dict[str, Any]] = []
    sent: asyncio.Queue[dict[str, Any]] = asyncio.Queue()

    async def page(scope: Any, receive: Any, send: Any) -> None:
        heard.append(await receive())
        sessions.end(token)
        heard.append(await receive())

    async def run() -> None:
        guarded = door.Door(page, sessions, secure=False, live_open=False)
        headers = [(b"cookie", f"inspector={token}".encode())]
        scope = {"type": "websocket", "path": path, "headers": headers}
        sent.put_nowait({"type": "websocket.receive", "text": "2"})
        await asyncio.wait_for(guarded(scope, sent.get, sent.put), 5)

    # In a thread of its own: a browser's driver may have this thread's event loop.
    with ThreadPoolExecutor(1) as thread:
        thread.submit(asyncio.run, run()).result(20)
    with ThreadPoolExecutor(1) as other:  # a browser's tests keep a loop in this thread
        other.submit(asyncio.run, run()).result()

    assert [one["type"] for one in heard] == ["websocket.receive", "websocket.disconnect"]


def test_a_live_page_that_not_everybody_may_see_goes_with_its_person(web: Any, page: Any) -> None:
    token, _ = web.session(Role.OPERATOR, name="anna")
    page.context.add_cookies([{"name": "inspector", "value": token, "url": web.url}])
    page.goto(web.url)
    look = 'import("/static/frame.js").then(({ ask }) => ask())'
    page.evaluate(f'document.body.dataset.closed = ""; {look}')
    web.sessions.end(token)
    page.evaluate(look)

    page.wait_for_url("**/login?next=**")


def test_an_address_that_guesses_has_to_wait() -> None:
    now = [0.0]
    attempts = Attempts(lambda: now[0])
    for _ in range(TRIES):
        attempts.spend("10.0.0.9")
    with pytest.raises(Exception, match="try again in 60 s"):
        attempts.spend("10.0.0.9")
    attempts.spend("10.0.0.8")
    now[0] = TRIES_S + 1
    attempts.spend("10.0.0.9")


def test_behind_a_proxy_that_is_named_each_person_has_tries_of_their_own(web: Any) -> None:
    """Who guessed at one desk kept the whole plant out."""
    with web.client() as client:

        def tried(address: str) -> int:
            marks = {"x-forwarded-for": f"10.66.6.6, {address}"}  # only what our own proxy adds
            return client.post("/login", json=PIN, headers=marks).status_code

        assert [tried("10.0.0.9") for _ in range(TRIES + 1)] == [401] * TRIES + [429]
        assert tried("10.0.0.8") == 401


def test_a_proxy_is_known_on_a_socket_for_both_internets() -> None:
    assert list(_both_ways(["10.0.0.0/8", "fd00::/8"])) == [
        "10.0.0.0/8", "::ffff:10.0.0.0/104", "fd00::/8",
    ]  # fmt: skip


def test_pins_are_for_the_touchscreen_by_default() -> None:
    from inspector.config import Web

    networks = [ipaddress.ip_network(network) for network in Web().touchscreens]
    assert all(network.is_loopback for network in networks)


@pytest.mark.parametrize(
    ("host", "takes"),
    [("127.0.0.1", True), ("::ffff:127.0.0.1", True), ("::1", True), ("::ffff:10.0.0.7", False)],
)
def test_a_touchscreen_is_known_on_a_socket_for_both_internets(host: str, takes: bool) -> None:
    """With `host: "::"` the screen beside the line took no PIN."""
    request = Request({"type": "http", "client": (host, 5000), "headers": []})
    assert at_touchscreen(Rules(), request) == takes


@pytest.mark.parametrize("mark", ["X-Forwarded-For", "Forwarded", "Via", "X-Real-IP"])
def test_who_comes_by_a_proxy_of_this_machine_stands_at_no_touchscreen(web: Any, mark: str) -> None:
    """A proxy that does TLS made the whole plant one: four digits from anywhere were enough."""
    with web.client() as client:
        answer = client.post("/login", json=PIN, headers={mark: "10.0.0.7"})
        assert (answer.status_code, answer.json()["code"]) == (401, "wrong_secret")
        assert client.get("/session", headers={mark: "10.0.0.7"}).json()["people"] == []


def test_a_ledger_that_never_began_is_no_reason_to_keep_people_out(web: Any) -> None:
    with pytest.raises(Exception, match="no ledger"):
        History(web.data)
    with web.client(Role.AUDITOR) as client:
        assert client.get("/audit.csv").status_code == 200
