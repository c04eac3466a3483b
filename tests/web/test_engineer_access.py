"""Whoever sees or moves little can do an engineer's whole job: axe-core finds nothing to say.

Each page is looked at in both themes and languages with what it shows while somebody works: a tool
that is being added, a result of teaching, a log that warns.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from kept_parts import keep_parts
from surfaces import surface
from web.axe import violations
from web.shift_of_parts import forget_shift
from web.test_system_page import says

from inspector import logs
from inspector.identity import Role
from inspector.part import Batch
from inspector.recipe import load
from inspector.store import DeskLedger

pytestmark = pytest.mark.slow
"""Six pages, each twice, with a command or two behind it."""

SLOW_MS = 60_000
RECIPE = """\
name: plate
views: [side]
tools:
  - name: bright
    kind: blob
    params: {threshold: {tone: bright, method: fixed, level: 250}, area: [40, 100000]}
"""
WRONG = {"wanted": 0.01, "seen": 1, "of": 12, "value": 0.08, "interval95": [0.01, 0.35]}
SELFMADE = {"auroc": 0.97, "found": 50, "of": 60}
REPORT = {"good": 12, "false_reject": WRONG, "selfmade": SELFMADE}


@pytest.fixture(scope="module")
def worked(web: Any) -> Iterator[None]:
    """A station at which an engineer has work under way; afterwards it never had."""
    recipe: Path = web.data.parent / "bottle.yaml"
    recipe.write_text(RECIPE)
    pictures = [np.dstack([surface(n, (128, 96))] * 3) for n in range(12)]
    keep_parts(web.data, load(recipe), pictures, Batch("P1", "Plate 12", "plate"))
    taught = web.data / "teaching" / "plate"
    taught.mkdir(parents=True)
    parts = [
        {"id": f"{n:032x}", "number": n, "batch": "P1", "utc_ns": 1, "score": 0.55 - n / 40}
        for n in range(12)
    ]
    result = {"bank": "0" * 64, "view": "side", "roi": [8, 8, 88, 56], "report": REPORT,
              "parts": parts, "shown": 2, "selfmade": [0.4, 0.7, 0.9]}  # fmt: skip
    (taught / "result.json").write_text(json.dumps(result))
    asked = {"view": "side", "last": 12, "roi": None, "product": "", "false_reject": 0.01}
    (taught / "asked.json").write_text(json.dumps(asked))
    for number in range(2):
        cv2.imwrite(str(taught / f"{number}.jpg"), pictures[number])
        cv2.imwrite(str(taught / f"{number}.png"), np.zeros((96, 128, 4), np.uint8))
    says(web, "line", "warning", "frames are late", camera="side")
    says(web, "line", "critical", "broke", exception="Traceback\n  ZeroDivisionError")
    with DeskLedger.open(web.data) as desk:
        desk.add("shadow", {"sequence": 7, "outcome": "pass", "shadow_outcome": "reject",
                            "release": "plate/2", "shadow_reasons": ["a scratch"], "images": []},
                 "releases")  # fmt: skip
    yield
    recipe.unlink()
    shutil.rmtree(logs.folder(web.run))
    forget_shift(web.data)
    for name in ("drafts", "teaching"):
        shutil.rmtree(web.data / name, ignore_errors=True)


def add_a_tool(page: Any) -> None:
    page.locator(".recipes canvas[data-shown^='/picture/']").wait_for()
    page.locator(".side > .button").click()
    page.locator("select[name=kind]").wait_for()


PAGES: dict[str, Callable[[Any], None]] = {
    "recipes": add_a_tool,
    "cameras": lambda page: page.locator(".features table").wait_for(),
    "models": lambda page: page.locator(".otherwise figure").first.wait_for(),
    "gate": lambda page: page.locator("main.desk .card").first.wait_for(),
    "system": lambda page: page.locator(".log tr[data-level=critical]").wait_for(),
    "teach": lambda page: page.locator(".held figure").first.wait_for(),
}


ENGLISH = """() => [...document.querySelectorAll("[data-word], .nav span, h1, h2, h3, legend,"
  + " .field > span, button span, th, dt, label")]
  .filter((n) => n.checkVisibility() && /[A-Za-z]{4,}/.test(n.textContent)
    && !/[\\u4e00-\\u9fff]/.test(n.textContent)
    && !/^(English|erik|roles)$|[A-Z]\\d|plate|bright|area \\d|threshold|level|side|AUROC/
      .test(n.textContent.trim()))
  .map((n) => n.dataset.word ?? n.textContent)"""
"""What is said in English on a page: the names that people and files gave are theirs."""


@pytest.fixture
def erik(web: Any, browser: Any, worked: None, line: Callable[..., Any]) -> Iterator[Any]:
    """Opens a page of the engineer's before a running line, as somebody sees it."""
    line("--rate", "2")
    contexts = []

    def opened(name: str, **settings: Any) -> Any:
        context = browser.new_context(bypass_csp=True, **settings)
        contexts.append(context)
        context.set_default_timeout(SLOW_MS)
        token, _ = web.session(Role.ENGINEER, Role.ADMIN, name="erik")
        context.add_cookies([{"name": "inspector", "value": token, "url": web.url}])
        page = context.new_page()
        page.goto(f"{web.url}desk/{name}")
        PAGES[name](page)
        return page

    yield opened
    for context in contexts:
        context.close()


@pytest.mark.parametrize(("locale", "scheme"), [("en-GB", "dark"), ("zh-CN", "light")])
@pytest.mark.parametrize("name", PAGES)
def test_nobody_is_kept_from_a_page_by_its_look_or_its_language(
    erik: Callable[..., Any], name: str, locale: str, scheme: str
) -> None:
    page = erik(name, locale=locale, color_scheme=scheme)
    if locale == "zh-CN":
        assert page.evaluate(ENGLISH) == []
    assert violations(page) == []
