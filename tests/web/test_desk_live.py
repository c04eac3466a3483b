"""Quality's desk at a running demo station, in a real browser: a gallery by its filters and by
keys, what a person draws, two people's opinions, a batch on paper and in its trace, figures that
agree with the ledger, and who gets in. (S1, S10, S11, S12, S14, S21, I9)

One station for all of it, whose line runs on whatever the desk does.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from web.demo_station import ADMIN, Station, coded_parts, demo, desk, press, screen

from inspector import store
from inspector.bus import run_dir
from inspector.identity import Role, Users
from inspector.part import Outcome
from inspector.store import History
from inspector.store.cursor import newest_desk
from inspector.store.reviews import Decision, Review, Reviews
from inspector.trial import wait_for

__all__ = ["coded_parts", "screen"]
pytestmark = pytest.mark.slow
"""A whole station starts, and each flow waits for its parts."""
CASE, PALLET = "340123450000000017", "340123450000000024"
LINKS = (
    {"relation": "packed", "unit": CASE, "sequences": {"first": 1, "last": 12}},
    {"relation": "packed", "unit": PALLET, "level": "pallet", "units": [CASE]},
    {"relation": "shipped", "units": [PALLET], "destination": "Aldi Nord", "document": "DN-17"},
)


@pytest.fixture(scope="module")
def station(
    coded_parts: Callable[[str], Any], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Station]:
    """A station with the MES's interface and enough rejects to walk through."""
    with demo(coded_parts, tmp_path_factory.mktemp("desk"), plant={"port": 0}) as made:
        assert wait_for(lambda: len(pictured(made)) >= 6, 120.0), made.trial.log()
        yield made
        made.trial.stop_station()
        report = store.verify(made.data)
        assert report.ok, f"an override never is an edit (I4): {report}"


@pytest.fixture(scope="module")
def lot(station: Station) -> str:
    """The batch that runs."""
    with History(station.data) as history:
        return history.batch_changes(1)[0].id


def pictured(station: Station) -> list[int]:
    """Numbers of rejects whose picture is kept, the newest first."""
    if not (station.data / "line.db").exists():
        return []
    with History(station.data) as history:
        return [p.verdict.sequence for p in history.last(200, faulty=True) if p.images]


def said(station: Station, number: int, who: str) -> list[Review]:
    """What somebody said of a part, the newest first."""
    with Reviews(station.data) as reviews:
        return [r for r in reviews.find(limit=50) if (r.sequence, r.reviewer) == (number, who)]


def gallery(screen: Callable[..., Any], user: str, query: str = "") -> Any:
    """The review page with its newest part open."""
    page = desk(screen, f"/desk/review{query}", user)
    page.locator(".detail h2", has_text="#").wait_for()
    return page


def opened(page: Any, number: int | None = None) -> int:
    """The part that is open, with its picture; ``number`` is touched first."""
    if number is not None:
        page.locator(".cell", has_text=re.compile(rf"#{number}(?!\d)")).click()
        page.locator(".detail h2", has_text=re.compile(rf"#{number} ")).wait_for()
    page.locator("canvas.loupe[data-shown^='/picture/']").wait_for()
    found = re.match(r"#(\d+)", page.locator(".detail h2").inner_text())
    assert found is not None
    return int(found[1])


def test_a_gallery_is_filtered_and_walked_and_judged_by_keys(
    station: Station, screen: Callable[..., Any], lot: str
) -> None:
    """By batch, time, defect, score, camera and station; what is asked for is in the address."""
    page = gallery(screen, "qin")
    chosen = {"kind": "reject", "batch": lot}
    page.locator("input[name=batch]").fill(lot)
    page.locator("input[name=batch]").blur()
    for name in ("label", "view", "station"):
        options = page.locator(f"select[name={name}] option")
        values = [v for v in options.evaluate_all("all => all.map((o) => o.value)") if v]
        for value in values:  # one of the cameras has seen the fault, or both
            page.select_option(f"select[name={name}]", value)
            page.locator(".cell").or_(page.get_by_text("Nothing to review here")).first.wait_for()
            if page.locator(".cell").count():
                chosen[name] = value
                break
    assert set(chosen) == {"kind", "batch", "label", "view", "station"}
    today = date.today()
    for name, value in (
        ("since", str(today - timedelta(1))), ("until", str(today + timedelta(1))), ("below", "1"),
    ):  # fmt: skip
        page.locator(f"input[name={name}]").fill(value)
        page.locator(f"input[name={name}]").blur()
        chosen[name] = value
    page.locator(".cell").first.wait_for()
    asked = dict(httpx.URL(page.url).params)
    assert asked == chosen
    page.reload()
    page.locator(".cell").first.wait_for()
    assert page.locator("input[name=batch]").input_value() == lot
    page.locator("input[name=until]").fill(str(today - timedelta(1)))
    page.locator("input[name=until]").blur()
    page.get_by_text("Nothing to review here").wait_for()

    page = gallery(screen, "qin", f"?batch={lot}")
    first = opened(page)
    page.keyboard.press("j")
    page.locator(".detail h2", has_text=re.compile(rf"#(?!{first} )")).wait_for()
    second = opened(page)
    page.keyboard.press("k")
    page.locator(".detail h2", has_text=re.compile(rf"#{first} ")).wait_for()
    assert opened(page) == first > second
    assert page.locator(".beside figcaption").all_inner_texts() == [
        "A good part",
        "The part before",
    ]
    overlay = page.get_by_role("button", name="Overlay")
    before = overlay.get_attribute("aria-pressed")
    page.keyboard.press("o")
    page.locator(f".views [aria-label=Overlay]:not([aria-pressed={before}])").wait_for()
    page.keyboard.press("1")
    labels = page.locator(".says select option").evaluate_all("all => all.map((o) => o.value)")
    assert page.locator(".says select").input_value() == labels[0]
    page.keyboard.press("Space")
    page.locator(".cell[data-said=confirm]").first.wait_for()
    assert said(station, first, "qin")[0].opinion.decision is Decision.CONFIRM
    page.locator(".detail h2", has_text=re.compile(rf"#{second} ")).wait_for()


