"""The operator's whole job at a running demo station, in a real browser (S8, S10, S12, I9).

One station and one browser for all of it; each test leaves the line running as it found it.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable
from typing import Any

import pytest
from web.axe import violations
from web.demo_station import (
    Station,
    coded_parts,
    enter_pin,
    press,
    screen,
    sign,
    station,
)

from inspector.bus import run_dir

__all__ = ["coded_parts", "screen", "station"]
pytestmark = pytest.mark.slow
"""A whole station starts, and each flow waits for its parts."""


def test_nothing_is_done_without_a_person_and_a_pin_is_enough(
    station: Station, screen: Callable[..., Any]
) -> None:
    page = screen()
    press(page, "#do-pause", "dialog .danger")
    enter_pin(page, "anna", "2580")
    page.wait_for_selector("#verdict[data-outcome=paused]")
    assert page.locator("#person-name").inner_text() == "anna"
    assert page.locator("#word").inner_text() == "PAUSED"
    press(page, "#do-pause", "dialog .main")
    page.wait_for_selector("#verdict:not([data-outcome=paused])")
    done = [d["command"] for d in station.did("anna", "command")]
    assert done[:2] == ["resume", "pause"]
    press(page, "#person", "dialog footer .main")
    page.wait_for_selector("#person-name[data-user='']")
    assert station.did("anna", "sign_out")


def test_a_wrong_pin_is_said_and_recorded(station: Station, screen: Callable[..., Any]) -> None:
    page = screen()
    press(page, "#do-mode", "dialog .choices .button >> nth=1")
    enter_pin(page, "anna", "9999")
    page.wait_for_selector(".pad .note:has-text('is wrong')")
    page.keyboard.press("Escape")
    assert station.did("unknown", "sign_in_refused")[0]["user"] == "anna"


def test_a_planned_batch_is_started_cleared_tried_and_signed(
    station: Station, screen: Callable[..., Any]
) -> None:
    station.plan("L100", "4711", 500)
    page = screen("anna")
    press(page, "#do-start", ".orders .tile:has-text('4711')")
    assert page.locator("input[name=id]").input_value() == "L100"
    press(page, "dialog footer .main")
    page.wait_for_selector("#batch:text-is('L100')")
    page.wait_for_selector("#do-checks[data-due]")
    page.wait_for_selector("#progress-of:text-is('of 500')")
    page.wait_for_selector("#alarm[data-code=unsigned]")
    press(page, "#do-checks")
    for index in range(4):
        page.locator(".ticks input").nth(index).check()
    sign(page, "anna", "2580")
    page.wait_for_selector(".steps li")
    page.wait_for_selector(".state[data-state=ok]", timeout=30_000)
    sign(page, "anna", "2580")
    page.wait_for_selector("#fact-mode[data-mode=auto]")
    page.wait_for_selector("#verdict[data-outcome=running]")
    meanings = [signature["meaning"] for signature in station.did("anna", "signature")]
    assert meanings[:2] == ["first article approved", "line clear"]


def test_modes_change_and_by_pass_takes_quality_a_reason_and_a_signature(
    station: Station, screen: Callable[..., Any]
) -> None:
    page = screen("anna")
    press(page, "#do-mode", "dialog .choices .button >> nth=2")
    page.wait_for_selector("#fact-mode[data-mode=cleaning]")
    press(page, "#do-mode", "dialog .choices .button >> nth=3")
    enter_pin(page, "qin", "3690")
    page.locator("input[name=reason]").fill("camera is being cleaned")
    page.locator("input[name=minutes]").fill("5")
    sign(page, "qin", "3690")
    page.wait_for_selector("#fact-mode[data-mode=bypass]")
    [signature] = station.did("qin", "signature")
    assert (signature["meaning"], signature["by"]) == ("by-pass ordered", "pin")
    press(page, "#do-mode", "dialog .choices .button >> nth=0")
    page.wait_for_selector("#fact-mode[data-mode=auto]")


def test_scanning_an_orders_code_changes_over(station: Station, screen: Callable[..., Any]) -> None:
    station.plan("L200", "A-2024/7", 900)
    page = screen("anna")
    page.keyboard.type("A-2024/7")
    page.keyboard.press("Enter")
    page.wait_for_selector("dialog input[name=id]")
    assert page.locator("input[name=id]").input_value() == "L200"
    press(page, "dialog footer .main")
    page.wait_for_selector("#batch:text-is('L200')")
    page.wait_for_selector("#progress-of:text-is('of 900')")
    page.keyboard.press("Escape")
    page.keyboard.type("no such order")
    page.keyboard.press("Enter")
    page.wait_for_selector("dialog .note:has-text('No order has the code no such order')")
    page.wait_for_selector(".recipes .tile >> nth=1")
    assert page.locator(".recipes .tile").count() == 2


def test_a_picture_of_the_list_changes_over_and_a_batch_is_ended(
    station: Station, screen: Callable[..., Any]
) -> None:
    page = screen("anna")
    press(page, "#do-change", ".recipes .tile:has-text('coded-juice')")
    page.locator("dialog input[name=id]").fill("J300")
    press(page, "dialog footer .main")
    page.wait_for_selector("dialog h2:text-is('Line clearance · J300')")
    page.wait_for_selector("#batch:text-is('J300')")
    page.wait_for_selector("#recipe:has-text('coded-juice@')")
    page.keyboard.press("Escape")
    press(page, "#do-start", "dialog footer .button >> nth=0", "dialog footer .danger")
    page.wait_for_selector("#verdict[data-outcome=paused]")
    assert station.did("anna", "command")[0]["command"] == "end_batch"
    station.plan("L400", "4712", 100)
    press(page, "#do-start", ".orders .tile:has-text('4712')", "dialog footer .main")
    page.wait_for_selector("#batch:text-is('L400')")
    page.keyboard.press("Escape")
    press(page, "#do-pause", "dialog .main")
    page.wait_for_selector("#verdict:not([data-outcome=paused])")


def test_an_alarm_says_who_has_seen_it(station: Station, screen: Callable[..., Any]) -> None:
    page, other = screen("anna"), screen()
    page.wait_for_selector("#alarm:not([hidden])")
    press(page, "#alarm-all", "dialog footer .main")
    other.wait_for_selector("#alarm-more:has-text('seen by anna')")
    assert station.did("anna", "command")[0]["command"] == "acknowledge_alarm"


def test_a_call_for_help_stands_on_every_screen_until_somebody_has_come(
    station: Station, screen: Callable[..., Any]
) -> None:
    page, other = screen("anna"), screen("qin")
    press(page, "#do-help", "dialog .choices .button >> nth=1")
    for screen_of in (page, other):
        screen_of.wait_for_selector("#help-what:has-text('anna has called for help')")
        assert screen_of.locator("#help-why").inner_text() == "Maintenance"
    press(other, "#help-come")
    page.wait_for_selector("#help-bar", state="hidden")
    assert station.did("anna", "help")[0]["action"] == "call"
    assert station.did("qin", "help")[0]["action"] == "come"


def test_who_shuts_a_change_over_before_it_is_answered_is_not_interrupted(
    station: Station, screen: Callable[..., Any]
) -> None:
    page = screen("anna")
    page.evaluate("""() => {
        const really = window.fetch;
        window.fetch = async (path, ...how) => {
            const answer = await really(path, ...how);
            if (path.endsWith("/batches/change")) {
                document.body.dataset.held = "";
                await new Promise((go) => (window.answer = go));
            }
            return answer;
        };
    }""")
    station.plan("L500", "4713", 100)
    page.keyboard.type("4713")
    page.keyboard.press("Enter")
    page.wait_for_selector("dialog input[name=id]")
    press(page, "dialog footer .main")
    page.wait_for_selector("#batch:text-is('L500')")
    page.wait_for_selector("body[data-held]")
    page.keyboard.press("Escape")
    press(page, "#do-help")
    page.evaluate("() => window.answer()")
    page.wait_for_timeout(200)
    assert page.locator("dialog").count() == 1
    page.keyboard.press("Escape")


def test_what_is_refused_after_its_sheet_was_shut_is_told_all_the_same(
    screen: Callable[..., Any],
) -> None:
    """It was written into the sheet that nobody saw any more."""
    page = screen("anna")
    page.evaluate("""() => {
        const really = window.fetch;
        window.fetch = async (path, ...how) => {
            if (!path.endsWith("/batches/end")) return really(path, ...how);
            document.body.dataset.held = "";
            await new Promise((go) => (window.answer = go));
            throw new TypeError("the network is gone");
        };
    }""")
    press(page, "#do-start")
    press(page, "dialog footer .button:not(.main)")
    press(page, "dialog footer .danger")
    page.wait_for_selector("body[data-held]")
    page.keyboard.press("Escape")
    page.wait_for_selector("dialog", state="detached")
    page.evaluate("() => window.answer()")
    page.wait_for_selector("dialog .note.bad:has-text('station')")
    page.keyboard.press("Escape")


def test_a_part_that_passed_is_rejected_by_hand(
    station: Station, screen: Callable[..., Any]
) -> None:
    page = screen("anna")
    press(page, "[data-strip=parts]")
    page.wait_for_selector("#rejects li[data-outcome=pass]")
    press(page, "#rejects li[data-outcome=pass] button")
    number = page.locator("dialog h2").inner_text().split()[1]
    assert page.locator(".findings li").count() >= 1
    page.wait_for_selector(".whole[width]")  # drawn once it has come
    assert page.evaluate("document.querySelector('.whole').width") > 400
    press(page, "dialog .danger")
    page.wait_for_selector(f"dialog .note:has-text('{number}')")
    newest = station.did("anna", "disposition")[0]
    assert (newest["disposition"], newest["runs"][0][1]) == ("hold", int(number))


def test_a_challenge_says_which_parts_to_feed(station: Station, screen: Callable[..., Any]) -> None:
    page = screen("anna")
    press(page, "#do-checks")
    if page.locator(".ticks").count():  # the batch of the change-over awaits its clearance first
        for index in range(4):
            page.locator(".ticks input").nth(index).check()
        sign(page, "anna", "2580")
        page.wait_for_selector(".state[data-state=ok]", timeout=30_000)
        sign(page, "anna", "2580")
        page.wait_for_selector("dialog", state="detached")
        press(page, "#do-checks")
    press(page, "dialog .choices .button")
    press(page, "dialog footer .main")
    page.wait_for_selector("dialog .note:has-text('Feed now: parts')")
    assert station.did("anna", "command")[0]["command"] == "challenge"


def test_a_batchs_history_is_read_on_a_phone(station: Station, screen: Callable[..., Any]) -> None:
    phone = {"viewport": {"width": 390, "height": 844}, "device_scale_factor": 2}
    page = screen("qin", "/batches", **phone)
    page.locator(".lots a:has-text('L100')").click()
    page.wait_for_selector(".sums")
    assert page.evaluate("document.scrollingElement.scrollWidth") <= 390
    about = page.locator(".lot").inner_text()
    assert "Water 0.5 l" in about
    assert "4711" in about
    assert page.locator(".events li").count() == 2
    assert page.evaluate("[...document.images].every((i) => i.complete ? i.naturalWidth : true)")


DIALOGS = {
    "start": ("#do-start",),
    "end": ("#do-start", "dialog footer .button"),
    "change": ("#do-change",),
    "change to": ("#do-change", ".recipes .tile"),
    "mode": ("#do-mode",),
    "by-pass": ("#do-mode", "dialog .choices .button >> nth=3"),
    "checks": ("#do-checks",),
    "help": ("#do-help",),
    "pause": ("#do-pause",),
    "station": ("#station",),
    "part": ("[data-strip=parts]", "#rejects button"),
    "person": ("#person",),
    "who": ("#person",),
    "pin": ("#person", "dialog .tile"),
}
"""What is touched until the dialog is open; the last two by somebody who has not signed in."""


@pytest.mark.parametrize("scheme", ["dark", "light"])
@pytest.mark.parametrize("name", DIALOGS)
def test_an_accessibility_check_finds_nothing_in_the_dialogs(
    station: Station, screen: Callable[..., Any], name: str, scheme: str
) -> None:
    user = {"who": "", "pin": "", "by-pass": "qin"}.get(name, "anna")
    page = screen(user, bypass_csp=True)
    page.emulate_media(color_scheme=scheme)
    press(page, *DIALOGS[name])
    page.wait_for_selector("dialog[open]")
    page.wait_for_timeout(200)
    nothing_against(page)


def cleared(page: Any) -> None:
    """The line's clearance signed, as often as it takes: a busy line may answer too late, and a
    page that hears no heartbeat closes what is open."""
    from playwright.sync_api import TimeoutError as Late

    end = time.monotonic() + 120
    page.set_default_timeout(5_000)
    while not page.locator(".steps li").count():
        assert time.monotonic() < end, "the first article does not come up"
        with contextlib.suppress(Late):
            page.keyboard.press("Escape")
            press(page, "#do-checks")
            page.wait_for_selector(".ticks, .steps li")
            if page.locator(".ticks").count():
                for index in range(4):
                    page.locator(".ticks input").nth(index).check()
                sign(page, "anna", "2580")
                page.wait_for_selector(".steps li")


def looked_at(screen: Callable[..., Any], button: str, shown: str) -> None:
    """On a page of its own: while axe-core looks, a page hears no heartbeat and closes what is
    open."""
    page = screen("anna", bypass_csp=True)
    end = time.monotonic() + 60
    while not page.locator(shown).count():  # the line may not have heard yet what was signed
        assert time.monotonic() < end, f"{button} shows no {shown}"
        page.keyboard.press("Escape")
        press(page, button)
        page.wait_for_timeout(500)
    nothing_against(page)
    page.close()


def nothing_against(page: Any) -> None:
    """Neither axe-core nor a glove has anything against the dialog that is open."""
    small = page.evaluate("""() => [...document.querySelectorAll("dialog button, dialog select,"
      + "dialog input:not([type=checkbox])")].filter((n) => n.checkVisibility())
      .map((n) => [n.textContent.slice(0, 20), n.getBoundingClientRect().width,
                   n.getBoundingClientRect().height])
      .filter(([, w, h]) => w < 64 || h < 64)""")
    assert small == []
    assert violations(page) == []


def test_an_accessibility_check_finds_nothing_in_what_awaits_signatures(
    station: Station, screen: Callable[..., Any]
) -> None:
    """Alarms, line clearance and the first article of a batch that nobody has signed for yet."""
    station.plan("L101", "4801", 500)
    page = screen("anna", bypass_csp=True)
    press(page, "#do-start", ".orders .tile:has-text('4801')", "dialog footer .main")
    page.wait_for_selector("#batch:text-is('L101')")
    page.wait_for_selector("#do-checks[data-due]")
    looked_at(screen, "#alarm-all", "dialog .alarms li")
    looked_at(screen, "#do-checks", ".ticks")

    cleared(page)
    nothing_against(page)
    page.close()

    # what is signed is not asked for again, whoever comes back to it
    looked_at(screen, "#do-checks", ".steps li")


def test_killing_the_whole_station_leaves_no_verdict_on_a_screen(
    station: Station, screen: Callable[..., Any]
) -> None:
    pages = [screen("anna"), screen()]
    # a challenge whose part was not rejected has stopped the line until somebody has looked
    press(pages[0], "#alarm-all", "dialog footer .main")
    pages[0].keyboard.press("Escape")
    for page in pages:
        page.wait_for_selector("#caption:not([hidden])")
    press(pages[0], "#do-help")
    killed = time.monotonic()
    os.kill(station.trial.pids()["station"], signal.SIGKILL)
    for page in pages:
        page.wait_for_selector("body[data-link=lost]", state="attached")
    assert time.monotonic() - killed < 2.0
    for page in pages:
        assert page.locator(".lost").is_visible()
        assert page.locator("#word").inner_text() == ""
        assert page.locator("#caption").is_hidden()
        assert page.locator("dialog[open]").count() == 0
    assert station.trial.station is not None
    station.trial.station.wait()
    station.trial.station = None
    assert run_dir(station.data).is_dir()
