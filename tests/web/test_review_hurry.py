"""Who reviews is faster than the station answers: an answer is of the part that it was asked of."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from web.shift_of_parts import forget_shift, write_late_reject, write_shift

from inspector.part import Outcome
from inspector.store import History
from inspector.store.reviews import Decision, Reviews


@pytest.fixture(scope="module")
def shift(web: Any) -> Iterator[None]:
    """The station of all tests has made parts for six hours; afterwards it never has."""
    write_shift(web.data, 300)
    yield
    forget_shift(web.data)


@pytest.fixture
def held(review: Any) -> list[Any]:
    """What a reviewer has said and the station has not heard yet; ``continue_()`` lets it go."""
    sent: list[Any] = []
    review.route(
        "**/review/part/*",
        lambda route: sent.append(route) if route.request.method == "POST" else route.continue_(),
    )
    return sent


def bad(web: Any) -> list[Any]:
    with History(web.data) as history:
        return [p.verdict for p in history.last(10, faulty=True)]


def on_screen(page: Any, verdict: Any) -> None:
    page.locator(".detail h2", has_text=f"#{verdict.sequence} ").wait_for()


def let_go(page: Any, held: list[Any]) -> None:
    with page.expect_response(lambda answer: answer.request.method == "POST"):
        held.pop(0).continue_()
    page.wait_for_function("() => new Promise((done) => setTimeout(() => done(true), 100))")


def test_a_page_that_opens_asks_once_for_what_it_shows(review: Any) -> None:
    """It asked again, and who had confirmed its first part by then stood where he was."""
    asked: list[str] = []
    review.on("request", lambda request: asked.append(request.url))
    review.reload()
    review.locator(".detail h2", has_text="#").wait_for()
    review.wait_for_timeout(100)

    assert len([url for url in asked if "/review/part" in url]) == 2, "its parts, and the first one"


def test_an_answer_that_comes_late_is_not_put_down_to_the_next_part(
    web: Any, review: Any, held: list[Any]
) -> None:
    first, second, *_ = bad(web)
    review.keyboard.press("Space")
    review.keyboard.press("j")
    on_screen(review, second)
    review.locator(".says input[type=text]").fill("a drop")
    let_go(review, held)

    review.locator(".cell[data-said=confirm]", has_text=f"#{first.sequence}").wait_for()
    assert review.locator(".cell[data-said=confirm]").count() == 1
    assert review.locator(".detail h2").inner_text().startswith(f"#{second.sequence} ")
    assert review.locator(".said li").count() == 0, "nobody has said a word of it"
    assert review.locator(".says input[type=text]").input_value() == "a drop"


def test_a_key_pressed_twice_confirms_one_part_and_passes_none_over(
    web: Any, review: Any, held: list[Any]
) -> None:
    _, second, third, *_ = bad(web)
    review.keyboard.press("j")
    on_screen(review, second)
    review.keyboard.press("Space")
    review.keyboard.press("Space")
    let_go(review, held)
    on_screen(review, third)

    assert held == [], "it was sent once"
    with Reviews(web.data) as reviews:
        assert len(reviews.find(part=second.part_id)) == 1


def test_neither_a_held_key_nor_a_double_click_confirms_a_part_that_nobody_has_seen(
    web: Any, review: Any
) -> None:
    _, second, third, *_ = bad(web)
    said: list[str] = []
    review.on("request", lambda asked: asked.method == "POST" and said.append(asked.url))
    for _ in range(2):
        review.keyboard.down("Space")
        on_screen(review, second)
    review.keyboard.up("Space")
    review.get_by_role("button", name="Confirm").hover()
    for count in (1, 2):
        review.mouse.down(click_count=count)
        review.mouse.up(click_count=count)
        on_screen(review, third)
    review.wait_for_timeout(50)

    assert len([url for url in said if "/review/part/" in url]) == 2


def test_nothing_is_said_of_a_part_while_another_one_is_chosen(web: Any, review: Any) -> None:
    """The part that was chosen has not come yet; the one before is still on the screen."""
    first, second, *_ = bad(web)
    waiting: list[Any] = []
    said: list[str] = []
    review.on("request", lambda asked: said.append(asked.url) if asked.method == "POST" else None)
    review.route(f"**/review/part/{second.part_id}", lambda route: waiting.append(route))
    review.keyboard.press("j")
    review.locator(".cell[aria-pressed=true]", has_text=f"#{second.sequence}").wait_for()
    review.keyboard.press("Space")
    waiting.pop().continue_()
    on_screen(review, second)

    assert not [url for url in said if str(first.part_id) in url]


@pytest.fixture
def unjudged(web: Any, shift: None) -> Iterator[Any]:
    """A part that the line could not judge; afterwards there was none."""
    yield write_late_reject(web.data, 301, outcome=Outcome.ERROR)
    write_shift(web.data, 300)


def test_of_a_part_that_could_not_be_judged_it_is_said_what_it_is(
    web: Any, unjudged: Any, review: Any
) -> None:
    """There is nothing to confirm, and an override alone would not say which way."""
    review.select_option("select[name=kind]", "error")
    on_screen(review, unjudged)
    review.locator(".says input[type=text]").fill("seen by hand")
    assert review.get_by_role("button", name="It is good").is_visible()
    with review.expect_request(
        lambda asked: asked.method == "POST" and "/part/" in asked.url
    ) as it:
        review.get_by_role("button", name="It is bad").click()
    it.value.response()
    with Reviews(web.data) as reviews:
        (said,) = reviews.find(part=unjudged.part_id)
    assert (said.opinion.decision, said.opinion.outcome) == (Decision.OVERRIDE, "reject")


def test_a_button_that_was_reached_by_keys_is_pressed_by_space(web: Any, review: Any) -> None:
    """Space on "Override" confirmed the part; after a pointer it still does."""
    first, second, *_ = bad(web)
    override = review.get_by_role("button", name="Override")
    override.click()
    review.keyboard.type("a drop")
    while not override.evaluate("node => node === document.activeElement"):
        review.keyboard.press("Tab")
    with review.expect_response(lambda answer: "/part/" in answer.url and answer.request.post_data):
        review.keyboard.press("Space")
    with Reviews(web.data) as reviews:
        assert reviews.find(part=first.part_id, limit=1)[0].opinion.decision == "override"

    review.get_by_role("button", name="Overlay").click()
    review.keyboard.press("Space")
    on_screen(review, second)