def test_what_a_person_draws_is_on_record_and_marked_for_training(
    station: Station, screen: Callable[..., Any]
) -> None:
    """A box and a polygon, in the picture's own pixels."""
    page = gallery(screen, "qin")
    number = opened(page)
    box = page.locator("canvas.loupe").bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.keyboard.press("b")
    page.mouse.move(x - 40, y - 30)
    page.mouse.down()
    page.mouse.move(x + 40, y + 30, steps=4)
    page.mouse.up()
    page.get_by_role("button", name="Draw a polygon").click()
    for dx, dy in ((-30, -40), (30, -40)):
        page.mouse.click(x + dx, y + dy, delay=20)
    page.mouse.dblclick(x, y + 45)
    page.get_by_label("For training").check()
    page.get_by_role("button", name="Relabel").click()
    page.get_by_text("Recorded").wait_for()
    opinion = said(station, number, "qin")[0].opinion
    assert opinion.decision is Decision.RELABEL and opinion.sample
    drawn, shaped = opinion.labels
    side = 128  # pixels of a coded part's picture
    scale = min(box["width"], box["height"]) / side
    x1, _, x2, _ = drawn.box
    assert abs((x1 + x2) / 2 - side / 2) < 2 and abs((x2 - x1) - 80 / scale) < 2
    assert shaped.box is None and len(set(shaped.polygon)) == 3


def test_two_people_look_at_the_same_parts_and_their_agreement_is_told(
    station: Station, screen: Callable[..., Any]
) -> None:
    """Cohen's κ; an override and a second opinion are records beside the verdict, not over it."""
    numbers = pictured(station)[:3]
    first = gallery(screen, "qin")
    for number in numbers:
        opened(first, number)
        first.get_by_role("button", name="Confirm").click()
        assert wait_for(lambda n=number: said(station, n, "qin"), 30.0)
    opened(first, numbers[0])
    first.get_by_role("button", name="Ask for a second opinion").click()
    first.get_by_text("Recorded").wait_for()

    other = gallery(screen, "mei", "?kind=second")
    assert opened(other, numbers[0]) == numbers[0]
    other.locator(".says input[type=text]").fill("a drop of water")
    other.get_by_role("button", name="Override").click()
    other.get_by_text("Recorded").wait_for()
    other = gallery(screen, "mei")
    for number in numbers[1:]:
        opened(other, number)
        other.get_by_role("button", name="Confirm").click()
        assert wait_for(lambda n=number: said(station, n, "mei"), 30.0)
    other.get_by_label("Agreement with").fill("qin")
    other.get_by_role("button", name="Compare").click()
    other.get_by_text(re.compile(r"3 parts both judged, 2 alike, κ -?\d")).wait_for()
    other.goto(f"{station.url}/desk/review?kind=second")
    other.get_by_text("Nothing to review here").wait_for()
    other.goto(f"{station.url}/desk/review?kind=override")
    other.locator(".cell", has_text=f"#{numbers[0]}").wait_for()
    with History(station.data) as history:
        verdicts = {p.verdict.sequence: p.verdict for p in history.last(400, faulty=True)}
    assert verdicts[numbers[0]].outcome is Outcome.REJECT, "the verdict stands as it was"
    assert said(station, numbers[0], "mei")[0].opinion.outcome is Outcome.PASS


def test_a_batch_is_taken_along_as_a_pdf(
    station: Station, screen: Callable[..., Any], lot: str
) -> None:
    for user, language, locale in (("qin", "false", "en-GB"), ("mei", "true", "zh-CN")):
        page = desk(screen, f"/desk/batch?id={lot}", user, locale=locale)
        page.set_default_timeout(120_000)
        with page.expect_download() as download:
            page.locator("a[href^='/lot/report.pdf']").click()
        assert f"zh={language}" in download.value.url
        content = Path(download.value.path()).read_bytes()
        assert content.startswith(b"%PDF-") and content.rstrip().endswith(b"%%EOF")
        assert lot in download.value.suggested_filename
        assert station.did(user, "export")[0] == {"what": "report", "batch": lot}


