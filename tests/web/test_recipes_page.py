"""The recipe editor in a real browser, over tiles that a line has judged and kept. (I7, I9)"""

from __future__ import annotations

import re
import shutil
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from spotted_parts import RECIPE, write_tiles
from web.conftest import ADMIN
from web.shift_of_parts import forget_shift

from inspector.identity import Role
from inspector.store import History
from inspector.store.recipes import draft_path, revisions
from inspector.web.access import Refused
from inspector.web.recipes import Trying
from inspector.web.sessions import How

SLOW_MS = 60_000
"""A command starts anew for each thing that needs the tools."""


@pytest.fixture(scope="module")
def tiles(web: Any) -> Iterator[Path]:
    """The station of all tests has made 24 tiles; afterwards it never has."""
    recipe: Path = web.data.parent / "bottle.yaml"
    recipe.write_text(RECIPE)
    write_tiles(web.data, recipe)
    yield recipe
    recipe.unlink()
    forget_shift(web.data)
    for name in ("drafts", "recipes"):
        shutil.rmtree(web.data / name, ignore_errors=True)


@pytest.fixture
def recipe(web: Any, tiles: Path) -> Path:
    """As it was before anybody changed it."""
    tiles.write_text(RECIPE)
    draft_path(web.data, "tile").unlink(missing_ok=True)
    shutil.rmtree(web.data / "recipes", ignore_errors=True)
    return tiles


def sign_in(web: Any, page: Any, role: Role, name: str, language: str = "en") -> Any:
    token, _ = web.session(role, name=name)
    page.context.add_cookies([
        {"name": "inspector", "value": token, "url": web.url},
        {"name": "language", "value": language, "url": web.url},
    ])  # fmt: skip
    page.set_default_timeout(SLOW_MS)
    page.goto(f"{web.url}desk/recipes")
    page.locator(".recipes canvas[data-shown^='/picture/']").wait_for()
    return page


@pytest.mark.slow
def test_a_limit_is_tuned_on_the_newest_parts_saved_and_signed(
    web: Any, page: Any, recipe: Path
) -> None:
    sign_in(web, page, Role.ENGINEER, "erik")
    page.locator(".numbers input[name='area 0']").fill("700")

    page.locator(".outcome[data-running=false]").wait_for()
    flips = page.locator(".flip")
    assert flips.count() >= 3
    assert page.locator(".flip[data-now=pass]").count() == flips.count()
    assert page.locator(".outcome tbody tr").first.inner_text().split()[-1].startswith("+")
    flips.first.click()
    assert recipe.read_text() == RECIPE, "nothing is saved before somebody saves it"

    page.get_by_role("button", name="Save as draft").click()
    page.locator(".revisions .draft").wait_for()
    assert recipe.read_text() == RECIPE, "a draft is not in service"
    draft = draft_path(web.data, "tile").read_text()
    assert "revision: 2" in draft
    assert "area: [700, 100000]        # square pixels, measured on forty tiles" in draft
    assert page.locator(".diff .minus").count() == 2
    assert page.get_by_role("button", name="Approve").count() == 0, "who writes does not approve"

    sign_in(web, page, Role.QA, "qin")
    assert page.locator(".numbers input[name='area 0']").is_disabled()
    page.get_by_role("button", name="Approve").click()
    page.locator(".sign input").nth(1).fill("3690")
    page.locator(".sign .main").click()
    page.get_by_text("in service", exact=False).first.wait_for()
    assert recipe.read_text() == draft
    assert sorted(one.who for one in revisions(web.data, "tile")) == ["", "qin"]

    sign_in(web, page, Role.ENGINEER, "erik")
    page.get_by_role("button", name="Take as draft").click()
    page.locator(".revisions .draft").wait_for()
    assert draft_path(web.data, "tile").read_text() == RECIPE, "roll-back is the older text"


