"""Fields for a day speak the page's language, whatever the browser's is (S12)."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any

import pytest
from web.axe import violations

from inspector.identity import Role


def open_page(web: Any, browser: Any, path: str, language: str, **more: Any) -> Any:
    """A page in a language, in a browser whose own is German."""
    settings = {"locale": "de-DE", "viewport": {"width": 1280, "height": 800}} | more
    context = browser.new_context(**settings)
    context.set_default_timeout(20_000)
    token, _ = web.session(Role.QA, name="qin")
    context.add_cookies([
        {"name": "inspector", "value": token, "url": web.url},
        {"name": "language", "value": language, "url": web.url},
    ])  # fmt: skip
    page = context.new_page()
    page.goto(f"{web.url}desk/{path}")
    page.locator("input[data-day]").first.wait_for()
    return page


@pytest.mark.parametrize(
    ("language", "form", "month", "monday"),
    [("en", "yyyy-mm-dd", "February 2024", "Mon"), ("zh", "年-月-日", "2024年2月", "周一")],
)
def test_a_calendar_speaks_the_pages_language(
    web: Any, browser: Any, language: str, form: str, month: str, monday: str
) -> None:
    page = open_page(web, browser, "audit?since=2024-02-28", language)
    field = page.locator("input[name=since]")
    assert field.get_attribute("placeholder") == form

    field.click()

    calendar = page.locator(".calendar")
    assert calendar.locator("b").inner_text() == month
    assert calendar.locator("abbr").first.inner_text() == monday
    calendar.locator("button[data-ms]", has_text=re.compile("^29$")).last.click()
    assert field.input_value() == "2024-02-29", "a leap year"
    calendar.wait_for(state="hidden")
    page.locator(".search .main").click()
    page.wait_for_url("**since=2024-02-29**")
    page.context.close()


def test_a_calendar_goes_by_keys_and_into_other_months(web: Any, browser: Any) -> None:
    page = open_page(web, browser, "dashboards?period=from&since=2025-12-31", "en")
    field = page.locator("input[name=since]")
    field.focus()

    for key in ("ArrowDown", "ArrowRight", "ArrowDown", "Enter"):
        page.keyboard.press(key)
    assert field.input_value() == "2026-01-08"
    assert field.evaluate("node => node === document.activeElement")
    field.click()
    page.get_by_role("button", name="The month before").click()
    page.locator(".calendar b", has_text="December 2025").wait_for()
    page.keyboard.press("Escape")
    page.locator(".calendar").wait_for(state="hidden")
    assert field.input_value() == "2026-01-08", "closed without a choice"
    page.context.close()


@pytest.mark.parametrize("text", ["2026-02-30", "30.11.2026", "soon", "2026-1-1"])
def test_what_is_no_day_is_said_and_not_sent(web: Any, browser: Any, text: str) -> None:
    page = open_page(web, browser, "audit", "zh")
    field = page.locator("input[name=until]")

    field.fill(text)
    page.keyboard.press("Escape")
    page.locator(".search .main").click()

    assert "日期无效" in field.evaluate("node => node.validationMessage")
    assert page.url.endswith("/desk/audit")
    page.context.close()


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["dark", "light"])
def test_an_accessibility_check_finds_nothing(web: Any, browser: Any, scheme: str) -> None:
    page = open_page(web, browser, "audit", "en", bypass_csp=True, color_scheme=scheme)
    page.locator("input[name=since]").click()
    page.locator(".calendar button[data-ms]").first.wait_for()
    small = page.evaluate("""() => [...document.querySelectorAll(".calendar button")]
      .map((n) => n.getBoundingClientRect()).filter((b) => b.width < 64 || b.height < 64).length""")
    assert small == 0
    assert violations(page) == []
    page.context.close()


def test_times_are_the_stations_wherever_they_are_looked_at(web: Any, browser: Any) -> None:
    """Half of a page was by the station's clock, which the server writes, half by the browser's."""
    page = open_page(web, browser, "audit", "en", timezone_id="Pacific/Kiritimati")
    frame = 'import("/static/frame.js").then(({ day, moment }) => [moment(0), day(0)])'
    shown = page.evaluate(frame)
    page.context.close()

    began = datetime.fromtimestamp(0).astimezone()
    assert shown == [f"{began.day} {began:%b %Y, %H:%M:%S}", f"{began:%Y-%m-%d}"]
