"""Pictures of every page, at both sizes, while the virtual line runs: `scripts/screenshots`.

Every page of the navigation is taken, so that a new one is not forgotten; the operator's dialogs
and what stands on an engineer's page while somebody works are `screenshot_scenes`.
``scripts/screenshots NAME …`` takes those alone whose name begins so. ``--out FOLDER`` leaves the
docs as they are, ``--locale zh-CN`` and ``--scheme dark`` take all of them so, to be looked at.
"""

from __future__ import annotations

import argparse
import io
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright
from screenshot_release import installed
from screenshot_scenes import released, shoot

from inspector.config import Web
from inspector.identity import Principal, Role, Users
from inspector.store import DeskLedger, History
from inspector.trial import CONFIGS, Plan, Trial, running, wait_for
from inspector.virtual.filmset import render_set
from inspector.web.sessions import How, Sessions

DOCS = Path(__file__).parent.parent / "docs" / "pictures"
SIZES = {"": (1280, 800), "-1920": (1920, 1080)}
PHONE = {"": (390, 844)}
ADMIN = Principal("setup", frozenset({Role.ADMIN}))
EVERYBODY = frozenset({Role.OPERATOR, Role.QA, Role.ENGINEER, Role.ADMIN})
LOT = "L9449R"
LARGEST = 200_000
"""Bytes of a picture: a repository is cloned by people who never look at most of them."""
PATIENCE_MS = 60_000
SETTLE_MS = 900
"""After what was waited for: pictures decode, charts are laid out."""

Act = Callable[[Page], Any]


class Studio:
    """A browser before a running station."""

    def __init__(self, browser: Browser, trial: Trial, asked: argparse.Namespace) -> None:
        self._browser, self._asked = browser, asked
        self.url = trial.page().rstrip("/")
        self.data = trial.data
        self.lot = LOT
        self._sessions = Sessions(trial.data, Users(trial.data), Web())
        self._contexts: dict[tuple[str, str, str], BrowserContext] = {}

    def take(
        self,
        name: str,
        path: str = "/",
        act: Act | None = None,
        *,
        ready: str = "",
        again: Act | None = None,
        user: str = "anna",
        sizes: dict[str, tuple[int, int]] = SIZES,
        locale: str = "en-GB",
        scheme: str = "light",
    ) -> None:
        """``NAME.png`` and its larger sister: the page at ``path`` when ``ready`` is there and
        ``act`` is done; ``again`` is waited for before each of them."""
        if not self.wants(name):
            return
        page = self.open(user, self._asked.locale or locale, self._asked.scheme or scheme)
        width, height = next(iter(sizes.values()))
        page.set_viewport_size({"width": width, "height": height})
        try:
            page.goto(self.url + path)
            if path.startswith("/desk"):
                page.wait_for_function("window.socket && window.socket.connected")
            if ready:
                page.wait_for_selector(ready)
            if act is not None:
                act(page)
            for suffix, (width, height) in sizes.items():
                page.set_viewport_size({"width": width, "height": height})
                page.wait_for_timeout(SETTLE_MS)
                if again is not None:
                    again(page)
                self._keep(page, f"{name}{suffix}.png")
        except Exception as error:  # the others are taken all the same
            self._asked.failed.append(name)
            print(f"{name}: {error}", file=sys.stderr)
            with suppress(Exception):
                page.screenshot(path=Path(tempfile.gettempdir()) / f"{name}.failed.png")
        finally:
            page.close()

    def wants(self, name: str) -> bool:
        """Whether the picture of this name is asked for."""
        names = self._asked.names
        return not names or any(name.startswith(start) for start in names)

    def open(self, user: str, locale: str = "en-GB", scheme: str = "light") -> Page:
        """An empty page of ``user``'s."""
        page = self._context(user, locale, scheme).new_page()
        page.set_default_timeout(PATIENCE_MS)
        return page

    def pages(self) -> list[str]:
        """Every page of the navigation."""
        page = self.open("anna")
        page.goto(self.url)
        found = page.eval_on_selector_all(".nav a", "a => a.map((e) => e.getAttribute('href'))")
        page.close()
        return [str(path) for path in found]

    def _context(self, user: str, locale: str, scheme: str) -> BrowserContext:
        key = (user, locale, scheme)
        if key not in self._contexts:
            context = self._browser.new_context(locale=locale, color_scheme=scheme)
            if user:
                token = self._sessions.begin(Principal(user, EVERYBODY), How.OIDC, "screenshots")
                context.add_cookies([{"name": "inspector", "value": token, "url": self.url}])
            self._contexts[key] = context
        return self._contexts[key]

    def _keep(self, page: Page, name: str) -> None:
        path = self._asked.out / name
        path.write_bytes(small(page.screenshot()))
        print(path, flush=True)