@pytest.mark.slow
def test_what_the_recipe_leaves_unsaid_is_tuned_as_well(web: Any, page: Any, recipe: Path) -> None:
    sign_in(web, page, Role.ENGINEER, "erik")
    page.get_by_role("button", name="More settings").click()
    roundest = page.locator(".numbers input[name='round 1']")
    roundest.wait_for()
    assert roundest.input_value() == "1"
    assert "1 is a circle" in page.locator(".numbers").inner_text(), "what it means"
    roundest.fill("0.5")

    page.locator(".outcome[data-running=false]").wait_for()
    assert page.locator(".flip[data-now=pass]").count() >= 3, (
        "what is squarer than that counts no more"
    )
    page.get_by_role("button", name="Save as draft").click()
    page.locator(".revisions .draft").wait_for()
    assert "round: [0, 0.5]" in draft_path(web.data, "tile").read_text()
    page.locator(".numbers input[name='round 1']").wait_for()


def drag(page: Any, start: tuple[int, int], end: tuple[int, int], size: tuple[int, int]) -> None:
    """With the pointer over the picture, in its pixels."""
    box = page.locator("canvas.areas").bounding_box()
    scale = min(box["width"] / size[0], box["height"] / size[1])
    left = box["x"] + (box["width"] - size[0] * scale) / 2
    top = box["y"] + (box["height"] - size[1] * scale) / 2
    page.mouse.move(left + start[0] * scale, top + start[1] * scale)
    page.mouse.down()
    page.mouse.move(left + end[0] * scale, top + end[1] * scale, steps=4)
    page.mouse.up()


@pytest.mark.slow
def test_an_area_is_moved_on_the_picture(web: Any, page: Any, recipe: Path) -> None:
    sign_in(web, page, Role.ENGINEER, "erik")

    drag(page, (220, 80), (180, 80), (240, 160))
    page.get_by_role("button", name="Save as draft").click()

    page.locator(".revisions .draft").wait_for()
    assert "roi: [20, 20, 180, 140]" in draft_path(web.data, "tile").read_text()


@pytest.mark.slow
def test_an_area_follows_what_is_typed(web: Any, page: Any, recipe: Path) -> None:
    """… as soon as it is an area; what is none is not taken."""
    sign_in(web, page, Role.ENGINEER, "erik")
    right, save = page.get_by_label("Area x2"), page.get_by_role("button", name="Save as draft")
    right.fill("1")
    assert save.is_disabled()
    right.fill("180")
    page.locator(".corners[data-changed=true]").wait_for()
    assert save.is_enabled() and right.evaluate("node => node === document.activeElement")
    page.locator(".outcome[data-running=false]").wait_for()
    right.fill("18")
    right.blur()
    assert right.input_value() == "180"
    save.click()

    page.locator(".revisions .draft").wait_for()
    assert "roi: [20, 20, 180, 140]" in draft_path(web.data, "tile").read_text()


@pytest.mark.slow
def test_an_area_is_drawn_on_the_live_picture_in_pixels_of_the_whole_frame(
    web: Any, page: Any, line: Callable[..., Any], recipe: Path
) -> None:
    line("--rate", "8")
    sign_in(web, page, Role.ENGINEER, "erik")
    page.locator("select[name=picture]").select_option("live")
    page.locator("canvas.areas[data-shown=live]").wait_for()

    drag(page, (220, 80), (600, 80), (640, 480))
    page.locator("select[name=picture]").select_option("0")
    page.locator("canvas.areas[data-shown^='/picture/']").wait_for()
    page.get_by_role("button", name="Save as draft").click()

    page.locator(".revisions .draft").wait_for()
    draft = draft_path(web.data, "tile").read_text()
    (right,) = re.findall(r"roi: \[20, 20, (\d+), 140\]", draft)
    assert abs(int(right) - 600) <= 2


