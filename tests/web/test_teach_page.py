"""An engineer teaches a tool from the last good parts, in a real browser. (S8, I7, I9)"""

from __future__ import annotations

import json
import shutil
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from kept_parts import keep_parts
from surfaces import surface
from teach.test_teach_parts import anywhere
from web.shift_of_parts import forget_shift
from web.test_recipes_page import drag

from inspector.identity import Role
from inspector.part import Batch
from inspector.recipe import load
from inspector.store import History
from inspector.store.recipes import draft_path
from inspector.tools.golden import keep_golden

SLOW_MS = 60_000
"""Teaching takes seconds on a machine of its own; here six people's tests run beside it."""
RECIPE = """\
# Brushed plates.
name: plate
revision: 3
views: [side]
tools:
  - name: bright
    kind: blob
    params:
      threshold: {tone: bright, method: fixed, level: 250}
      area: [40, 100000]      # a scratch
"""
FOLLOWED = """\
name: plate
views: [side]
tools:
  - name: place
    kind: align
    params: {golden: %s, part: [12, 10, 100, 74]}
"""
PARTS = 14


@pytest.fixture(scope="module")
def plates(web: Any) -> Iterator[Path]:
    """The station of all tests has made good plates; afterwards it never has."""
    recipe: Path = web.data.parent / "bottle.yaml"
    recipe.write_text(RECIPE)
    pictures = [np.dstack([surface(n, (128, 96))] * 3) for n in range(PARTS)]
    keep_parts(web.data, load(recipe), pictures, Batch("P1", "Plate 12", "plate"))
    yield recipe
    recipe.unlink()
    shutil.rmtree(recipe.parent / "anomaly", ignore_errors=True)
    forget_shift(web.data)
    for name in ("drafts", "teaching"):
        shutil.rmtree(web.data / name, ignore_errors=True)


def sign_in(web: Any, page: Any, language: str = "en") -> Any:
    token, _ = web.session(Role.ENGINEER, name="erik")
    page.context.add_cookies([
        {"name": "inspector", "value": token, "url": web.url},
        {"name": "language", "value": language, "url": web.url},
    ])  # fmt: skip
    page.set_default_timeout(SLOW_MS)
    page.goto(f"{web.url}desk/teach")
    page.locator(".teach canvas[data-shown^='/picture/']").wait_for()
    return page


@pytest.mark.slow
def test_a_tool_is_taught_from_the_last_good_parts_and_saved_as_a_draft(
    web: Any, page: Any, plates: Path
) -> None:
    sign_in(web, page)
    drag(page, (16, 8), (112, 88), (128, 96))
    page.get_by_label("Area x1").wait_for()
    drawn = [int(page.get_by_label(f"Area {side}").input_value()) for side in ("x1", "y2")]
    assert abs(drawn[0] - 16) <= 1 and abs(drawn[1] - 88) <= 1
    page.locator("input[name=last]").fill("12")
    page.locator("select[name=product]").select_option("Plate 12")

    page.locator(".bar").get_by_role("button", name="Teach").click()
    page.locator(".teach .progress progress").wait_for()
    page.locator(".teach .outcome h2", has_text="Taught from 12 good parts").wait_for()
    assert plates.read_text() == RECIPE and not draft_path(web.data, "plate").exists()

    facts = page.locator(".outcome .facts").inner_text()
    assert "of 12" in facts and "%" in facts and "AUROC" in facts
    assert page.locator(".histogram rect.good").count() >= 1
    assert page.locator(".histogram rect.made").count() >= 1
    assert page.locator(".held figure").count() == 12
    heat = page.locator(".held img.heat")
    heat.first.scroll_into_view_if_needed()
    page.wait_for_function("document.querySelector('.held img.heat').naturalWidth > 0")
    page.get_by_role("button", name="Heat maps").click()
    assert heat.count() == 0

    page.locator(".held").get_by_role("button", name="Leave out").first.click()
    again = page.get_by_role("button", name="Teach again without 1")
    asked: list[Any] = []
    page.expected_errors = ("Failed to load resource",)
    page.route("**/teach/plate", lambda route: (asked.append(route), route.abort()))
    again.evaluate("node => { node.click(); node.click(); }")  # a glove touches twice
    page.locator(".teach .note.bad:not(:empty)").wait_for()
    assert len(asked) == 1
    page.unroute("**/teach/plate")
    page.locator("input[name=tool]").fill("brushed")
    page.get_by_role("button", name="Save as draft").click()

    page.locator(".revisions .draft").wait_for()
    draft = draft_path(web.data, "plate").read_text()
    assert "revision: 4" in draft and "name: brushed\n    kind: anomaly" in draft
    assert "area: [40, 100000]      # a scratch" in draft, "the other tool stays as it was written"
    assert plates.read_text() == RECIPE, "quality approves it first"
    page.locator(".tools button[aria-pressed=true]", has_text="brushed").wait_for()
    with History(web.data) as history:
        taught = [r for r in history.desk("recipe", 20) if r.body.get("taught")]
        begun = history.desk("teach", 20)
    assert (taught[0].principal, taught[0].body["good"]) == ("erik", 12)
    assert begun[0].principal == "erik" and begun[0].body["roi"][0] == drawn[0]


