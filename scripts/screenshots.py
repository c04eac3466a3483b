"""Pictures of every page, at both sizes, while the virtual line runs: `scripts/screenshots`.

Every page of the navigation is taken by itself, so that a new one is not forgotten; the operator's
dialogs and a batch's history on a phone are taken by hand. ``scripts/screenshots NAME …`` takes
those alone whose name begins so.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

from inspector.config import Web
from inspector.identity import Principal, Role, Users
from inspector.store import DeskLedger
from inspector.trial import CONFIGS, Plan, Trial, running, wait_for
from inspector.virtual.film import render_set
from inspector.web.sessions import How, Sessions

DOCS = Path(__file__).parent.parent / "docs" / "pictures"
SIZES = {"": (1280, 800), "-1920": (1920, 1080)}
ADMIN = Principal("setup", frozenset({Role.ADMIN}))
EVERYBODY = frozenset({Role.OPERATOR, Role.QA, Role.ENGINEER, Role.ADMIN})
SETTLE_MS = 2500


class Studio:
    """A browser before a running station."""

    def __init__(self, browser: Browser, trial: Trial, wanted: list[str]) -> None:
        self._browser, self._wanted = browser, wanted
        self.url = trial.page().rstrip("/")
        users = Users(trial.data)
        self._sessions = Sessions(trial.data, users, Web())

    def take(
        self,
        name: str,
        path: str = "/",
        act: Callable[[Page], None] | None = None,
        *,
        user: str = "anna",
        sizes: dict[str, tuple[int, int]] = SIZES,
        locale: str = "en-GB",
        scheme: str = "light",
        whole: bool = False,
    ) -> None:
        """``docs/pictures/NAME.png`` and its larger sister; ``act`` is done before."""
        if self._wanted and not any(name.startswith(start) for start in self._wanted):
            return
        for suffix, (width, height) in sizes.items():
            context = self._browser.new_context(
                viewport={"width": width, "height": height}, locale=locale, color_scheme=scheme
            )
            if user:
                principal = Principal(user, EVERYBODY)
                token = self._sessions.begin(principal, How.OIDC, "screenshots")
                context.add_cookies([{"name": "inspector", "value": token, "url": self.url}])
            page = context.new_page()
            page.goto(self.url + path)
            page.wait_for_timeout(SETTLE_MS)
            if act is not None:
                act(page)
                page.wait_for_timeout(700)
            page.screenshot(path=DOCS / f"{name}{suffix}.png", full_page=whole)
            print(DOCS / f"{name}{suffix}.png")
            context.close()

    def pages(self) -> list[str]:
        """Every page of the navigation."""
        context = self._browser.new_context()
        token = self._sessions.begin(Principal("anna", EVERYBODY), How.OIDC, "screenshots")
        context.add_cookies([{"name": "inspector", "value": token, "url": self.url}])
        page = context.new_page()
        page.goto(self.url)
        found = page.eval_on_selector_all(".nav a", "a => a.map((e) => e.getAttribute('href'))")
        context.close()
        return [str(path) for path in found]


def main() -> None:
    browser_path = shutil.which("chromium") or shutil.which("google-chrome")
    if browser_path is None:
        sys.exit("screenshots: no Chromium here; install it (apt install chromium)")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        films = render_set("bottle-line", 7, 120, folder / "films")
        recipes = tuple(
            CONFIGS / "recipes" / f"{recipe}.yaml" for recipe in ("bottle-line", "juice-line")
        )
        plan = Plan(
            films,
            folder / "trial",
            rate=4.0,
            recipes=recipes,
            order="shuffled",
            page=0,
            station={"clock": "trusted", "stop.rejects_in_a_row": 0},
        )
        with running(plan) as trial, sync_playwright() as play:
            if not wait_for(trial.page, 60.0) or not wait_for(
                lambda: trial.report().get("gate_rejects", 0) >= 10, 120.0
            ):
                sys.exit((trial.plan.folder / "station.log").read_text())
            people(trial)
            browser = play.chromium.launch(executable_path=browser_path, args=["--no-sandbox"])
            shoot(Studio(browser, trial, sys.argv[1:]), trial)
            browser.close()


def people(trial: Trial) -> None:
    """Whoever is on the pictures, and what the MES has planned for them."""
    users = Users(trial.data)
    for user, role, pin in (
        ("anna", Role.OPERATOR, "2580"),
        ("jonas", Role.OPERATOR, "1470"),
        ("mei", Role.QA, "3690"),
        ("erik", Role.ENGINEER, "7410"),
    ):
        users.add_user(user, [role], pin=pin, principal=ADMIN)
    orders = (
        ("L9451R", "4500127", "Valdoro still 0.5 l", "bottle-line", 12_000),
        ("L9452R", "4500128", "Valdoro still 0.5 l", "bottle-line", 24_000),
        ("J0231A", "4500131", "Apple juice 0.5 l", "juice-line", 8_000),
    )
    batch = {"batch": f"{trial.plan.films.product}-{trial.plan.films.lot}", "target": 5000}
    with DeskLedger.open(trial.data) as desk:
        for id, order, product, recipe, target in orders:
            body = {"action": "plan", "batch": id, "order": order, "product": product,
                    "recipe": recipe, "target": target, "texts": {"lot": id}}  # fmt: skip
            desk.add("batch", body, "mes")
        desk.add(
            "batch",
            {"action": "start", "product": "Valdoro still 0.5 l", "recipe": "bottle-line",
             "order": "4500126", "texts": {}, **batch},
            "mes",
        )  # fmt: skip


def shoot(studio: Studio, trial: Trial) -> None:
    def held(page: Page) -> None:
        page.wait_for_selector("#verdict[data-outcome=reject]", timeout=60_000)

    def touch(*names: str) -> Callable[[Page], None]:
        def touched(page: Page) -> None:
            for name in names:
                page.locator(name).first.click()
                page.wait_for_timeout(900)

        return touched

    running = "#verdict[data-outcome=running]"
    studio.take("live", act=held)
    studio.take("live-running", act=lambda page: page.wait_for_selector(running) and None,
                scheme="dark")  # fmt: skip
    studio.take("live-zh", act=held, locale="zh-CN", sizes={"": SIZES[""]})
    studio.take("login", "/login", user="", sizes={"": SIZES[""]})
    studio.take("part", act=touch("#rejects button"))
    studio.take("start-batch", act=touch("#do-start"), sizes={"": SIZES[""]})
    studio.take("change-over", act=touch("#do-change"))
    studio.take("modes", act=touch("#do-mode"), sizes={"": SIZES[""]})
    studio.take("bypass", act=touch("#do-mode", "dialog .choices .button >> nth=3"),
                sizes={"": SIZES[""]})  # fmt: skip
    batch = f"/batch/{trial.plan.films.product}-{trial.plan.films.lot}"
    studio.take("batch", batch)
    studio.take("batch-phone", batch, sizes={"": (390, 844)})
    studio.take("batch-phone-zh", batch, sizes={"": (390, 844)}, locale="zh-CN", scheme="dark")
    lot = f"/desk/batch?id={trial.plan.films.product}-{trial.plan.films.lot}&by=batch"
    studio.take("lot", lot)
    for path in studio.pages():
        if path != "/":
            studio.take(path.rstrip("/").rsplit("/", 1)[1], path)


if __name__ == "__main__":
    main()