@pytest.mark.slow
def test_a_tool_is_added_from_a_good_part_tuned_and_taken_out(
    web: Any, page: Any, recipe: Path
) -> None:
    sign_in(web, page, Role.ENGINEER, "erik")
    page.get_by_role("button", name="Add a tool").click()
    page.locator("select[name=kind]").select_option("count")
    page.get_by_text("As many pieces as this part has.").wait_for()
    assert page.locator("input[name=tool]").input_value() == "count"
    page.get_by_role("button", name="Add to the draft").click()

    page.locator(".tools button[aria-pressed=true]", has_text="count").wait_for()
    draft = draft_path(web.data, "tile").read_text()
    assert "  - name: count\n    kind: count\n    roi: [60, 40, 180, 120]\n" in draft
    assert "exactly: 1" in draft and "revision: 2" in draft
    assert "area: [300, 100000]        # square pixels, measured on forty tiles" in draft
    page.locator(".outcome[data-running=false]").wait_for()
    assert page.locator(".numbers input[name=exactly]").input_value() == "1"
    assert recipe.read_text() == RECIPE, "a draft is not in service"

    page.get_by_role("button", name="Take this tool out").click()
    page.locator(".tools li", has_text="count").wait_for(state="detached")
    assert draft_path(web.data, "tile").read_text() == RECIPE.replace("revision: 1", "revision: 2")

    page.expected_errors = ("409",)
    page.get_by_role("button", name="Take this tool out").click()
    page.locator(".note", has_text="a recipe without tools would pass everything").wait_for()
    with History(web.data) as history:
        deeds = [r for r in history.desk("recipe", 20) if r.body.get("action") == "draft"]
    assert (deeds[0].body["removed"], deeds[1].body["added"]["kind"]) == ("count", "count")
    assert {deed.principal for deed in deeds[:2]} == {"erik"}


@pytest.mark.slow
def test_a_tool_that_would_reject_its_own_part_is_not_made(
    web: Any, page: Any, recipe: Path
) -> None:
    sign_in(web, page, Role.ENGINEER, "erik", "zh")
    page.expected_errors = ("409",)
    page.get_by_role("button", name="添加工具").click()
    page.locator("select[name=kind]").select_option("code")
    page.get_by_role("button", name="添加到草稿").click()

    page.locator(".note", has_text="它会剔除该工件").wait_for()

    assert not draft_path(web.data, "tile").exists()
    page.locator("select[name=kind]").select_option("anomaly")
    assert page.get_by_role("link", name="去示教").get_attribute("href").endswith("recipe=tile")


@pytest.mark.slow
def test_a_tool_of_a_name_that_is_none_is_not_made_by_another(
    web: Any, page: Any, recipe: Path
) -> None:
    sign_in(web, page, Role.ENGINEER, "erik")
    page.get_by_role("button", name="Add a tool").click()
    name = page.locator("input[name=tool]")
    name.fill("盖子")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))

    for _ in range(2):
        page.get_by_role("button", name="Add to the draft").click()

    assert name.evaluate("field => field.validity.patternMismatch")
    assert [url for url in asked if url.endswith("/tools")] == []


def test_what_is_no_recipe_is_not_saved(web: Any, recipe: Path) -> None:
    client = web.client(Role.ENGINEER, name="erik")
    client.timeout = 60.0  # the check is a command that starts anew
    base = client.get("/recipes/tile").json()["base"]
    change = {"place": ["tools", 0, "params", "area", 0], "value": 9e9}

    answer = client.post("/recipes/tile/draft", json={"base": base, "changes": [change]})
    stale = client.post("/recipes/tile/draft", json={"base": "0" * 64, "changes": [change]})
    outside = client.post(
        "/recipes/tile/draft",
        json={"base": base, "changes": [{"place": ["name", 0, 0], "value": 1}]},
    )

    assert answer.status_code == 409
    assert '"area" is [smallest, largest]' in answer.json()["error"]
    assert stale.status_code == outside.status_code == 409
    assert not draft_path(web.data, "tile").exists()
    client.close()


def test_a_disk_that_takes_no_draft_is_told_in_words(web: Any, recipe: Path) -> None:
    folder = web.data / "drafts"
    shutil.rmtree(folder, ignore_errors=True)
    folder.symlink_to("/dev/full")
    try:
        with web.client(Role.ENGINEER, name="erik") as client:
            base = client.get("/recipes/tile").json()["base"]
            answer = client.post("/recipes/tile/retry", json={"base": base, "changes": []})
    finally:
        folder.unlink()
    assert (answer.status_code, answer.json()["code"]) == (503, "store")
    assert str(folder) in answer.json()["error"]


@pytest.mark.slow
def test_of_two_drafts_of_one_text_the_second_is_refused(web: Any, recipe: Path) -> None:
    """Both were told that theirs was kept, and one of them was lost."""
    change = {"place": ["tools", 0, "params", "area", 0], "value": 0}

    def save(value: int) -> int:
        with web.client(Role.ENGINEER, name=f"erik-{value}") as client:
            client.timeout = 60.0
            base = client.get("/recipes/tile").json()["base"]
            both.wait()
            given = {"base": base, "changes": [change | {"value": value}]}
            return int(client.post("/recipes/tile/draft", json=given).status_code)

    both = threading.Barrier(2)
    with ThreadPoolExecutor(2) as two:
        answers = sorted(two.map(save, (700, 800)))

    assert answers == [200, 409]


