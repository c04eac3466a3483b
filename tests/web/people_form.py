"""The form in which an administrator makes people."""

from __future__ import annotations

from typing import Any


def fill(page: Any, user: str, pin: str, role: str) -> None:
    """Write somebody into the form; nothing is sent yet."""
    fields = page.locator(".people-block .search")
    fields.locator("input").nth(0).fill(user)
    fields.locator("input").nth(1).fill(pin)
    fields.locator(".q-select").click()
    page.locator(".q-menu .q-item").filter(has_text=role).click()
    page.keyboard.press("Escape")
