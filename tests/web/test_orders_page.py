"""A planned order at the operator's page: what was planned is what begins."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from inspector import part
from inspector.identity import Action, Principal, Role
from inspector.store import DeskLedger, LineLedger
from inspector.store.batches import Batches
from inspector.store.holds import Holds
from inspector.web.news import News
from inspector.web.operator import LISTED, Batch, _begun, _orders

ANNA: Any = SimpleNamespace(principal=Principal("anna", frozenset({Role.OPERATOR})))
ORDER = {
    "action": "plan", "batch": "L77", "product": "Gel", "recipe": "", "order": "4711",
    "texts": {"lot": "L77", "date": "2027-01", "best_before": "2029-01"}, "target": 900,
}  # fmt: skip


@pytest.fixture
def screen(web: Any, page: Any, line: Callable[..., BaseProcess]) -> Iterator[Callable[..., Any]]:
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


def test_an_old_order_is_found_by_its_code(tmp_path: Path) -> None:
    with DeskLedger.open(tmp_path) as desk:
        for number in range(300):
            desk.add("batch", ORDER | {"batch": f"L{number}", "order": f"A-{number}"}, "mes")
    with Batches(tmp_path) as batches:
        assert [one["id"] for one in _orders(batches, "A-0")] == ["L0"]
        assert [one["id"] for one in _orders(batches, "L1")] == ["L1"]
        offered = [one["id"] for one in _orders(batches, "")]

    assert offered == [f"L{number}" for number in range(299, 299 - LISTED, -1)]


def test_a_batch_that_goes_on_with_another_recipe_keeps_its_order_and_target(
    tmp_path: Path,
) -> None:
    """The recipe was chosen by its picture, which says nothing of an order."""
    made = part.Batch("L77", "Gel", "gel")
    with LineLedger.open(tmp_path, station="s1") as ledger:
        ledger.add_batch(made, "begin", "line")
    with DeskLedger.open(tmp_path) as ledger, Batches(tmp_path) as batches:
        ledger.add("batch", ORDER | {"action": "start"}, "mes")
        desk: Any = SimpleNamespace(
            data=tmp_path, holds=Holds(tmp_path),
            ask=lambda *asked: SimpleNamespace(ok=True, body={}),
            record=lambda kind, body, by: ledger.add(kind, body, by.id),
        )  # fmt: skip
        asked = Batch(id="L77", product="Gel", recipe="gel-750")
        _begun(desk, asked, ANNA, Action.CHANGE_OVER)
        desk.holds.close()

        plan = batches.plan("L77")
        assert plan is not None
        assert (plan.recipe, plan.order, plan.target) == ("gel-750", "4711", 900)


def test_a_target_that_is_changed_while_its_batch_runs_is_told(tmp_path: Path) -> None:
    station = SimpleNamespace(quality=None)
    desk: Any = SimpleNamespace(data=tmp_path, station=station)
    feed: Any = SimpleNamespace(body={"batch": "L77"})
    news = News(desk, feed, tmp_path)
    told = []
    with DeskLedger.open(tmp_path) as ledger:
        for target in (900, 1200):
            ledger.add("batch", ORDER | {"action": "start", "target": target}, "mes")
            told.append(news._look()["target"])
    news.close()

    assert told == [900, 1200]


@pytest.mark.parametrize(
    ("asked", "said", "chinese"),
    [
        ({"id": "  "}, "id does not fit: it is empty", "内容为空"),
        ({"id": "L1", "target": 10**10}, "target does not fit: Input should be less", "应不大于"),
    ],
)
def test_what_a_field_does_not_take_is_said_and_not_that_the_station_is_away(
    web: Any, asked: dict[str, Any], said: str, chinese: str
) -> None:
    with web.client(Role.OPERATOR, name="anna") as client:
        answer = client.post("/batches/start", json=asked)
        client.cookies.set("language", "zh")
        other = client.post("/batches/start", json=asked)

    assert (answer.status_code, answer.json()["code"]) == (422, "not_understood")
    assert said in answer.json()["error"] and chinese in other.json()["error"]


def test_a_by_pass_without_a_word_of_reason_is_not_ordered(web: Any) -> None:
    """Blanks are no reason; it stands in the record for as long as that is kept."""
    asked = {
        "reason": "    ",
        "minutes": 5,
        "signature": {"user": "qin", "secret": "no", "by": "password"},
    }
    with web.client(Role.QA, name="qin") as client:
        answer = client.post("/line/bypass", json=asked)

    assert answer.status_code == 422 and "reason" in answer.json()["error"]
