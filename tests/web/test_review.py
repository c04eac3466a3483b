"""The review page in a browser: gallery, keyboard, boxes, overrides on record. (S10, S21, I9)"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest
from web.shift_of_parts import forget_shift, write_shift

from inspector.identity import Role
from inspector.store import History
from inspector.store.reviews import Decision, Reviews


@pytest.fixture(scope="module")
def shift(web: Any) -> Iterator[None]:
    """The station of all tests has made parts for six hours; afterwards it never has."""
    write_shift(web.data, 1500)
    yield
    forget_shift(web.data)


@pytest.fixture
def review(web: Any, page: Any, shift: None) -> Any:
    token, _ = web.session(Role.QA, name="qin")
    page.context.add_cookies([{"name": "inspector", "value": token, "url": web.url}])
    page.goto(f"{web.url}desk/review")
    page.locator(".cell[aria-pressed=true]").wait_for()
    page.locator(".detail h2", has_text="#").wait_for()
    return page


def newest(web: Any, part: str) -> Any:
    with Reviews(web.data) as reviews:
        found = [r for r in reviews.find(limit=50) if str(r.opinion.part) == part]
    return found[0] if found else None


def faulty(web: Any) -> list[Any]:
    with History(web.data) as history:
        return [p.verdict for p in history.last(300, faulty=True)]


def until(condition: Any) -> Any:
    end = time.monotonic() + 15
    while not (value := condition()):
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.05)
    return value


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


def test_a_second_opinion_is_another_persons(web: Any, review: Any) -> None:
    review.get_by_role("button", name="Ask for a second opinion").click()
    review.get_by_text("Recorded").wait_for()
    review.select_option("select[name=kind]", "second")
    review.get_by_text("Nothing to review here").wait_for()
    token, _ = web.session(Role.QA, name="quentin")
    review.context.add_cookies([{"name": "inspector", "value": token, "url": web.url}])
    review.goto(f"{web.url}desk/review?kind=second")
    review.locator(".cell").first.wait_for()


def test_only_what_is_seen_is_in_the_page(review: Any) -> None:
    gallery = review.locator(".gallery")
    assert review.locator(".cell").count() < 80
    gallery.evaluate("node => { node.scrollTop = node.scrollHeight; }")
    until(lambda: review.locator(".cell").count() > 0)
    assert review.locator(".cell").count() < 80


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