def test_a_trace_leads_from_the_batch_to_a_lot_and_to_all_that_came_of_it(
    station: Station, screen: Callable[..., Any], lot: str
) -> None:
    """What the MES has told stands in the graph; from a material lot it is one touch to its
    recall, which says where it went before anything is held (S11, S14)."""
    users = Users(station.data)
    users.add_user("mes", [Role.MACHINE], principal=ADMIN)
    url = (run_dir(station.data) / "plant.url").read_text().rstrip("/")
    key = {"X-API-Key": users.add_key("mes", principal=ADMIN)}
    consumed = {"relation": "consumed", "batch": lot, "material": "cap-28", "lot": "CL-77"}
    with httpx.Client(base_url=f"{url}/api/v1", headers=key, timeout=30) as mes:
        for link in (consumed, *LINKS):
            mes.post("/links", json=link).raise_for_status()
    page = desk(screen, f"/desk/batch?id={lot}", "qin")
    graph = page.locator("svg.lineage")
    for kind, text in (("unit", PALLET), ("sent", "Aldi Nord"), ("material", "CL-77")):
        graph.locator(f".node.{kind}", has_text=text).wait_for()
    graph.locator(".node.sent", has_text="Aldi Nord").click()
    page.locator("#trace tbody tr", has_text="DN-17").first.wait_for()
    page.locator("svg.lineage .node.material", has_text="CL-77").click()
    page.get_by_role("link", name="Recall this lot").click()
    page.wait_for_url("**by=lot**")
    page.locator("#recall", has_text="Aldi Nord").wait_for()
    with page.expect_download() as download:
        page.locator("#recall a[download]").click()
    file = Path(download.value.path()).read_text()
    assert PALLET in file and lot in file
    with History(station.data) as history:
        assert newest_desk(history, "disposition", 1) == [], "nothing is held by looking"


def test_dashboards_count_what_the_ledger_has_and_their_filters_are_in_the_address(
    station: Station, screen: Callable[..., Any], lot: str
) -> None:
    def judged() -> int:
        with History(station.data) as history:
            made = history.batch(lot)
        return sum(made.counts.values()) + made.others

    before = judged()
    page = desk(screen, "/desk/dashboards?period=hour", "mei")
    page.locator(".tile").first.wait_for()
    assert before <= figure(page, "Parts") <= judged()
    assert figure(page, "Rejected") >= 6
    assert page.locator("svg.chart").count() >= 6
    for name in ("product", "view"):
        page.locator(f"select[name={name}]").select_option(index=1)
    page.locator("input[name=batch]").fill(lot)
    page.locator("form.search button").click()
    page.wait_for_url("**view=**")
    asked = dict(httpx.URL(page.url).params)
    assert (asked["period"], asked["batch"]) == ("hour", lot) and asked["product"]
    page.locator(".tile").first.wait_for()
    assert figure(page, "Parts") >= before
    page.goto(f"{station.url}/desk/dashboards?period=from&since=2020-01-01&until=2020-01-02")
    page.get_by_text("No part in this period").wait_for()


def figure(page: Any, word: str) -> int:
    text = page.locator(".tile", has_text=word).first.locator("b").inner_text()
    return int(re.sub(r"[^\d]", "", text))


def test_a_password_opens_the_page_that_was_asked_for_and_five_wrong_pins_open_none(
    station: Station, screen: Callable[..., Any]
) -> None:
    """(S16)"""
    users = Users(station.data)
    users.add_user("pia", [Role.AUDITOR], password="quiet river 12", principal=ADMIN)
    users.add_user("luca", [Role.OPERATOR], pin="7531", principal=ADMIN)
    page = screen("", "/desk/audit?who=qin")
    page.wait_for_url("**/login?next=%2Fdesk%2Faudit%3Fwho%3Dqin")
    page.get_by_role("button", name="password").click()
    page.locator("input[name=user]").fill("pia")
    page.locator("input[name=secret]").fill("not the one")
    page.locator("form .button.main").click()
    page.locator("form .note", has_text="is wrong").wait_for()
    page.locator("input[name=secret]").fill("quiet river 12")
    page.locator("form .button.main").click()
    page.wait_for_url("**/desk/audit?who=qin")
    page.locator("tbody tr").first.wait_for()

    page = screen()
    press(page, "#do-pause", "dialog .danger")
    page.locator(".tile:has-text('luca')").click()
    for secret in ("1111", "2222", "3333", "4444", "5555", "7531"):
        for digit in secret:
            page.locator(f".keys .button:text-is('{digit}')").click()
        with page.expect_response("**/login") as answer:
            page.locator(".keys .button.main").click()
        assert answer.value.status == (429 if secret == "7531" else 401)
        page.locator(".pad .note:not(:empty)").wait_for()
    assert "Too many wrong attempts" in page.locator(".pad .note").inner_text()
    assert page.locator("#person-name").get_attribute("data-user") == ""
    assert page.locator("#verdict").get_attribute("data-outcome") != "paused"
    assert station.did("unknown", "sign_in_refused")[0]["user"] == "luca"
