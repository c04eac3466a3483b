"""The review page in a browser: gallery, keyboard, boxes, overrides on record. (S10, S21, I9)"""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from kept_parts import keep_parts
from surfaces import scratched, surface
from waiting import until
from web.shift_of_parts import forget_shift, write_late_reject, write_picture, write_shift

from inspector.identity import Role
from inspector.part import Batch
from inspector.recipe import load
from inspector.store import History
from inspector.store.reviews import Decision, Reviews
from inspector.web.review import _taught


@pytest.fixture(scope="module")
def shift(web: Any) -> Iterator[None]:
    """The station of all tests has made parts for six hours; afterwards it never has."""
    write_shift(web.data, 1500)
    yield
    forget_shift(web.data)


def newest(web: Any, part: str) -> Any:
    with Reviews(web.data) as reviews:
        found = [r for r in reviews.find(limit=50) if str(r.opinion.part) == part]
    return found[0] if found else None


def faulty(web: Any) -> list[Any]:
    with History(web.data) as history:
        return [p.verdict for p in history.last(300, faulty=True)]


def test_the_newest_reject_is_open_and_keys_walk_and_confirm(web: Any, review: Any) -> None:
    bad = faulty(web)
    assert review.locator(".detail h2").inner_text().startswith(f"#{bad[0].sequence}")
    review.keyboard.press("j")
    review.locator(".detail h2", has_text=f"#{bad[1].sequence}").wait_for()
    review.keyboard.press("k")
    review.locator(".detail h2", has_text=f"#{bad[0].sequence}").wait_for()
    review.keyboard.press("Space")
    said = until(lambda: newest(web, str(bad[0].part_id)))
    assert (said.reviewer, said.opinion.decision) == ("qin", Decision.CONFIRM)
    review.locator(".cell[data-said=confirm]").first.wait_for()
    review.locator(".detail h2", has_text=f"#{bad[1].sequence}").wait_for()


@pytest.fixture
def late(web: Any, shift: None) -> Iterator[Any]:
    """A reject whose picture is not yet in the archive; afterwards there was none."""
    yield write_late_reject(web.data, 1501)
    write_shift(web.data, 1500)


def test_a_picture_that_comes_late_is_taken_up_by_the_open_page(
    web: Any, late: Any, review: Any
) -> None:
    """What a person has written meanwhile stays."""
    assert review.locator(".detail h2").inner_text().startswith("#1501")
    review.get_by_text("The picture of this part is on its way").wait_for()
    assert review.locator("canvas.loupe").get_attribute("data-shown") == ""
    review.locator(".says input[type=text]").fill("a drop of water")

    write_picture(web.data, late)

    review.locator("canvas.loupe[data-shown^='/picture/']").wait_for()
    review.locator(".cell[aria-pressed=true] img").wait_for()
    assert review.locator(".views [aria-pressed=true]", has_text="side").count() == 1
    assert review.locator(".says input[type=text]").input_value() == "a drop of water"
    assert review.locator(".pane .empty").is_hidden()


def test_an_old_part_without_a_picture_says_that_none_is_kept(web: Any, review: Any) -> None:
    review.locator(".gallery").evaluate("node => { node.scrollTop = node.scrollHeight; }")
    review.locator(".cell", has=review.locator(".blank")).last.click()
    review.get_by_text("No picture of this part is kept").wait_for()


def test_the_golden_part_and_the_one_before_stand_beside_it(web: Any, review: Any) -> None:
    """… and what was found is drawn over the picture or not."""
    review.locator(".beside figure").nth(1).wait_for()
    assert review.locator(".beside figcaption").all_inner_texts() == [
        "A good part", "The part before",
    ]  # fmt: skip
    assert review.locator(".beside img, .beside .blank").count() == 2
    overlay = review.get_by_role("button", name="Overlay")
    shown = overlay.get_attribute("aria-pressed")
    overlay.click()
    until(lambda: overlay.get_attribute("aria-pressed") != shown)


