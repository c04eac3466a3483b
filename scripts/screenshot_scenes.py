"""What stands on each page when its picture is taken: the operator's dialogs, a part being looked
at, a recipe being tuned, a tool being taught, a batch awaiting its signatures.

Enters: the studio of `screenshots`. Leaves: its pictures. Scenes that change what the line does
come last.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from playwright.sync_api import Page

if TYPE_CHECKING:
    from screenshots import Studio

SMALL = {"": (1280, 800)}
PHONE = {"": (390, 844)}
RUNS, HELD = "#verdict[data-outcome=running]", "#verdict[data-outcome=reject]"
READY = {
    "/batches": ".lots li",
    "/desk/review": ".detail h2:has-text('#')",
    "/desk/dashboards": "svg.chart",
    "/desk/audit": "tbody tr",
    "/desk/cameras": "canvas.picture:not([hidden])",
    "/desk/gate": "[data-signal]",
    "/desk/system": ".log tr",
}
"""What a page of the navigation is waited for; the others are scenes of their own."""
SCENES = ("/", "/desk/recipes", "/desk/teach", "/desk/models")


def touch(*names: str) -> Callable[[Page], None]:
    """Touch these, one after the other, as they come up."""

    def touched(page: Page) -> None:
        for name in names:
            page.locator(name).first.click()

    return touched


def wait(selector: str) -> Callable[[Page], Any]:
    return lambda page: page.wait_for_selector(selector)


def down_to(selector: str) -> Callable[[Page], Any]:
    return lambda page: page.eval_on_selector(selector, "node => node.scrollIntoView()")


def both(*acts: Callable[[Page], Any]) -> Callable[[Page], None]:
    def done(page: Page) -> None:
        for act in acts:
            act(page)

    return done


def shoot(studio: Studio) -> None:
    look(studio)
    for path in studio.pages():
        if path not in SCENES:
            studio.take(path.rsplit("/", 1)[1], path, ready=READY.get(path, "main"))
    work(studio)
    dialogs(studio)
    steps(studio)
    studio.take("lost", act=lose, ready="#caption:not([hidden])")


def released(studio: Studio) -> None:
    """The batch's line clearance and first article signed, so that the line is in production."""
    page = studio.open("anna")
    page.goto(studio.url)
    page.wait_for_selector("#do-checks[data-due]")
    cleared(page)
    page.wait_for_selector(".state[data-state=ok]", timeout=120_000)
    signed(page)
    page.wait_for_selector("#fact-mode[data-mode=auto]")
    page.close()


def look(studio: Studio) -> None:
    """What is looked at and not touched."""
    studio.take("live", act=calm, again=wait(HELD))
    studio.take("live-running", act=calm, again=wait(RUNS), scheme="dark")
    studio.take("live-zh", act=calm, again=wait(HELD), locale="zh-CN", sizes=SMALL)
    studio.take("login", "/login", user="")
    studio.take("login-password", "/login", touch(".ask .button:not(.tile)"),
                again=wait("input[type=password]"), user="")  # fmt: skip
    batch = f"/batch/{studio.lot}"
    studio.take("batch", batch, ready=".gallery li")
    studio.take("batch-phone", batch, ready=".gallery li", sizes=PHONE)
    studio.take("batch-phone-zh", batch, ready=".gallery li", sizes=PHONE, locale="zh-CN",
                scheme="dark")  # fmt: skip
    studio.take("lot", f"/desk/batch?id={studio.lot}&by=batch", ready="#recall .tile")
    studio.take("lot-trace", f"/desk/batch?id={studio.lot}&by=batch", ready="#recall .tile",
                again=down_to("#trace"))  # fmt: skip


def work(studio: Studio) -> None:
    """An engineer's pages while somebody works."""
    studio.take("wall", "/desk/wall?period=hour", ready=".wall svg.chart", scheme="dark")
    studio.take("recipes", "/desk/recipes?recipe=bottle-line", tune, ready=".tools .button")
    studio.take("recipes-flips", "/desk/recipes?recipe=bottle-line", tune, ready=".tools .button",
                again=down_to(".outcome"))  # fmt: skip
    studio.take("recipes-add", "/desk/recipes?recipe=bottle-line", add, ready=".tools .button")
    studio.take("teach", "/desk/teach?recipe=bottle-line", draw, ready=".teach canvas")
    studio.take("teach-result", "/desk/teach?recipe=bottle-line", teach, ready=".teach canvas",
                again=down_to(".outcome"))  # fmt: skip
    studio.take("models", "/desk/models", ready=".release .button")


def tune(page: Page) -> None:
    page.locator(".tools .button", has_text=re.compile("print-there|喷码有无")).click()
    page.locator("input[name=last]").fill("100")
    page.locator("input[name=at_least]").fill("30")
    page.wait_for_selector(".outcome[data-running=false]", timeout=170_000)


