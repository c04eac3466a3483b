"""Models and the gate in a real browser, commands over the real bus. (I7, I9, S8)"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from obeying_line import Obeying
from release.centre import Centre
from web.conftest import ADMIN
from web.shift_of_parts import forget_shift

from inspector.bus import Command
from inspector.identity import Action, Role
from inspector.part import Batch
from inspector.release import install
from inspector.release.offered import Entry, Offered, State, tell
from inspector.store import DeskLedger, LineLedger
from inspector.store.signatures import given


@pytest.fixture
def bus(web: Any, line: Callable[..., Any]) -> Iterator[Obeying]:
    line("--rate", "2")
    obeying = Obeying(web.run)
    yield obeying
    obeying.close()


def sign_in(web: Any, page: Any, path: str, language: str = "en") -> Any:
    token, _ = web.session(Role.ENGINEER, name="erik")
    page.context.add_cookies([
        {"name": "inspector", "value": token, "url": web.url},
        {"name": "language", "value": language, "url": web.url},
    ])  # fmt: skip
    page.set_default_timeout(20_000)
    page.goto(f"{web.url}desk/{path}")
    return page


def test_signals_are_live_and_a_test_pulse_is_the_lines_to_refuse(
    web: Any, page: Any, bus: Obeying
) -> None:
    sign_in(web, page, "gate")

    page.locator("[data-signal=air_ok][data-state=ok]").wait_for()
    page.locator("[data-signal=bin_full][data-state=warning]").wait_for()
    page.get_by_role("button", name="Give one pulse").click()
    page.get_by_text("The pulse was given.").wait_for()
    command = bus.next()
    assert (command.command, command.principal.id) == (Action.TEST_PULSE, "erik")
    bus.refuses = "parts stand before the gate; let them pass first"
    page.get_by_role("button", name="Give one pulse").click()
    page.get_by_text("parts stand before the gate").wait_for()


def test_the_gate_speaks_chinese_and_says_when_no_line_is_heard(web: Any, page: Any) -> None:
    time.sleep(1.0)  # a heartbeat of the test before is old by now
    sign_in(web, page, "gate", language="zh")

    page.get_by_text("未收到产线心跳").wait_for()


def signed(page: Any, bus: Obeying) -> Command:
    """What the line is asked for once the signature is given. The page is loaded anew then; a
    browser that is closed while it loads may never end."""
    with page.expect_event("load", timeout=60_000):
        page.locator(".sign .main").click()
        command = bus.next()
    page.locator("p.large").wait_for(timeout=60_000)
    return command


@pytest.mark.slow
def test_a_release_goes_into_service_under_a_signature(
    web: Any, page: Any, bus: Obeying, tmp_path: Path
) -> None:
    centre = Centre(tmp_path)
    install(centre.made(), centre.known_at(web.data), "erik")
    web.users.add_user("erika", [Role.ENGINEER], pin="9513", principal=ADMIN)
    try:
        sign_in(web, page, "models")
        page.get_by_text("coded/2").wait_for(timeout=45_000)
        page.locator(".release").get_by_role("button", name="At once").click()
        page.locator(".sign input").nth(0).fill("erika")
        page.locator(".sign input").nth(1).fill("9513")
        command = signed(page, bus)
        assert command.command is Action.INSTALL_RELEASE
        assert command.args["do"] == "activate" and command.args["at"] == "part"
        position = int(str(command.args["why"]).rsplit(" ", 1)[1])
        signature = given(web.data, position)
        assert signature is not None
        assert (signature.name, signature.kind, signature.subject) == (
            "erika", "release", "coded/2",
        )  # fmt: skip
    finally:
        shutil.rmtree(web.data / "releases")


@pytest.mark.slow
def test_what_the_centre_offers_and_what_a_shadow_said_is_shown_and_a_release_taken_back(
    web: Any, page: Any, bus: Obeying, tmp_path: Path
) -> None:
    """(S9) The way back itself takes less than 5 s: ``tests/trial/test_releases.py``."""
    digest = "ab" * 32
    shadow = {
        "sequence": 41, "outcome": "pass", "shadow_outcome": "reject", "release": "coded/3",
        "shadow_reasons": ["cap tilted"], "images": [{"view": "side", "sha256": digest}],
    }  # fmt: skip
    picture = web.data / "shadow" / f"{digest}.jpg"
    picture.parent.mkdir()
    cv2.imwrite(str(picture), np.full((60, 80, 3), 128, np.uint8))
    offers = (
        Entry("coded/3", "c" * 64, 3, State.HERE),
        Entry("other/9", "d" * 64, 9, State.REFUSED, "other/9: eve may not approve"),
    )
    tell(web.data, Offered(time.time_ns(), "centre", "canary", "", offers))
    with LineLedger.open(web.data, station="BOT-L3-01") as ledger:
        ledger.add_batch(Batch("L1"), "begin", "line")
        for number, chain in ((2, ["", "a" * 64]), (3, ["", "a" * 64, "b" * 64])):
            ledger.add_event(
                "release", "erika", recipe="bottle-line", release=f"coded/{number}",
                digest=chain[-1], chain=chain, why="better",
            )  # fmt: skip
    with DeskLedger.open(web.data) as desk:
        desk.add("shadow", shadow, "releases")
    web.users.add_user("eduard", [Role.ENGINEER], pin="8521", principal=ADMIN)
    try:
        sign_in(web, page, "models")
        page.get_by_text("other/9: eve may not approve").wait_for(timeout=45_000)
        assert "Channel canary at centre" in page.locator("main.desk").inner_text()
        part = page.locator(".otherwise figure", has_text="#41: Pass, in shadow Reject")
        assert "cap tilted" in part.inner_text()
        page.wait_for_function("document.querySelector('.otherwise img').naturalWidth === 80")

        page.get_by_role("button", name="Back to coded/2").click()
        page.locator(".sign input").nth(0).fill("eduard")
        page.locator(".sign input").nth(1).fill("8521")
        command = signed(page, bus)
        assert (command.command, command.args["do"]) == (Action.INSTALL_RELEASE, "rollback")
        position = int(str(command.args["why"]).rsplit(" ", 1)[1])
        signature = given(web.data, position)
        assert signature is not None
        assert (signature.name, signature.subject) == ("eduard", "coded/2")
    finally:
        shutil.rmtree(web.data / "releases", ignore_errors=True)
        shutil.rmtree(picture.parent)
        forget_shift(web.data)


def test_the_models_page_speaks_chinese(web: Any, page: Any) -> None:
    sign_in(web, page, "models", language="zh")

    page.get_by_text("中心提供的发布包").wait_for()
    page.get_by_text("没有可回退的发布包").wait_for()
