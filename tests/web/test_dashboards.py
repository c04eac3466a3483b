"""Dashboards in a real browser over a ledger that is known. (S1, S12)"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from web.shift_of_parts import forget_shift, write_shift

from inspector.config import Calendar, load_station
from inspector.identity import Role
from inspector.part import Batch
from inspector.store import History, LineLedger, QueryTimeout
from inspector.store.bench import sample_verdict
from inspector.store.holds import Holds
from inspector.web import charts, lot
from inspector.web.dashboards import Asked, Known, _read, span_of

STATION = Path(__file__).parent.parent.parent / "station_configs" / "bottle-line.yaml"


@pytest.fixture(scope="module")
def shift(web: Any) -> Iterator[None]:
    """The station of all tests has made parts for six hours; afterwards it never has."""
    write_shift(web.data)
    yield
    forget_shift(web.data)


@pytest.fixture
def signed_in(web: Any, page: Any) -> Any:
    token, _ = web.session(Role.QA, name="qin")
    page.context.add_cookies([{"name": "inspector", "value": token, "url": web.url}])
    return page


def figure(page: Any, word: str) -> int:
    text = page.locator(".tile", has_text=word).locator("b").inner_text()
    return int(re.sub(r"[^\d]", "", text))


def test_the_panels_show_the_period_that_the_address_names(
    web: Any, signed_in: Any, shift: None
) -> None:
    signed_in.goto(f"{web.url}desk/dashboards?period=week")
    signed_in.locator(".tile").first.wait_for()

    assert figure(signed_in, "Parts") == 3000
    week = figure(signed_in, "Rejected")
    assert 60 <= week <= 160
    charts = signed_in.locator("svg.chart")
    assert charts.count() >= 6
    assert signed_in.locator("svg.chart .signal").count() >= 1, "the last hour is out of control"
    assert signed_in.locator("svg.chart .hot").count() >= 5
    signed_in.select_option("select[name=period]", "hour")
    signed_in.locator("form.search button").click()
    signed_in.wait_for_url("**period=hour**")
    assert 480 <= figure(signed_in, "Parts") <= 520
    assert figure(signed_in, "Rejected") < week


@pytest.fixture
def products(web: Any, shift: None) -> Iterator[None]:
    """It has made water, then juice; afterwards it is as it was."""
    write_shift(web.data, 1200, products=("Water", "Juice"))
    yield
    write_shift(web.data)


def test_filters_by_product_shift_and_camera_stand_in_the_address(
    web: Any, signed_in: Any, products: None
) -> None:
    """(S12)"""
    base = f"{web.url}desk/dashboards?period=week"
    signed_in.goto(base)
    assert figure(signed_in, "Parts") == 1200
    whole = figure(signed_in, "Rejected")
    signed_in.select_option("select[name=product]", "Juice")
    signed_in.locator("form.search button").click()
    signed_in.wait_for_url("**product=Juice**")
    assert figure(signed_in, "Parts") == 600
    juice = figure(signed_in, "Rejected")
    assert signed_in.locator("select[name=product]").input_value() == "Juice"
    assert signed_in.locator("select[name=period]").input_value() == "week"
    signed_in.goto(f"{base}&product=Water")
    assert figure(signed_in, "Parts") == 600
    assert figure(signed_in, "Rejected") == whole - juice
    shifts = signed_in.locator("select[name=shift] option").all_inner_texts()
    assert shifts == ["All shifts", "day", "night"]
    counted = []
    for shift in ("day", "night"):
        signed_in.goto(f"{base}&shift={shift}")
        signed_in.locator(".tile, .empty").first.wait_for()
        none = signed_in.get_by_text("No part in this period").count()
        counted.append(0 if none else figure(signed_in, "Parts"))
    assert sum(counted) == 1200, "each part is of one shift"
    signed_in.goto(f"{base}&view=side")
    assert figure(signed_in, "Rejected") == whole
    signed_in.goto(f"{base}&view=side&product=Juice&shift=none")
    signed_in.get_by_text("No part in this period").wait_for()
    signed_in.goto(f"{web.url}desk/wall?period=week&product=Juice")
    signed_in.locator(".wall svg.chart").first.wait_for()
    assert figure(signed_in, "Parts") == 600


def test_days_that_somebody_gives_are_the_period_and_another_one_has_none(
    web: Any, signed_in: Any, shift: None
) -> None:
    """Figures of this shift stood under the days of another week."""
    signed_in.goto(f"{web.url}desk/dashboards?since=2020-01-01")
    since, period = (signed_in.locator(f"[name={name}]") for name in ("since", "period"))
    assert since.input_value() == "", "this shift has no days"
    signed_in.locator("[name=until]").fill("2020-01-02")
    signed_in.locator("form.search button").click()
    signed_in.get_by_text("Give the day from which on").wait_for()
    since.fill("2020-01-01")
    signed_in.locator("form.search button").click()
    signed_in.get_by_text("No part in this period").wait_for()
    assert (since.input_value(), period.input_value()) == ("2020-01-01", "from")
    period.select_option("week")
    assert since.input_value() == ""


@pytest.mark.parametrize(
    "query", ["period=<b>", "period=from&since=x&until=y", "batch=%27%22--", "view=zz"]
)
def test_a_wrong_address_is_no_error(web: Any, signed_in: Any, shift: None, query: str) -> None:
    signed_in.goto(f"{web.url}desk/dashboards?{query}")

    signed_in.locator("form.search").wait_for()


def test_the_big_screen_speaks_chinese_and_shows_a_panel(
    web: Any, signed_in: Any, shift: None
) -> None:
    signed_in.context.add_cookies([{"name": "language", "value": "zh", "url": web.url}])
    signed_in.goto(f"{web.url}desk/wall?period=week")

    signed_in.locator(".wall svg.chart").first.wait_for()
    assert "合格率" in signed_in.locator(".tiles").inner_text()
    assert signed_in.locator("html").get_attribute("lang") == "zh-Hans"
    signed_in.goto(f"{web.url}desk/dashboards?period=week")
    signed_in.locator("svg[aria-label$='的得分']").first.wait_for()


def test_the_figures_of_a_product_are_of_all_its_batches(tmp_path: Path) -> None:
    """(S12)"""
    with LineLedger.open(tmp_path, station="s1") as ledger:
        for number in range(1, 601):
            batch = Batch(f"L{number}", "Juice" if number == 1 else "Water")
            ledger.add_batch(batch, "begin", "line")
            ledger.add_verdict(sample_verdict(number, batch=batch.id))
            ledger.add_batch(batch, "end", "line")
    station = load_station(STATION)
    desk: Any = SimpleNamespace(history=lambda: History(tmp_path), station=station, data=tmp_path)
    for product, parts, rejected in (("Juice", 1, 0), ("Water", 599, 12)):
        _, board = _read(desk, Asked("hour", product=product))
        assert board is not None and board.found.parts == parts
        _, bad = board.scores["cap"]
        assert len(bad) == rejected, "a part that is in the sample too has one score"


@pytest.mark.parametrize(
    ("now", "period", "begins"),
    [
        ("2026-11-17T02:00:00", "shift", "2026-11-16T18:10:00"),
        ("2026-11-17T10:34:00", "shift", "2026-11-17T06:20:00"),
        ("2026-11-17T10:34:00", "day", "2026-11-17T00:00:00"),
    ],
)
def test_this_shift_is_counted_from_its_first_minute(now: str, period: str, begins: str) -> None:
    """Also before midnight, and when it does not begin at a quarter."""
    calendar = Calendar(timezone="UTC", shifts={"day": "06:20", "night": "18:10"})
    desk: Any = SimpleNamespace(station=SimpleNamespace(calendar=calendar))
    now_ns, begins_ns = (
        int(datetime.fromisoformat(f"{text}Z").timestamp()) * 10**9 for text in (now, begins)
    )

    assert span_of(desk, Asked(period), now_ns) == (begins_ns, now_ns)


def test_figures_that_cannot_be_read_are_not_told_as_none(tmp_path: Path) -> None:
    """A board without parts says that none were made; why there is none else is said in words."""
    station = load_station(STATION)
    desk: Any = SimpleNamespace(
        history=lambda: History(tmp_path, bound_s=-1.0), station=station, data=tmp_path
    )
    assert _read(desk, Asked("hour")) == (Known(), None), "no line has run here"
    with LineLedger.open(tmp_path, station="s1") as ledger:
        for number in range(1, 2001):
            ledger.add_verdict(sample_verdict(number))

    with pytest.raises(QueryTimeout, match="ask for less"):
        _read(desk, Asked("hour"))
    desk.holds = Holds(tmp_path)
    with pytest.raises(QueryTimeout):
        lot._read(desk, "L2417A")
    desk.holds.close()


def test_defects_are_not_drawn_on_another_products_picture(tmp_path: Path) -> None:
    """Of the product's own parts no picture is kept any more."""
    write_shift(tmp_path, 90, hours=0.5, all_bad=True, products=("Juice",))
    with LineLedger.open(tmp_path, station="s1") as ledger:
        ledger.add_batch(Batch("W1", "Water"), "begin", "line")
        for number in range(101, 202):
            ledger.add_verdict(sample_verdict(number, batch="W1"))
    station = load_station(STATION)
    desk: Any = SimpleNamespace(history=lambda: History(tmp_path), station=station, data=tmp_path)
    shown = {}
    for product in ("Juice", "Water"):
        _, board = _read(desk, Asked("hour", product=product, view="side"))
        assert board is not None and board.found.rejected
        shown[product] = board.picture

    assert shown["Juice"] and not shown["Water"]


def test_an_axis_of_counts_has_no_half_parts() -> None:
    for count in (1, 5, 7, 9, 17, 1001, 315_000):
        drawn = charts.stacked([charts.Bar("", "", (count,))], ["pass"], "parts")
        ticks = re.findall(r'class="tick end"[^>]*>([^<]+)<', drawn)
        assert len(ticks) == 5 and all(re.fullmatch(r"[\d,]+", tick) for tick in ticks), ticks
    assert "2,000 ms" in charts.histogram((("plain", (2.5e3,)),), 0.0, 4e3, "latency", " ms")
