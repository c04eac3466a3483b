"""Batches and their history in a browser: by whatever name they go, and for as long as a screen
shows them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from web.shift_of_parts import forget_shift, write_shift

from inspector.identity import Role


@pytest.fixture
def shown(web: Any, page: Any) -> Iterator[Any]:
    """The browser of somebody who may see; afterwards no batch was ever made."""
    token, _ = web.session(Role.OPERATOR, name="anna")
    page.context.add_cookies([{"name": "inspector", "value": token, "url": web.url}])
    yield page
    forget_shift(web.data)


@pytest.mark.parametrize("id", ["L24/17", "a%2Fb #1?", "批次 7/8", "../login"])
def test_a_batch_is_opened_by_whatever_name_it_has(web: Any, shown: Any, id: str) -> None:
    write_shift(web.data, 90, batch=id)
    shown.goto(f"{web.url}batches")
    shown.locator(".lots a").first.click()

    shown.locator(".sums").wait_for()
    assert shown.locator("h1").inner_text() == id
    assert shown.locator(".sums .figure", has_text="Parts").locator("dd").inner_text() == "90"
    shown.locator(".lot a.button").click()
    shown.locator(".lot-head b", has_text=id).wait_for()