def test_who_tries_a_change_is_not_told_what_anothers_does() -> None:
    """The page of the one told that none of the newest parts was judged otherwise."""
    trying = Trying()
    mine, others = (trying.begin(["--help"])["turn"] for _ in range(2))

    assert trying.now(others)["turn"] == others
    with pytest.raises(Refused, match="try yours again"):
        trying.now(mine)


def test_only_the_draft_that_stands_on_the_page_is_signed_or_discarded(
    web: Any, page: Any, recipe: Path
) -> None:
    """Quality has read the one, and would have signed another."""
    read = RECIPE.replace("revision: 1", "revision: 2")
    newer = read.replace("revision: 2", "revision: 3")
    draft = draft_path(web.data, "tile")
    draft.parent.mkdir(exist_ok=True)
    token, _ = web.session(Role.QA, Role.ENGINEER, name="qin")
    page.context.add_cookies([{"name": "inspector", "value": token, "url": web.url}])
    for name in ("Approve", "Discard"):
        draft.write_text(read)
        page.goto(f"{web.url}desk/recipes?recipe=tile")
        page.get_by_role("button", name=name).wait_for()
        draft.write_text(newer)

        page.get_by_role("button", name=name).click()

        page.get_by_text("somebody has changed this recipe since").wait_for()
        assert page.locator(".sign").count() == 0
        assert draft.read_text() == newer


def test_a_name_that_is_too_long_signs_nothing_and_is_told(
    web: Any, page: Any, recipe: Path
) -> None:
    draft = draft_path(web.data, "tile")
    draft.parent.mkdir(exist_ok=True)
    draft.write_text(RECIPE.replace("revision: 1", "revision: 2"))
    sign_in(web, page, Role.QA, "qin")
    page.get_by_role("button", name="Approve").click()

    page.locator(".sign input").nth(0).fill("q" * 65)
    page.locator(".sign input").nth(1).fill("3690")
    page.locator(".sign .main").click()

    page.locator(".sign").get_by_text("user or password is wrong").wait_for()


def test_an_emptied_field_changes_nothing(web: Any, page: Any, recipe: Path) -> None:
    """It would have been saved as what stood in it before its last digit went: a limit of 3."""
    sign_in(web, page, Role.ENGINEER, "erik")
    limit = page.locator(".numbers input[name='area 0']")
    limit.fill("37")
    assert page.get_by_role("button", name="Save as draft").is_enabled()

    for _ in range(2):
        limit.press("Backspace")

    assert limit.input_value() == ""
    assert page.get_by_role("button", name="Save as draft").is_disabled()


def test_a_button_that_is_refused_says_so(web: Any, page: Any, recipe: Path) -> None:
    """Whoever lost the role since the page was opened touched a button that did nothing."""
    draft = draft_path(web.data, "tile")
    draft.parent.mkdir(exist_ok=True)
    draft.write_text(RECIPE.replace("revision: 1", "revision: 2"))
    web.users.add_user("ede", [Role.ENGINEER], principal=ADMIN)
    token = web.sessions.begin(web.users.find("ede"), How.PASSWORD, "test")
    page.context.add_cookies([{"name": "inspector", "value": token, "url": web.url}])
    page.goto(f"{web.url}desk/recipes?recipe=tile")
    page.get_by_role("button", name="Discard").wait_for()
    web.users.set_roles("ede", [Role.AUDITOR], principal=ADMIN)

    for _ in range(2):
        page.get_by_role("button", name="Discard").click()
        page.get_by_text("ede (auditor) may not edit recipe").wait_for()

    assert page.locator(".told").count() == 1
    assert draft.is_file()


def test_the_editor_speaks_chinese(web: Any, page: Any, recipe: Path) -> None:
    sign_in(web, page, Role.AUDITOR, "ana", "zh")

    assert "版本" in page.locator(".versions").inner_text()
    assert page.locator(".numbers input:enabled").count() == 0
