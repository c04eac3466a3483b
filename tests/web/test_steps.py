"""Checks in guided steps, as a page asks for them while the line awaits nothing. (S8)"""

from __future__ import annotations

from typing import Any

import pytest

from inspector.identity import Role

SIGNED = {"signature": {"user": "anna", "secret": "2580", "by": "pin"}}
STEPS = {"clearance": SIGNED | {"checked": [0, 1, 2, 3]}, "article": SIGNED, "challenge": {}}


@pytest.mark.parametrize("step", STEPS)
def test_what_is_not_awaited_is_refused_in_words(web: Any, step: str) -> None:
    with web.client(Role.OPERATOR, name="anna") as client:
        answer = client.post(f"/steps/{step}", json=STEPS[step])

    assert (answer.status_code, answer.json()["code"]) == (409, "refused")


@pytest.mark.parametrize("step", ["clearance", "article"])
def test_a_pin_signs_at_the_touchscreen_only(web: Any, step: str) -> None:
    with web.client(Role.OPERATOR, name="anna") as client:
        by_proxy = {"x-forwarded-for": "10.0.0.7"}
        answer = client.post(f"/steps/{step}", json=STEPS[step], headers=by_proxy)

    assert (answer.status_code, answer.json()["code"]) == (401, "wrong_secret")
