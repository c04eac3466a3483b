"""The frame of every page: whoever may go everywhere sees every way at once. (S8)"""

from __future__ import annotations

from typing import Any

import pytest

from inspector.identity import Role

ALL = (Role.OPERATOR, Role.QA, Role.ENGINEER, Role.ADMIN)
ROWS = """() => [...document.querySelectorAll(".nav a")].map((a) => {
  const { bottom, height, width } = a.getBoundingClientRect();
  return { bottom, height, width, cut: a.scrollWidth > a.clientWidth + 1 };
})"""


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize(("width", "height"), [(1280, 800), (1920, 1080)])
@pytest.mark.parametrize("path", ["", "desk/audit"])
def test_every_page_stands_in_the_navigation_without_scrolling(
    web: Any, page: Any, path: str, width: int, height: int, language: str
) -> None:
    page.set_viewport_size({"width": width, "height": height})
    token, _ = web.session(*ALL, name="erik")
    page.context.add_cookies([
        {"name": "inspector", "value": token, "url": web.url},
        {"name": "language", "value": language, "url": web.url},
    ])  # fmt: skip
    page.goto(web.url + path)
    if not path:  # there the navigation is a sheet that the menu opens
        page.locator("[data-do=menu]").click()
    page.locator(".nav a").last.wait_for()

    rows = page.evaluate(ROWS)

    assert len(rows) >= 11
    assert all(row["bottom"] <= height for row in rows)
    assert all(row["height"] >= 64 and row["width"] >= 64 for row in rows), "for gloves"
    assert not any(row["cut"] for row in rows)


def test_a_desk_page_that_is_cut_off_says_so_in_its_language(web: Any) -> None:
    """NiceGUI's own words."""
    with web.client(Role.AUDITOR) as client:
        assert "Trying to reconnect" in client.get("/desk/audit").text
        client.cookies.set("language", "zh")
        said = client.get("/desk/audit").text
    assert "正在尝试重新连接" in said and "reconnect..." not in said
