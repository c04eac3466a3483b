"""Batches and their history in a browser: by whatever name they go, and for as long as a screen
shows them."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from typing import Any

import pytest
from web.shift_of_parts import forget_shift, write_shift

from inspector.identity import Role
from inspector.part import Batch
from inspector.store import LineLedger


@pytest.fixture
def shown(web: Any, page: Any) -> Iterator[Any]:
    """The browser of somebody who may see; afterwards no batch was ever made."""
    token, _ = web.session(Role.OPERATOR, name="anna")
    page.context.add_cookies([{"name": "inspector", "value": token, "url": web.url}])
    yield page
    forget_shift(web.data)


@pytest.mark.parametrize("id", ["L24/17", "a%2Fb #1?", "批次 7/8", "../login"])
def test_a_batch_is_opened_by_whatever_name_it_has(web: Any, shown: Any, id: str) -> None:
    write_shift(web.data, 90, batch=id)
    shown.goto(f"{web.url}batches")
    shown.locator(".lots a").first.click()

    shown.locator(".sums").wait_for()
    assert shown.locator("h1").inner_text() == id
    shown.locator(".sums .figure", has_text="Parts").locator("dd", has_text="90").wait_for()
    shown.locator(".lot a.button").click()
    shown.locator(".lot-head b", has_text=id).wait_for()


def test_a_batch_is_found_by_its_number(web: Any, shown: Any) -> None:
    """… one too that is older than those that are listed."""
    write_shift(web.data, 90, batch="L24/17")
    shown.goto(f"{web.url}batches")
    shown.locator("input[name=id]").fill(" L24/17 ")
    shown.locator("input[name=id]").press("Enter")

    shown.locator(".lot-head b", has_text="L24/17").wait_for()
    assert shown.locator("input[type=search]").input_value() == "L24/17"


def test_a_screen_with_a_running_batch_outlives_a_station_that_is_away(
    web: Any, shown: Any
) -> None:
    """It loads itself anew every ten seconds; of a station that is away it would load an error,
    which never loads itself again."""
    write_shift(web.data, 90)
    shown.clock.install()
    shown.goto(f"{web.url}batch/L2417A")
    shown.locator(".sums").wait_for()
    shown.expected_errors = ("Failed to load resource",)
    shown.context.set_offline(True)
    for _ in range(3):
        shown.clock.run_for(10_000)
        shown.wait_for_timeout(100)
    assert shown.locator(".sums").count() == 1, "what was known stays"

    shown.context.set_offline(False)
    shown.route("**/batch/*", lambda route: route.fulfill(status=503, body="no time"))
    with shown.expect_response("**/batch/*"):
        shown.clock.run_for(10_000)
    shown.unroute("**/batch/*")
    write_shift(web.data, 120, closed=True)
    parts = shown.locator(".sums .figure", has_text="Parts").locator("dd")
    end = time.monotonic() + 10
    while parts.inner_text() != "120":
        assert time.monotonic() < end
        shown.clock.run_for(10_000)
        shown.wait_for_timeout(50)
    assert shown.locator(".life").get_attribute("data-life") == "closed"
    asked: list[str] = []
    shown.on("request", lambda request: asked.append(request.url))
    shown.clock.run_for(30_000)
    assert not [url for url in asked if "/batch/" in url], "nothing of it changes any more"


def test_parts_of_an_earlier_day_say_which_day(web: Any, shown: Any) -> None:
    """Of a batch that was made over days, or last week, a clock alone stood there."""
    write_shift(web.data, 90)
    shown.clock.set_fixed_time(time.time() + 9 * 86400)
    shown.goto(f"{web.url}batch/L2417A")
    said = shown.locator("[data-clock]").first.inner_text()
    assert re.fullmatch(r"\d+ \w+ 20\d\d, \d\d:\d\d:\d\d", said)


def test_the_list_of_batches_goes_on_to_the_oldest(web: Any) -> None:
    forget_shift(web.data)
    with LineLedger.open(web.data, station="BOT-L3-01") as ledger:
        for number in range(42):
            ledger.add_batch(Batch(f"L{number}"), "begin", "line")
            ledger.add_batch(Batch(f"L{number}"), "end", "line")
    with web.client(Role.OPERATOR, name="anna") as client:
        first = client.get("/batches").text
        (older,) = re.findall(r'href="(\?before=\d+)"', first)
        last = client.get(f"/batches{older}").text
    forget_shift(web.data)

    made = [re.findall(r"<b>(L\d+)</b>", page) for page in (first, last)]
    assert made == [[f"L{number}" for number in range(41, 1, -1)], ["L1", "L0"]]
    assert "?before=" not in last