@pytest.mark.slow
def test_what_cannot_be_taught_is_told_in_the_commands_own_words(
    web: Any, page: Any, plates: Path
) -> None:
    shutil.rmtree(web.data / "teaching", ignore_errors=True)
    draft_path(web.data, "plate").unlink(missing_ok=True)
    sign_in(web, page)
    drag(page, (2, 2), (9, 9), (128, 96))

    page.locator(".bar").get_by_role("button", name="Teach").click()

    page.locator(".note.bad", has_text="too small to have a surface").wait_for()


def test_the_page_speaks_chinese(web: Any, page: Any, plates: Path) -> None:
    page = sign_in(web, page, "zh")

    assert page.get_by_role("button", name="开始示教").is_enabled()
    assert "示教内容" in page.locator(".numbers").inner_text()


def test_nobody_else_teaches(web: Any, plates: Path) -> None:
    client = web.client(Role.QA, Role.OPERATOR, name="qin")
    wish = {"view": "side", "last": 12}

    assert client.get("/desk/teach").status_code == 403
    assert client.get("/teach/plate").status_code == 403
    assert client.post("/teach/plate", json=wish).status_code == 403
    client.close()


def test_what_was_never_taught_is_not_saved(web: Any, plates: Path) -> None:
    shutil.rmtree(web.data / "teaching", ignore_errors=True)
    client = web.client(Role.ENGINEER, name="erik")

    nothing = client.post("/teach/plate/draft", json={"tool": "brushed"})
    unknown = client.post("/teach/other", json={"view": "side", "last": 12})
    few = client.post("/teach/plate", json={"view": "side", "last": 3})

    assert (nothing.status_code, unknown.status_code, few.status_code) == (409, 409, 422)
    assert client.get("/teach/plate/picture/0.png").status_code == 404
    client.close()


def test_only_what_was_looked_at_is_kept(web: Any, plates: Path) -> None:
    """Another page had taught it anew, and its bank was kept under this one's heat maps."""
    folder = web.data / "teaching" / "plate"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "asked.json").write_text("{}")
    (folder / "result.json").write_text(json.dumps({"bank": "b" * 64}))
    with web.client(Role.ENGINEER, name="erik") as client:
        answer = client.post("/teach/plate/draft", json={"tool": "brushed", "bank": "a" * 64})
    shutil.rmtree(folder)
    assert (answer.status_code, "taught anew" in answer.json()["error"]) == (409, True)