def test_an_override_needs_its_reason_and_is_a_record_of_its_own(web: Any, review: Any) -> None:
    bad = faulty(web)[0]
    review.get_by_role("button", name="Override").click()
    review.get_by_text("An override needs its reason").wait_for()
    review.locator(".says input[type=text]").fill("a drop of water")
    review.get_by_role("button", name="Override").click()
    said = until(
        lambda: (r := newest(web, str(bad.part_id))) and r.opinion.decision == "override" and r
    )
    assert (said.opinion.outcome, said.opinion.reason) == ("pass", "a drop of water")
    with History(web.data) as history:
        assert history.part(bad.part_id).verdict == bad, "the verdict stands as it was"
    review.select_option("select[name=kind]", "override")
    review.locator(".cell").first.wait_for()
    assert review.locator(".cell").count() == 1


def test_a_box_is_drawn_on_the_picture_in_its_own_pixels(web: Any, review: Any) -> None:
    bad = faulty(web)[0]
    until(lambda: review.locator("canvas.loupe").get_attribute("data-shown"))
    review.keyboard.press("b")
    box = review.locator("canvas.loupe").bounding_box()
    middle = (box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    review.mouse.move(middle[0] - 40, middle[1] - 30)
    review.mouse.down()
    review.mouse.move(middle[0] + 40, middle[1] + 30, steps=4)
    review.mouse.up()
    review.locator(".says select").select_option("print_smeared")
    review.get_by_label("For training").check()
    review.get_by_role("button", name="Relabel").click()
    said = until(
        lambda: (r := newest(web, str(bad.part_id))) and r.opinion.decision == "relabel" and r
    )
    (label,) = said.opinion.labels
    scale = min(box["width"] / 640, box["height"] / 480)
    x1, y1, x2, y2 = label.box
    assert label.label == "print_smeared" and said.opinion.sample
    assert abs((x1 + x2) / 2 - 320) < 3 and abs((y1 + y2) / 2 - 240) < 3
    assert abs((x2 - x1) - 80 / scale) < 4


def test_two_fingers_look_nearer_and_draw_nothing(review: Any) -> None:
    """Who had no wheel could not look nearer."""
    loupe = review.locator("canvas.loupe")
    until(lambda: loupe.get_attribute("data-shown"))
    whole = loupe.evaluate("node => node.toDataURL()")
    review.keyboard.press("b")
    box = loupe.bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    screen = review.context.new_cdp_session(review)
    for kind, apart in (("Start", (40,)), ("Start", (40, -40)), ("Move", (90, -90)), ("End", ())):
        fingers = [{"x": x + far, "y": y, "id": number} for number, far in enumerate(apart)]
        screen.send("Input.dispatchTouchEvent", {"type": f"touch{kind}", "touchPoints": fingers})
    near = loupe.evaluate("node => node.toDataURL()")
    assert near != whole
    erase = review.get_by_role("button", name="Remove what was drawn")
    assert erase.is_disabled(), "nothing is drawn"

    review.get_by_role("button", name="Whole picture").click()
    assert loupe.evaluate("node => node.toDataURL()") == whole


def test_a_button_whose_release_a_menu_took_draws_no_further(review: Any) -> None:
    """A right click opens the browser's menu, and where it is closed elsewhere no release comes."""
    loupe = review.locator("canvas.loupe")
    until(lambda: loupe.get_attribute("data-shown"))
    box = loupe.bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    review.keyboard.press("b")
    screen = review.context.new_cdp_session(review)
    screen.send(
        "Input.dispatchMouseEvent", {"type": "mousePressed", "button": "right", "x": x, "y": y}
    )
    begun = loupe.evaluate("node => node.toDataURL()")
    screen.send(
        "Input.dispatchMouseEvent",
        {"type": "mouseMoved", "button": "none", "x": x + 80, "y": y + 60},
    )
    assert loupe.evaluate("node => node.toDataURL()") == begun


def test_a_polygon_is_drawn_point_by_point(web: Any, review: Any) -> None:
    bad = faulty(web)[0]
    until(lambda: review.locator("canvas.loupe").get_attribute("data-shown"))
    review.get_by_role("button", name="Draw a polygon").click()
    box = review.locator("canvas.loupe").bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    for dx, dy in ((-40, -30), (40, -30)):
        review.mouse.click(x + dx, y + dy, delay=20)
    review.mouse.dblclick(x, y + 40)
    review.locator(".says select").select_option("low_fill")
    review.get_by_role("button", name="Relabel").click()
    said = until(
        lambda: (r := newest(web, str(bad.part_id))) and r.opinion.labels
        and r.opinion.labels[0].polygon and r
    )  # fmt: skip
    (label,) = said.opinion.labels
    assert label.label == "low_fill" and label.box is None
    assert len(set(label.polygon)) == 3
    scale = min(box["width"] / 640, box["height"] / 480)
    assert abs(label.polygon[1][0] - label.polygon[0][0] - 80 / scale) < 4


def test_filters_by_time_and_score_stand_in_the_address(web: Any, review: Any) -> None:
    review.goto(f"{web.url}desk/review?below=0.6")
    review.locator(".detail h2", has_text="#").wait_for()
    assert review.locator("input[name=below]").input_value() == "0.6"
    review.locator("input[name=below]").fill("0.5")
    review.locator("input[name=below]").blur()
    review.wait_for_url("**below=0.5**")
    bad = faulty(web)
    with web.client(Role.QA, name="qin") as client:

        def scores(query: str) -> list[float]:
            found = client.get(f"/review/parts?{query}").json()["parts"]
            return [part["score"] for part in found]

        everything = scores("")
        assert len(everything) == len(bad)
        assert scores("below=0.5") == [score for score in everything if score <= 0.5] != everything
        assert scores("since=2020-01-01&until=2020-01-02") == []
        assert scores("since=2020-01-01") == everything
        assert scores("until=2020-01-01T10:00") == []
        assert client.get("/review/parts?below=7").status_code == 422


def test_a_filter_by_station_stands_in_the_address(web: Any, review: Any) -> None:
    review.select_option("select[name=station]", "BOT-L3-01")
    review.wait_for_url("**station=BOT-L3-01**")
    review.locator(".cell").first.wait_for()
    review.reload()
    review.locator(".cell").first.wait_for()
    assert review.locator("select[name=station]").input_value() == "BOT-L3-01"
    with web.client(Role.QA, name="qin") as client:
        of = {
            name: len(client.get("/review/parts", params={"station": name}).json()["parts"])
            for name in ("", "BOT-L3-01", "BOT-L3-02")
        }
    assert of["BOT-L3-01"] == of[""] == len(faulty(web)) and of["BOT-L3-02"] == 0


def test_a_filter_beyond_those_that_are_offered_stands_in_its_field(web: Any, review: Any) -> None:
    review.goto(f"{web.url}desk/review?batch=L0001")
    review.get_by_text("Nothing to review here").wait_for()
    batch = review.locator("input[name=batch]")
    assert batch.input_value() == "L0001"
    batch.fill("")
    batch.blur()
    review.locator(".cell").first.wait_for()


def test_two_reviewers_agreement_is_told(web: Any, review: Any) -> None:
    """Cohen's κ over what both have judged."""
    with web.client(Role.QA, name="mei") as mei, web.client(Role.QA, name="qin") as qin:
        for bad in faulty(web)[5:9]:
            body = {"decision": "confirm", "outcome": "reject"}
            for client in (mei, qin):
                assert client.post(f"/review/part/{bad.part_id}", json=body).status_code == 200
    review.get_by_label("Agreement with").fill("mei")
    review.get_by_role("button", name="Compare").click()
    review.get_by_text("4 parts both judged, 4 alike").wait_for()


def test_a_second_opinion_is_another_persons(web: Any, review: Any) -> None:
    review.get_by_role("button", name="Ask for a second opinion").click()
    review.get_by_text("Recorded").wait_for()
    review.select_option("select[name=kind]", "second")
    review.get_by_text("Nothing to review here").wait_for()
    token, _ = web.session(Role.QA, name="quentin")
    review.context.add_cookies([{"name": "inspector", "value": token, "url": web.url}])
    review.goto(f"{web.url}desk/review?kind=second")
    review.locator(".cell").first.wait_for()


@pytest.fixture
def many(web: Any, shift: None) -> Iterator[None]:
    """Ten thousand rejects; afterwards it is as it was."""
    write_shift(web.data, 10_000, all_bad=True)
    yield
    write_shift(web.data, 1500)


@pytest.mark.slow
def test_ten_thousand_rejects_scroll_with_only_what_is_seen_in_the_page(
    web: Any, page: Any, many: None
) -> None:
    """Each portion comes while the one before is scrolled; the last part opens like the first."""
    token, _ = web.session(Role.QA, name="qin")
    page.context.add_cookies([{"name": "inspector", "value": token, "url": web.url}])
    page.goto(f"{web.url}desk/review")
    page.locator(".cell[aria-pressed=true]").wait_for()
    page.evaluate("""() => {
      window.most = 0;
      new MutationObserver(() => {
        window.most = Math.max(window.most, document.querySelectorAll(".cell").length);
      }).observe(document.querySelector(".sheet"), { childList: true });
    }""")
    known = page.locator(".count")
    end = time.monotonic() + 120
    while "10,000" not in known.inner_text():
        assert time.monotonic() < end, known.inner_text()
        page.locator(".gallery").evaluate("node => { node.scrollTop = node.scrollHeight; }")
        page.wait_for_timeout(20)
    gallery = page.locator(".gallery")
    for share in (0.5, 0.0, 0.9, 0.2, 1.0):
        gallery.evaluate("(node, at) => { node.scrollTop = node.scrollHeight * at; }", share)
        page.wait_for_function("""() => {
          const box = document.querySelector(".gallery").getBoundingClientRect();
          return [...document.querySelectorAll(".cell")].some((cell) => {
            const at = cell.getBoundingClientRect();
            return at.top >= box.top && at.bottom <= box.bottom;
          });
        }""")
    # a machine that is busy with more may not find a part in the time that it is given
    page.expected_errors = ("503", "ask for less")
    heading = page.locator(".detail h2", has_text="#1 ·")
    while not heading.count():
        assert time.monotonic() < end + 60
        page.locator(".cell", has_text=re.compile(r"#1(?!\d)")).click()
        page.wait_for_timeout(500)
    assert page.evaluate("window.most") < 150


@pytest.fixture
def plates(web: Any, shift: None) -> Iterator[None]:
    """The station has judged a good and two scratched plates by a bank of good ones; afterwards it
    is as it was."""
    from inspector.teach import teach_anomaly
    from inspector.tools.bank import keep_bank
    from inspector.tools.onnx import Shelf

    models = Path(__file__).parents[2] / "models"
    recipe: Path = web.data.parent / "bottle.yaml"
    forget_shift(web.data)
    bank = teach_anomaly([surface(i) for i in range(12)], Shelf(models)).bank
    recipe.write_text(
        "name: plate\nviews: [side]\ntools:\n- {name: surface, kind: anomaly,"
        f" params: {{bank: {keep_bank(bank, recipe.parent)}}}}}\n"
    )
    pictures = [surface(50), *(scratched(surface(n), (90, 40), (120, 70)) for n in (60, 61))]
    keep_parts(web.data, load(recipe, models), pictures, Batch("P1", "plate", "plate"))
    yield
    recipe.unlink()
    shutil.rmtree(recipe.parent / "anomaly")
    write_shift(web.data, 1500)


@pytest.mark.slow
def test_a_heat_map_lies_over_the_picture_on_and_off(web: Any, page: Any, plates: None) -> None:
    token, _ = web.session(Role.QA, name="qin")
    page.context.add_cookies([{"name": "inspector", "value": token, "url": web.url}])
    page.set_default_timeout(60_000)
    page.goto(f"{web.url}desk/review")
    canvas = page.locator("canvas.loupe")
    page.locator("canvas.loupe[data-shown^='/picture/']").wait_for()
    drawn = "(node) => node.toDataURL()"
    page.keyboard.press("o")
    plain = canvas.evaluate(drawn)
    page.get_by_role("button", name="Heat map").click()
    page.locator("canvas.loupe[data-heat='1']").wait_for()
    hot = canvas.evaluate(drawn)
    assert hot != plain
    page.keyboard.press("h")
    page.locator("canvas.loupe[data-heat='0']").wait_for()
    assert canvas.evaluate(drawn) == plain
    page.keyboard.press("h")
    page.locator("canvas.loupe[data-heat='1']").wait_for()
    first = page.locator(".detail h2").inner_text()
    page.keyboard.press("j")
    page.locator(".detail h2", has_text="#2").wait_for()
    page.locator("canvas.loupe[data-heat='1']").wait_for()
    assert page.locator(".detail h2").inner_text() != first, "it stays on for the next part"
    bad = faulty(web)[0]
    with web.client(Role.QA, name="qin") as client:
        (heat,) = client.get(f"/review/heat/{bad.part_id}", timeout=60).json()
    assert max(heat["cells"]) > heat["threshold"] and heat["view"] == "side"


def test_a_part_without_such_a_step_offers_no_heat_map(web: Any, review: Any) -> None:
    assert review.get_by_role("button", name="Heat map").count() == 0
    with web.client(Role.OPERATOR, name="anna") as client:
        assert client.get(f"/review/heat/{faulty(web)[0].part_id}").status_code == 403


def test_it_speaks_chinese(web: Any, review: Any) -> None:
    review.context.add_cookies([{"name": "language", "value": "zh", "url": web.url}])
    review.goto(f"{web.url}desk/review?kind=near")
    review.locator("select[name=kind]").wait_for()
    assert "临界件" in review.locator("select[name=kind]").inner_text()


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"decision": "confirm", "outcome": "pass"}, 409),
        ({"decision": "override", "outcome": "pass"}, 409),
        ({"decision": "fly", "outcome": "pass"}, 422),
    ],
)
def test_what_contradicts_the_verdict_is_refused(
    web: Any, shift: None, body: dict[str, Any], status: int
) -> None:
    bad = faulty(web)[0]
    with web.client(Role.QA, name="qin") as client:
        answer = client.post(f"/review/part/{bad.part_id}", json=body)

    assert answer.status_code == status


def test_an_operator_reviews_nothing(web: Any, shift: None) -> None:
    """(I9)"""
    bad = faulty(web)[0]
    body = {"decision": "confirm", "outcome": "reject"}
    with web.client(Role.OPERATOR, name="anna") as client:
        assert client.post(f"/review/part/{bad.part_id}", json=body).status_code == 403


def test_what_no_part_has_had_yet_can_be_marked_by_the_names_of_the_recipes_models(
    tmp_path: Path,
) -> None:
    """On a new station nothing was found yet, and the first that a model missed had no name."""
    (tmp_path / "caps.yaml").write_text("tools: [{params: {model: caps/2}}]")
    for name, classes in {"caps/1": "old", "caps/2": "cap_missing", "spots/1": "spot"}.items():
        (folder := tmp_path / name).mkdir(parents=True)
        (folder / "card.json").write_text(f'{{"classes": ["{classes}"]}}')
    station: Any = SimpleNamespace(models=tmp_path, recipes=[tmp_path / "caps.yaml"])
    assert list(_taught(station)) == ["cap_missing"]
