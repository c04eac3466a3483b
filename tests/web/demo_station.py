"""A demo station with people before it, and a real browser: what tests of whole flows share.

A module imports the fixtures ``station`` and ``screen`` by name and has a station of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from trial.conftest import LENIENT, coded_parts

from inspector.config import Web
from inspector.identity import Principal, Role, Users
from inspector.store import DeskLedger
from inspector.store.audit import Asked, trail
from inspector.trial import Plan, Trial, running, wait_for
from inspector.web.sessions import How, Sessions

__all__ = ["coded_parts", "screen", "station"]

ADMIN = Principal("setup", frozenset({Role.ADMIN}))
MES = Principal("mes", frozenset({Role.MACHINE}))
WHO = {
    "anna": ({Role.OPERATOR}, How.PIN),
    "qin": ({Role.QA}, How.PIN),
    "mei": ({Role.QA}, How.PIN),
    "erik": ({Role.ENGINEER}, How.PASSWORD),
    "ada": ({Role.ADMIN, Role.ENGINEER}, How.PASSWORD),
}
"""Who stands before the screens, and how they have signed in."""
QUALITY = {
    "line_clearance": True,
    "first_article": {"golden_parts": 2},
    "challenge": {"seeded": [{"name": "no code", "label": ""}]},
}


class Station:
    """A demo station with people, and what the desk knows of their deeds."""

    def __init__(self, trial: Trial) -> None:
        self.trial, self.data = trial, trial.data
        self.url = trial.page().rstrip("/")
        users = Users(trial.data)
        users.add_user("anna", [Role.OPERATOR], pin="2580", principal=ADMIN)
        users.add_user("qin", [Role.QA], pin="3690", principal=ADMIN)
        users.add_user("mei", [Role.QA], pin="1479", principal=ADMIN)
        self._sessions = Sessions(trial.data, users, Web())

    def token(self, user: str) -> str:
        """A session of somebody who signed in a moment ago, at the touchscreen or at a desk."""
        roles, how = WHO[user]
        return self._sessions.begin(Principal(user, frozenset(roles)), how, "127.0.0.1")

    def plan(self, id: str, order: str, target: int) -> None:
        """What the MES would plan."""
        body = {
            "action": "plan", "batch": id, "product": "Water 0.5 l", "recipe": "coded",
            "texts": {}, "order": order, "target": target,
        }  # fmt: skip
        with DeskLedger.open(self.data) as desk:
            desk.add("batch", body, MES.id)

    def did(self, who: str, what: str) -> list[dict[str, Any]]:
        """What ``who`` did of kind ``what``, the newest first."""
        return [d.details for d in trail(self.data, Asked(who=who, what=what), limit=20).deeds]


@pytest.fixture(scope="module")
def station(
    coded_parts: Callable[[str], Any], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Station]:
    """A station with line clearance, first article and challenge."""
    with demo(coded_parts, tmp_path_factory.mktemp("operator"), quality=QUALITY) as made:
        yield made


@contextmanager
def demo(coded_parts: Callable[[str], Any], folder: Path, **station: Any) -> Iterator[Station]:
    """Four coded parts a second, one in twelve bad; ``station`` are sections of its file."""
    coded = coded_parts("GGGGGGGGGGGB" * 5)
    plan = Plan(
        coded.films,
        folder,
        rate=4.0,
        recipes=(coded.recipe, coded.juice),
        page=0,
        station=LENIENT | station,
    )
    with running(plan) as trial:
        assert wait_for(trial.page, 60.0), trial.log()
        assert wait_for(lambda: trial.report().get("triggers", 0) > 3, 60.0), trial.log()
        yield Station(trial)


@pytest.fixture
def screen(browser: Any, station: Station) -> Iterator[Callable[..., Any]]:
    """Opens the live page; ``screen("anna")`` with anna signed in."""
    contexts: list[Any] = []
    errors: list[str] = []

    def opened(user: str = "", path: str = "/", **more: Any) -> Any:
        settings = {"viewport": {"width": 1280, "height": 800}, "locale": "en-GB"} | more
        context = browser.new_context(color_scheme="dark", **settings)
        contexts.append(context)
        context.set_default_timeout(15_000)
        if user:
            cookie = {"name": "inspector", "value": station.token(user), "url": station.url}
            context.add_cookies([cookie])
        page = context.new_page()
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(station.url + path)
        if path == "/":
            page.wait_for_selector("body[data-link=live]")
            if user:  # who is there is asked for by itself, after the page
                page.wait_for_selector(f"#person-name[data-user='{user}']")
        return page

    yield opened
    for context in contexts:
        context.close()
    assert errors == []


def desk(screen: Callable[..., Any], path: str, user: str, **more: Any) -> Any:
    """A page of the desk, ready to be used."""
    page = screen(user, path, **more)
    page.set_default_timeout(30_000)
    page.wait_for_function("window.socket && window.socket.connected")
    return page


def press(page: Any, *names: str) -> None:
    """Touch these, one after the other, as they come up."""
    for name in names:
        page.locator(name).first.click()


def enter_pin(page: Any, user: str, pin: str) -> None:
    page.locator(f".tile:has-text('{user}')").click()
    for digit in pin:
        page.locator(f".keys .button:text-is('{digit}')").click()
    page.locator(".keys .button.main").click()


def signed(page: Any, pin: str) -> None:
    """Give the signature that a page of the desk asks for."""
    page.locator(".sign input[type=password]").fill(pin)
    page.locator(".sign .button.main").click()


def sign(page: Any, user: str, pin: str) -> None:
    """Fill in a signature at the operator's page and give it."""
    page.locator(".signature select").select_option(user)
    page.locator(".signature input").fill(pin)
    page.locator("dialog footer .button").last.dblclick()  # a glove touches twice
