"""A real web process, a real line that shows itself, a real browser."""

from __future__ import annotations

import contextlib
import multiprocessing
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import httpx
import pytest
from web import line_on_show
from web.provider import SECRET, Provider

from inspector.bus import run_dir
from inspector.config import Web as Rules
from inspector.identity import Principal, Role, Users
from inspector.web.sessions import How, Sessions

APART = multiprocessing.get_context("forkserver")
APART.set_forkserver_preload(["cv2", "inspector.display", "inspector.line.counters", "pytest"])
"""A line is the copy of a process that has loaded what it needs: half a second for each."""
MODELS = Path(__file__).parents[2] / "models"
STATION = (
    f"models: {MODELS}\n"
    + """
station: BOT-L3-01
line: Filling 3
site: Hamburg
data: data
recipes: [bottle.yaml]
cameras: [{name: side, serial: V001}]
batch: {id: L2417A}
calendar: {shifts: {day: "06:00", night: "18:00"}}
web:
  port: %d
  proxies: [127.0.0.0/8]
  oidc:
    issuer: %s
    client_id: station
    client_secret: secret
    name: Plant account
    roles: {plant-qa: [qa], plant-engineering: [engineer]}
"""
)
ADMIN = Principal("setup", frozenset({Role.ADMIN}))
PEOPLE = {
    "anna": (Role.OPERATOR, "2580", None),
    "qin": (Role.QA, "3690", "quiet river 12"),
}
"""Name → role, PIN, password of those that sign in by themselves in a test."""


class Web:
    """A web process that can be killed and started again on the same port."""

    def __init__(self, folder: Path, issuer: str) -> None:
        self.issuer = issuer
        (folder / "secret").write_text(SECRET)
        self.data = folder / "data"
        self.run = run_dir(self.data)
        self.users = Users(self.data)
        for name, (role, pin, password) in PEOPLE.items():
            self.users.add_user(name, [role], pin=pin, password=password, principal=ADMIN)
        self.sessions = Sessions(self.data, self.users, Rules())
        self._file = folder / "station.yaml"
        self._process: subprocess.Popen[bytes] | None = None
        self.start(0)

    def start(self, port: int | None = None) -> None:
        """Start, and wait until it listens."""
        address = self.run / "web.url"
        port = int(self.url.rsplit(":", 1)[1].strip("/")) if port is None else port
        address.unlink(missing_ok=True)
        self._file.write_text(STATION % (port, self.issuer))
        command = [sys.executable, "-m", "inspector.web.process", str(self._file), str(self.run)]
        self._process = subprocess.Popen(command)
        deadline = time.monotonic() + 30
        while not address.exists():
            assert self._process.poll() is None, "the web process died"
            assert time.monotonic() < deadline, "the web process does not listen"
            time.sleep(0.02)
        self.url = address.read_text()

    def session(self, *roles: Role, name: str = "") -> tuple[str, str]:
        """The token of somebody with ``roles`` who is signed in, and the token for requests."""
        name = name or "-".join(roles)
        token = self.sessions.begin(Principal(name, frozenset(roles)), How.OIDC, "test")
        session = self.sessions.find(token)
        assert session is not None
        return token, session.csrf

    def client(self, *roles: Role, name: str = "") -> httpx.Client:
        """A client as a browser sends it: somebody with ``roles``, or nobody."""
        origin = self.url.rstrip("/")
        client = httpx.Client(base_url=origin, headers={"origin": origin}, timeout=10.0)
        if roles:
            token, csrf = self.session(*roles, name=name)
            client.cookies.set("inspector", token)
            client.headers["x-csrf-token"] = csrf
        return client

    def kill(self) -> None:
        """``kill -9``."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()


@pytest.fixture(scope="session")
def provider() -> Iterator[Provider]:
    """A provider of identities that the web process of all tests knows."""
    provider = Provider()
    yield provider
    provider.stop()


@pytest.fixture(scope="session")
def web(tmp_path_factory: pytest.TempPathFactory, provider: Provider) -> Iterator[Web]:
    """One web process for all tests."""
    web = Web(tmp_path_factory.mktemp("web"), provider.issuer)
    yield web
    web.kill()


@pytest.fixture
def line(web: Web) -> Iterator[Callable[..., BaseProcess]]:
    """Starts a line that shows itself to ``web``; the options are those of ``line_on_show.py``."""
    lines: list[BaseProcess] = []

    def start(*options: str) -> BaseProcess:
        lines.append(APART.Process(target=line_on_show.main, args=([str(web.run), *options],)))
        lines[-1].start()
        return lines[-1]

    yield start
    for process in lines:
        process.kill()
        process.join()


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """One Chromium for all tests; skips loudly where there is none."""
    playwright = pytest.importorskip(
        "playwright.sync_api", reason="NO PLAYWRIGHT: no page is tested"
    )
    installed = "/usr/bin/chromium"
    arguments = [
        "--no-sandbox",
        "--disable-gpu",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--no-first-run",
    ]
    with contextlib.ExitStack() as stack:
        driver = stack.enter_context(playwright.sync_playwright())
        path = installed if Path(installed).exists() else None
        try:
            browser = driver.chromium.launch(executable_path=path, args=arguments)
        except playwright.Error as error:
            pytest.skip(f"NO BROWSER, so no page is tested: {str(error).splitlines()[0]}")
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Any, web: Web) -> Iterator[Any]:
    """A page of its own context; whatever it logs as an error fails the test."""
    context = browser.new_context(
        viewport={"width": 1280, "height": 800}, locale="en-GB", color_scheme="dark"
    )
    context.set_default_timeout(8000)
    page = context.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda m: errors.append(m.text) if m.type == "error" else None)
    page.expected_errors = ()
    yield page
    context.close()
    assert [e for e in errors if not any(word in e for word in page.expected_errors)] == []


@pytest.fixture
def review(web: Any, page: Any, shift: None) -> Any:
    """The review page of the parts that a module's ``shift`` has made, open at the newest."""
    token, _ = web.session(Role.QA, name="qin")
    page.context.add_cookies([{"name": "inspector", "value": token, "url": web.url}])
    page.goto(f"{web.url}desk/review")
    page.locator(".cell[aria-pressed=true]").wait_for()
    page.locator(".detail h2", has_text="#").wait_for()
    return page
