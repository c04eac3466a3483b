"""What an operator sees while a demo station runs, in a real browser: one steady verdict, the last
rejects, figures, both languages, at both sizes of touchscreen. (S1, S8)

What an operator does there: ``test_operator.py``.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from web.demo_station import Station, coded_parts, demo, press, screen
from web.test_live_page import NOTE_VERDICTS, wait

__all__ = ["coded_parts", "screen"]
pytestmark = pytest.mark.slow
"""A whole station starts, and each flow waits for its parts."""


@pytest.fixture(scope="module")
def station(
    coded_parts: Callable[[str], Any], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Station]:
    """Four parts a second, of which one in twelve is bad; nothing has to be signed first."""
    with demo(coded_parts, tmp_path_factory.mktemp("screen")) as made:
        yield made


def test_a_verdict_is_steady_a_reject_is_held_and_touched_it_is_enlarged(
    station: Station, screen: Callable[..., Any]
) -> None:
    """By word, shape and colour; never more than three changes a second (WCAG 2.3.1)."""
    page = screen("anna")
    page.wait_for_selector("#verdict[data-outcome=running]")
    assert page.locator("#word").inner_text() == "GOOD"
    shape, colour = page.locator("#sign").get_attribute("href"), ground(page)
    page.evaluate(NOTE_VERDICTS)
    page.wait_for_selector("#verdict[data-outcome=reject]")
    assert page.locator("#word").inner_text() == "REJECT"
    assert page.locator("#sign").get_attribute("href") != shape and ground(page) != colour
    wait(page, "window.changes.length >= 4", 60)
    changes = page.evaluate("window.changes")
    for (began, outcome), (ended, _) in itertools.pairwise(changes):
        assert outcome != "reject" or ended - began >= 1990, changes
    for (one, _), (fourth, _) in zip(changes, changes[3:], strict=False):
        assert fourth - one > 1000, changes

    press(page, "#rejects li[data-outcome=reject] button")
    assert page.locator("dialog h2").inner_text().endswith("REJECT")
    assert page.locator("dialog .findings li[data-ok=false]").count() >= 1
    wait(page, "document.querySelector('.whole').width > 400")
    assert page.locator("dialog .danger").is_disabled(), "it is rejected already"


def ground(page: Any) -> str:
    return str(
        page.evaluate("getComputedStyle(document.getElementById('verdict')).backgroundColor")
    )


def test_figures_follow_the_line_and_a_field_without_parts_says_that_it_waits(
    station: Station, screen: Callable[..., Any]
) -> None:
    page = screen("anna")
    page.wait_for_selector("#verdict[data-outcome=running]")
    made, rejected = count(page, "parts"), count(page, "rejected")
    wait(page, f"Number(document.getElementById('n-parts').textContent) > {made + 12}", 60)
    wait(page, f"Number(document.getElementById('n-rejected').textContent) > {rejected}", 60)
    assert 50 < float(page.locator("#n-yield").inner_text()) < 100
    assert count(page, "rate") > 0 and count(page, "takt") > 0 and count(page, "progress") > 0
    station.trial.act("feed", count=0)
    page.wait_for_selector("#verdict[data-outcome=waiting]", timeout=60_000)
    assert page.locator("#word").inner_text() == "WAITING"
    assert page.locator("#why").inner_text() == "Waiting for part"
    station.trial.act("feed", count=10_000_000)
    page.wait_for_selector("#verdict[data-outcome=running]", timeout=60_000)


def count(page: Any, name: str) -> int:
    return int(page.locator(f"#n-{name}").inner_text().replace(",", ""))


def test_the_language_is_switched_on_the_page_while_the_line_runs(
    station: Station, screen: Callable[..., Any]
) -> None:
    page = screen("anna")
    page.wait_for_selector("#verdict[data-outcome=running]")
    page.locator("#language").click()
    assert page.locator("html").get_attribute("lang") == "zh-Hans"
    page.wait_for_selector("#verdict[data-outcome=running] #word:text-is('良好')")
    page.wait_for_selector("#rejects li[data-outcome=reject] span:has-text('码内容为')")
    press(page, "#do-mode")
    page.wait_for_selector("dialog .choices:has-text('清洁')")
    page.keyboard.press("Escape")
    page.reload()
    page.wait_for_selector("#verdict[data-outcome=running] #word:text-is('良好')")
    page.locator("#language").click()
    page.wait_for_selector("#verdict[data-outcome=running] #word:text-is('GOOD')")


@pytest.mark.parametrize(("width", "height"), [(1280, 800), (1920, 1080)])
def test_all_of_it_fits_the_screen_and_a_glove(
    station: Station, screen: Callable[..., Any], width: int, height: int
) -> None:
    page = screen("anna", viewport={"width": width, "height": height})
    page.wait_for_selector("#verdict[data-outcome=running]")
    found = page.evaluate("""() => ({
      wide: document.scrollingElement.scrollWidth, tall: document.scrollingElement.scrollHeight,
      small: [...document.querySelectorAll("button, a")].filter((n) => n.checkVisibility())
        .map((n) => [n.textContent.trim(), n.getBoundingClientRect()])
        .filter(([, box]) => box.width < 64 || box.height < 64).map(([text]) => text),
      cut: [...document.querySelectorAll("dd, dt, #word, .actions .button span")]
        .filter((n) => n.scrollWidth > n.clientWidth + 1).map((n) => n.textContent),
    })""")
    assert found == {"wide": width, "tall": height, "small": [], "cut": []}
