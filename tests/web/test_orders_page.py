"""A planned order at the operator's page: what was planned is what begins."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from subprocess import Popen
from typing import Any

import pytest

from inspector.identity import Role
from inspector.store import DeskLedger

ORDER = {
    "action": "plan", "batch": "L77", "product": "Gel", "recipe": "", "order": "4711",
    "texts": {"lot": "L77", "date": "2027-01", "best_before": "2029-01"}, "target": 900,
}  # fmt: skip


@pytest.fixture
def screen(web: Any, page: Any, line: Callable[..., Popen[bytes]]) -> Iterator[Callable[..., Any]]:
    """The page of somebody who may start batches, with this order planned; what it tells the
    station is answered with yes, and goes no further."""
    line("--rate", "20")
    page.route("**/batches/*", lambda route: route.fulfill(json={}))

    def shown(**order: Any) -> Any:
        with DeskLedger.open(web.data) as desk:
            desk.add("batch", ORDER | order, "mes")
        token, _ = web.session(Role.OPERATOR, name="anna")
        page.context.add_cookies([{"name": "inspector", "value": token, "url": web.url}])
        page.goto(web.url)
        page.wait_for_selector("#verdict[data-outcome=running]")
        return page

    yield shown
    with DeskLedger.open(web.data) as desk:
        desk.add("batch", ORDER | {"action": "close"}, "mes")


def sent(page: Any) -> Mapping[str, Any]:
    """What the page tells the station."""
    with page.expect_request("**/batches/*") as asked:
        page.locator("dialog footer .main").click()
    return dict(asked.value.post_data_json)


def test_an_order_that_is_started_brings_all_that_is_printed(screen: Callable[..., Any]) -> None:
    page = screen()
    page.locator("#do-start").click()
    page.locator(".orders .tile", has_text="4711").click()
    page.locator("input[name=date]").fill("2027-02")

    begun = sent(page)
    assert begun["texts"] == {"lot": "L77", "date": "2027-02", "best_before": "2029-01"}
    assert (begun["id"], begun["order"], begun["target"]) == ("L77", "4711", 900)


def test_an_orders_recipe_that_is_not_loaded_is_asked_for_all_the_same(
    screen: Callable[..., Any],
) -> None:
    """The line refuses it by name; the recipe that runs would judge another product's parts."""
    page = screen(recipe="gel-750")
    page.locator("#do-start").click()
    page.locator(".orders .tile", has_text="4711").click()

    assert sent(page)["recipe"] == "gel-750"


def test_a_lot_that_is_wiped_out_is_not_expected(screen: Callable[..., Any]) -> None:
    page = screen(recipe="gel-750")
    page.locator("#do-change").click()
    page.locator("dialog input[name=code]").fill("4711")
    page.keyboard.press("Enter")
    page.locator("input[name=lot]").fill("")

    assert sent(page)["texts"] == {"date": "2027-01", "best_before": "2029-01"}