def small(png: bytes) -> bytes:
    """``png`` with a palette, of as many colours as `LARGEST` allows."""
    image = Image.open(io.BytesIO(png)).convert("RGB")
    for colours in (256, 160, 112, 80, 56, 40, 24):
        out = io.BytesIO()
        # maximum coverage keeps the rare colours: a small sign's green, a strip's amber
        few = image.quantize(
            colours, Image.Quantize.MAXCOVERAGE, kmeans=2, dither=Image.Dither.NONE
        )
        few.save(out, "png", optimize=True)
        if out.tell() <= LARGEST:
            break
    return out.getvalue()


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("names", nargs="*")
    options.add_argument("--out", type=Path, default=DOCS)
    options.add_argument("--locale", default="")
    options.add_argument("--scheme", choices=("", "light", "dark"), default="")
    asked = options.parse_args()
    asked.out.mkdir(parents=True, exist_ok=True)
    asked.failed = []
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
            rate=3.0,
            recipes=recipes,
            order="shuffled",
            page=0,
            station={
                "line": "Filling 2",
                "site": "Hamburg",
                "batch.id": LOT,
                "batch.product": "Valdoro still 0.5 l",
                "clock": "trusted",
                "stop.rejects_in_a_row": 0,
                "store.pass_image_every": 4,
                "quality": QUALITY,
            },
        )
        with running(plan) as trial, sync_playwright() as play:
            if not wait_for(trial.page, 60.0) or not wait_for(
                lambda: trial.report().get("gate_rejects", 0) >= 10, 120.0
            ):
                sys.exit((trial.plan.folder / "station.log").read_text())
            people(trial)
            browser = play.chromium.launch(executable_path=browser_path, args=["--no-sandbox"])
            studio = Studio(browser, trial, asked)
            released(studio)
            if studio.wants("models"):
                installed(trial)
            shoot(studio)
            browser.close()
    if asked.failed:
        sys.exit(f"screenshots: not taken: {', '.join(asked.failed)}")


QUALITY = {
    "subgroup": 100,
    "line_clearance": True,
    "first_article": {"golden_parts": 3},
    "challenge": {"seeded": [{"name": "no cap", "label": "cap missing"}], "every_minutes": 60},
}
"""What the operator's guided steps are about."""


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
    batch = {"batch": LOT, "target": 5000}
    with DeskLedger.open(trial.data) as desk:
        for id, order, product, recipe, target in orders:
            printed = {"lot": LOT, "date": trial.plan.films.date}  # what the bottles say
            body = {"action": "plan", "batch": id, "order": order, "product": product,
                    "recipe": recipe, "target": target, "texts": printed}  # fmt: skip
            desk.add("batch", body, "mes")
        desk.add(
            "batch",
            {"action": "start", "product": "Valdoro still 0.5 l", "recipe": "bottle-line",
             "order": "4500126", "texts": {}, **batch},
            "mes",
        )  # fmt: skip
        desk.add_all([("link", body, "mes") for body in links(trial)])


def links(trial: Trial) -> list[dict[str, Any]]:
    """What the MES has told of the running batch: two material lots, and what was packed and sent
    of its first parts."""
    with History(trial.data) as history:
        stream = history.last(1)[0].verdict.stream
    told: list[dict[str, Any]] = [
        {"relation": "consumed", "batch": LOT, "material": material, "lot": lot}
        for material, lot in (
            ("cap-28", "CL-7731"),
            ("label-still", "LB-0912"),
            ("preform", "P-55"),
        )
    ]
    for case in range(6):
        first = 1 + 4 * case
        told.append({"relation": "packed", "unit": f"CASE-{case + 1:04}", "level": "case",
                     "runs": [[stream, first, first + 3]], "batches": [LOT]})  # fmt: skip
    for pallet, place in enumerate(("DC Hamburg", "DC Hannover")):
        unit = f"PAL-{pallet + 1:03}"
        cases = [f"CASE-{n + 1:04}" for n in range(3 * pallet, 3 * pallet + 3)]
        told.append({"relation": "packed", "unit": unit, "level": "pallet", "units": cases})
        told.append({"relation": "shipped", "units": [unit], "destination": place,
                     "document": f"DN-{4417 + pallet}", "at": time.time_ns()})  # fmt: skip
    return told


if __name__ == "__main__":
    main()