def add(page: Page) -> None:
    page.locator(".recipes canvas[data-shown^='/picture/']").wait_for()
    page.locator(".side > .button").click()
    page.locator("select[name=kind]").wait_for()


def draw(page: Page) -> None:
    """The area of the label."""
    page.locator(".teach canvas[data-shown^='/picture/']").wait_for()
    page.locator("canvas.areas").scroll_into_view_if_needed()
    box = page.locator("canvas.areas").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] * 0.38, box["y"] + box["height"] * 0.4)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.62, box["y"] + box["height"] * 0.78, steps=4)
    page.mouse.up()


def teach(page: Page) -> None:
    draw(page)
    page.locator("input[name=last]").fill("12")
    page.locator(".bar .button.main").click()
    page.wait_for_selector(".outcome .held figure img", timeout=170_000)


def lose(page: Page) -> None:
    """The station's page as it is when nothing is heard any more."""
    page.context.set_offline(True)
    page.evaluate("window.dispatchEvent(new Event('offline'))")
    page.route("**/*", lambda route: route.abort())
    page.wait_for_selector("body[data-link=lost]", state="attached")


def dialogs(studio: Studio) -> None:
    """What the operator's buttons open."""
    shown = "dialog[open]"
    for name, act in {
        "part": touch("#rejects button"),
        "pause": touch("#do-pause"),
        "start-batch": both(touch("#do-start"), wait(".orders .tile"), touch(".orders .tile")),
        "end-batch": touch("#do-start", "dialog footer .button"),
        "change-over": both(touch("#do-change"), wait(".recipes img")),
        "change-over-batch": touch("#do-change", ".recipes .tile >> nth=1"),
        "modes": touch("#do-mode"),
        "bypass": touch("#do-mode", "dialog .choices .button >> nth=3"),
        "checks": touch("#do-checks"),
        "challenge": touch("#do-checks", "dialog .choices .button"),
        "help": touch("#do-help"),
        "station": touch("#station"),
        "person": touch("#person"),
    }.items():
        studio.take(name, act=both(calm, act), again=wait(shown), ready=RUNS)
    studio.take("sign-in", act=touch("#person"), again=wait(".tile"), ready=RUNS, user="")
    studio.take("pin", act=touch("#person", ".tile"), again=wait(".keys"), ready=RUNS, user="")
    studio.take(
        "help-called", act=both(calm, touch("#do-help", "dialog .choices .button >> nth=1")),
        again=wait("#help-bar:not([hidden])"), ready=RUNS,
    )  # fmt: skip


def steps(studio: Studio) -> None:
    """A planned batch is started, cleared, and tried by its first article."""
    start = both(
        come,
        touch("#do-start", ".orders .tile:has-text('4500127')", "dialog footer .main"),
        wait("#do-checks[data-due]"),
    )
    set_up = both(wait("#alarm:not([hidden])"), wait("#verdict[data-outcome=setup]"))
    studio.take("unsigned", act=start, again=set_up, ready=RUNS)
    waits = "#do-checks[data-due]"
    studio.take("alarms", act=touch("#alarm-all"), again=wait("dialog[open]"), ready=waits)
    studio.take("clearance", act=due, again=wait(".ticks"), ready=waits)
    studio.take("first-article", act=cleared, again=wait(".steps li"), ready=waits)


def come(page: Page) -> None:
    """Whoever was called for has come."""
    if page.locator("#help-come").is_visible():
        page.locator("#help-come").click()
        page.wait_for_selector("#help-bar", state="hidden")


def calm(page: Page) -> None:
    """Somebody has seen the alarms: a machine that draws pictures as well is late now and then."""
    page.wait_for_selector("#caption:not([hidden])")
    for _ in range(4):
        if page.locator("#alarm-acknowledge").is_visible():
            page.locator("#alarm-acknowledge").click()
            page.wait_for_timeout(500)


def due(page: Page) -> None:
    """The checks that the line awaits; one that was not heard yet awaits nothing."""
    for _ in range(60):
        page.locator("#do-checks").click()
        page.wait_for_timeout(500)
        if page.locator(".ticks, .steps").count():
            return
        page.keyboard.press("Escape")


def cleared(page: Page) -> None:
    """Line clearance signed; what follows it comes by itself."""
    due(page)
    ticks = page.locator(".ticks input")
    for index in range(ticks.count()):
        ticks.nth(index).check()
    if ticks.count():
        signed(page)
    page.wait_for_selector(".steps li")


def signed(page: Page) -> None:
    page.locator(".signature select").select_option("anna")
    page.locator(".signature input").fill("2580")
    page.locator("dialog footer .button").last.click()