@pytest.mark.slow
def test_of_two_wishes_at_once_one_is_taught(web: Any, plates: Path) -> None:
    """The second emptied the folder of the first, which was being taught already."""
    many = 6
    at_once = threading.Barrier(many)
    with History(web.data) as history:
        before = sum(r.body["action"] == "begin" for r in history.desk("teach", 100))

    def begin(number: int) -> int:
        with web.client(Role.ENGINEER, name=f"erik-{number}") as client:
            at_once.wait()
            return int(client.post("/teach/plate", json={"view": "side"}).status_code)

    with ThreadPoolExecutor(many) as people:
        answers = sorted(people.map(begin, range(many)))
    with web.client(Role.ENGINEER, name="erik") as client:
        client.post("/teach/plate/stop")

    assert answers == [200, *[409] * (many - 1)]
    with History(web.data) as history:
        begun = [r for r in history.desk("teach", 100) if r.body["action"] == "begin"]
    assert len(begun) == before + 1


@pytest.fixture
def scattered(web: Any, plates: Path) -> Iterator[Path]:
    """Afterwards the plates lie still again: these parts lie elsewhere each time, and the recipe
    has a tool that finds them."""
    before = plates.read_text()
    digest = keep_golden(anywhere(0), plates.parent)
    plates.write_text(FOLLOWED % digest)
    for name in ("drafts", "teaching"):
        shutil.rmtree(web.data / name, ignore_errors=True)
    forget_shift(web.data)
    parts = [anywhere(n) for n in range(10)]
    keep_parts(web.data, load(plates), parts, Batch("P2", "Plate 12", "plate"))
    yield plates
    plates.write_text(before)
    shutil.rmtree(plates.parent / "golden")


def test_the_picture_of_a_tool_that_may_be_followed_is_shown(web: Any, scattered: Path) -> None:
    client = web.client(Role.ENGINEER, name="erik")
    (leader,) = client.get("/teach/plate").json()["leaders"]

    picture = client.get(leader["golden"])

    assert (leader["name"], leader["view"]) == ("place", "side")
    assert picture.status_code == 200 and picture.content[:4] == b"\x89PNG"
    assert client.get("/teach/plate/golden/other.png").status_code == 404
    client.close()


@pytest.mark.slow
def test_a_taught_tool_follows_parts_that_lie_anyhow(web: Any, page: Any, scattered: Path) -> None:
    sign_in(web, page)
    page.locator("select[name=follow]").select_option("place")
    page.locator("canvas[data-shown='/teach/plate/golden/place.png']").wait_for()
    drag(page, (44, 30), (92, 66), (168, 128))
    page.locator("input[name=last]").fill("8")
    page.locator(".bar").get_by_role("button", name="Teach").click()
    page.locator(".teach .outcome h2", has_text="Taught from 8 good parts").wait_for()

    page.locator("input[name=tool]").fill("brushed")
    page.get_by_role("button", name="Save as draft").click()

    page.locator(".revisions .draft").wait_for()
    draft = draft_path(web.data, "plate").read_text()
    assert "name: brushed\n    kind: anomaly\n    follow: place\n" in draft
    page.locator(".numbers", has_text="place").wait_for()


@pytest.mark.slow
def test_a_network_is_trained_too_and_can_be_given_up(web: Any, page: Any, scattered: Path) -> None:
    pytest.importorskip("torch", reason="NO TORCH: training at the station is not tested")
    sign_in(web, page)
    page.locator("input[name=last]").fill("8")
    page.locator("input[name=thorough]").check()
    page.locator(".bar").get_by_role("button", name="Teach").click()

    page.locator(".teach .progress", has_text="Training on self-made defects").wait_for()
    page.get_by_role("button", name="Stop").click()

    page.locator(".teach .progress").wait_for(state="hidden")
    assert page.locator(".note.bad").inner_text() == ""
    folder = str(web.data / "teaching" / ".networks")
    end = time.monotonic() + 30
    while any(
        folder in " ".join(p.info["cmdline"] or ()) for p in psutil.process_iter(["cmdline"])
    ):
        assert time.monotonic() < end, "the training goes on"
        time.sleep(0.1)
    with History(web.data) as history:
        deeds = [r.body["action"] for r in history.desk("teach", 2)]
    assert deeds == ["stop", "begin"]
